//! Whether a listener's address can be had, or a running tandem has it already.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::{Ailment, Found, Subject};

/// How long whoever has the address may take to say that it is a tandem.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Looks at one address; binding it for a moment leaves no trace.
pub(super) async fn look(
    setting: &str,
    address: SocketAddr,
    is_encrypted: bool,
    machine: &mut Subject,
) {
    match TcpListener::bind(address) {
        Ok(_) => machine.facts.push(format!("{setting} {address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            if is_encrypted {
                // Who it is would take a certificate that it trusts.
                let fact = format!("{setting} {address} is in use, and with TLS not asked by whom");
                machine.facts.push(fact);
            } else if is_tandem(address).await {
                let fact = format!("{setting} {address} is served by a tandem that runs");
                machine.facts.push(fact);
            } else {
                let what = format!("{setting} {address} is taken by another program");
                machine.found.push(Found::of(Ailment::PortTaken, what));
            }
        }
        Err(error) => {
            let what = format!("{setting} {address} can't be listened at: {error}");
            machine.found.push(Found::of(Ailment::PortTaken, what));
        }
    }
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
