//! A gRPC call that does nothing, on a server that does nothing else: what of a purchase's cost is
//! the call itself.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tandem_proto::v1;
use tandem_proto::v1::purchase_service_client::PurchaseServiceClient;
use tandem_proto::v1::purchase_service_server::{PurchaseService, PurchaseServiceServer};
use tandem_servers::{PortLease, Process, guarded};
use tandem_tests::until_some;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

use crate::contest::{self, Buyer, Turn};
use crate::contestant::CHANNELS;
use crate::meter::Meter;
use crate::scene::Scene;
use crate::score::Score;
use crate::workload::{Answer, Cart};

/// The verb of this program that serves.
pub(crate) const VERB: &str = "serve-nothing";

const READY_MAX: Duration = Duration::from_secs(20);

struct Nothing;

struct Caller(PurchaseServiceClient<Channel>);

/// Starts the server in a process of its own.
pub(crate) fn start(log: &Path) -> Result<(Process, u16)> {
    let port = PortLease::take(None)?;
    let mut command = guarded(std::env::current_exe()?);
    command.args([VERB, &port.port().to_string()]);
    let process = Process::start(command, log)?;
    Ok((process, port.port()))
}

/// Serves, on one thread, as the coordinator does.
pub(crate) fn serve(port: u16) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let server = Server::builder().add_service(PurchaseServiceServer::new(Nothing));
    Ok(runtime.block_on(server.serve(address))?)
}

pub(crate) async fn play(scene: &Scene, turn: &Turn) -> Result<Score> {
    let (process, port) = &scene.idle;
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))?.tcp_nodelay(true);
    let mut channels = Vec::new();
    for _ in 0..CHANNELS {
        let connect = async || Ok(endpoint.connect().await.ok());
        channels.push(until_some("the server listens", READY_MAX, connect).await?);
    }
    let callers = (0..turn.load.clients())
        .map(|number| {
            Caller(PurchaseServiceClient::new(
                channels[number % CHANNELS].clone(),
            ))
        })
        .collect();
    let meter = Meter::of(&scene.forces, vec![("server", process.id())]);
    let (score, _) = contest::play(turn, &meter, callers).await?;
    Ok(score)
}

impl Buyer for Caller {
    async fn buy(&mut self, cart: &Cart) -> Result<Answer> {
        let empty = v1::SubmitPurchaseRequest::default();
        let answer = self.0.submit_purchase(empty).await;
        answer.context("a call that does nothing")?;
        Ok(cart.due())
    }

    async fn leave(self) -> Result<()> {
        Ok(())
    }
}

#[tonic::async_trait]
impl PurchaseService for Nothing {
    async fn submit_purchase(
        &self,
        _: Request<v1::SubmitPurchaseRequest>,
    ) -> Result<Response<v1::SubmitPurchaseResponse>, Status> {
        Ok(Response::new(v1::SubmitPurchaseResponse::default()))
    }

    async fn get_purchase(
        &self,
        _: Request<v1::GetPurchaseRequest>,
    ) -> Result<Response<v1::GetPurchaseResponse>, Status> {
        Ok(Response::new(v1::GetPurchaseResponse::default()))
    }
}
