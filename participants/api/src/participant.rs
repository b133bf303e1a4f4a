//! The trait and the shapes of its questions and answers.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use tandem_protocol::{
    CommitEvidence, CoordinatorId, Debt, Entry, Epoch, HeuristicKind, ParticipantName,
    PreparedBranch, Repaired, Timestamp, TransactionId, Vote,
};

use crate::audit::{AuditAnswer, AuditQuestion};

/// A store's side of two-phase commit.
///
/// What every implementation keeps (the conformance suite checks it):
///
/// - An answer is durable in the store before it is given.
/// - Calls may be repeated, may overtake each other, and may run at the same time for the same
///   transaction: a roll back can arrive while the prepare is still running.
/// - A prepare that arrives after its transaction was committed or rolled back votes no.
/// - `commit` and `roll_back` are idempotent and end only with evidence from the store itself,
///   never with an error code taken for an answer.
/// - A store that was restarted, restored from a copy, or has lost what it remembered may answer
///   [`Error::NotEnlisted`] until the coordinator has enlisted again; so no coordinator goes on
///   without what the store has lost.
/// - The branches of other coordinators are never touched.
/// - A future that is dropped leaves the store in a state that a later call can settle; what it
///   had asked of the store may still take effect.
/// - Every call ends within a bounded time by itself, with [`Error::Unavailable`] if need be.
#[async_trait]
pub trait Participant: fmt::Debug + Send + Sync + 'static {
    /// What the store knows of a coordinator. It changes and creates nothing, not even a table, so
    /// that a coordinator whose log is not the newest learns so before it has left a trace.
    async fn look(&self, look: &Look) -> Result<Looked, Error>;

    /// Makes a coordinator known to the store, durably, and checks the store's settings
    /// ([`Error::Unsafe`]). [`Error::Fenced`] where the store knows a higher epoch, the same epoch
    /// of another instance, or another log of the same coordinator. Where the store does not know
    /// what [`Enlist::acknowledged`] names, another life of it begins.
    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error>;

    /// Prepares a branch with every entry that the store can promise to commit. The entries that
    /// it can't are in the vote. When all are refused nothing stays prepared. A store that does not
    /// know what [`Prepare::acknowledged`] names, or that lives another life than
    /// [`Prepare::incarnation`], has lost something: it prepares nothing and answers
    /// [`Error::NotEnlisted`].
    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error>;

    /// Carries out a stored commit decision: the entries named, once, whatever the store
    /// remembers of the branch; what was prepared beyond them is released.
    async fn commit(&self, commit: &Commit) -> Result<Committed, Error>;

    /// Carries out a stored commit decision that the store has ended another way, by an operator's
    /// stored order: what of it is missing is done again, once, and what is there is left as it is.
    /// Where the branch is still prepared it is committed.
    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        Err(Error::Invalid {
            detail: format!(
                "this participant redoes nothing of {}: do it by hand and settle it",
                commit.transaction
            ),
        })
    }

    /// Releases what the transaction prepared and makes later prepares of it vote no.
    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error>;

    /// Every branch that is prepared at the store now, other coordinators' included.
    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error>;

    /// The store's own truth about one transaction; changes nothing.
    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error>;

    /// The coordinator will never ask again about the transactions named; their memory may go.
    async fn forget(&self, forget: &Forget) -> Result<(), Error>;

    /// Which of some transactions the store does not remember any more, all of which were committed
    /// here. [`Error::NotEnlisted`] where the store finds by itself that it has lost something.
    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error>;

    /// What the store is and what is unsafe about it, read now.
    async fn describe(&self) -> Result<Description, Error>;

    /// Connects to the store anew because a person asks for it: also where the store has denied the
    /// access so lately that it would not be tried again yet. Changes nothing there; connections that
    /// are there stay.
    async fn reconnect(&self) -> Result<(), Error> {
        self.describe().await.map(drop)
    }

    /// Stock of one sku and who holds how much; `None` where the store keeps no stock.
    async fn stock(&self, sku: &str) -> Result<Option<Stock>, Error>;

    /// What the store holds, for an audit; changes nothing, and each answer is bounded.
    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        let _ = question;
        Ok(AuditAnswer::NotKept(
            "this participant answers no audits".into(),
        ))
    }
}

/// What a store has acknowledged to a coordinator. A store that does not know it is not the one that
/// acknowledged, or not any more: it was restored, put back in time, or is a replica that lagged.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acknowledged {
    /// The highest number of changes ([`Voted::changes`]) that the store has told in its present
    /// life; 0 where it has told none.
    pub changes: u64,
    /// The transactions of the coordinator whose commit it has acknowledged last, at most
    /// [`Acknowledged::COMMITTED_MAX`].
    pub committed: Vec<TransactionId>,
}

impl Acknowledged {
    /// How many commits are named at most: as many as may be acknowledged in another order than the
    /// store made them in.
    pub const COMMITTED_MAX: usize = 8;
}

