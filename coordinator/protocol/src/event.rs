//! What happens: what the core is told.

use std::sync::Arc;

use crate::branch::{CallFailure, CommitEvidence, Debt, Ending, PreparedBranch, Repaired, Vote};
use crate::by_hand::{Repair, Settlement};
use crate::id::{ParticipantName, Position, RequestId, Ticket, TransactionId};
use crate::purchase::Purchase;
use crate::record::Decision;
use crate::time::Timestamp;

/// What a client's reply waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitFor {
    /// Until every participant has acknowledged.
    Applied,
    /// Until the decision is stored.
    Decided,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A client submits a purchase that was checked at the edge.
    Submitted {
        /// Where the reply goes.
        request: RequestId,
        purchase: Arc<Purchase>,
        /// What the reply waits for.
        wait_for: WaitFor,
        /// When the client must have a reply.
        deadline: Timestamp,
    },
    /// A participant answered a prepare.
    Voted {
        transaction: TransactionId,
        participant: ParticipantName,
        vote: Vote,
    },
    /// A record is durable.
    Stored {
        ticket: Ticket,
        /// Where in the log.
        position: Position,
    },
    /// A participant has carried out a commit or a roll back.
    ///
    /// What was asked before the participant's last [`Event::ParticipantUp`] is not acknowledged
    /// after it, since it speaks of a life of the store that may be over: it is a [`Event::CallFailed`].
    Acknowledged {
        transaction: TransactionId,
        participant: ParticipantName,
        /// What was asked.
        ending: Ending,
        /// On what evidence; `None` for a roll back.
        evidence: Option<CommitEvidence>,
        /// What could not be deducted.
        debts: Vec<Debt>,
    },
    /// A call gave no answer.
    CallFailed {
        transaction: TransactionId,
        /// Who was asked.
        participant: ParticipantName,
        /// What was asked.
        call: Call,
        /// What came back instead.
        failure: CallFailure,
    },
    /// A participant can be enlisted: its store was asked what it knows of this coordinator, and
    /// knows no later epoch and no other log.
    Enlistable {
        participant: ParticipantName,
        /// Transactions of this coordinator that its store has committed last.
        newest_committed: Vec<TransactionId>,
    },
    /// A participant is enlisted and can be asked.
    ParticipantUp {
        participant: ParticipantName,
        /// Its store's present life.
        incarnation: String,
        /// Transactions of this coordinator that its store has committed last.
        newest_committed: Vec<TransactionId>,
        /// Whether it refuses single entries without cost.
        refuses_singly: bool,
    },
    /// A participant can't be asked.
    ParticipantDown {
        participant: ParticipantName,
        /// What was tried, for a person.
        detail: String,
    },
    /// A participant refuses this coordinator for good: it knows a newer epoch or another log.
    Refused {
        participant: ParticipantName,
        /// What it knows, for a person.
        detail: String,
    },
    /// A sweep's list of what is prepared at a participant.
    FoundPrepared {
        participant: ParticipantName,
        /// All of it.
        branches: Vec<PreparedBranch>,
    },
    /// A store has looked through its memory for the transactions of an [`Action::Recall`].
    Recalled {
        participant: ParticipantName,
        /// The page that was asked for.
        page: u64,
        /// Those of the page that it does not remember.
        forgotten: Vec<TransactionId>,
        /// The first transaction that it was not allowed to forget; `None` if it never forgot.
        remembers_from: Option<TransactionId>,
    },
    /// A decision was read back from the log.
    DecisionRead {
        /// Of which transaction.
        transaction: TransactionId,
        /// What it says; `None` if it is not there.
        decision: Option<Decision>,
    },
    /// An operator wants a transaction's waiting calls made now.
    RetryNow { transaction: TransactionId },
    /// An operator ends a branch by his word.
    Settled {
        /// Where the reply goes.
        request: RequestId,
        settlement: Settlement,
        /// Whether a contradiction of the stored decision is meant.
        force: bool,
    },
    /// An operator wants a branch redone from the stored decision.
    RepairOrdered {
        /// Where the reply goes.
        request: RequestId,
        repair: Repair,
        /// The decision as the log has it, of which the core keeps only the outcome: needed if the
        /// transaction has ended.
        decision: Option<Decision>,
    },
    /// A participant has carried out a repair.
    Repaired {
        transaction: TransactionId,
        participant: ParticipantName,
        /// What came of it.
        repaired: Repaired,
    },
    /// No new purchases from now on.
    Drain,
    /// Time has passed.
    Tick,
}

impl Event {
    /// The participant from which it comes, if it comes from one.
    pub(crate) fn participant(&self) -> Option<&ParticipantName> {
        match self {
            Event::Voted { participant, .. }
            | Event::Acknowledged { participant, .. }
            | Event::CallFailed { participant, .. }
            | Event::Enlistable { participant, .. }
            | Event::ParticipantUp { participant, .. }
            | Event::ParticipantDown { participant, .. }
            | Event::Refused { participant, .. }
            | Event::FoundPrepared { participant, .. }
            | Event::Recalled { participant, .. }
            | Event::Repaired { participant, .. } => Some(participant),
            Event::Submitted { .. }
            | Event::Stored { .. }
            | Event::DecisionRead { .. }
            | Event::RetryNow { .. }
            | Event::Settled { .. }
            | Event::RepairOrdered { .. }
            | Event::Drain
            | Event::Tick => None,
        }
    }
}

/// What a participant was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    Prepare,
    /// To carry out.
    End(Ending),
    /// To redo from the decision.
    Repair,
}
