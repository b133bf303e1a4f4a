//! What the daemon's links keep of a store's answers: in which life of it they were given, how many
//! changes it had made, what it has committed last.

use tandem_protocol::{Event, ParticipantName, TransactionId};

use crate::participant::Acknowledged;
use crate::plan::{Planted, Shell};
use crate::world::World;

/// As many as the contract allows.
const COMMITTED_MAX: usize = 8;

impl World {
    /// What a store must know to be taken for the one that acknowledged.
    pub(crate) fn acknowledged(&self, store: &ParticipantName) -> Acknowledged {
        let process = self.process.as_ref();
        let known = process.and_then(|process| process.acknowledged.get(store));
        let mut told = known.cloned().unwrap_or_default();
        if self.has(Planted::Shell(Shell::AcknowledgedIsNotTold)) {
            told.committed.clear();
            told.changes = 0;
        }
        told
    }

    /// The same for a sweep, with what the last one has found there.
    pub(crate) fn to_be_found(&self, store: &ParticipantName) -> Acknowledged {
        let mut told = self.acknowledged(store);
        let found = std::mem::take(&mut told.found);
        let found = found.into_iter().filter(|id| !told.committed.contains(id));
        let found: Vec<_> = found.collect();
        told.committed.extend(found);
        told
    }

    /// A sweep has found all that it asked for, and what had been acknowledged by then.
    pub(crate) fn found(&mut self, store: &ParticipantName, mut committed: Vec<TransactionId>) {
        let Some(process) = &mut self.process else {
            return;
        };
        let let_go = process.let_go.get(store);
        committed.truncate(COMMITTED_MAX);
        committed.retain(|id| let_go.is_none_or(|let_go| id >= let_go));
        if let Some(known) = process.acknowledged.get_mut(store) {
            known.found = committed;
        }
    }

    /// A store is enlisted. What it said in another life counts no more.
    pub(crate) fn enlisted(&mut self, store: &ParticipantName, events: &[Event], changes: u64) {
        let up = events.iter().find_map(|event| match event {
            Event::ParticipantUp {
                incarnation,
                newest_committed,
                ..
            } => Some((incarnation, newest_committed)),
            _ => None,
        });
        let (Some(process), Some((incarnation, newest))) = (&mut self.process, up) else {
            return;
        };
        let known = process.acknowledged.get(store);
        if known.is_none_or(|known| known.incarnation != *incarnation) {
            // Newest first, as this model of a store names them.
            let let_go = process.let_go.get(store);
            let newest = newest.iter().take(COMMITTED_MAX).rev();
            let newest = newest.filter(|id| let_go.is_none_or(|let_go| *id >= let_go));
            let known = Acknowledged {
                incarnation: incarnation.clone(),
                changes,
                committed: newest.cloned().collect(),
                found: Vec::new(),
            };
            process.acknowledged.insert(store.clone(), known);
        }
        self.heard(store, None, changes);
    }

    /// A store has answered in its present life. A commit that counts is remembered.
    pub(crate) fn heard(
        &mut self,
        store: &ParticipantName,
        committed: Option<&TransactionId>,
        changes: u64,
    ) {
        let Some(process) = &mut self.process else {
            return;
        };
        let let_go = process.let_go.get(store);
        let known = process.acknowledged.entry(store.clone()).or_default();
        known.changes = known.changes.max(changes);
        if let Some(id) = committed
            && !known.committed.contains(id)
            && let_go.is_none_or(|let_go| id >= let_go)
        {
            known.committed.push(id.clone());
            if known.committed.len() > COMMITTED_MAX {
                known.committed.remove(0);
            }
        }
    }

    /// A store may forget what is before a transaction.
    pub(crate) fn let_go(&mut self, store: &ParticipantName, before: &TransactionId) {
        let Some(process) = self.process.as_mut() else {
            return;
        };
        if let Some(known) = process.acknowledged.get_mut(store) {
            known.committed.retain(|id| id >= before);
            known.found.retain(|id| id >= before);
        }
        process.let_go.insert(store.clone(), before.clone());
    }
}
