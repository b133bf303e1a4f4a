//! What this process knows of coordinators: which of their epochs and transactions are past, and in
//! which life of the server they are enlisted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tandem_participant::Error;
use tandem_protocol::{CoordinatorId, Epoch, TransactionId};
use tokio::time::Instant;

use crate::codes;
use crate::lives;
use crate::participant::Store;
use crate::session::{self, Failure, Session};

/// Most coordinators whose rows are kept in memory; the tables keep all.
const COORDINATORS_MAX: usize = 1_024;

/// What the tables say of coordinators, as far as it was read. It may be behind: the marker row's
/// own statement checks all of it at the server again.
#[derive(Debug, Default)]
pub(crate) struct Coordinators(Mutex<HashMap<CoordinatorId, Entry>>);

#[derive(Debug)]
struct Entry {
    known: Known,
    /// The term of the server in which it was read.
    term: u64,
    /// Roll backs of transactions up to this point are deleted.
    swept: (Epoch, u64),
}

/// What is known of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// The highest epoch enlisted.
    pub(crate) epoch: Epoch,
    /// Transactions before this epoch and sequence are forgotten.
    pub(crate) forgotten: (Epoch, u64),
    /// Transactions before this epoch and sequence are not prepared any more.
    pub(crate) closed: (Epoch, u64),
    /// The life of the server in which it is enlisted.
    pub(crate) incarnation: String,
}

impl Known {
    /// Whether the coordinator has said that it will not prepare the transaction any more.
    pub(crate) fn is_past(&self, transaction: &TransactionId) -> bool {
        (transaction.epoch, transaction.sequence) < self.forgotten.max(self.closed)
    }

    /// Whether the marker row of a committed transaction may be gone.
    pub(crate) fn is_forgotten(&self, transaction: &TransactionId) -> bool {
        (transaction.epoch, transaction.sequence) < self.forgotten
    }
}

impl Coordinators {
    /// Refuses a caller that is not enlisted in the server's present life, or whose epoch is past.
    pub(crate) async fn check(
        &self,
        store: &Store,
        coordinator: &CoordinatorId,
        caller: Epoch,
        deadline: Instant,
    ) -> Result<Known, Error> {
        let known = match self.in_memory(store, coordinator) {
            Some(known) => known,
            // What the server said in the term before was said to a coordinator that must hear of
            // the change first.
            None if store.one_server.term() > 0 => {
                return Err(not_enlisted(
                    store,
                    coordinator,
                    "it was started again since",
                ));
            }
            // This process began after the coordinator enlisted.
            None => self.read(store, coordinator, deadline).await?,
        };
        if caller < known.epoch {
            return Err(Error::Fenced {
                detail: format!(
                    "epoch {} of coordinator {coordinator} is enlisted at {}; epoch {caller} is \
                     past and its coordinator must stop",
                    known.epoch, store.settings.address
                ),
            });
        }
        Ok(known)
    }

    /// What the tables say now. [`Error::NotEnlisted`] unless it is of the server's present run.
    pub(crate) async fn read(
        &self,
        store: &Store,
        coordinator: &CoordinatorId,
        deadline: Instant,
    ) -> Result<Known, Error> {
        let mut session = store.service_sessions.lease(deadline).await?;
        let row = match lives::read(store, &mut session, coordinator, deadline).await {
            Err(failure) if failure.number() == Some(codes::NO_SUCH_TABLE) => None,
            row => row.map_err(|failure| {
                failure.into_error(&format!("reading the epoch of coordinator {coordinator}"))
            })?,
        };
        let known = row.filter(|known| lives::is_of(&known.incarnation, &session.server));
        let Some(known) = known else {
            session.give_back();
            return Err(not_enlisted(store, coordinator, "its tables do not say so"));
        };
        self.learn(coordinator, known.clone(), &session);
        session.give_back();
        Ok(known)
    }

