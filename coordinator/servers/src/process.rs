use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::spawner::spawn;

/// A server with clean tables stops within a second; the rest is for a slow
/// disk. After that it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// A process that is to stop or die does so unless the kernel holds it.
const SIGNAL_TIMEOUT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// A running child in a process group of its own, killed and reaped on drop.
#[derive(Debug)]
pub struct Process(Child);

impl Process {
    /// Starts the command with its output appended to the log file. Made by
    /// [`guarded`](crate::guarded), it also ends with this process.
    ///
    /// # Errors
    ///
    /// If the log can't be opened or the program can't be run.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("open the log {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        Ok(Self(spawn(command)?))
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    ///
    /// If the kernel can't say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.0.try_wait()?)
    }

    /// SIGKILL, and reaps.
    ///
    /// # Errors
    ///
    /// If it can't be signalled.
    pub fn kill9(mut self) -> Result<()> {
        self.kill_and_reap()
    }

    /// SIGTERM, and SIGKILL if that does not end it in time.
    ///
    /// # Errors
    ///
    /// If it can't be signalled.
    pub fn stop(mut self) -> Result<()> {
        self.signal(Signal::SIGTERM)?;
        // A paused process would not see the request before it goes on.
        self.signal(Signal::SIGCONT)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.0.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                tracing::warn!(pid = self.id(), "the server ignores SIGTERM and is killed");
                return self.kill_and_reap();
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// SIGSTOP; returns once the process has really stopped.
    ///
    /// # Errors
    ///
    /// If it can't be signalled.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        let flags = WaitPidFlag::WSTOPPED
            | WaitPidFlag::WEXITED
            | WaitPidFlag::WNOHANG
            // The child stays to be reaped by its owner.
            | WaitPidFlag::WNOWAIT;
        let deadline = Instant::now() + SIGNAL_TIMEOUT;
        loop {
            match waitid(Id::Pid(self.pid()), flags)? {
                WaitStatus::Stopped(..) => return Ok(()),
                WaitStatus::StillAlive if Instant::now() < deadline => thread::sleep(POLL),
                status => bail!("the server did not pause: {status:?}"),
            }
        }
    }

    /// SIGCONT.
    ///
    /// # Errors
    ///
    /// If it can't be signalled.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    fn kill_and_reap(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill(self.pid(), signal).with_context(|| format!("send {signal} to process {}", self.id()))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().cast_signed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(error) = self.kill_and_reap() {
            tracing::warn!(
                pid = self.id(),
                "a server may have been left behind: {error:#}"
            );
        }
    }
}
