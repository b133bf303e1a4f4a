//! Transactions that will not be prepared any more.
//!
//! A store remembers what it has rolled back, so that a prepare which arrives later finds it. Stores
//! are told from time to time which transactions are closed, and refuse those by their number: what
//! they remember of roll backs stays bounded, also while nothing commits and nothing is forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use super::Coordinator;
use crate::id::{ParticipantName, TransactionId};
use crate::time::Timestamp;

/// Transactions that are closed at once, without waiting for the time to tell it.
const CLOSED_TRANSACTIONS_MAX: u64 = 1_000;

/// How far transactions are closed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Closing {
    /// The first transaction that had not begun at each of some moments, oldest first.
    begun: VecDeque<(Timestamp, TransactionId)>,
    /// What the participants were told last, and when.
    told: Option<(Timestamp, TransactionId)>,
}

impl Closing {
    /// The first that is not closed, as the participants were told.
    pub(super) fn told(&self) -> Option<&TransactionId> {
        self.told.as_ref().map(|(_, closed)| closed)
    }

    /// Notes how far transactions have begun by now, and gives how far they had at the last moment
    /// that `is_old`.
    fn begun(
        &mut self,
        now: Timestamp,
        next: TransactionId,
        is_old: impl Fn(Timestamp) -> bool,
    ) -> Option<TransactionId> {
        if self.begun.back().is_none_or(|(_, known)| *known != next) {
            self.begun.push_back((now, next));
        }
        while self.begun.get(1).is_some_and(|(time, _)| is_old(*time)) {
            self.begun.pop_front();
        }
        let (time, first) = self.begun.front()?;
        is_old(*time).then(|| first.clone())
    }

    /// Whether it is time to tell that everything before a transaction is closed.
    fn is_due(&self, now: Timestamp, closed: &TransactionId, interval: Duration) -> bool {
        let Some((time, told)) = &self.told else {
            return true;
        };
        let many = closed.epoch > told.epoch
            || closed.sequence.saturating_sub(told.sequence) >= CLOSED_TRANSACTIONS_MAX;
        closed > told && (many || now.since(*time) >= interval)
    }
}

impl Coordinator {
    /// Closes what began long enough ago and is neither under way nor still to be rolled back.
    pub(super) fn close(&mut self, now: Timestamp) {
        let age = self.settings.closing_age;
        let next = TransactionId {
            coordinator: self.id.clone(),
            epoch: self.epoch,
            sequence: self.next_sequence,
        };
        let is_old = |time: Timestamp| now.since(time) >= age;
        let Some(begun) = self.closing.begun(now, next, is_old) else {
            return;
        };
        let open = self.pipeline.keys().next().into_iter();
        let open = open.chain(self.releases.first()).min();
        let closed = open.map_or(begun.clone(), |open| begun.min(open.clone()));
        if !self.closing.is_due(now, &closed, age) {
            return;
        }
        self.closing.told = Some((now, closed));
        let (names, before): (Vec<ParticipantName>, _) =
            (self.members.keys().cloned().collect(), self.let_go.clone());
        for name in names {
            self.forget_at(&name, &before);
        }
    }
}
