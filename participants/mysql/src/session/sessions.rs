//! The sessions at a server, in bounded sets by what they are for.
//!
//! It is not a pool of connections: nothing is reset, and a session comes back only when its user
//! says that no branch is left in it. Resetting a session that holds a prepared branch loses the
//! branch on MariaDB and crashes MySQL (measured on MariaDB 10.11 and MySQL 9.7).

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tandem_participant::Error;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::session::connection::Session;
use crate::session::dial::{Dial, Refused};
use crate::session::one_server::OneServer;

/// A session that was silent for longer, or since another was lost, is asked whether it is alive
/// before it is used: shorter than a server takes to restart, so that what comes after does not
/// fail, and long enough to save the round trip under load.
const TRUSTED_SILENCE: Duration = Duration::from_millis(100);

/// Pause before a server is asked again that has no room for one more connection: others than
/// tandem's may go too.
const FULL_PAUSE: Duration = Duration::from_millis(200);

/// Sessions of one purpose.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// What they do, for people.
    purpose: &'static str,
    house: Arc<House>,
    room: Arc<Semaphore>,
    max: usize,
}

/// All sessions at a server: those at rest serve any purpose.
#[derive(Debug)]
pub(crate) struct House {
    dial: Dial,
    /// Which server all sessions are on.
    one_server: Arc<OneServer>,
    idle: Mutex<Vec<Idle>>,
    /// Ids of those that are connected, on loan or at rest. Two servers may give out the same.
    open: Mutex<Vec<u64>>,
    /// Connections lost so far: where one is lost, others are likely to be.
    losses: AtomicU64,
    /// Told when a session comes to rest or goes.
    freed: Notify,
}

#[derive(Debug)]
struct Idle {
    session: Session,
    since: Instant,
    /// [`House::losses`] at that time.
    losses: u64,
}

/// A session on loan, and its place in the bound. Dropping it closes the session.
#[derive(Debug)]
pub(crate) struct Lease {
    /// `None` only before it is lent and while dropping.
    session: Option<Session>,
    house: Arc<House>,
    retired: bool,
    _place: OwnedSemaphorePermit,
}

impl House {
    /// Connects to nothing yet.
    pub(crate) fn new(dial: Dial, one_server: Arc<OneServer>) -> Arc<House> {
        Arc::new(House {
            dial,
            one_server,
            idle: Mutex::default(),
            open: Mutex::default(),
            losses: AtomicU64::new(0),
            freed: Notify::new(),
        })
    }

    /// The session that was at rest for the shortest time; those on another server are closed.
    fn pop(&self) -> Option<Idle> {
        let mut idle = self.idle();
        idle.retain(|idle| {
            let is_home = self.one_server.is_home_of(&idle.session);
            if !is_home {
                self.has_closed(idle.session.id);
            }
            is_home
        });
        idle.pop()
    }

    /// Whether a connection is one of tandem's here.
    pub(crate) fn is_own(&self, connection_id: u64) -> bool {
        self.open().contains(&connection_id)
    }

