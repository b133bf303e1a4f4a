//! What persons say of branches that no machine can end.

use crate::branch::Ending;
use crate::id::{BranchId, ParticipantName, TransactionId};

/// An operator's word on how a branch ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settlement {
    pub transaction: TransactionId,
    pub participant: ParticipantName,
    /// How it ended.
    pub ending: Ending,
    /// Why; kept in the log.
    pub reason: String,
    /// Who; kept in the log.
    pub operator: String,
}

/// An operator's order to redo a branch from the stored decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repair {
    pub transaction: TransactionId,
    pub participant: ParticipantName,
    /// Why; kept in the log.
    pub reason: String,
    /// Who; kept in the log.
    pub operator: String,
}

/// A person's word on a branch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum ByHand {
    Settled(Settlement),
    Repaired(Repair),
}

impl ByHand {
    /// Whether it says how the branch at a participant ended.
    pub(crate) fn settles(&self, participant: &ParticipantName) -> bool {
        self.settlement(participant).is_some()
    }

    /// How it says that the branch at a participant ended, if it does.
    pub(crate) fn settlement(&self, participant: &ParticipantName) -> Option<Ending> {
        match self {
            ByHand::Settled(settlement) => {
                (settlement.participant == *participant).then_some(settlement.ending)
            }
            ByHand::Repaired(_) => None,
        }
    }
}

impl Settlement {
    pub(crate) fn branch(&self) -> BranchId {
        self.transaction.at(&self.participant)
    }
}

impl Repair {
    pub(crate) fn branch(&self) -> BranchId {
        self.transaction.at(&self.participant)
    }
}
