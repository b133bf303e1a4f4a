//! What participants say about branches, in the words that the core and the participants share.

use crate::id::TransactionId;
use crate::purchase::Refusal;
use crate::time::Timestamp;

/// A participant's promise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Vote {
    /// All entries but the refused ones will be committed if the decision says so.
    Yes {
        /// Entries that are not part of the branch.
        refused: Vec<RefusedEntry>,
        /// The store's life that gave the vote; it is void in another. Empty where votes outlive
        /// the store's restarts.
        incarnation: String,
    },
    /// Nothing is prepared, and this transaction will not be.
    No {
        /// Why, for a person.
        detail: String,
    },
}

/// An entry that a participant can't promise.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RefusedEntry {
    /// [`Entry::number`](crate::Entry::number).
    pub number: u32,
    pub refusal: Refusal,
}

/// How a transaction's branch is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// By the stored decision.
    Commit,
    /// For want of one.
    RollBack,
}

/// On what evidence a commit is known to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommitEvidence {
    /// This call did it.
    Applied,
    /// The store remembers that it was done before.
    AlreadyApplied,
    /// The store had lost the branch; it was done from the decision itself.
    Redone,
}

/// What came of redoing a branch from the decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Repaired {
    /// On what evidence it is done: [`CommitEvidence::AlreadyApplied`] where the store had all of
    /// it before this call.
    pub evidence: CommitEvidence,
    /// Numbers of the entries that the store had before this call, and that were left as they are.
    pub present: Vec<u32>,
    /// What could not be deducted; recorded at the store as debt.
    pub debts: Vec<Debt>,
}

/// Units that the decision deducts and the store could not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Debt {
    /// What was bought.
    pub sku: String,
    /// How many units.
    pub quantity: u64,
    /// Why, for a person.
    pub detail: String,
}

/// A branch that is prepared at a store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PreparedBranch {
    pub id: PreparedId,
    /// When, where the store keeps it.
    pub prepare_time: Option<Timestamp>,
}

/// Identity of a prepared branch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PreparedId {
    /// A tandem coordinator's; not necessarily the asking one's.
    Transaction(TransactionId),
    /// Something else's, as the store prints it.
    Foreign(String),
}

/// How a branch was ended against the decision (X/Open's terms). Its names are those on the wire, in the
/// log and in the operator's tables.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::AsRefStr,
    strum::VariantArray,
)]
pub enum HeuristicKind {
    /// Decided commit, rolled back at the store.
    #[strum(serialize = "HEURISTIC_ROLLBACK")]
    RolledBack,
    /// Decided abort, committed at the store.
    #[strum(serialize = "HEURISTIC_COMMIT")]
    Committed,
    #[strum(serialize = "HEURISTIC_MIXED")]
    Mixed,
}

/// Why a participant's call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CallFailure {
    /// What may be done about it.
    pub kind: CallFailureKind,
    /// What happened, for a person.
    pub detail: String,
}

/// What may be done about a [`CallFailure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallFailureKind {
    /// The outcome is unknown; asking again is safe.
    Unavailable,
    /// The store is healthy and can't do it now; ask again later.
    Busy,
    /// Only a person can end the branch.
    Stuck,
    /// The branch was ended against the decision.
    Heuristic(HeuristicKind),
    /// The store knows a newer epoch or another log: this coordinator must stop.
    Fenced,
}
