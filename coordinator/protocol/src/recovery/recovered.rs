//! What the log says.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::History;
use crate::id::{Epoch, Position, TransactionId};
use crate::time::Timestamp;
use crate::totals::Totals;
use crate::transaction::Transaction;
use crate::view::TransactionView;

/// What has not ended, as far as the records have said until now.
pub(super) type Unfinished = BTreeMap<TransactionId, Transaction>;

/// What the log says, read from its first record to its last.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The last epoch that was started; `None` in a new log.
    pub epoch: Option<Epoch>,
    /// The latest moment that a record names. What is written from here on is not before it.
    pub latest: Timestamp,
    /// The process that started it, if its record was not released.
    pub(crate) instance_id: Option<String>,
    pub(crate) floor: Option<TransactionId>,
    pub(crate) history: History,
    pub(crate) totals: Totals,
    pub(crate) unfinished: Vec<Transaction>,
    /// Transactions that were presumed aborted, as no record before the first about them said
    /// anything else.
    pub(super) presumed: BTreeSet<TransactionId>,
    /// Where the log goes on.
    pub(crate) next_position: Position,
}

impl Recovered {
    /// The epoch that the next start begins.
    pub fn next_epoch(&self) -> Epoch {
        Epoch(self.epoch.map_or(0, |epoch| epoch.0) + 1)
    }

    /// What has a decision, or was ended against one, and has not ended.
    pub fn unfinished(&self) -> impl ExactSizeIterator<Item = TransactionView> {
        self.unfinished.iter().map(TransactionView::of)
    }

    /// How many purchases with an outcome are remembered.
    pub fn purchases(&self) -> usize {
        self.history.purchases()
    }

    /// The newest transaction that the log remembers.
    pub fn newest(&self) -> Option<&TransactionId> {
        self.history.newest()
    }
}
