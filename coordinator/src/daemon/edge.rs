//! What all listeners have in common: how they are opened, and what every call passes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::Stream;
use pin_project_lite::pin_project;
use tandem_participant::{ActsFor, reread};
use tandem_proto::FILE_DESCRIPTOR_SET;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response, Uri};
use tonic::transport::Server;
use tonic::transport::server::Router;
use tower::layer::util::{Identity, Stack};
use tower::{Layer, Service};

use super::connections::{self, Activity, Call, Connection};
use super::listening::Listening;
use super::tls::{self, Tls};
use super::turnstile::Turnstile;
use crate::access::{Admitted, CalledBy, Gate, Tokens};
use crate::config;
use crate::services::named;

/// A dead peer is noticed after this much silence and an unanswered ping.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// The services of a listener.
pub(super) type Services = Router<Stack<EdgeLayer, Identity>>;

/// A server that describes itself, to clients of both versions of gRPC reflection: Python's own
/// knows only the older one.
pub(super) fn server(gate: &Arc<Gate>) -> anyhow::Result<Services> {
    let descriptors = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let invalid = "the descriptors of the wire contract";
    Ok(Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .layer(EdgeLayer(Arc::clone(gate)))
        .add_service(descriptors().build_v1().context(invalid)?)
        .add_service(descriptors().build_v1alpha().context(invalid)?))
}

/// Listens where the configuration says, for at most `max` connections at once; through TLS where there is any,
/// unless plain text is asked for; past a turnstile where callers may be many.
pub(super) async fn bind(
    at: &config::Listener,
    of: &'static str,
    max: usize,
    tls: Option<&Tls>,
    turnstile: Option<Arc<Turnstile>>,
) -> anyhow::Result<impl Stream<Item = io::Result<Connection>> + use<>> {
    let listening = Listening::at(&at.address).await?;
    if at.is_exposed(tls.is_some()) {
        tracing::warn!(of, listen = %at, "plain text, that others can read and change");
    }
    let tls = tls.filter(|_| at.is_encrypted(true)).cloned();
    Ok(connections::incoming(listening, of, max, tls, turnstile))
}

/// The gate and the TLS of a process's listeners; their files are read again when they change.
pub(super) fn guard(
    tls: Option<&config::Tls>,
    access: Option<&config::Access>,
) -> anyhow::Result<(Arc<Gate>, Option<Tls>)> {
    let tls = tls.map(tls::tls).transpose()?;
    let Some(access) = access else {
        return Ok((Arc::new(Gate::open()), tls));
    };
    let tokens = access.tokens_file.as_ref().map(|path| {
        let read = |files: &[Vec<u8>]| Tokens::read(&files.concat());
        reread("tokens_file of [access]", vec![path.clone()], read)
    });
    let tokens = tokens.transpose().context("[access] tokens_file")?;
    Ok((Arc::new(Gate::new(access, tokens)), tls))
}

/// Puts [`Edge`] before the services of a listener.
#[derive(Debug, Clone)]
pub(super) struct EdgeLayer(Arc<Gate>);

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, services: S) -> Edge<S> {
        Edge {
            services,
            gate: Arc::clone(&self.0),
        }
    }
}

/// Lets on whom the gate admits, lets the connection know of its calls, and names what no service could
/// read.
#[derive(Debug, Clone)]
pub(super) struct Edge<S> {
    services: S,
    gate: Arc<Gate>,
}

impl<S> Service<Request<Body>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answering<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.services.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let activity: Option<&Arc<Activity>> = request.extensions().get();
        let names = activity.map_or(&[][..], |activity| activity.names());
        let call = activity.map(Activity::call);
        let path = request.uri().path();
        let Admitted { by, acts_for } = match self.gate.admit(names, path, request.headers()) {
            Ok(admitted) => admitted,
            Err(status) => {
                return Answering::Refused {
                    answer: Some(status.into_http()),
                };
            }
        };
        if let Some(by) = by {
            request.extensions_mut().insert(CalledBy(by));
        }
        // Without it a call may be for anybody, which is not said for each purchase.
        if acts_for != ActsFor::Anyone {
            request.extensions_mut().insert(acts_for);
        }
        Answering::Asked {
            call,
            method: request.uri().clone(),
            answer: self.services.call(request),
        }
    }
}

pin_project! {
    /// An answer on its way. A future of its own: a box for it costs each purchase 2 us of processor
    /// time.
    #[project = AnsweringProjection]
    pub(super) enum Answering<F> {
        /// By a service.
        Asked {
            #[pin]
            answer: F,
            call: Option<Call>,
            method: Uri,
        },
        /// By the gate.
        Refused { answer: Option<Response<Body>> },
    }
}

impl<F, E> Future for Answering<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        match self.project() {
            AnsweringProjection::Asked {
                answer,
                call,
                method,
            } => {
                let answer = ready!(answer.poll(context));
                *call = None;
                Poll::Ready(answer.map(|answer| named(method.path(), answer)))
            }
            AnsweringProjection::Refused { answer } => {
                Poll::Ready(Ok(answer.take().unwrap_or_default()))
            }
        }
    }
}

#[cfg(test)]
mod tests;
