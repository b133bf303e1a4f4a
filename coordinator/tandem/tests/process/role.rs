//! The real binary in one of its long-lived roles.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tandem_servers::PortLease;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// How long anything may take that is to happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `tandem serve`
    Coordinator,
    /// `tandem participant redis`
    Sidecar,
}

pub(crate) const ROLES: [Role; 2] = [Role::Coordinator, Role::Sidecar];

/// A role that has a folder and ports; it runs once it is started.
pub(crate) struct Place {
    pub(crate) role: Role,
    pub(crate) folder: tempfile::TempDir,
    /// What it logs.
    pub(crate) log: &'static str,
    /// The store's; nobody listens there.
    _nobody: PortLease,
    /// Of clients, and of operators if the role has any.
    ports: [PortLease; 2],
}

impl Place {
    pub(crate) fn new(role: Role) -> Place {
        let lease = || PortLease::take(None).unwrap();
        let place = Place {
            role,
            folder: tempfile::tempdir().unwrap(),
            log: "info",
            _nobody: lease(),
            ports: [lease(), lease()],
        };
        std::fs::write(place.config(), place.settings()).unwrap();
        place
    }

    fn settings(&self) -> String {
        let [clients, operators] = self.ports.each_ref().map(PortLease::port);
        let store = format!("url = \"redis://127.0.0.1:{}/0\"\n", self._nobody.port());
        match self.role {
            Role::Coordinator => format!(
                "[coordinator]\nid = \"shop\"\ndata_dir = \"log\"\nlisten = \"127.0.0.1:{clients}\"\n\
                 admin_listen = \"127.0.0.1:{operators}\"\naccept = [\"NO_RECORD_PARTICIPANT\"]\n[participants.stock.redis]\n{store}"
            ),
            Role::Sidecar => format!(
                "[sidecar]\nname = \"stock\"\nlisten = \"127.0.0.1:{clients}\"\n[redis]\n{store}"
            ),
        }
    }

    pub(crate) fn config(&self) -> std::path::PathBuf {
        self.folder.path().join("tandem.toml")
    }

    /// The command line of the role.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let verb: &[&str] = match self.role {
            Role::Coordinator => &["serve"],
            Role::Sidecar => &["participant", "redis"],
        };
        let config = self.config().to_string_lossy().into_owned();
        let all = verb.iter().map(|word| (*word).to_owned());
        all.chain(["--config".to_owned(), config]).collect()
    }

    /// Starts it as it is.
    pub(crate) fn start(&self, stderr: impl Into<Stdio>) -> Running {
        self.start_by(Command::new(env!("CARGO_BIN_EXE_tandem")), stderr)
    }

    /// Starts it by a command that takes the role's arguments at its end.
    pub(crate) fn start_by(&self, mut command: Command, stderr: impl Into<Stdio>) -> Running {
        command
            .args(self.arguments())
            .env("TANDEM_LOG", self.log)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr);
        Running(command.spawn().unwrap())
    }

    /// The listeners' ports.
    pub(crate) fn listeners(&self) -> Vec<u16> {
        let ports = self.ports.iter().map(PortLease::port);
        match self.role {
            Role::Coordinator => ports.collect(),
            Role::Sidecar => ports.take(1).collect(),
        }
    }

    /// Waits until every listener has answered a connection of its own.
    pub(crate) async fn answers(&self) {
        for port in self.listeners() {
            let start = Instant::now();
            while let Err(error) = ask(port).await {
                assert!(start.elapsed() < SOON, "{:?} at {port}: {error}", self.role);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    /// Calls of one connection to each listener, each of which must be answered.
    pub(crate) async fn answers_many(&self, calls: usize) {
        for port in self.listeners() {
            let mut one = OneConnection::to(port).await;
            for _ in 0..calls {
                one.is_served().await;
            }
        }
    }
}

/// A connection that is kept.
pub(crate) struct OneConnection(HealthClient<Channel>);

impl OneConnection {
    pub(crate) async fn to(port: u16) -> OneConnection {
        OneConnection(HealthClient::new(channel(port).await.unwrap()))
    }

    /// That a call is answered.
    pub(crate) async fn is_served(&mut self) {
        let asked = self.0.check(HealthCheckRequest::default());
        tokio::time::timeout(SOON, asked).await.unwrap().unwrap();
    }
}

/// A connection of its own.
pub(crate) async fn channel(port: u16) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Channel::from_shared(format!("http://127.0.0.1:{port}")).unwrap();
    endpoint.timeout(SOON).connect().await
}

/// Whether a listener serves a connection of its own.
pub(crate) async fn ask(port: u16) -> Result<(), String> {
    let channel = channel(port).await.map_err(|error| error.to_string())?;
    let mut health = HealthClient::new(channel);
    let answer = health.check(HealthCheckRequest::default()).await;
    answer.map(drop).map_err(|status| status.to_string())
}

/// A process; killed when dropped.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Waits until it has ended.
    pub(crate) async fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(start.elapsed() < SOON, "it does not end");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGTERM, and a good end.
    pub(crate) async fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.end().await;
        assert!(status.success(), "{status}");
    }
}
