//! What is read from and written to a peer: a socket as it is, or through TLS.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};
use tokio_util::either::Either;

use super::listening::Peer;
use crate::access::{self, Who};

/// A stream to read and write.
pub(super) type Begun = Either<Peer, Box<TlsStream<Peer>>>;

/// A peer's stream. Its TLS begins with the first reading or writing, in the connection's own task, so that
/// a peer that is slow at it keeps nobody else from being accepted.
pub(super) enum Stream {
    /// What comes before the first byte is under way.
    Beginning(Box<Accept<Peer>>),
    /// It has begun.
    Begun(Begun),
}

impl Stream {
    pub(super) fn new(socket: Peer, tls: Option<Arc<ServerConfig>>) -> Stream {
        match tls {
            None => Stream::Begun(Either::Left(socket)),
            Some(tls) => Stream::Beginning(Box::new(TlsAcceptor::from(tls).accept(socket))),
        }
    }

    /// The stream, when it has begun. The names in the peer's certificate are left in `names`.
    pub(super) fn poll_begun(
        &mut self,
        context: &mut Context<'_>,
        names: &OnceLock<Vec<Who>>,
    ) -> Poll<io::Result<Pin<&mut Begun>>> {
        if let Stream::Beginning(beginning) = self {
            let stream = ready!(Pin::new(beginning).poll(context))?;
            let (_, session) = stream.get_ref();
            let certificate = session.peer_certificates().and_then(<[_]>::first);
            names.get_or_init(|| certificate.map(access::names).unwrap_or_default());
            *self = Stream::Begun(Either::Right(Box::new(stream)));
        }
        match self {
            Stream::Begun(stream) => Poll::Ready(Ok(Pin::new(stream))),
            Stream::Beginning(_) => Poll::Pending,
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stream::Beginning(_) => "Beginning",
            Stream::Begun(Either::Left(_)) => "Plain",
            Stream::Begun(Either::Right(_)) => "Tls",
        })
    }
}
