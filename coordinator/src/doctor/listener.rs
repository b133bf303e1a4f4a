//! Whether a listener's address can be had, or a running tandem has it already.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{Ailment, Found, Subject};
use crate::config::{Address, Listener, Socket};

/// How long whoever has the address may take to say that it is a tandem.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Looks at one; binding an address for a moment leaves no trace.
pub(super) async fn look(
    setting: &str,
    listener: &Listener,
    is_encrypted: bool,
    machine: &mut Subject,
) {
    match &listener.address {
        Address::Tcp(address) => look_at_port(setting, *address, is_encrypted, machine).await,
        Address::Unix(socket) => look_at_socket(setting, socket, machine),
    }
}

async fn look_at_port(
    setting: &str,
    address: SocketAddr,
    is_encrypted: bool,
    machine: &mut Subject,
) {
    let taken = match TcpListener::bind(address) {
        Ok(_) => {
            machine.facts.push(format!("{setting} {address} is free"));
            return;
        }
        Err(error) if error.kind() != ErrorKind::AddrInUse => {
            format!("{setting} {address} can't be listened at: {error}")
        }
        Err(_) if is_encrypted => {
            // Who it is would take a certificate that it trusts.
            let fact = format!("{setting} {address} is in use, and with TLS not asked by whom");
            machine.facts.push(fact);
            return;
        }
        Err(_) if is_tandem(address).await => {
            let fact = format!("{setting} {address} is served by a tandem that runs");
            machine.facts.push(fact);
            return;
        }
        Err(_) => format!("{setting} {address} is taken by another program"),
    };
    machine.found.push(Found::of(Ailment::PortTaken, taken));
}

/// A socket of a dead process is taken away by the next start, which holds the log's lock.
fn look_at_socket(setting: &str, socket: &Socket, machine: &mut Subject) {
    if let Some(refusal) = socket.refusal() {
        machine.found.push(Found::of(Ailment::PortTaken, refusal));
        return;
    }
    let state = match UnixStream::connect(&socket.path) {
        Ok(_) => "is served",
        Err(_) => "is free",
    };
    let fact = format!("{setting} unix:{} {state}", socket.path.display());
    machine.facts.push(fact);
}

/// Whether it answers for its health as a tandem does.
async fn is_tandem(address: SocketAddr) -> bool {
    let asked = async {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let channel = endpoint.connect().await.ok()?;
        let question = HealthCheckRequest {
            service: String::new(),
        };
        HealthClient::new(channel).check(question).await.ok()
    };
    matches!(tokio::time::timeout(ANSWER_MAX, asked).await, Ok(Some(_)))
}