    /// Whether the coordinator was here before, in whatever life of the server.
    pub(crate) fn knows(&self, coordinator: &CoordinatorId) -> bool {
        self.all().contains_key(coordinator)
    }

    /// Takes what was read on the session.
    pub(crate) fn learn(&self, coordinator: &CoordinatorId, known: Known, session: &Session) {
        let mut all = self.all();
        if all.len() >= COORDINATORS_MAX && !all.contains_key(coordinator) {
            all.clear();
        }
        let term = session.joined.term();
        let before = all.get(coordinator).filter(|entry| entry.term == term);
        let swept = before.map_or((Epoch(0), 0), |entry| entry.swept);
        let entry = Entry { known, term, swept };
        all.insert(coordinator.clone(), entry);
    }

    /// The point up to which roll backs are deleted.
    pub(crate) fn swept(&self, coordinator: &CoordinatorId) -> (Epoch, u64) {
        let all = self.all();
        all.get(coordinator)
            .map_or((Epoch(0), 0), |entry| entry.swept)
    }

    /// Moves that point from where it was, unless a roll back was remembered meanwhile.
    pub(crate) fn sweep_ended(
        &self,
        coordinator: &CoordinatorId,
        from: (Epoch, u64),
        to: (Epoch, u64),
    ) {
        if let Some(entry) = self.all().get_mut(coordinator)
            && entry.swept == from
        {
            entry.swept = entry.swept.max(to);
        }
    }

    /// Notes that a roll back is remembered by a marker row.
    pub(crate) fn remembers(&self, transaction: &TransactionId) {
        if let Some(entry) = self.all().get_mut(&transaction.coordinator) {
            let point = (transaction.epoch, transaction.sequence.saturating_sub(1));
            entry.swept = entry.swept.min(point);
        }
    }

    /// Raises the points before which transactions are forgotten, and closed.
    pub(crate) fn passed(
        &self,
        coordinator: &CoordinatorId,
        forgotten: (Epoch, u64),
        closed: (Epoch, u64),
    ) {
        if let Some(Entry { known, .. }) = self.all().get_mut(coordinator) {
            known.forgotten = known.forgotten.max(forgotten);
            known.closed = known.closed.max(closed);
        }
    }

    /// The newest life of the session's run of the server that this process has heard of; the run's
    /// identity alone where it has heard of none.
    pub(crate) fn present_life(&self, session: &Session) -> String {
        let all = self.all();
        let lives = all.values().map(|entry| &entry.known.incarnation);
        let present = lives.filter(|life| lives::is_of(life, &session.server));
        // Their numbers are times, of the same length.
        present.max().unwrap_or(&session.server.identity).clone()
    }

    fn in_memory(&self, store: &Store, coordinator: &CoordinatorId) -> Option<Known> {
        let term = store.one_server.term();
        let all = self.all();
        let entry = all.get(coordinator).filter(|entry| entry.term == term)?;
        Some(entry.known.clone())
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<CoordinatorId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error for a coordinator that has to enlist first.
pub(crate) fn not_enlisted(store: &Store, coordinator: &CoordinatorId, why: &str) -> Error {
    Error::NotEnlisted {
        detail: format!(
            "coordinator {coordinator} is not enlisted in the present life of the server at {}: {why}",
            store.settings.address
        ),
    }
}

/// The condition that selects a coordinator's row.
pub(crate) fn condition(store: &Store, coordinator: &CoordinatorId) -> String {
    // Both are made of `a-z 0-9 -` only.
    format!(
        "participant = '{}' AND coordinator = '{coordinator}'",
        store.name
    )
}

/// A point in a coordinator's transactions, from two columns of a row.
pub(crate) fn point(row: &sqlx::mysql::MySqlRow, column: usize) -> Result<(Epoch, u64), Failure> {
    Ok((
        Epoch(session::field_number(row, column)?),
        session::field_number(row, column + 1)?,
    ))
}
