//! `tandem serve` without a store that answers.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tandem_proto::v1::GetPurchaseRequest;
use tandem_proto::v1::purchase_service_client::PurchaseServiceClient;
use tonic::Code;
use tonic::transport::Channel;

use super::fake;

const DEADLINE: Duration = Duration::from_secs(20);

/// A coordinator's process; killed when dropped.
struct Daemon {
    process: Child,
    clients: SocketAddr,
    folder: tempfile::TempDir,
    _nobody: tokio::net::TcpSocket,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Daemon {
    fn start() -> Daemon {
        let folder = tempfile::tempdir().unwrap();
        let nobody = fake::refusing_port();
        let [clients, operators] = free_addresses();
        let config = format!(
            "[coordinator]\nid = \"shop\"\ndata_dir = \"log\"\nlisten = \"{clients}\"\n\
             admin_listen = \"{operators}\"\naccept = [\"NO_RECORD_PARTICIPANT\"]\n[participants.stock.redis]\nurl = \"redis://{}/0\"\n",
            nobody.local_addr().unwrap()
        );
        let path = folder.path().join("tandem.toml");
        std::fs::write(&path, config).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_tandem"))
            .args(["serve", "--config", path.to_str().unwrap()])
            .env("TANDEM_LOG", "tandem=debug")
            .stderr(File::create(folder.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Daemon {
            process,
            clients,
            folder,
            _nobody: nobody,
        }
    }

    async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.clients)).unwrap();
        let start = Instant::now();
        loop {
            match endpoint.connect().await {
                Ok(channel) => return channel,
                Err(error) => assert!(start.elapsed() < DEADLINE, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends SIGTERM, waits for the end and gives what was logged.
    async fn stop(&mut self) -> String {
        let start = Instant::now();
        let id = Pid::from_raw(self.process.id().try_into().unwrap());
        kill(id, Signal::SIGTERM).unwrap();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return std::fs::read_to_string(self.folder.path().join("stderr")).unwrap();
            }
            assert!(start.elapsed() < DEADLINE, "it does not stop");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// Two addresses that nobody listens on, of a host that no other test listens on: between now and
/// the daemon's start nobody takes them.
fn free_addresses() -> [SocketAddr; 2] {
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    let mut free = (start..32_000).filter_map(|port| {
        let listener = TcpListener::bind(("127.0.0.2", port)).ok()?;
        listener.local_addr().ok()
    });
    [free.next().unwrap(), free.next().unwrap()]
}

#[tokio::test]
async fn daemon_stops_at_once_while_a_client_is_connected_and_idle() {
    let mut daemon = Daemon::start();
    let mut client = PurchaseServiceClient::new(daemon.channel().await);
    let question = GetPurchaseRequest {
        purchase_id: "p-1".into(),
        ..GetPurchaseRequest::default()
    };
    let answer = client.get_purchase(question).await;
    assert_eq!(answer.unwrap_err().code(), Code::NotFound);
    let told = daemon.stop().await;
    assert!(told.contains("stopping: no new purchases"), "{told}");
    assert!(!told.contains("connections were cut that"), "{told}");
}
