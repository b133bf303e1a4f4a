//! The connections of a listener, of which there are never more than a number.
//!
//! A process whose descriptors are used up by connections can't reach its stores any more. So each
//! listener has a number of its own. Who connects beyond it takes the place of the connection that has
//! been without a call for the longest, so that what is open and idle keeps nobody out; only where all
//! are at work is he turned away. Who connects and does not speak is not waited for.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::stream::{self, Stream};
use futures::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use super::listening::{Listening, Peer};
use super::stream::{Begun, Stream as PeerStream};
use super::tls::Tls;
use super::turnstile::{Turn, Turnstile};
use crate::access::Who;
use crate::logging::Seldom;

/// How long a peer that has connected may take to begin to speak HTTP/2, its TLS included, which every client
/// does at once.
pub(super) const FIRST_WORDS_MAX: Duration = Duration::from_secs(5);

/// The least that a peer says first, in bytes: the preface and the head of a SETTINGS frame (RFC 9113,
/// 3.4 and 4.1).
const FIRST_WORDS_BYTES: usize = 24 + 9;

/// After a connection could not be taken, which the kernel would otherwise be asked for in a circle.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connections of `listener`, `max` at once, through TLS if there is any, and past a turnstile if they
/// may be many. `of` says whose they are.
pub(super) fn incoming(
    listener: Listening,
    of: &'static str,
    max: usize,
    tls: Option<Tls>,
    turnstile: Option<Arc<Turnstile>>,
) -> impl Stream<Item = io::Result<Connection>> {
    let all = Arc::new(Connections {
        of,
        max,
        tls,
        turnstile,
        places: Arc::new(Semaphore::new(max)),
        open: Mutex::default(),
        turned_away: Seldom::default(),
        not_accepted: Seldom::default(),
        not_begun: Seldom::default(),
    });
    stream::unfold((listener, all), |(listener, all)| async {
        let connection = all.accept(&listener).await;
        Some((Ok(connection), (listener, all)))
    })
}

#[derive(Debug)]
struct Connections {
    of: &'static str,
    max: usize,
    tls: Option<Tls>,
    turnstile: Option<Arc<Turnstile>>,
    places: Arc<Semaphore>,
    open: Mutex<Open>,
    turned_away: Seldom,
    not_accepted: Seldom,
    not_begun: Seldom,
}

/// Those that are not being closed, by the order in which they came.
#[derive(Debug, Default)]
struct Open {
    next: u64,
    by_number: BTreeMap<u64, Arc<Activity>>,
}

impl Connections {
    async fn accept(self: &Arc<Self>, listener: &Listening) -> Connection {
        loop {
            let (peer, who) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(times) = self.not_accepted.happened() {
                        tracing::warn!(of = self.of, times, %error, "a connection could not be taken");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if let Some(place) = self.place().await {
                return self.admit(peer, who, place);
            }
            if let Some(times) = self.turned_away.happened() {
                tracing::warn!(
                    of = self.of,
                    times,
                    open = self.max,
                    "turned away: so many connections are at work"
                );
            }
        }
    }

    /// A place that is free or becomes free; `None` if nobody can be asked to leave.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        let places = Arc::clone(&self.places);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Some(place);
        }
        self.lock().take_longest_idle()?.close();
        places.acquire_owned().await.ok()
    }

    fn admit(
        self: &Arc<Self>,
        peer: Peer,
        who: Option<Who>,
        place: OwnedSemaphorePermit,
    ) -> Connection {
        let activity = Arc::new(Activity::new(who));
        let mut open = self.lock();
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, Arc::clone(&activity));
        drop(open);
        let tls = self.tls.as_ref().map(|tls| Arc::clone(&tls.borrow()));
        Connection {
            stream: PeerStream::new(peer, tls),
            silence: Some(Box::pin(tokio::time::sleep(FIRST_WORDS_MAX))),
            heard_bytes: 0,
            activity,
            number,
            all: Arc::clone(self),
            _place: place,
        }
    }

    /// Whatever happened to a thread that held it, the list is whole.
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// The connection that is to make room: one that never had a call before those that had, and of
    /// these the one whose last call is longest ago.
    fn take_longest_idle(&mut self) -> Option<Arc<Activity>> {
        let idle = self.by_number.iter().filter_map(|(number, activity)| {
            let calls = activity.lock();
            (calls.under_way == 0).then_some((calls.last_ended, *number))
        });
        let (_, number) = idle.min()?;
        self.by_number.remove(&number)
    }
}

/// What happens on one connection; a call finds it among its request's extensions.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Who the peer is, as its user or its certificate says; set before its first call.
    names: OnceLock<Vec<Who>>,
    calls: Mutex<Calls>,
    closing: AtomicBool,
    /// The task that reads and writes.
    task: AtomicWaker,
    pub(super) turn: Turn,
}

#[derive(Debug, Default)]
struct Calls {
    under_way: usize,
    last_ended: Option<Instant>,
}

impl Activity {
    fn new(who: Option<Who>) -> Activity {
        Activity {
            names: who.map_or_else(OnceLock::new, |who| OnceLock::from(vec![who])),
            ..Activity::default()
        }
    }

