//! A bounded set of sessions.
//!
//! It is not a pool of connections: nothing is reset, and a session comes back only when its user
//! says that no branch is left in it. Resetting a session that holds a prepared branch loses the
//! branch on MariaDB and crashes MySQL (measured on MariaDB 10.11 and MySQL 9.7).

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::mysql::MySqlConnectOptions;
use tandem_participant::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::session::Session;

/// A session that was silent for longer, or since another was lost, is asked whether it is alive
/// before it is used: shorter than a server takes to restart, so that what comes after does not
/// fail, and long enough to save the round trip under load.
const TRUSTED_SILENCE: Duration = Duration::from_millis(100);

/// Sessions of one purpose.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// What they do, for people.
    purpose: &'static str,
    dial: Arc<Dial>,
    room: Arc<Semaphore>,
    max: usize,
    idle: Mutex<Vec<Idle>>,
}

/// How to connect.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) options: MySqlConnectOptions,
    pub(crate) address: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) lock_wait_timeout_s: u32,
    /// Connections lost so far: where one is lost, others are likely to be.
    pub(crate) losses: AtomicU64,
}

#[derive(Debug)]
struct Idle {
    session: Session,
    since: Instant,
    /// [`Dial::losses`] at that time.
    losses: u64,
}

/// A session on loan, and its place in the bound. Dropping it closes the session.
#[derive(Debug)]
pub(crate) struct Lease {
    /// `None` only while dropping.
    session: Option<Session>,
    home: Arc<Sessions>,
    retired: bool,
    _place: OwnedSemaphorePermit,
}

impl Sessions {
    pub(crate) fn new(purpose: &'static str, dial: Arc<Dial>, max: usize) -> Arc<Self> {
        Arc::new(Self {
            purpose,
            dial,
            room: Arc::new(Semaphore::new(max)),
            max,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Lends a session without any branch in it; connects if there is none.
    pub(crate) async fn lease(self: &Arc<Self>, deadline: Instant) -> Result<Lease, Error> {
        let place = timeout_at(deadline, Arc::clone(&self.room).acquire_owned())
            .await
            .map_err(|_| Error::Unavailable {
                detail: format!(
                    "all {} {} sessions at {} are in use",
                    self.max, self.purpose, self.dial.address
                ),
            })?
            .expect("the semaphore is never closed");
        let session = loop {
            let Some(mut idle) = self.idle().pop() else {
                let deadline = deadline.min(Instant::now() + self.dial.connect_timeout);
                break Session::open(
                    &self.dial.options,
                    &self.dial.address,
                    self.dial.lock_wait_timeout_s,
                    deadline,
                )
                .await?;
            };
            let trusted = idle.since.elapsed() < TRUSTED_SILENCE && idle.losses == self.losses();
            if trusted || idle.session.is_alive(deadline).await {
                break idle.session;
            }
        };
        Ok(Lease {
            retired: false,
            session: Some(session),
            home: Arc::clone(self),
            _place: place,
        })
    }

    fn losses(&self) -> u64 {
        self.dial.losses.load(Ordering::Acquire)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Lets nobody use the session after this lease: a kill is on its way to it.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    /// Gives the session back. The caller knows that it holds no branch, active or prepared.
    pub(crate) fn give_back(mut self) {
        if self.retired {
            return;
        }
        if let Some(session) = self.session.take_if(|session| !session.is_lost()) {
            self.home.idle().push(Idle {
                session,
                since: Instant::now(),
                losses: self.home.losses(),
            });
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.session.as_ref().is_some_and(Session::is_lost) {
            self.home.dial.losses.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Deref for Lease {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.session.as_ref().expect("taken only when given back")
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut Session {
        self.session.as_mut().expect("taken only when given back")
    }
}
