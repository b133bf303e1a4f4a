//! What this process knows of coordinators: which of their epochs and transactions are past, and in
//! which life of the server they are enlisted.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tandem_protocol::{CoordinatorId, Epoch, TransactionId};

use crate::records::lives::{self, Known};
use crate::session::connection::Session;

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

impl Coordinators {
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

    /// What is known of the coordinator, if it was read in this term of the server.
    pub(crate) fn known(&self, coordinator: &CoordinatorId, term: u64) -> Option<Known> {
        let all = self.all();
        let entry = all.get(coordinator).filter(|entry| entry.term == term)?;
        Some(entry.known.clone())
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<CoordinatorId, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
