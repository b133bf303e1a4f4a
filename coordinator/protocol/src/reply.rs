//! What the core answers a client or an operator.

use std::time::Duration;

use crate::id::{BranchId, ParticipantName, TransactionId};
use crate::purchase::Refusal;
use crate::time::Timestamp;

/// What a client is told to wait before it asks again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// An answer to a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The purchase is committed.
    Committed {
        /// By which transaction.
        transaction: TransactionId,
        decide_time: Timestamp,
        /// Whether every participant has acknowledged.
        applied: bool,
    },
    /// A store refused it; nothing of it is kept.
    Refused {
        /// By which transaction.
        transaction: TransactionId,
        /// By which store.
        participant: ParticipantName,
        refusal: Refusal,
    },
    /// The purchase id is known with another content.
    Reused,
    /// Nothing was or will be written by this attempt.
    Unavailable {
        /// What stands in the way, for a person.
        detail: String,
        /// When another attempt makes sense.
        retry_after: Duration,
    },
    /// The queue is full; not accepted.
    QueueFull {
        /// When another attempt makes sense.
        retry_after: Duration,
    },
    /// The purchase is under way and so many calls wait for its outcome that this one may not.
    Crowded {
        /// When another attempt makes sense.
        retry_after: Duration,
    },
    /// The coordinator is stopping; not accepted.
    ShuttingDown,
    /// The client's deadline passed before a decision was stored.
    OutcomeUnknown,
    /// The client can't wait any longer, and the decision is stored: it is committed and will be applied.
    OutcomeCommitted {
        /// By which transaction.
        transaction: TransactionId,
        decide_time: Timestamp,
    },
}

impl Reply {
    /// Nothing was or will be written, for this reason.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Reply {
        Reply::Unavailable {
            detail: detail.into(),
            retry_after: RETRY_AFTER,
        }
    }
}

/// Why a settlement is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SettleError {
    /// Nothing is known of it.
    #[error("transaction {0} is not known or has ended")]
    UnknownTransaction(TransactionId),
    /// It has no such branch.
    #[error("transaction {} has no branch at participant {}", .0.transaction, .0.participant)]
    UnknownBranch(BranchId),
    /// There is no decision yet; it comes by itself.
    #[error("transaction {0} is not decided yet: it ends by itself at its prepare deadline")]
    Undecided(TransactionId),
    /// The branch has ended already.
    #[error("the branch of {0} has already ended")]
    Ended(BranchId),
    /// The settlement says the opposite of the decision.
    #[error("settling {0} this way contradicts its decision ({1}); force it if you mean it")]
    Contradicts(BranchId, &'static str),
}

/// Why a repair was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RepairError {
    /// Nothing is known of it.
    #[error("transaction {0} is not known, or so old that the log has forgotten it")]
    UnknownTransaction(TransactionId),
    /// It has no such branch.
    #[error("transaction {} has no branch at participant {}", .0.transaction, .0.participant)]
    UnknownBranch(BranchId),
    /// There is no decision yet; it comes by itself.
    #[error("transaction {0} is not decided yet: it ends by itself at its prepare deadline")]
    Undecided(TransactionId),
    /// Nothing is stored from which it could be redone.
    #[error(
        "no decision to commit {id} is stored, so there is nothing that {name} could be given again: \
         take back by hand at {name} what was committed there, then close it with `tandem tx settle \
         {id} --participant {name} --as rolled-back`",
        id = .0.transaction,
        name = .0.participant
    )]
    NoDecision(BranchId),
    /// Its decision is being carried out.
    #[error(
        "the branch of {0} was not ended against its decision: it is being carried out, or \
         waits to be"
    )]
    NotDamaged(BranchId),
    /// It has been ordered before.
    #[error("a repair of {0} is under way")]
    UnderWay(BranchId),
    /// The transaction has ended, and what it decided was not found in the log.
    #[error("the decision of {0} could not be read back from the log")]
    DecisionMissing(TransactionId),
    /// Something else has ended the branch while the order was stored or carried out.
    #[error("the branch of {0} has ended another way; nothing was done by this order")]
    Ended(BranchId),
    /// The store could not do it.
    #[error("the order is stored, and {name} could not carry it out: {1}", name = .0.participant)]
    Failed(BranchId, String),
}
