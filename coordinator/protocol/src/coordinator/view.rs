//! What an operator or a client may see of a coordinator's memory.

use super::finish::branches;
use super::lanes::Lane;
use super::{Coordinator, MemoryView};
use crate::branch::{HeuristicKind, PreparedBranch};
use crate::event::{Repair, Settlement};
use crate::history::ByHand;
use crate::id::{Epoch, ParticipantName, TransactionId};
use crate::index::Outcome;
use crate::purchase::{Entry, Purchase, Refusal};
use crate::time::Timestamp;
use crate::transaction::{Branch, Progress, Promise, State, Transaction};

/// One transaction, as memory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionView {
    /// Which.
    pub id: TransactionId,
    /// Where it stands.
    pub state: TransactionState,
    /// When it began; for one that was read from the log, when it was decided.
    pub begin_time: Timestamp,
    /// When its decision was made, if it was.
    pub decide_time: Option<Timestamp>,
    /// The entries that commit or may commit.
    pub entries: Vec<Entry>,
    /// Its branches; of one that has ended, those that a person settled or had redone.
    pub branches: Vec<BranchView>,
}

/// Where a transaction stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionState {
    /// Promises are being asked for.
    Preparing,
    /// The decision is on its way to the disk.
    Deciding,
    /// The decision is being carried out.
    Committing,
    /// It is being rolled back.
    Aborting,
    /// It has ended, committed; only the log has its content.
    Committed,
    /// It has ended without effect; only its refusals are remembered.
    Refused,
}

/// One branch, as memory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchView {
    /// Where.
    pub participant: ParticipantName,
    /// How far it is.
    pub progress: BranchProgress,
    /// What the last failed call said; empty if none failed.
    pub last_failure: String,
    /// Calls that failed.
    pub failures: u32,
    /// The operator's order by which it is, or was, redone.
    pub repair: Option<Repair>,
}

/// How far a branch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchProgress {
    /// Not asked to prepare yet.
    NotAsked,
    /// Asked to prepare.
    Preparing,
    /// Has promised.
    Prepared,
    /// Nothing is prepared there.
    Empty,
    /// Asked to commit or roll back.
    Ending,
    /// Waits to be asked again.
    Waiting(Timestamp),
    /// Needs a person; asked again at this time all the same.
    Stuck(Timestamp),
    /// Carried out.
    Ended,
    /// Was ended against the decision.
    Heuristic(HeuristicKind),
    /// Ended by an operator's word.
    Settled(Settlement),
}

/// One purchase, as memory has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PurchaseView {
    /// No decision yet.
    Pending(Option<TransactionId>),
    /// Committed.
    Committed {
        /// By which transaction.
        transaction: TransactionId,
        /// When.
        decide_time: Timestamp,
        /// Whether every participant has acknowledged.
        applied: bool,
    },
    /// Refused for good.
    Refused {
        /// By which transaction.
        transaction: TransactionId,
        /// When.
        decide_time: Timestamp,
        /// By which store.
        participant: ParticipantName,
        /// Why.
        refusal: Refusal,
    },
}

impl Coordinator {
    /// This coordinator's epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Every transaction that has not ended, oldest first.
    pub fn unfinished(&self) -> impl Iterator<Item = TransactionView> {
        self.transactions.values().map(view)
    }

    /// One transaction.
    pub fn transaction(&self, id: &TransactionId) -> Option<TransactionView> {
        if let Some(transaction) = self.transactions.get(id) {
            return Some(view(transaction));
        }
        let kept = self.history.transaction(id)?;
        Some(TransactionView {
            id: id.clone(),
            state: if kept.fate.is_committed() {
                TransactionState::Committed
            } else {
                TransactionState::Refused
            },
            begin_time: kept.decide_time,
            decide_time: Some(kept.decide_time),
            entries: Vec::new(),
            branches: kept.by_hand.iter().map(by_hand).collect(),
        })
    }

    /// One purchase.
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
        let past = self.history.purchase(purchase_id)?;
        let transaction = past.transaction(&self.id);
        let decide_time = self.history.transaction(&transaction)?.decide_time;
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

    /// Prepared branches of others that the last sweep saw at a participant, and how many
    /// transactions wait for it.
    pub fn participant(&self, name: &ParticipantName) -> Option<(&[PreparedBranch], usize)> {
        let member = self.members.get(name)?;
        Some((&member.foreign, member.due.len() + member.retries.len()))
    }

    /// How far a participant's memory of what it acknowledged can be trusted.
    pub fn memory(&self, name: &ParticipantName) -> Option<MemoryView> {
        self.members.get(name).map(|member| member.memory.view())
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

pub(crate) fn view(transaction: &Transaction) -> TransactionView {
    let (state, decide_time, entries) = match &transaction.state {
        State::Preparing(preparing) => (TransactionState::Preparing, None, preparing.survivors()),
        State::Deciding(decision) => (TransactionState::Deciding, None, decision.entries.clone()),
        State::Committing(committing) => (
            TransactionState::Committing,
            Some(committing.decide_time),
            committing.entries.clone(),
        ),
        State::Aborting(_) => (TransactionState::Aborting, None, Vec::new()),
    };
    let views = match &transaction.state {
        State::Preparing(preparing) => preparing
            .promises
            .iter()
            .map(|(name, promise)| simple(name, promised(promise)))
            .collect(),
        State::Deciding(decision) => decision
            .participants
            .iter()
            .map(|name| simple(name, BranchProgress::Prepared))
            .collect(),
        State::Committing(_) | State::Aborting(_) => branches(transaction)
            .into_iter()
            .flatten()
            .map(|(name, branch)| BranchView {
                participant: name.clone(),
                progress: progress(branch),
                last_failure: branch.last_failure.clone(),
                failures: branch.failures,
                repair: branch.order.as_ref().map(|order| order.repair.clone()),
            })
            .collect(),
    };
    TransactionView {
        id: transaction.id.clone(),
        state,
        begin_time: transaction.begin_time,
        decide_time,
        entries,
        branches: views,
    }
}

fn simple(name: &ParticipantName, progress: BranchProgress) -> BranchView {
    BranchView {
        participant: name.clone(),
        progress,
        last_failure: String::new(),
        failures: 0,
        repair: None,
    }
}

/// What is remembered of a branch that ended by a person's word.
fn by_hand(word: &ByHand) -> BranchView {
    match word {
        ByHand::Settled(settlement) => {
            let progress = BranchProgress::Settled(settlement.clone());
            simple(&settlement.participant, progress)
        }
        ByHand::Repaired(repair) => BranchView {
            repair: Some(repair.clone()),
            ..simple(&repair.participant, BranchProgress::Ended)
        },
    }
}

fn promised(promise: &Promise) -> BranchProgress {
    match promise {
        Promise::NotAsked => BranchProgress::NotAsked,
        Promise::Asked { .. } => BranchProgress::Preparing,
        Promise::Yes { .. } => BranchProgress::Prepared,
        Promise::Empty => BranchProgress::Empty,
    }
}

fn progress(branch: &Branch) -> BranchProgress {
    match &branch.progress {
        Progress::Waiting { retry_time } => BranchProgress::Waiting(*retry_time),
        Progress::Stuck { retry_time } => BranchProgress::Stuck(*retry_time),
        Progress::Asked => BranchProgress::Ending,
        Progress::Done => BranchProgress::Ended,
        Progress::Heuristic(kind) => BranchProgress::Heuristic(*kind),
        Progress::Settled(settlement) => BranchProgress::Settled((**settlement).clone()),
    }
}
