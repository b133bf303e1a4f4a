//! One transaction as it is shown to an operator.

use crate::branch::HeuristicKind;
use crate::by_hand::{ByHand, Repair, Settlement};
use crate::history::Kept;
use crate::id::{ParticipantName, TransactionId};
use crate::purchase::Entry;
use crate::time::Timestamp;
use crate::transaction::{Branch, Progress, Promise, State, Transaction};

/// One transaction, as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionView {
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

/// One branch, as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchView {
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
    Prepared,
    /// Nothing is prepared there.
    Empty,
    /// Asked to commit or roll back.
    Ending,
    /// Waits to be asked again.
    Waiting(Timestamp),
    /// Needs a person; asked again at this time all the same.
    Stuck(Timestamp),
    Ended,
    /// Was ended against the decision.
    Heuristic(HeuristicKind),
    /// Ended by an operator's word.
    Settled(Settlement),
}

impl TransactionView {
    /// One that has not ended.
    pub(crate) fn of(transaction: &Transaction) -> TransactionView {
        let (state, decide_time, entries) = match &transaction.state {
            State::Preparing(preparing) => {
                (TransactionState::Preparing, None, preparing.survivors())
            }
            State::Deciding(decision) => {
                (TransactionState::Deciding, None, decision.entries.clone())
            }
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
            State::Committing(_) | State::Aborting(_) => transaction
                .branches()
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

    /// One that has ended, as far as the log remembers it.
    pub(crate) fn of_ended(id: &TransactionId, kept: &Kept) -> TransactionView {
        TransactionView {
            id: id.clone(),
            state: match kept.fate.is_committed() {
                true => TransactionState::Committed,
                false => TransactionState::Refused,
            },
            begin_time: kept.decide_time,
            decide_time: Some(kept.decide_time),
            entries: Vec::new(),
            branches: kept.by_hand.iter().map(by_hand).collect(),
        }
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
