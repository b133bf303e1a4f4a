//! The real `tandem participant`, as a process that can be killed.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use tandem_servers::{PortLease, Process, guarded};

use crate::personal::SearchedLog;
use crate::programs::Build;
use crate::wait::until;

/// How long a start may take.
const READY_MAX: Duration = Duration::from_secs(20);

/// Which participant it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SidecarKind {
    /// `tandem participant mysql`, named `purchases`.
    Mysql,
    /// `tandem participant redis`, named `stock`.
    Redis,
}

impl SidecarKind {
    /// Its verb, which is its table in the configuration too.
    pub fn verb(self) -> &'static str {
        match self {
            SidecarKind::Mysql => "mysql",
            SidecarKind::Redis => "redis",
        }
    }

    /// The participant's name.
    pub fn name(self) -> &'static str {
        match self {
            SidecarKind::Mysql => "purchases",
            SidecarKind::Redis => "stock",
        }
    }
}

/// A sidecar with a folder and a port of its own; its process runs or is down.
#[derive(Debug)]
pub struct Sidecar {
    process: Mutex<Option<Process>>,
    kind: SidecarKind,
    build: Build,
    folder: PathBuf,
    port: PortLease,
    // Searched when the process is gone.
    log: SearchedLog,
}

impl Sidecar {
    /// Starts one before the store that `settings` name and waits until it listens.
    ///
    /// # Errors
    /// If it does not; with its log.
    pub async fn start(kind: SidecarKind, folder: PathBuf, settings: &str) -> Result<Sidecar> {
        Sidecar::start_build(kind, folder, settings, None).await
    }

    /// The same of another build than the one under test, if there is one.
    ///
    /// # Errors
    /// If it does not listen; with its log.
    pub(crate) async fn start_build(
        kind: SidecarKind,
        folder: PathBuf,
        settings: &str,
        program: Option<PathBuf>,
    ) -> Result<Sidecar> {
        fs::create_dir_all(&folder)?;
        let port = PortLease::take(None)?;
        let config = format!(
            "[sidecar]\nname = \"{}\"\nlisten = \"127.0.0.1:{}\"\n\n[{}]\n{settings}",
            kind.name(),
            port.port(),
            kind.verb()
        );
        fs::write(folder.join("sidecar.toml"), config)?;
        let sidecar = Sidecar {
            process: Mutex::new(None),
            kind,
            build: Build::default(),
            log: SearchedLog(folder.join("sidecar.log")),
            folder,
            port,
        };
        sidecar.build.set(program);
        sidecar.restart().await?;
        Ok(sidecar)
    }

    /// From its next start on it is of another build; of the one under test if there is none.
    pub(crate) fn run_build(&self, program: Option<PathBuf>) {
        self.build.set(program);
    }

    /// Starts it again and waits until it listens.
    ///
    /// # Errors
    /// If it does not; with its log.
    pub async fn restart(&self) -> Result<()> {
        self.revive(None)?;
        let address = ("127.0.0.1", self.port.port());
        until("the sidecar listens", READY_MAX, async || {
            Ok(TcpStream::connect(address).is_ok())
        })
        .await
        .with_context(|| format!("the sidecar's log ends with:\n{}", self.log_tail()))
    }

    /// Starts it if it is down, also if it ended by itself, and waits for nothing; with a step
    /// (`store_prepared:kill`) it ends there. Gives whether it was down.
    ///
    /// # Errors
    /// If it can't be run.
    pub fn revive(&self, step: Option<&str>) -> Result<bool> {
        let mut slot = self.process.lock().unwrap();
        if let Some(process) = &mut *slot
            && process.ended()?.is_none()
        {
            return Ok(false);
        }
        let mut command = guarded(self.build.program()?);
        command
            .args(["participant", self.kind.verb(), "--config"])
            .arg(self.folder.join("sidecar.toml"))
            .envs(step.map(|step| ("TANDEM_AT", step)));
        *slot = Some(Process::start(command, &self.folder.join("sidecar.log"))?);
        Ok(true)
    }

    /// How it ended, if it has by itself.
    ///
    /// # Errors
    /// If the kernel can't say.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut slot = self.process.lock().unwrap();
        slot.as_mut().map_or(Ok(None), Process::ended)
    }

    /// Whether its process runs.
    ///
    /// # Errors
    /// If the kernel can't say.
    pub fn runs(&self) -> Result<bool> {
        let mut slot = self.process.lock().unwrap();
        match &mut *slot {
            Some(process) => Ok(process.ended()?.is_none()),
            None => Ok(false),
        }
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// If it is down.
    pub fn pause(&self) -> Result<()> {
        let slot = self.process.lock().unwrap();
        slot.as_ref().context("the sidecar is down")?.pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it is down.
    pub fn resume(&self) -> Result<()> {
        let slot = self.process.lock().unwrap();
        slot.as_ref().context("the sidecar is down")?.resume()
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// If it can't be signalled.
    pub fn kill9(&self) -> Result<()> {
        let taken = self.process.lock().unwrap().take();
        taken.map_or(Ok(()), Process::kill9)
    }

    /// Its process, if it runs.
    pub fn process_id(&self) -> Option<u32> {
        let slot = self.process.lock().unwrap();
        slot.as_ref().map(Process::id)
    }

    /// Its table in a coordinator's configuration.
    pub fn participant(&self) -> String {
        self.participant_at(self.port())
    }

    /// The same, reached at another port.
    pub fn participant_at(&self, port: u16) -> String {
        format!(
            "[participants.{}.sidecar]\nendpoint = \"http://127.0.0.1:{port}\"\n",
            self.kind.name()
        )
    }

    /// Which participant it serves.
    pub fn kind(&self) -> SidecarKind {
        self.kind
    }

    /// Its own port.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.port())
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The end of what it has said.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}
