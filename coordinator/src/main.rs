//! The one binary: the coordinator, the sidecars, and the verbs of clients and operators.

use std::process::ExitCode;

use clap::Parser;
use tandem::cli::participant::Kind;
use tandem::cli::{Cli, Command, Failure};
use tandem::config::{Config, ConfigError, MysqlSidecar, RedisSidecar};
use tandem::logging::{self, LogArgs};

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Client(verb) => verb.run(),
        Command::Serve(args) => start(&args.log, Config::load(&args.config), serve),
        Command::Participant(Kind::Mysql(args)) => {
            start(&args.log, MysqlSidecar::load(&args.config), serve_mysql)
        }
        Command::Participant(Kind::Redis(args)) => {
            start(&args.log, RedisSidecar::load(&args.config), serve_redis)
        }
    };
    tandem::cli::finish(done)
}

/// Runs one of the long-lived roles with its log on stderr.
fn start<C>(
    log: &LogArgs,
    config: Result<C, ConfigError>,
    role: impl FnOnce(C) -> anyhow::Result<()>,
) -> Result<(), Failure> {
    let config = config?;
    logging::init(&log.filter)?;
    Ok(role(config)?)
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