/// Asks what a store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Of whom.
    pub coordinator: CoordinatorId,
}

/// The answer to [`Look`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looked {
    /// The coordinator's last enlistment; `None` where it never enlisted here, as far as the store
    /// remembers.
    pub known: Option<KnownCoordinator>,
    /// See [`Enlisted::newest_committed`].
    pub newest_committed: Vec<TransactionId>,
}

/// A coordinator as a store knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownCoordinator {
    /// See [`Enlist::log_id`].
    pub log_id: String,
    /// The highest epoch that has enlisted.
    pub epoch: Epoch,
    /// See [`Enlist::instance_id`].
    pub instance_id: String,
}

/// A coordinator makes itself known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enlist {
    /// Who asks.
    pub coordinator: CoordinatorId,
    /// Identity of its decision log, fixed at the log's creation; at most 64 bytes.
    pub log_id: String,
    /// Grows by one at each start of the coordinator.
    pub epoch: Epoch,
    /// Identity of the coordinator's process, new at each start; at most 64 bytes.
    pub instance_id: String,
    /// What the store has acknowledged to this process. The store begins another life if it does
    /// not know it.
    pub acknowledged: Acknowledged,
}

/// The answer to [`Enlist`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enlisted {
    /// Identity of the store's present life; a vote holds only within it. Empty where votes
    /// outlive the store's restarts.
    pub incarnation: String,
    /// See [`Voted::changes`].
    pub changes: u64,
    /// The newest transactions of this coordinator that the store has committed, at most
    /// [`Enlisted::NEWEST_COMMITTED_MAX`], in any order. A log that does not know them is stale.
    pub newest_committed: Vec<TransactionId>,
    /// Whether single entries are refused without cost to the others. Such a participant is asked
    /// first when a transaction has several entries.
    pub refuses_singly: bool,
}

impl Enlisted {
    /// How many newest commits an answer names at most: more than a coordinator has in flight.
    pub const NEWEST_COMMITTED_MAX: usize = 64;
}

/// Asks for a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepare {
    /// The transaction; its epoch is the caller's.
    pub transaction: TransactionId,
    /// 1 or more entries, in the order of their numbers; numbers may be missing.
    pub entries: Vec<Entry>,
    /// All participants of the transaction. A recovery that has nothing but the stores needs them.
    pub participants: Vec<ParticipantName>,
    /// The life of the store in which the coordinator has enlisted ([`Enlisted::incarnation`]).
    pub incarnation: String,
    /// What the store must know.
    pub acknowledged: Acknowledged,
    /// Time left to answer.
    pub timeout: Duration,
}

/// The answer to [`Prepare`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voted {
    /// The promise.
    pub vote: Vote,
    /// How many promises, commits and roll backs of all coordinators the store has counted, this one
    /// included. It never falls unless the store has lost something. 0 where the store counts none.
    pub changes: u64,
}

impl From<Vote> for Voted {
    /// The vote of a store that does not count.
    fn from(vote: Vote) -> Self {
        Voted { vote, changes: 0 }
    }
}

/// A stored commit decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The transaction.
    pub transaction: TransactionId,
    /// Epoch of the coordinator that asks.
    pub caller_epoch: Epoch,
    /// The entries that the decision commits.
    pub entries: Vec<Entry>,
    /// When it was decided.
    pub decide_time: Timestamp,
}

/// The answer to [`Commit`]: it is done, and this is known of how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// On what evidence.
    pub evidence: CommitEvidence,
    /// What could not be deducted; recorded at the store as debt.
    pub debts: Vec<Debt>,
    /// See [`Voted::changes`].
    pub changes: u64,
}

/// An abort: of a transaction that has no stored decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollBack {
    /// The transaction.
    pub transaction: TransactionId,
    /// Epoch of the coordinator that asks.
    pub caller_epoch: Epoch,
}

/// The answer to [`RollBack`]: nothing of it is prepared, and nothing will be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RolledBack {
    /// See [`Voted::changes`].
    pub changes: u64,
}

/// What a store says about one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BranchTruth {
    /// The state.
    pub state: BranchState,
    /// What the store showed, for a person.
    pub detail: String,
}

/// State of a branch by its store's own evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchState {
    /// Prepared, to be ended by a decision.
    Prepared,
    /// Committed.
    Committed,
    /// Rolled back, and remembered so.
    RolledBack,
    /// Neither prepared nor remembered.
    Absent,
    /// The store can't tell now.
    Unclear,
}

/// Permission to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forget {
    /// Every transaction of `before.coordinator` before this one ...
    pub before: TransactionId,
    /// ... except these.
    pub except: Vec<TransactionId>,
    /// No transaction before this one will be prepared any more: late prepares of them are refused,
    /// and that they were rolled back may be forgotten.
    pub closed: Option<TransactionId>,
    /// Epoch of the coordinator that asks.
    pub caller_epoch: Epoch,
}

