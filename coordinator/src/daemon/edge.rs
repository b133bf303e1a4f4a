//! What all listeners have in common: how they are opened, and what every call passes.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::Stream;
use pin_project_lite::pin_project;
use tandem_proto::FILE_DESCRIPTOR_SET;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, Uri};
use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};
use tower::{Layer, Service};

use super::connections::{self, Activity, Call, Connection};
use super::open_files;
use crate::services::named;

/// A dead peer is noticed after this much silence and an unanswered ping.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The services of a listener.
pub(super) type Services = Router<Stack<EdgeLayer, Identity>>;

/// A server that describes itself, to clients of both versions of gRPC reflection: Python's own
/// knows only the older one.
pub(super) fn server() -> anyhow::Result<Services> {
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let invalid = "the descriptors of the wire contract";
    Ok(Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .layer(EdgeLayer)
        .add_service(descriptors().build_v1().context(invalid)?)
        .add_service(descriptors().build_v1alpha().context(invalid)?))
}

/// Listens at an address, for at most `max` connections at once.
pub(super) async fn bind(
    address: SocketAddr,
    of: &'static str,
    max: usize,
) -> anyhow::Result<impl Stream<Item = io::Result<Connection>>> {
    let listener = TcpListener::bind(address).await.map_err(|error| {
        let remedy = open_files::remedy(&error);
        anyhow::Error::new(error).context(format!("can't listen on {address}{remedy}"))
    })?;
    Ok(connections::incoming(listener, of, max))
}

/// Puts [`Edge`] before the services of a listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct EdgeLayer;

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, services: S) -> Edge<S> {
        Edge(services)
    }
}

/// Lets the connection know of its calls, and names what no service could read.
#[derive(Debug, Clone)]
pub(super) struct Edge<S>(S);

impl<S> Service<Request<Body>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Answering {
            call: request.extensions().get().map(Activity::call),
            method: request.uri().clone(),
            answer: self.0.call(request),
        }
    }
}

pin_project! {
    /// An answer on its way. A future of its own: a box for it costs each purchase 2 us of processor
    /// time.
    pub(super) struct Answering<F> {
        #[pin]
        answer: F,
        call: Option<Call>,
        method: Uri,
    }
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let answer = ready!(this.answer.poll(context));
        *this.call = None;
        Poll::Ready(answer.map(|answer| named(this.method.path(), answer)))
    }
}
