//! Transactions that will not be prepared any more.
//!
//! A store remembers what it has rolled back, so that a prepare which arrives later finds it. Stores
//! are told from time to time which transactions are closed, and refuse those by their number: what
//! they remember of roll backs stays bounded, also while nothing commits and nothing is forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use crate::id::TransactionId;
use crate::time::Timestamp;

/// Transactions that are closed at once, without waiting for the time to tell it.
const CLOSED_TRANSACTIONS_MAX: u64 = 1_000;

/// How far transactions are closed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Closing {
    /// The first transaction that had not begun at each of some moments, oldest first.
    begun: VecDeque<(Timestamp, TransactionId)>,
    /// What the participants were told last, and when.
    told: Option<(Timestamp, TransactionId)>,
}

impl Closing {
    /// The first that is not closed, as the participants were told.
    pub(crate) fn told(&self) -> Option<&TransactionId> {
        self.told.as_ref().map(|(_, closed)| closed)
    }

    /// Notes how far transactions have begun by now, and gives how far they had at the last moment
    /// that `is_old`.
    pub(crate) fn begin(
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

    /// Takes the participants for told, now, that everything before a transaction is closed.
    pub(crate) fn tell(&mut self, now: Timestamp, closed: TransactionId) {
        self.told = Some((now, closed));
    }

    /// Whether it is time to tell that everything before a transaction is closed.
    pub(crate) fn is_due(
        &self,
        now: Timestamp,
        closed: &TransactionId,
        interval: Duration,
    ) -> bool {
        let Some((time, told)) = &self.told else {
            return true;
        };
        let many = closed.epoch > told.epoch
            || closed.sequence.saturating_sub(told.sequence) >= CLOSED_TRANSACTIONS_MAX;
        closed > told && (many || now.since(*time) >= interval)
    }
}
