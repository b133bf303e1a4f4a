//! The real `tandem serve`, as a process that can be killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use tandem_proto::v1::LinkState;
use tandem_servers::{PortLease, Process, guarded};

use crate::client::{Client, Operator};
use crate::personal::SearchedLog;
use crate::programs::Build;
use crate::wait::until;

/// How long a start may take until every participant is enlisted.
const READY_MAX: Duration = Duration::from_secs(40);

/// How long a process may take that is to end by itself.
const END_MAX: Duration = Duration::from_secs(40);

/// What a coordinator is started with.
#[derive(Debug, Clone, Default)]
pub struct Start {
    /// Lines of the section `[limits]`.
    pub limits: String,
    /// Tables of the participants.
    pub participants: String,
    /// Set in its environment.
    pub env: Vec<(String, String)>,
}

impl Start {
    /// The same with nothing set in its environment: no step at which it is to end.
    pub fn without_env(&self) -> Start {
        Start {
            env: Vec::new(),
            ..self.clone()
        }
    }
}

/// A coordinator with a folder and ports of its own; its process runs or is down.
#[derive(Debug)]
pub struct Coordinator {
    process: Mutex<Option<Process>>,
    id: String,
    build: Build,
    folder: PathBuf,
    data_dir: PathBuf,
    clients: PortLease,
    operators: PortLease,
    // Searched when the process is gone.
    log: SearchedLog,
}