    /// A call is under way until the guard is dropped.
    pub(super) fn call(self: &Arc<Self>) -> Call {
        self.lock().under_way += 1;
        Call(Arc::clone(self))
    }

    /// Who calls, as far as the connection tells.
    pub(super) fn names(&self) -> &[Who] {
        self.names.get().map_or(&[], Vec::as_slice)
    }

    fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Has the connection look again whether it may read.
    pub(super) fn wake(&self) {
        self.task.wake();
    }

    fn is_closing(&self, context: &Context<'_>) -> bool {
        self.task.register(context.waker());
        self.closing.load(Ordering::Acquire)
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is under way.
#[derive(Debug)]
pub(super) struct Call(Arc<Activity>);

impl Drop for Call {
    fn drop(&mut self) {
        let mut calls = self.0.lock();
        calls.under_way -= 1;
        calls.last_ended = Some(Instant::now());
    }
}

/// One connection. To whoever reads it, it ends when it has to make room.
#[derive(Debug)]
pub(super) struct Connection {
    // Closed before its place is given to another.
    stream: PeerStream,
    /// Until the peer has said its first words.
    silence: Option<Pin<Box<Sleep>>>,
    heard_bytes: usize,
    activity: Arc<Activity>,
    number: u64,
    all: Arc<Connections>,
    _place: OwnedSemaphorePermit,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.all.lock().by_number.remove(&self.number);
    }
}

impl Connection {
    fn poll_heard(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?.poll_read(context, buffer)
    }

    fn poll_begun(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut Begun>>> {
        let all = &self.all;
        let begun = self.stream.poll_begun(context, &self.activity.names);
        begun.map_err(|error| {
            if let Some(times) = all.not_begun.happened() {
                tracing::warn!(of = all.of, times, %error, "a peer's TLS could not begin");
            }
            error
        })
    }
}

impl Connected for Connection {
    type ConnectInfo = Arc<Activity>;

    fn connect_info(&self) -> Arc<Activity> {
        Arc::clone(&self.activity)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.activity.is_closing(context) {
            return Poll::Ready(Ok(()));
        }
        // Who has not spoken yet is known to be silent only by reading.
        if self.silence.is_none()
            && let Some(turnstile) = &self.all.turnstile
            && !turnstile.lets_on(&self.activity)
        {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        if self.poll_heard(context, buffer)?.is_ready() {
            self.heard_bytes = self
                .heard_bytes
                .saturating_add(buffer.filled().len() - before);
            if self.heard_bytes >= FIRST_WORDS_BYTES {
                self.silence = None;
            }
            return Poll::Ready(Ok(()));
        }
        if let Some(silence) = &mut self.silence {
            ready!(silence.as_mut().poll(context));
            self.silence = None;
            self.activity.close();
            return Poll::Ready(Ok(()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.activity.is_closing(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        ready!(self.poll_begun(context))?.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.activity.is_closing(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        ready!(self.poll_begun(context))?.poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        // All of them are.
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_begun(context))?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::pin::pin;

    use futures::StreamExt;
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn one_more_is_turned_away_only_while_all_are_at_work() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut incoming = pin!(incoming(Listening::Tcp(listener), "clients", 2, None, None));
        let mut peers = Vec::new();
        let mut served = Vec::new();
        for _ in 0..2 {
            peers.push(TcpStream::connect(address).await.unwrap());
            served.push(incoming.next().await.unwrap().unwrap());
        }
        let mut calls: Vec<Call> = served.iter().map(|one| one.activity.call()).collect();
        let mut late = TcpStream::connect(address).await.unwrap();
        let mut nothing = [0];
        tokio::select! {
            _ = incoming.next() => panic!("there was no room"),
            read = late.read(&mut nothing) => assert_eq!(read.unwrap(), 0),
        }
        // The first has nothing to do any more, and is asked to leave.
        drop(calls.swap_remove(0));
        let _later = TcpStream::connect(address).await.unwrap();
        let mut first = served.swap_remove(0);
        let leaves = async {
            assert_eq!(first.read(&mut nothing).await.unwrap(), 0);
            drop(first);
        };
        let (next, ()) = tokio::join!(incoming.next(), leaves);
        next.unwrap().unwrap();
    }

    #[test]
    fn who_never_called_makes_room_first_and_who_is_calling_never_does() {
        let mut open = Open::default();
        let all: Vec<Arc<Activity>> = (0..4).map(|_| Arc::default()).collect();
        for (number, activity) in (0..).zip(&all) {
            open.by_number.insert(number, Arc::clone(activity));
        }
        drop(all[1].call());
        drop(all[0].call());
        let calling = all[2].call();
        let mut leave = || {
            let one = open.take_longest_idle()?;
            all.iter().position(|other| Arc::ptr_eq(other, &one))
        };
        assert_eq!(leave(), Some(3));
        assert_eq!(leave(), Some(1));
        assert_eq!(leave(), Some(0));
        assert_eq!(leave(), None);
        drop(calling);
        assert_eq!(leave(), Some(2));
    }
}
