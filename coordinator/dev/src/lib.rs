//! `tandem dev`: everything on this machine, private servers included, and a story that shows
//! what becomes of a purchase when parts of it die.
//!
//! `tandem` itself is a process here like the stores: it is started, killed, and asked over gRPC as
//! anybody would ask it. Nothing of the daemon's code is in this crate, and nothing that a daemon
//! needs.

mod acts;
mod api;
mod args;
mod binaries;
mod coordinator;
mod demo;
mod machine;
mod output;
mod ports;
mod shell;
mod snapshot;
mod stores;
mod story;
mod wait;

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use anyhow::{Context, anyhow};
use tokio::signal::unix::{Signal, SignalKind, signal};

pub use self::args::{ABOUT, Args};
use self::binaries::{Binaries, Missing};
use self::coordinator::Coordinator;
use self::machine::Machine;
use self::ports::Ports;

/// Why `tandem dev` did not end as it was told to.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The reader of stdout went away.
    #[error("nobody reads stdout")]
    ClosedPipe,
    /// Anything else, with its causes.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

/// Runs `tandem dev` until Ctrl-C or SIGTERM, or with `--demo` until the story has ended. `tandem` is
/// the program that is run as the coordinator and by whoever asks it.
///
/// # Errors
/// Servers that are missing or don't start, a coordinator that ends by itself (with the end of its
/// log), a step of the story that was not found right.
pub fn run(args: Args, tandem: &Path) -> Result<(), DevError> {
    let missing = match (args.install, args.yes) {
        (false, _) => Missing::Refuse,
        (true, false) => Missing::Ask,
        (true, true) => Missing::Install,
    };
    let binaries = Binaries::find(tandem, missing)?;
    let runtime = tokio::runtime::Runtime::new().map_err(anyhow::Error::from)?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        if args.demo {
            let played = tokio::select! {
                _ = signals.next() => {
                    Err(anyhow!("interrupted; the story was not played to its end"))
                }
                played = demo::play(&binaries) => played,
            };
            Ok(played?)
        } else {
            let folder = args.data_dir.map_or_else(data_folder, Ok)?;
            run_until_told(&binaries, &folder, args.port, &mut signals).await
        }
    })
}

async fn run_until_told(
    binaries: &Binaries,
    folder: &Path,
    port: Option<u16>,
    signals: &mut Signals,
) -> Result<(), DevError> {
    let (ports, notes) = Ports::usual(port)?;
    output::note(&format!(
        "Starting {} and {} on the data in {}",
        binaries.mysql,
        binaries.redis,
        folder.display()
    ));
    let started = async {
        let mut machine = Machine::start(binaries, folder, ports).await?;
        let coordinator = machine.coordinator(None).await?;
        anyhow::Ok((machine, coordinator))
    };
    let (machine, mut coordinator) = tokio::select! {
        name = signals.next() => {
            output::note(&format!("{name}: stopped before all was started"));
            return Ok(());
        }
        started = started => started?,
    };
    output::data(&welcome(&machine, &notes))?;
    let told = tokio::select! {
        name = signals.next() => Ok(name),
        status = coordinator.exited() => Err(died(&machine, &coordinator, status?)),
    };
    if let Ok(name) = &told {
        output::note(&format!(
            "{name}: stopping the coordinator, then the stores"
        ));
    }
    // The stores are stopped even if the coordinator had to be killed.
    let coordinator_stopped = coordinator.stop().await;
    machine.stores.stop()?;
    coordinator_stopped?;
    told?;
    output::note("Stopped. The data stays for the next `tandem dev`.");
    Ok(())
}

fn welcome(machine: &Machine, notes: &[String]) -> String {
    let tandem = shell::invocation(machine.tandem());
    let (clients, operators) = (machine.clients(), machine.operators());
    let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
    format!(
        "\
{notes}tandem is ready.

  clients    {clients}  (gRPC, tandem.v1.PurchaseService)
  operators  {operators}  (gRPC, tandem.v1.OperatorService)
  MySQL      {}  (tables purchases, purchase_items)
  Redis      {}  (stock:lamp, stock:chair, stock:desk)
  data       {}

Buy two lamps, then look at what is left:

  {tandem} purchase submit --server {clients} --id p-1 --customer ann --item lamp:2:1999 --currency EUR
  {tandem} stock lamp --admin {operators}

Ctrl-C stops all of it.",
        machine.stores.mysql_url(),
        machine.stores.redis.url(),
        machine.folder().display(),
    )
}

fn died(machine: &Machine, coordinator: &Coordinator, status: ExitStatus) -> anyhow::Error {
    anyhow!(
        "the coordinator ended by itself ({status}); the end of its log, {}:\n{}",
        machine.log().display(),
        coordinator.log_tail()
    )
}

/// `$XDG_DATA_HOME/tandem-dev`; the XDG Base Directory Specification wants a relative value to be
/// ignored.
fn data_folder() -> anyhow::Result<PathBuf> {
    let absolute = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let data = absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .context("neither XDG_DATA_HOME nor HOME is set; --data-dir says where the data goes")?;
    Ok(data.join("tandem-dev"))
}

/// The two signals that ask a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them and names it.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "Ctrl-C",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}