    fn has_closed(&self, connection_id: u64) {
        let mut open = self.open();
        if let Some(at) = open.iter().position(|id| *id == connection_id) {
            open.swap_remove(at);
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<u64>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions {
    pub(crate) fn new(purpose: &'static str, house: Arc<House>, max: usize) -> Self {
        Self {
            purpose,
            house,
            room: Arc::new(Semaphore::new(max)),
            max,
        }
    }

    /// Lends a session without any branch in it, on the server that all are on; connects if there is
    /// none. [`Error::NotEnlisted`] where another server answers.
    pub(crate) async fn lease(&self, deadline: Instant) -> Result<Lease, Error> {
        let mut lease = self.place(deadline).await?;
        lease.fill(Choice::AtRest, deadline).await?;
        Ok(lease)
    }

    /// Connects, in the place of a session at rest where there is no room for both, to see which server
    /// answers now; that server is the one that all sessions are on from then on.
    pub(crate) async fn lease_anew(&self, deadline: Instant) -> Result<Lease, Error> {
        let mut lease = self.place(deadline).await?;
        lease.fill(Choice::New, deadline).await?;
        Ok(lease)
    }

    async fn place(&self, deadline: Instant) -> Result<Lease, Error> {
        let place = timeout_at(deadline, Arc::clone(&self.room).acquire_owned())
            .await
            .map_err(|_| Error::Busy {
                detail: format!(
                    "all {} {} sessions at {} are in use",
                    self.max, self.purpose, self.house.dial.address
                ),
            })?
            .expect("the semaphore is never closed");
        Ok(Lease {
            session: None,
            house: Arc::clone(&self.house),
            retired: false,
            _place: place,
        })
    }
}

/// Which session is lent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// One at rest, on the server that all are on.
    AtRest,
    /// A new one, wherever the address leads.
    New,
}

impl Lease {
    /// Lets nobody use the session after this lease: an interruption may be on its way to it.
    pub(crate) fn retire(&mut self) {
        self.retired = true;
    }

    /// Gives the session back. The caller knows that it holds no branch, active or prepared.
    pub(crate) fn give_back(mut self) {
        if self.retired {
            return;
        }
        if let Some(session) = self.session.take_if(|session| !session.is_lost()) {
            self.house.idle().push(Idle {
                session,
                since: Instant::now(),
                losses: self.house.losses(),
            });
            self.house.freed.notify_one();
        }
    }

    /// Takes a session at rest, or else a new one. Where the server lets no more in the sessions that
    /// are there must do: one of them is waited for.
    async fn fill(&mut self, choice: Choice, deadline: Instant) -> Result<(), Error> {
        let mut full = None;
        loop {
            if choice == Choice::AtRest && self.take_one_at_rest(deadline).await {
                return Ok(());
            }
            match self.connect(choice, deadline).await {
                Ok(()) => return Ok(()),
                Err(Refused::Full(detail) | Refused::Denied(detail))
                    if self.house.open().is_empty() =>
                {
                    return Err(Error::Unavailable { detail });
                }
                Err(Refused::Denied(detail)) if choice == Choice::New => {
                    return Err(Error::Unavailable { detail });
                }
                Err(Refused::Full(detail) | Refused::Denied(detail)) => full = Some(detail),
                Err(Refused::Otherwise(error)) if full.is_none() || Instant::now() < deadline => {
                    return Err(error);
                }
                // The time ran out while it was tried once more.
                Err(Refused::Otherwise(_)) => {}
            }
            let pause = deadline.min(Instant::now() + FULL_PAUSE);
            // Told or not, it is tried again.
            let _ = timeout_at(pause, self.house.freed.notified()).await;
            if Instant::now() >= deadline {
                let detail = full.unwrap_or_default();
                return Err(Error::Busy {
                    detail: format!("{detail}; tandem's other sessions there are in use"),
                });
            }
        }
    }

    async fn take_one_at_rest(&mut self, deadline: Instant) -> bool {
        loop {
            let Some(idle) = self.house.pop() else {
                return false;
            };
            let trusted =
                idle.since.elapsed() < TRUSTED_SILENCE && idle.losses == self.house.losses();
            let session = self.session.insert(idle.session);
            let wait_s = self.house.dial.lock_wait_timeout_s;
            if (trusted || session.is_alive(deadline).await)
                && session.wait_for_locks(wait_s, deadline).await.is_ok()
            {
                return true;
            }
            self.close();
        }
    }

    async fn connect(&mut self, choice: Choice, deadline: Instant) -> Result<(), Refused> {
        let house = Arc::clone(&self.house);
        let deadline = deadline.min(Instant::now() + house.dial.connect_timeout);
        let one_server = &house.one_server;
        let before = one_server.before();
        let mut opened = Session::open(&house.dial, deadline).await;
        if choice == Choice::New
            && let Err(Refused::Full(_)) = opened
            && let Some(idle) = house.pop()
        {
            self.session = Some(idle.session);
            self.close();
            opened = Session::open(&house.dial, deadline).await;
        }
        let mut session = opened?;
        match choice {
            Choice::AtRest => one_server
                .join(&mut session, before)
                .map_err(Refused::Otherwise)?,
            Choice::New => one_server.lead(&mut session, before),
        }
        house.open().push(session.id);
        self.session = Some(session);
        Ok(())
    }

    fn close(&mut self) {
        if let Some(session) = self.session.take() {
            if session.is_lost() {
                self.house.losses.fetch_add(1, Ordering::AcqRel);
            }
            self.house.has_closed(session.id);
            drop(session);
            self.house.freed.notify_one();
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.close();
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
