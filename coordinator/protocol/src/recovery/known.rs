//! What is known of a branch.

use crate::branch::Ending;
use crate::id::BranchId;
use crate::transaction::{Progress, State, Transaction};
use crate::transactions::{Knowledge, Transactions};

/// What is known of a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownBranch {
    /// It belongs to another coordinator, or is not tandem's at all.
    NotOurs,
    /// Its number has not been given out yet, by this epoch or by any before.
    NotBegun,
    /// Under way, no stored decision.
    Undecided,
    /// Decided commit, being carried out there.
    Committing,
    /// Decided commit, and the branch was found ended against that.
    EndedOtherwise,
    /// Decided commit, and the participant has acknowledged it, or a person has said so; remembered.
    Committed,
    /// Decided commit, and a person has said, against that, that it was rolled back there.
    SettledAsRolledBack,
    /// No decision is stored, and none can be any more.
    Aborted,
    /// The same, and a roll back is under way there.
    BeingRolledBack,
    /// So old that the log has forgotten what became of it.
    Forgotten,
}

impl Transactions {
    /// What is known of a branch.
    pub(crate) fn known_branch(&self, branch: &BranchId) -> KnownBranch {
        match self.known(&branch.transaction) {
            Knowledge::NotOurs => KnownBranch::NotOurs,
            Knowledge::NotBegun => KnownBranch::NotBegun,
            Knowledge::UnderWay(transaction) => under_way(transaction, branch),
            Knowledge::Ended(kept) if kept.is_committed_at(&branch.participant) => {
                KnownBranch::Committed
            }
            Knowledge::Ended(kept) if kept.fate.is_committed() => {
                match kept.settled_at(&branch.participant) {
                    Some(ending) => settled(ending),
                    // It has no branch there.
                    None => KnownBranch::Committing,
                }
            }
            Knowledge::Forgotten => KnownBranch::Forgotten,
            Knowledge::Ended(_) | Knowledge::PresumedAborted => KnownBranch::Aborted,
        }
    }
}

fn under_way(transaction: &Transaction, branch: &BranchId) -> KnownBranch {
    match &transaction.state {
        State::Preparing(_) | State::Deciding(_) => KnownBranch::Undecided,
        State::Committing(committing) => {
            let branch = committing.branches.get(&branch.participant);
            match branch.map(|branch| &branch.progress) {
                Some(Progress::Heuristic(_)) => KnownBranch::EndedOtherwise,
                Some(Progress::Done) => KnownBranch::Committed,
                Some(Progress::Settled(settlement)) => settled(settlement.ending),
                Some(Progress::Waiting { .. } | Progress::Stuck { .. } | Progress::Asked)
                | None => KnownBranch::Committing,
            }
        }
        State::Aborting(branches) => match branches.get(&branch.participant) {
            Some(branch) if !branch.has_ended() => KnownBranch::BeingRolledBack,
            Some(_) | None => KnownBranch::Aborted,
        },
    }
}

/// What is known of a branch of a decided transaction that a person has said to have ended so.
fn settled(ending: Ending) -> KnownBranch {
    match ending {
        Ending::Commit => KnownBranch::Committed,
        Ending::RollBack => KnownBranch::SettledAsRolledBack,
    }
}