/// Asks what a store remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recall {
    /// Who asks.
    pub coordinator: CoordinatorId,
    /// Epoch of the coordinator that asks.
    pub caller_epoch: Epoch,
    /// Transactions of the coordinator that were committed here, at most
    /// [`Recall::TRANSACTIONS_MAX`].
    pub transactions: Vec<TransactionId>,
}

impl Recall {
    /// How many transactions one call may ask about.
    pub const TRANSACTIONS_MAX: usize = 1_000;
}

/// The answer to [`Recall`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recalled {
    /// Those that the store does not remember as committed.
    pub forgotten: Vec<TransactionId>,
    /// The first transaction that it was not allowed to forget; `None` if it never was.
    pub remembers_from: Option<TransactionId>,
    /// See [`Enlisted::incarnation`]. A caller that enlisted in another one must do so again.
    pub incarnation: String,
    /// See [`Voted::changes`].
    pub changes: u64,
}

/// What a participant says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// `mysql`, `redis` or another kind.
    pub kind: String,
    /// Product and version: `MariaDB 10.11.14`.
    pub server: String,
    /// Where it listens, without credentials.
    pub address: String,
    /// See [`Enlisted::incarnation`].
    pub incarnation: String,
    /// What would lose or block decided purchases; those not accepted make
    /// [`Participant::enlist`] fail.
    pub findings: Vec<Finding>,
}

/// Something about a store that would lose or block decided purchases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// UPPER_SNAKE; the name by which a configuration accepts it.
    pub name: String,
    /// What is wrong and how to mend it, for a person.
    pub detail: String,
    /// Whether the configuration accepts it.
    pub accepted: bool,
}

/// Stock of one sku.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stock {
    /// The app's value; `None` when the key is missing or is not an integer.
    pub value: Option<i64>,
    /// Who holds units, oldest first.
    pub holds: Vec<Hold>,
    /// Units decided and not deducted, since there was no value to deduct them from.
    pub debt: u64,
    /// What a person does at the store, once its stock is right, so that nothing is owed any more:
    /// commands between backticks. Empty without a debt.
    pub debt_remedy: String,
    /// Why there is no value, for a person; empty otherwise.
    pub detail: String,
}

/// Units held for a prepared transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// By whom.
    pub transaction: TransactionId,
    /// How many units.
    pub quantity: u64,
    /// Since when.
    pub since: Timestamp,
}

/// Why a participant's call did not give an answer.
///
/// `ErrorInfo.reason` on the wire is the variant's name in UPPER_SNAKE, that of a heuristic end its kind's.
#[derive(Debug, Clone, thiserror::Error, strum::EnumDiscriminants)]
#[strum_discriminants(
    name(ErrorKind),
    vis(pub(crate)),
    derive(strum::AsRefStr, strum::EnumString, strum::VariantArray),
    strum(serialize_all = "SCREAMING_SNAKE_CASE")
)]
pub enum Error {
    /// The store can't be reached or did not answer in time. What was asked may have taken
    /// effect; asking again is safe.
    #[error("{detail}")]
    #[strum_discriminants(strum(serialize = "STORE_UNAVAILABLE"))]
    Unavailable {
        /// What was tried and what came back.
        detail: String,
    },
    /// The store is healthy but can't do it now (a lock, a backup); asking again later is safe.
    #[error("{detail}")]
    Busy {
        /// What stands in the way.
        detail: String,
    },
    /// Only a person can end this branch now.
    #[error("{detail}")]
    Stuck {
        /// Why, and what to do.
        detail: String,
    },
    /// The branch was ended against the decision.
    #[error("{kind}: {detail}")]
    Heuristic {
        /// How it ended.
        kind: HeuristicKind,
        /// The evidence.
        detail: String,
    },
    /// The store knows a newer epoch or another log of this coordinator: the caller is stale and
    /// must stop.
    #[error("{detail}")]
    Fenced {
        /// What is known, and what to do.
        detail: String,
    },
    /// The store does not know the coordinator, or not any more: it was flushed, restored, or its
    /// memory was deleted. Nothing was done; enlist again.
    #[error("{detail}")]
    NotEnlisted {
        /// What is missing.
        detail: String,
    },
    /// The store's settings would lose decided purchases.
    #[error("unsafe settings, refused: {}", list(.findings))]
    Unsafe {
        /// All findings, the accepted ones included.
        findings: Vec<Finding>,
    },
    /// The request or the configuration is wrong; asking again does not help.
    #[error("{detail}")]
    Invalid {
        /// What is wrong.
        detail: String,
    },
}

fn list(findings: &[Finding]) -> String {
    let refused: Vec<String> = findings
        .iter()
        .filter(|finding| !finding.accepted)
        .map(|finding| format!("{} ({})", finding.name, finding.detail))
        .collect();
    refused.join("; ")
}
