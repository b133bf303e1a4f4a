//! Who gets through a listener to its services: each caller, call, TLS state and listener.

#![allow(clippy::unwrap_used)]

mod pki;
mod reread;
mod sidecar;
mod table;

use std::convert::Infallible;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use tandem_proto::v1::operator_service_server::OperatorServiceServer;
use tandem_proto::v1::participant_service_server::ParticipantServiceServer;
use tandem_proto::v1::purchase_service_server::PurchaseServiceServer;
use tonic::client::Grpc;
use tonic::codegen::http::HeaderValue;
use tonic::server::NamedService;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::*;
use pki::{Ca, Pair};

const ACCESS: &str = r#"
tokens_file = "tokens.toml"
client = ["cert:client.example"]
operator = ["cert:operator.example"]
operator_admin = ["cert:admin.example"]
[coordinators]
shop = ["cert:shop.example"]
"#;

const TOKENS: &str = r#"
client = { roles = ["client"], token = "token-of-a-client" }
operator = { roles = ["operator"], token = "token-of-an-operator" }
admin = { roles = ["operator_admin"], token = "token-of-an-admin" }
shop = { coordinators = ["shop"], token = "token-of-the-shop" }
probe = { token = "token-of-a-probe" }
"#;

/// Which services a listener has, by how `serve.rs` and `sidecar.rs` put it together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
enum Of {
    Clients,
    Operators,
    Coordinators,
}

impl Of {
    fn service(self) -> &'static str {
        match self {
            Of::Clients => "/tandem.v1.PurchaseService/",
            Of::Operators => "/tandem.v1.OperatorService/",
            Of::Coordinators => "/tandem.v1.ParticipantService/",
        }
    }
}

/// A service of any name that counts its calls and answers nothing.
struct Spy<S>(Arc<AtomicUsize>, PhantomData<fn(S)>);

impl<S> Clone for Spy<S> {
    fn clone(&self) -> Self {
        Spy(Arc::clone(&self.0), PhantomData)
    }
}

impl<S: NamedService> NamedService for Spy<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Spy<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        self.0.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Ok(Status::new(Code::Ok, "").into_http()))
    }
}

/// A listener whose service is a spy; it serves until the test's runtime ends.
struct Stand {
    port: u16,
    calls: Arc<AtomicUsize>,
}

impl Stand {
    async fn start(of: Of, gate: &Arc<Gate>, tls: Option<&Tls>) -> Stand {
        let calls = Arc::new(AtomicUsize::new(0));
        let services = server(gate).unwrap();
        let (_, health) = tonic_health::server::health_reporter();
        let services = services.add_service(health);
        let spied = Arc::clone(&calls);
        let services = match of {
            Of::Clients => {
                services.add_service(Spy::<PurchaseServiceServer<()>>(spied, PhantomData))
            }
            Of::Operators => {
                services.add_service(Spy::<OperatorServiceServer<()>>(spied, PhantomData))
            }
            Of::Coordinators => {
                services.add_service(Spy::<ParticipantServiceServer<()>>(spied, PhantomData))
            }
        };
        let port = serve(services, tls).await;
        Stand { port, calls }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

/// Serves at a port of its own, which is given.
async fn serve(services: Services, tls: Option<&Tls>) -> u16 {
    let (port, at) = (20_000..32_000)
        .find_map(|port| {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
            let at = std::net::TcpListener::bind(address).ok()?;
            Some((port, at))
        })
        .unwrap();
    drop(at);
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let at = config::Listener::new(config::Address::Tcp(address));
    let incoming = bind(&at, "peers", 1_000, tls, None).await.unwrap();
    tokio::spawn(services.serve_with_incoming(incoming));
    port
}

/// The gate of the sections above, with their files in `folder`.
fn sections(folder: &Path, ca: &Ca, server: &Pair) -> (config::Tls, config::Access) {
    let (certificate_file, key_file) = server.write(folder);
    let client_ca_file = folder.join("ca.pem");
    std::fs::write(&client_ca_file, ca.pem()).unwrap();
    std::fs::write(folder.join("tokens.toml"), TOKENS).unwrap();
    let mut access: config::Access = toml::from_str(ACCESS).unwrap();
    access.tokens_file = Some(folder.join("tokens.toml"));
    let tls = config::Tls {
        certificate_file,
        key_file,
        client_ca_file: Some(client_ca_file),
    };
    (tls, access)
}

/// The code of what is answered to an empty message.
async fn code(channel: &Channel, path: &str, token: Option<&str>) -> Code {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let mut request = tonic::Request::new(());
    if let Some(token) = token {
        let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
        let value = value.as_bytes().try_into().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    let codec = ProstCodec::<(), ()>::default();
    let answer = client.server_streaming(request, path.parse().unwrap(), codec);
    match answer.await {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}
