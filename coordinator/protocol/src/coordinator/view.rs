//! What an operator or a client may see of a coordinator.

use std::sync::Arc;

use super::Coordinator;
use super::outcomes::RememberedOutcome;
use crate::branch::PreparedBranch;
use crate::id::{Epoch, ParticipantName, TransactionId};
use crate::index::Outcome;
use crate::lanes::Lane;
use crate::participants::RecallView;
use crate::purchase::{Purchase, Refusal};
use crate::time::Timestamp;
use crate::transactions::Knowledge;
use crate::view::TransactionView;

/// One purchase, as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurchaseView {
    /// No decision yet.
    Pending(Option<TransactionId>),
    Committed {
        /// By which transaction.
        transaction: TransactionId,
        decide_time: Timestamp,
        /// Whether every participant has acknowledged.
        applied: bool,
    },
    /// Refused for good.
    Refused {
        /// By which transaction.
        transaction: TransactionId,
        decide_time: Timestamp,
        /// By which store.
        participant: ParticipantName,
        refusal: Refusal,
    },
}

/// Where the content of a purchase is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContentPlace {
    /// It is in flight.
    Here(Arc<Purchase>),
    /// In the decision that commits it.
    InLog(RememberedOutcome),
}

impl Coordinator {
    /// This coordinator's epoch.
    pub fn epoch(&self) -> Epoch {
        self.transactions.epoch()
    }

    /// Every transaction that has not ended, oldest first.
    pub fn unfinished(&self) -> impl Iterator<Item = TransactionView> {
        self.transactions.under_way().map(TransactionView::of)
    }

    pub fn transaction(&self, id: &TransactionId) -> Option<TransactionView> {
        match self.transactions.known(id) {
            Knowledge::UnderWay(transaction) => Some(TransactionView::of(transaction)),
            Knowledge::Ended(kept) => Some(TransactionView::of_ended(id, kept)),
            Knowledge::NotOurs
            | Knowledge::NotBegun
            | Knowledge::Forgotten
            | Knowledge::PresumedAborted => None,
        }
    }

    pub fn purchase(&self, purchase_id: &str) -> Option<PurchaseView> {
        if let Some((transaction, decide_time)) = self.committed_by(purchase_id) {
            return Some(PurchaseView::Committed {
                transaction,
                decide_time,
                applied: false,
            });
        }
        if let Some(transaction) = self.pending_in(purchase_id) {
            return Some(PurchaseView::Pending(transaction));
        }
        let (transaction, decide_time, past) = self.transactions.past(purchase_id)?;
        Some(match &past.outcome {
            Outcome::Committed => PurchaseView::Committed {
                transaction,
                decide_time,
                applied: true,
            },
            Outcome::Refused(refused) => PurchaseView::Refused {
                transaction,
                decide_time,
                participant: refused.0.clone(),
                refusal: refused.1.clone(),
            },
        })
    }

    /// Where the content of a purchase is to be had; nowhere if it was refused, or is not known.
    pub fn content(&self, purchase_id: &str) -> Option<ContentPlace> {
        if let Some(in_flight) = self.in_flight.get(purchase_id) {
            return Some(ContentPlace::Here(in_flight.purchase.clone()));
        }
        let (transaction, _, past) = self.transactions.past(purchase_id)?;
        match past.outcome {
            Outcome::Committed => self.outcome(&transaction).map(ContentPlace::InLog),
            Outcome::Refused(_) => None,
        }
    }

    /// Prepared branches of others that the last sweep saw at a participant, and how many
    /// transactions wait for it.
    pub fn participant(&self, name: &ParticipantName) -> Option<(&[PreparedBranch], usize)> {
        let foreign = self.participants.foreign(name)?;
        Some((foreign, self.participants.calls(name)))
    }

    /// How far it can be trusted that a participant remembers what it acknowledged.
    pub fn recall(&self, name: &ParticipantName) -> Option<RecallView> {
        self.participants.recall_view(name)
    }

    /// Purchases that wait for a transaction.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Those of them that wait apart from the others, since something that they touch was locked at a
    /// store a moment ago.
    pub fn queued_apart(&self) -> impl ExactSizeIterator<Item = &Purchase> {
        self.queue.in_lane(Lane::Contended)
    }
}
