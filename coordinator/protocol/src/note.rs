//! What has changed, for the log that people read.

use crate::branch::{Debt, Ending, HeuristicKind};
use crate::by_hand::{Repair, Settlement};
use crate::id::{ParticipantName, TransactionId};
use crate::purchase::Reason;

/// Something that changed, for logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Note {
    /// A decision is stored.
    Decided {
        transaction: TransactionId,
        /// Purchases that commit.
        committed: Vec<String>,
        /// Purchases that were refused, with the reason.
        refused: Vec<(String, Reason)>,
    },
    /// A transaction is given up without a decision.
    Aborted {
        transaction: TransactionId,
        purchases: Vec<String>,
        /// Why, for a person.
        detail: String,
    },
    /// Every participant has acknowledged.
    Ended { transaction: TransactionId },
    /// A branch can't be ended now; it is tried again.
    Waiting {
        transaction: TransactionId,
        participant: ParticipantName,
        detail: String,
    },
    /// A branch needs a person.
    Stuck {
        transaction: TransactionId,
        participant: ParticipantName,
        /// Why, and what to do.
        detail: String,
    },
    /// A branch was ended against the decision.
    Heuristic {
        transaction: TransactionId,
        participant: ParticipantName,
        kind: HeuristicKind,
        detail: String,
    },
    /// A store had lost a branch; it was carried out from the decision.
    Redone {
        transaction: TransactionId,
        participant: ParticipantName,
    },
    /// Units that could not be deducted are kept as debt.
    Debts {
        transaction: TransactionId,
        participant: ParticipantName,
        /// What is owed.
        debts: Vec<Debt>,
    },
    /// A store does not remember what it had acknowledged; that is carried out again from the log
    /// before new purchases are taken.
    Forgot {
        participant: ParticipantName,
        /// How many transactions.
        transactions: u64,
    },
    /// A store has lost something, and whether it also lost these transactions can't be told: the
    /// log has forgotten them, and the store may not have been told so.
    Unchecked {
        participant: ParticipantName,
        /// The first of them; `None`: from the coordinator's beginning.
        from: Option<TransactionId>,
        /// The first that can be told again.
        before: TransactionId,
    },
    /// A decision that a store forgot can't be read in the log.
    Unreadable {
        transaction: TransactionId,
        /// Where it was forgotten.
        participants: Vec<ParticipantName>,
    },
    /// Everything that a store forgot is carried out again.
    Remembers {
        participant: ParticipantName,
        /// Transactions that were done from their decision.
        redone: u64,
        /// Transactions whose effect the store still had.
        still_there: u64,
    },
    /// A sweep found a prepared branch of this coordinator that has no decision.
    FoundUndecided {
        transaction: TransactionId,
        participant: ParticipantName,
    },
    /// Two sweeps in a row have found a branch prepared whose commit was acknowledged; it is
    /// committed again.
    FoundCommitted {
        transaction: TransactionId,
        participant: ParticipantName,
    },
    /// A branch is prepared of which a person has said that it had ended; it is ended as he said.
    FoundSettled {
        transaction: TransactionId,
        participant: ParticipantName,
        ending: Ending,
    },
    /// An operator has ordered a repair; it is being carried out.
    RepairOrdered {
        /// What he said.
        repair: Repair,
    },
    /// A branch was redone from the decision, by an operator's order.
    Repaired {
        transaction: TransactionId,
        participant: ParticipantName,
        /// Purchases that the store had already, and that were left as they are.
        present: Vec<String>,
    },
    /// An operator settled a branch.
    Settled {
        /// What he said.
        settlement: Settlement,
    },
}