impl Coordinator {
    /// One that has not been started, in a folder that exists.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn new(folder: PathBuf) -> Result<Coordinator> {
        Coordinator::named("shop", folder)
    }

    /// One with another id than the only coordinator of its stores has.
    ///
    /// # Errors
    /// If there is no free port.
    pub fn named(id: &str, folder: PathBuf) -> Result<Coordinator> {
        Ok(Coordinator {
            process: Mutex::new(None),
            id: id.to_owned(),
            build: Build::default(),
            data_dir: folder.join("log"),
            log: SearchedLog(folder.join("coordinator.log")),
            folder,
            clients: PortLease::take(None)?,
            operators: PortLease::take(None)?,
        })
    }

    /// The same with its decision log elsewhere.
    pub fn with_data_dir(self, data_dir: PathBuf) -> Coordinator {
        Coordinator { data_dir, ..self }
    }

    /// From its next start on it is of another build; of the one under test if there is none.
    pub fn run_build(&self, program: Option<PathBuf>) {
        self.build.set(program);
    }

    /// Writes the configuration and starts the process; does not wait for anything.
    ///
    /// # Errors
    /// If it runs already, or can't be run.
    pub fn launch(&self, start: &Start) -> Result<()> {
        anyhow::ensure!(self.process_id().is_none(), "the coordinator runs already");
        self.revive(start)?;
        Ok(())
    }

    /// Starts the process if it is down, also if it ended by itself; does not wait for anything.
    /// Gives whether it was down.
    ///
    /// # Errors
    /// If it can't be run.
    pub fn revive(&self, start: &Start) -> Result<bool> {
        let mut slot = self.process.lock().unwrap();
        if let Some(process) = &mut *slot
            && process.ended()?.is_none()
        {
            return Ok(false);
        }
        self.write_config(start)?;
        let mut command = guarded(self.build.program()?);
        command
            .args(["serve", "--config"])
            .arg(self.config_path())
            .envs(start.env.iter().map(|(name, value)| (name, value)));
        *slot = Some(Process::start(command, &self.log.0)?);
        Ok(true)
    }

    /// Writes its configuration, for a verb that reads one.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write_config(&self, start: &Start) -> Result<()> {
        Ok(fs::write(self.config_path(), self.config(start))?)
    }

    /// Starts the process and waits until every participant is enlisted.
    ///
    /// # Errors
    /// With the end of its log, if it is not ready in time.
    pub async fn start(&self, start: &Start) -> Result<()> {
        self.launch(start)?;
        self.ready().await
    }

    /// Waits until every participant is enlisted.
    ///
    /// # Errors
    /// With the end of its log, if it is not ready in time or ends.
    pub async fn ready(&self) -> Result<()> {
        self.ready_within(READY_MAX).await
    }

    /// The same for one that has much to read before it is ready.
    ///
    /// # Errors
    /// With the end of its log, if it is not ready in time or ends.
    pub async fn ready_within(&self, limit: Duration) -> Result<()> {
        let operator = self.operator();
        until("every participant is enlisted", limit, async || {
            if let Some(status) = self.ended()? {
                bail!("the coordinator ended ({status})");
            }
            Ok(operator.participants().await.is_ok_and(|answer| {
                answer
                    .participants
                    .iter()
                    .all(|one| one.state() == LinkState::Up)
            }))
        })
        .await
        .with_context(|| format!("the coordinator's log ends with:\n{}", self.log_tail()))
    }

    /// SIGKILL. Nothing happens if it is down.
    ///
    /// # Errors
    /// If it can't be signalled.
    pub fn kill9(&self) -> Result<()> {
        let taken = self.process.lock().unwrap().take();
        taken.map_or(Ok(()), Process::kill9)
    }

    /// SIGTERM, and the wait for its end; SIGKILL after a time.
    ///
    /// # Errors
    /// If it can't be signalled.
    pub fn stop(&self) -> Result<()> {
        let taken = self.process.lock().unwrap().take();
        taken.map_or(Ok(()), Process::stop)
    }

    /// SIGTERM, without a wait.
    ///
    /// # Errors
    /// If it is down.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::SIGTERM)
    }

    /// Any signal, without a wait.
    ///
    /// # Errors
    /// If it is down.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill(self.pid()?, signal)?)
    }

    /// SIGSTOP.
    ///
    /// # Errors
    /// If it is down.
    pub fn pause(&self) -> Result<()> {
        let slot = self.process.lock().unwrap();
        slot.as_ref().context("the coordinator is down")?.pause()
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it is down.
    pub fn resume(&self) -> Result<()> {
        let slot = self.process.lock().unwrap();
        slot.as_ref().context("the coordinator is down")?.resume()
    }

    /// Whether its process runs.
    ///
    /// # Errors
    /// If the kernel can't say.
    pub fn runs(&self) -> Result<bool> {
        match &mut *self.process.lock().unwrap() {
            Some(process) => Ok(process.ended()?.is_none()),
            None => Ok(false),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// If the kernel can't say.
    pub fn ended(&self) -> Result<Option<ExitStatus>> {
        let mut slot = self.process.lock().unwrap();
        slot.as_mut().map_or(Ok(None), Process::ended)
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it goes on.
    pub async fn wait_end(&self) -> Result<ExitStatus> {
        let deadline = Instant::now() + END_MAX;
        let status = loop {
            if let Some(status) = self.ended()? {
                break status;
            }
            if Instant::now() >= deadline {
                bail!(
                    "the coordinator goes on; its log ends with:\n{}",
                    self.log_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        self.process.lock().unwrap().take();
        Ok(status)
    }

    /// Waits until its process has stopped itself (`TANDEM_AT=…:stop`).
    ///
    /// # Errors
    /// If it does not.
    pub async fn wait_stopped(&self) -> Result<()> {
        let path = format!("/proc/{}/stat", self.pid()?);
        until("the coordinator stops itself", END_MAX, async || {
            let stat = fs::read_to_string(&path)?;
            // The state follows the name, which is in parentheses (proc(5)).
            let state = stat
                .rsplit(") ")
                .next()
                .and_then(|rest| rest.chars().next());
            Ok(state == Some('T'))
        })
        .await
    }

    /// Its process, if it runs.
    pub fn process_id(&self) -> Option<u32> {
        self.process
            .lock()
            .unwrap()
            .as_ref()
            .map(|process| process.id())
    }

    /// Highest resident memory of its process so far, in KiB (`VmHWM` of proc(5)).
    ///
    /// # Errors
    /// If it is down.
    pub fn peak_memory_kib(&self) -> Result<u64> {
        self.memory_kib("VmHWM:")
    }

    /// Resident memory of its process now, in KiB (`VmRSS` of proc(5)).
    ///
    /// # Errors
    /// If it is down.
    pub fn resident_memory_kib(&self) -> Result<u64> {
        self.memory_kib("VmRSS:")
    }

    fn memory_kib(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let line = status.lines().find(|line| line.starts_with(field));
        line.and_then(|line| line.split_whitespace().nth(1))
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("no {field} in the process's status"))
    }

    /// The decision log's folder.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone()
    }

    /// All that it has said.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// The end of what it has said.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Waits until its log says something.
    ///
    /// # Errors
    /// If it does not.
    pub async fn wait_log(&self, part: &str) -> Result<()> {
        until(&format!("the log says {part:?}"), READY_MAX, async || {
            Ok(self.log().contains(part))
        })
        .await
        .with_context(|| format!("the coordinator's log ends with:\n{}", self.log_tail()))
    }

    /// A client with a connection of its own.
    pub fn client(&self) -> Client {
        Client::lazy(self.clients.port())
    }

    /// A client with a connection of its own through another port, which notices a dead one.
    pub fn client_through(port: u16) -> Client {
        Client::watchful(port)
    }

    /// An operator with a connection of its own.
    pub fn operator(&self) -> Operator {
        Operator::lazy(self.operators.port())
    }

    /// The port for clients.
    pub fn client_port(&self) -> u16 {
        self.clients.port()
    }

    /// `http://127.0.0.1:PORT` for clients.
    pub fn client_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.clients.port())
    }

    /// `http://127.0.0.1:PORT` for operators.
    pub fn operator_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.operators.port())
    }

    /// Its configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.folder.join("tandem.toml")
    }

    fn pid(&self) -> Result<nix::unistd::Pid> {
        let slot = self.process.lock().unwrap();
        let process = slot.as_ref().context("the coordinator is down")?;
        Ok(nix::unistd::Pid::from_raw(process.id().cast_signed()))
    }

    fn config(&self, start: &Start) -> String {
        format!(
            "[coordinator]\nid = \"{}\"\ndata_dir = \"{}\"\nlisten = \"127.0.0.1:{}\"\n\
             admin_listen = \"127.0.0.1:{}\"\n\n[limits]\n{}\n\n{}",
            self.id,
            self.data_dir.display(),
            self.clients.port(),
            self.operators.port(),
            start.limits,
            start.participants
        )
    }
}

/// Copies a folder with all that is in it.
///
/// # Errors
/// If something can't be read or written.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
