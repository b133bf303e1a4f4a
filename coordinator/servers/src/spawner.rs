use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;

use crate::search::find_program;

type Order = (Command, SyncSender<io::Result<Child>>);

/// A command whose process is killed by the kernel when this process ends,
/// however it ends, wherever util-linux's `setpriv` can arrange that. To be
/// started by [`Process::start`](crate::Process::start). `setpriv` replaces itself with the program, so the
/// child's process id is the program's.
pub fn guarded(program: impl AsRef<OsStr>) -> Command {
    static SETPRIV: OnceLock<Option<PathBuf>> = OnceLock::new();
    match SETPRIV.get_or_init(|| find_program("setpriv")) {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        }
        None => Command::new(program),
    }
}

/// Spawns from one thread that lives as long as the process does.
///
/// The parent-death signal is bound to the *thread* that forked, not to its
/// process (prctl(2), `PR_SET_PDEATHSIG`): without this, a server that a test
/// starts in its own thread and shares with others would die with that test.
///
/// # Errors
///
/// If the program can't be started.
pub fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<Order>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts processes is gone");
    let (reply, answer) = sync_channel(1);
    SPAWNER
        .get_or_init(|| Mutex::new(start_thread()))
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, reply))
        .map_err(|_| gone())?;
    answer.recv().map_err(|_| gone())?
}

fn start_thread() -> Sender<Order> {
    let (orders, inbox) = channel::<Order>();
    let thread = thread::Builder::new().name("server-spawner".to_owned());
    let started = thread.spawn(move || {
        for (mut command, reply) in inbox {
            let _ = reply.send(command.spawn());
        }
    });
    if let Err(error) = started {
        // The inbox is dropped, so every spawn reports that the thread is gone.
        tracing::error!(%error, "no thread to start processes from");
    }
    orders
}
