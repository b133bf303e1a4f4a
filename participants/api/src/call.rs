//! The shapes of the questions to a participant, and of its answers.

use std::time::Duration;

use tandem_protocol::{
    CommitEvidence, CoordinatorId, Debt, Entry, Epoch, ParticipantName, Timestamp, TransactionId,
    Vote,
};

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
    /// When the coordinator began the transaction: the time of its purchases in whatever is written of
    /// them, now or by a repair.
    pub begin_time: Timestamp,
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
    /// See [`Prepare::begin_time`].
    pub begin_time: Timestamp,
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
    /// [`Participant::enlist`](crate::Participant::enlist) fail.
    pub findings: Vec<Finding>,
}

/// Something about a store that would lose or block decided purchases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// UPPER_SNAKE; the name by which a configuration accepts it.
    pub name: String,
    /// What is wrong and how to mend it, for a person.
    pub detail: String,
    /// Whether it keeps nobody from working: it is told only, or the configuration accepts it.
    pub accepted: bool,
    /// Whether it is told only, and the configuration does not name it.
    pub told: bool,
}

/// What is known of a store that was looked at without a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedStore {
    /// What it is, and what is unsafe about it.
    pub description: Description,
    /// For a person, what would keep every purchase from being made there: statements that can't run, tables
    /// that can't be.
    pub faults: Vec<String>,
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
