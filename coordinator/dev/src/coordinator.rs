//! The coordinator as a child process: `tandem serve` as anybody would run it.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tandem_servers::{guarded, spawn};

use crate::wait::until;

/// What `tandem steps` explains: where a process is to die or to stop.
const CRASH_POINT_VARIABLE: &str = "TANDEM_AT";
/// Longer than the `shutdown_timeout_ms` of the configuration that is written here.
const STOP_MAX: Duration = Duration::from_secs(15);
/// For a process to stop or die at the step that it was told to.
const STEP_MAX: Duration = Duration::from_secs(10);
/// Lines of the log that are quoted.
const TAIL_LINES: usize = 20;

/// A running `tandem serve`, killed and reaped on drop.
#[derive(Debug)]
pub(crate) struct Coordinator {
    child: Child,
    log: PathBuf,
}

impl Coordinator {
    /// Starts the program with a configuration file, its log appended to `log`. `at` is a step at
    /// which it is to die or to stop, as in `decided:kill`.
    pub(crate) fn start(
        program: &Path,
        config: &Path,
        log: &Path,
        at: Option<&str>,
    ) -> anyhow::Result<Self> {
        let open = OpenOptions::new().create(true).append(true).open(log);
        let stderr = open.with_context(|| format!("open the log {}", log.display()))?;
        let mut command = guarded(program);
        command.arg("serve").arg("--config").arg(config);
        match at {
            Some(step) => command.env(CRASH_POINT_VARIABLE, step),
            None => command.env_remove(CRASH_POINT_VARIABLE),
        };
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            // Ctrl-C on a terminal reaches this process only, which then stops all in order.
            .process_group(0);
        let child = spawn(command).context("start the coordinator")?;
        Ok(Self {
            child,
            log: log.to_owned(),
        })
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits until it has ended, for as long as that takes.
    pub(crate) async fn exited(&mut self) -> anyhow::Result<ExitStatus> {
        const LOOK: Duration = Duration::from_millis(50);
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until it has died at the step that it was started with.
    pub(crate) async fn died(&mut self) -> anyhow::Result<ExitStatus> {
        until("the coordinator's death", STEP_MAX, async || self.ended()).await
    }

    /// Waits until it stands still at the step that it was started with.
    pub(crate) async fn paused(&self) -> anyhow::Result<()> {
        let flags = WaitPidFlag::WSTOPPED
            | WaitPidFlag::WEXITED
            | WaitPidFlag::WNOHANG
            // It stays to be reaped by its owner.
            | WaitPidFlag::WNOWAIT;
        until("the coordinator's halt", STEP_MAX, async || {
            match waitid(Id::Pid(self.pid()), flags)? {
                WaitStatus::Stopped(..) => Ok(Some(())),
                WaitStatus::StillAlive => Ok(None),
                other => bail!("the coordinator was to halt, and instead: {other:?}"),
            }
        })
        .await
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGTERM; it drains. SIGKILL if it does not end in time.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        self.signal(Signal::SIGTERM)?;
        match tokio::time::timeout(STOP_MAX, self.exited()).await {
            Ok(ended) => ended.map(drop),
            Err(_) => {
                self.child.kill()?;
                self.child.wait()?;
                bail!(
                    "the coordinator did not stop within {} s and was killed",
                    STOP_MAX.as_secs()
                )
            }
        }
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        kill(self.pid(), signal).with_context(|| format!("send {signal} to the coordinator"))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It fails only for a process that has been reaped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log file, for a person; a log that can't be read says so.
pub(crate) fn tail(log: &Path) -> String {
    match fs::read(log) {
        Ok(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
        }
        Err(error) => format!("(can't be read: {error})"),
    }
}
