//! The one binary: the coordinator, the sidecars, and the verbs of clients and operators.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use tandem::cli::participant::SidecarKind;
use tandem::cli::{VerbFailure, finish, output, steps};
use tandem::config::{Config, ConfigError, MysqlSidecar, RedisSidecar};
use tandem::daemon;
use tandem::logging::{self, LogArgs};
use tandem_command_line::{Cli, Command};
use tandem_dev::DevError;
use tandem_mysql::MysqlParticipant;
use tandem_redis::RedisParticipant;

/// A sidecar does little but wait for its store.
const SIDECAR_THREADS: usize = 1;

/// What the libraries below `tandem dev` have to say; the coordinator that it runs has a log of its own.
const DEV_LOG_FILTER: &str = "warn";

/// Purchases come and go in bursts, which the system's allocator serves the slow way: a quarter of
/// the coordinator's processor time at 256 clients was its.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Client(verb) => verb.run(),
        Command::Help(verb) => verb.run(),
        Command::Log(verb) => verb.run(),
        Command::Config(verb) => verb.run(),
        Command::Serve(args) => return start(&args.log, || Config::load(&args.config), serve),
        Command::Participant(SidecarKind::Mysql(args)) => {
            return start(&args.log, || MysqlSidecar::load(&args.config), serve_mysql);
        }
        Command::Participant(SidecarKind::Redis(args)) => {
            return start(&args.log, || RedisSidecar::load(&args.config), serve_redis);
        }
        Command::Dev(args) => develop(args),
        Command::Steps => steps::run(),
    };
    finish(done, output::note)
}

/// `tandem dev`, which runs this same program.
fn develop(args: tandem_dev::Args) -> Result<(), VerbFailure> {
    let _log = logging::init(DEV_LOG_FILTER)?;
    let program = std::env::current_exe().context("find this program's own file")?;
    tandem_dev::run(args, &program).map_err(|error| match error {
        DevError::ClosedPipe => VerbFailure::ClosedPipe,
        DevError::Other(error) => VerbFailure::Other(error),
    })
}

/// Runs one of the long-lived roles with its log on stderr. Its last words go the log's way, which
/// waits for no reader.
fn start<C>(
    log: &LogArgs,
    load: impl FnOnce() -> Result<C, ConfigError>,
    role: impl FnOnce(C) -> anyhow::Result<()>,
) -> ExitCode {
    let log = match logging::init(&log.filter) {
        Ok(log) => log,
        Err(error) => return finish(Err(error.into()), output::note),
    };
    let done = load()
        .map_err(VerbFailure::from)
        .and_then(|config| Ok(role(config)?));
    finish(done, |text| log.say(text))
}

/// `tandem serve`.
fn serve(config: Config) -> anyhow::Result<()> {
    logging::warn_of(&config.warnings);
    run(config.limits.worker_threads, daemon::serve(config))
}

/// `tandem participant mysql`.
fn serve_mysql(config: MysqlSidecar) -> anyhow::Result<()> {
    logging::warn_of(&config.warnings);
    let participant = MysqlParticipant::new(config.sidecar.name.clone(), config.mysql)?;
    let role = daemon::serve_participant(
        config.sidecar,
        config.tls,
        config.access,
        Arc::new(participant),
    );
    run(SIDECAR_THREADS, role)
}

/// `tandem participant redis`.
fn serve_redis(config: RedisSidecar) -> anyhow::Result<()> {
    logging::warn_of(&config.warnings);
    let participant = RedisParticipant::new(config.sidecar.name.clone(), config.redis)?;
    let role = daemon::serve_participant(
        config.sidecar,
        config.tls,
        config.access,
        Arc::new(participant),
    );
    run(SIDECAR_THREADS, role)
}

/// With one thread nothing is handed from one thread to another, which is most of what more of them
/// cost.
fn run(threads: usize, role: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let mut builder = if threads == 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = builder.worker_threads(threads).enable_all().build()?;
    runtime.block_on(role)
}
