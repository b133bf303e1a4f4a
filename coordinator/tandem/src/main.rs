//! The one binary: the coordinator, the sidecars, and the verbs of clients and operators.

mod for_shells;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches};
use tandem::cli::output::Output;
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
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return misused(&error),
    };
    let form = Output::of(&matches);
    let command = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli.command,
        Err(error) => return misused(&error),
    };
    let done = match command {
        Command::Client(verb) => verb.run(),
        Command::Stores(verb) => verb.run(),
        Command::Help(verb) => verb.run(),
        Command::Log(verb) => verb.run(),
        Command::Config(verb) => verb.run(),
        Command::Doctor(args) => args.run(),
        Command::Serve(args) => {
            return start(
                &args.log,
                || Config::load_with(&args.file.config, &args.file.set),
                serve,
            );
        }
        Command::Participant(SidecarKind::Mysql(args)) => {
            return start(
                &args.log,
                || MysqlSidecar::load_with(&args.file.config, &args.file.set),
                serve_mysql,
            );
        }
        Command::Participant(SidecarKind::Redis(args)) => {
            return start(
                &args.log,
                || RedisSidecar::load_with(&args.file.config, &args.file.set),
                serve_redis,
            );
        }
        Command::Dev(args) => develop(args),
        Command::Steps => steps::run(),
        Command::Completions { shell } => for_shells::completions(shell),
        Command::Man { folder } => for_shells::man(&folder),
    };
    finish(done, form, output::note)
}

/// What clap says of a command line that it does not take, or of one that asks for help.
fn misused(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        error.exit();
    }
    let form = Output::of_words(std::env::args());
    let failure = VerbFailure::Usage(error.to_string().trim_end().to_owned());
    finish(Err(failure), form, |_| {
        // In colours where stderr is a terminal.
        let _ = error.print();
    })
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
        Err(error) => return finish(Err(error.into()), Output::Table, output::note),
    };
    let done = load()
        .map_err(VerbFailure::from)
        .and_then(|config| Ok(role(config)?));
    finish(done, Output::Table, |text| log.say(text))
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
