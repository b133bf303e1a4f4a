use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::binary::ServerBinary;
use crate::command::file_tail;
use crate::folder::{Folder, ServerFolder};
use crate::port::PortLease;
use crate::process::Process;

const READY_POLL: Duration = Duration::from_millis(10);
/// For one attempt to connect and hear an answer.
const READY_ATTEMPT: Duration = Duration::from_secs(2);

/// What all servers have in common.
#[derive(Debug, Clone)]
pub struct LaunchOptions {
    /// Where the data go.
    pub folder: Folder,
    /// This port of 127.0.0.1, or any free one below 32768.
    pub port: Option<u16>,
    /// Appended to the server's arguments, so they override what is set here:
    /// `--innodb-buffer-pool-size=1G`, or `--maxmemory`, `10mb`.
    pub extra_args: Vec<OsString>,
    /// Set in the server's environment: `LD_PRELOAD`, for example.
    pub env: Vec<(OsString, OsString)>,
    /// How long a start may take, crash recovery included.
    pub start_timeout: Duration,
}

impl Default for LaunchOptions {
    fn default() -> Self {
        Self {
            folder: Folder::default(),
            port: None,
            extra_args: Vec::new(),
            env: Vec::new(),
            start_timeout: Duration::from_secs(60),
        }
    }
}

/// A server and its process, which is running or stopped.
///
/// All methods take `&self`, so that a test can kill a server while others
/// talk to it. Dropping it kills and reaps the process and, if the folder is
/// temporary, removes it.
#[derive(Debug)]
pub struct Server {
    // Dropped top-down: the process before its folder and its port.
    process: Mutex<Option<Process>>,
    folder: ServerFolder,
    port: PortLease,
    binary: ServerBinary,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    start_timeout: Duration,
    is_ready: fn(TcpStream) -> Result<()>,
}

/// What a kind of server adds to the common part.
pub(crate) struct Kind<'a> {
    /// Makes the data folder if there is none yet.
    pub(crate) prepare: &'a dyn Fn(&ServerFolder) -> Result<()>,
    /// The arguments for this folder and port.
    pub(crate) args: &'a dyn Fn(&ServerFolder, u16) -> Vec<OsString>,
    /// Ok if the server at the other end serves.
    pub(crate) is_ready: fn(TcpStream) -> Result<()>,
}

impl Server {
    pub(crate) fn start(
        binary: &ServerBinary,
        options: LaunchOptions,
        kind: &Kind<'_>,
    ) -> Result<Self> {
        let folder = ServerFolder::open(&options.folder, binary)?;
        (kind.prepare)(&folder).with_context(|| format!("prepare a data folder for {binary}"))?;
        let port = PortLease::take(options.port)?;
        let mut args = (kind.args)(&folder, port.port());
        args.extend(options.extra_args);
        let server = Self {
            process: Mutex::new(None),
            folder,
            port,
            binary: binary.clone(),
            args,
            env: options.env,
            start_timeout: options.start_timeout,
            is_ready: kind.is_ready,
        };
        server.restart()?;
        Ok(server)
    }

    /// What runs.
    pub fn binary(&self) -> &ServerBinary {
        &self.binary
    }

    /// Its port on 127.0.0.1; the same for life.
    pub fn port(&self) -> u16 {
        self.port.port()
    }

    /// Its process, if it has been started and not been stopped or killed here.
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    /// The server's own data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.folder.data()
    }

    /// The end of what the server has logged.
    pub fn log_tail(&self) -> String {
        file_tail(&self.folder.log())
    }

    /// SIGKILL, and reaps. Nothing happens if it is down.
    ///
    /// # Errors
    ///
    /// If the process can't be signalled.
    pub fn kill9(&self) -> Result<()> {
        let taken = self.process().take();
        taken.map_or(Ok(()), Process::kill9)
    }

    /// A clean end: SIGTERM, and SIGKILL after 30 seconds. Nothing happens if
    /// it is down.
    ///
    /// # Errors
    ///
    /// If the process can't be signalled.
    pub fn stop(&self) -> Result<()> {
        let taken = self.process().take();
        taken.map_or(Ok(()), Process::stop)
    }

    /// Starts the server again, on the same port and folder, after stopping it
    /// cleanly if it runs. Returns once it answers.
    ///
    /// # Errors
    ///
    /// If it does not serve before the start deadline; the error quotes the
    /// server's log.
    pub fn restart(&self) -> Result<()> {
        let mut slot = self.process();
        if let Some(running) = slot.take() {
            running.stop()?;
        }
        self.launch(&mut slot)
    }

    /// Starts the server again if it is down, also if it ended by itself. Gives whether it was.
    ///
    /// # Errors
    ///
    /// As of [`restart`](Self::restart).
    pub fn revive(&self) -> Result<bool> {
        let mut slot = self.process();
        if let Some(process) = &mut *slot
            && process.ended()?.is_none()
        {
            return Ok(false);
        }
        *slot = None;
        self.launch(&mut slot)?;
        Ok(true)
    }

    /// Whether its process runs, as the kernel says.
    ///
    /// # Errors
    ///
    /// If it can't say.
    pub fn runs(&self) -> Result<bool> {
        match &mut *self.process() {
            Some(process) => Ok(process.ended()?.is_none()),
            None => Ok(false),
        }
    }

    fn launch(&self, slot: &mut Option<Process>) -> Result<()> {
        let mut command = self.binary.command()?;
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.base());
        let mut process = Process::start(command, &self.folder.log())
            .with_context(|| format!("start {}", self.binary))?;
        self.wait_until_ready(&mut process).with_context(|| {
            format!(
                "{} did not start on port {}; the end of its log:\n{}",
                self.binary,
                self.port(),
                self.log_tail()
            )
        })?;
        *slot = Some(process);
        Ok(())
    }

    /// SIGSTOP: the process keeps its connections and answers nothing.
    ///
    /// # Errors
    ///
    /// If it is down.
    pub fn pause(&self) -> Result<()> {
        self.running(Process::pause)
    }

    /// SIGCONT: undoes [`pause`](Self::pause).
    ///
    /// # Errors
    ///
    /// If it is down.
    pub fn resume(&self) -> Result<()> {
        self.running(Process::resume)
    }

    fn running(&self, act: fn(&Process) -> Result<()>) -> Result<()> {
        match &*self.process() {
            Some(process) => act(process),
            None => bail!("{} on port {} is down", self.binary, self.port()),
        }
    }

    fn wait_until_ready(&self, process: &mut Process) -> Result<()> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port()));
        let deadline = Instant::now() + self.start_timeout;
        loop {
            if let Some(status) = process.ended()? {
                bail!("it ended ({status})");
            }
            let attempt = TcpStream::connect_timeout(&address, READY_ATTEMPT)
                .context("connect")
                .and_then(|stream| {
                    stream.set_read_timeout(Some(READY_ATTEMPT))?;
                    stream.set_write_timeout(Some(READY_ATTEMPT))?;
                    (self.is_ready)(stream)
                });
            match attempt {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    let waited = self.start_timeout.as_secs();
                    return Err(error.context(format!("it was not ready after {waited} s")));
                }
                Err(_) => thread::sleep(READY_POLL),
            }
        }
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        // A panic in one test thread must not keep the others from stopping
        // the server.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
