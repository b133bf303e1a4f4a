//! The one binary: the coordinator, the sidecars, and the verbs of clients and operators.

use std::process::ExitCode;

use clap::Parser;
use tandem::cli::participant::Kind;
use tandem::cli::{Cli, Command, Failure};
use tandem::config::{Config, MysqlSidecar, RedisSidecar};
use tandem::logging;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Command::Client(verb) => verb.run(),
        Command::Serve(args) => Config::load(&args.config)
            .map_err(Failure::from)
            .and_then(|config| daemon(&cli.log, || serve(config))),
        Command::Participant(Kind::Mysql(args)) => MysqlSidecar::load(&args.config)
            .map_err(Failure::from)
            .and_then(|config| daemon(&cli.log, || serve_mysql(config))),
        Command::Participant(Kind::Redis(args)) => RedisSidecar::load(&args.config)
            .map_err(Failure::from)
            .and_then(|config| daemon(&cli.log, || serve_redis(config))),
    };
    tandem::cli::finish(done)
}

/// Runs one of the long-lived roles with its log on stderr.
fn daemon(filter: &str, role: impl FnOnce() -> anyhow::Result<()>) -> Result<(), Failure> {
    logging::init(filter)
        .and_then(|()| role())
        .map_err(Failure::from)
}

/// `tandem serve`.
fn serve(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("the daemon is not linked yet")
}

/// `tandem participant mysql`.
fn serve_mysql(_config: MysqlSidecar) -> anyhow::Result<()> {
    anyhow::bail!("the MySQL sidecar is not linked yet")
}

/// `tandem participant redis`.
fn serve_redis(_config: RedisSidecar) -> anyhow::Result<()> {
    anyhow::bail!("the Redis sidecar is not linked yet")
}
