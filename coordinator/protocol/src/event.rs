//! What the core is told and what it asks for.

use std::sync::Arc;
use std::time::Duration;

use crate::branch::{CommitEvidence, Debt, Failure, HeuristicKind, PreparedBranch, Repaired, Vote};
use crate::id::{ParticipantName, TransactionId};
use crate::purchase::{Entry, Purchase, Reason, Refusal};
use crate::record::{Decision, Record};
use crate::time::Timestamp;

/// A client's call that waits for a reply; chosen by the shell, unique within a process.
pub type RequestId = u64;

/// Names a record that is on its way to the log; unique within a process.
pub type Ticket = u64;

/// A record's gap-free number in the log.
pub type Position = u64;

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
        /// The purchase.
        purchase: Arc<Purchase>,
        /// What the reply waits for.
        wait_for: WaitFor,
        /// When the client must have a reply.
        deadline: Timestamp,
    },
    /// A participant answered a prepare.
    Voted {
        /// The transaction.
        transaction: TransactionId,
        /// Who.
        participant: ParticipantName,
        /// What.
        vote: Vote,
    },
    /// A record is durable.
    Stored {
        /// Which.
        ticket: Ticket,
        /// Where in the log.
        position: Position,
    },
    /// A participant has carried out a commit or a roll back.
    ///
    /// What was asked before the participant's last [`Event::ParticipantUp`] is not acknowledged
    /// after it, since it speaks of a life of the store that may be over: it is a [`Event::CallFailed`].
    Acknowledged {
        /// The transaction.
        transaction: TransactionId,
        /// Who.
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
        /// The transaction.
        transaction: TransactionId,
        /// Who was asked.
        participant: ParticipantName,
        /// What was asked.
        call: Call,
        /// What came back instead.
        failure: Failure,
    },
    /// A participant can be enlisted: its store was asked what it knows of this coordinator, and
    /// knows no later epoch and no other log.
    Looked {
        /// Who.
        participant: ParticipantName,
        /// Transactions of this coordinator that its store has committed last.
        newest_committed: Vec<TransactionId>,
    },
    /// A participant is enlisted and can be asked.
    ParticipantUp {
        /// Who.
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
        /// Who.
        participant: ParticipantName,
        /// What was tried, for a person.
        detail: String,
    },
    /// A participant refuses this coordinator for good: it knows a newer epoch or another log.
    Refused {
        /// Who.
        participant: ParticipantName,
        /// What it knows, for a person.
        detail: String,
    },
    /// A sweep's list of what is prepared at a participant.
    FoundPrepared {
        /// Where.
        participant: ParticipantName,
        /// All of it.
        branches: Vec<PreparedBranch>,
    },
    /// A store has looked through its memory for the transactions of an [`Action::Recall`].
    Recalled {
        /// Whose store.
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
    RetryNow {
        /// Which.
        transaction: TransactionId,
    },
    /// An operator ends a branch by his word.
    Settled {
        /// Where the reply goes.
        request: RequestId,
        /// The settlement.
        settlement: Settlement,
        /// Whether a contradiction of the stored decision is meant.
        force: bool,
    },
    /// An operator wants a branch redone from the stored decision.
    RepairOrdered {
        /// Where the reply goes.
        request: RequestId,
        /// The order.
        repair: Repair,
        /// The decision as the log has it, where memory has only its outcome: needed if the
        /// transaction has ended.
        decision: Option<Decision>,
    },
    /// A participant has carried out a repair.
    Repaired {
        /// The transaction.
        transaction: TransactionId,
        /// Who.
        participant: ParticipantName,
        /// What came of it.
        repaired: Repaired,
    },
    /// No new purchases from now on.
    Drain,
    /// Time has passed.
    Tick,
}

/// How a transaction's branch is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// By the stored decision.
    Commit,
    /// For want of one.
    RollBack,
}

/// What a participant was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// To promise.
    Prepare,
    /// To carry out.
    End(Ending),
    /// To redo from the decision.
    Repair,
}

/// An operator's word on how a branch ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Settlement {
    /// The transaction.
    pub transaction: TransactionId,
    /// The branch.
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
    /// The transaction.
    pub transaction: TransactionId,
    /// The branch.
    pub participant: ParticipantName,
    /// Why; kept in the log.
    pub reason: String,
    /// Who; kept in the log.
    pub operator: String,
}

/// Something that the shell must do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Append a record to the log and report [`Event::Stored`].
    Store {
        /// To be given back.
        ticket: Ticket,
        /// What.
        record: Record,
        /// Whether somebody waits for it; otherwise it rides with the next force.
        forced: bool,
    },
    /// Make the coordinator known to a participant's store, the first thing that is written there.
    Enlist {
        /// Whom.
        participant: ParticipantName,
    },
    /// Ask a participant to prepare.
    Prepare {
        /// Whom.
        participant: ParticipantName,
        /// The transaction.
        transaction: TransactionId,
        /// What.
        entries: Vec<Entry>,
        /// By when.
        deadline: Timestamp,
    },
    /// Ask a participant to carry out a stored decision.
    Commit {
        /// Whom.
        participant: ParticipantName,
        /// The transaction.
        transaction: TransactionId,
        /// The entries that survived.
        entries: Vec<Entry>,
        /// When it was decided.
        decide_time: Timestamp,
    },
    /// Ask a participant to redo a stored decision that it has ended another way. The order is
    /// stored.
    Repair {
        /// Whom.
        participant: ParticipantName,
        /// The transaction.
        transaction: TransactionId,
        /// The entries that survived.
        entries: Vec<Entry>,
        /// When it was decided.
        decide_time: Timestamp,
    },
    /// Ask a participant to release a transaction that has no decision.
    RollBack {
        /// Whom.
        participant: ParticipantName,
        /// The transaction.
        transaction: TransactionId,
    },
    /// Ask a participant which of these transactions, all of which it has acknowledged, its store
    /// does not remember any more. A failure makes the participant be enlisted again, and is
    /// otherwise not reported.
    Recall {
        /// Whom.
        participant: ParticipantName,
        /// To be given back.
        page: u64,
        /// Which, newest first.
        transactions: Vec<TransactionId>,
    },
    /// Read a decision from the log and report [`Event::DecisionRead`].
    ReadDecision {
        /// Of which transaction.
        transaction: TransactionId,
        /// Where its record stands.
        position: Position,
    },
    /// Tell a participant what it may forget. Best effort: the next one says it again.
    Forget {
        /// Whom.
        participant: ParticipantName,
        /// Everything before this one ...
        before: TransactionId,
        /// ... except these.
        except: Vec<TransactionId>,
        /// Nothing before this one will be prepared any more.
        closed: Option<TransactionId>,
    },
    /// Answer a client.
    Reply {
        /// Whom.
        request: RequestId,
        /// What.
        reply: Reply,
    },
    /// Answer an operator's settlement.
    ReplySettled {
        /// Whom.
        request: RequestId,
        /// Whether it is recorded.
        result: Result<(), SettleError>,
    },
    /// Answer an operator's order of a repair: it was carried out, or why it was not.
    ReplyRepaired {
        /// Whom.
        request: RequestId,
        /// What came of it.
        result: Result<Repaired, RepairError>,
    },
    /// The log's records before this position are needed no more.
    Release {
        /// The first that is still needed.
        before: Position,
    },
    /// Stop the process: going on would be unsafe.
    Halt {
        /// Why, and what to do, for a person.
        reason: String,
    },
    /// Something that a person may want to read; a state is noted once, when it changes.
    Note(Note),
}

/// An answer to a client.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reply {
    /// The purchase is committed.
    Committed {
        /// By which transaction.
        transaction: TransactionId,
        /// When.
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
        /// Why.
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
        /// When.
        decide_time: Timestamp,
    },
}

/// Why a settlement is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SettleError {
    /// Neither the log nor memory has it.
    #[error("transaction {0} is not known or has ended")]
    UnknownTransaction(TransactionId),
    /// It has no such branch.
    #[error("transaction {0} has no branch at participant {1}")]
    UnknownBranch(TransactionId, ParticipantName),
    /// There is no decision yet; it comes by itself.
    #[error("transaction {0} is not decided yet: it ends by itself at its prepare deadline")]
    Undecided(TransactionId),
    /// The branch has ended already.
    #[error("the branch of {0} at {1} has already ended")]
    Ended(TransactionId, ParticipantName),
    /// The settlement says the opposite of the decision.
    #[error("settling {0} at {1} this way contradicts its decision ({2}); force it if you mean it")]
    Contradicts(TransactionId, ParticipantName, &'static str),
}

/// Why a repair was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum RepairError {
    /// Neither the log nor memory has it.
    #[error("transaction {0} is not known, or so old that the log has forgotten it")]
    UnknownTransaction(TransactionId),
    /// It has no such branch.
    #[error("transaction {0} has no branch at participant {1}")]
    UnknownBranch(TransactionId, ParticipantName),
    /// There is no decision yet; it comes by itself.
    #[error("transaction {0} is not decided yet: it ends by itself at its prepare deadline")]
    Undecided(TransactionId),
    /// Nothing is stored from which it could be redone.
    #[error(
        "no decision to commit {0} is stored, so there is nothing that {1} could be given again: \
         take back by hand at {1} what was committed there, then close it with `tandem tx settle \
         {0} --participant {1} --as rolled-back`"
    )]
    NoDecision(TransactionId, ParticipantName),
    /// Its decision is being carried out.
    #[error(
        "the branch of {0} at {1} was not ended against its decision: it is being carried out, or \
         waits to be"
    )]
    NotDamaged(TransactionId, ParticipantName),
    /// It has been ordered before.
    #[error("a repair of {0} at {1} is under way")]
    UnderWay(TransactionId, ParticipantName),
    /// The transaction has ended, and what it decided was not found in the log.
    #[error("the decision of {0} could not be read back from the log")]
    DecisionMissing(TransactionId),
    /// Something else has ended the branch while the order was stored or carried out.
    #[error("the branch of {0} at {1} has ended another way; nothing was done by this order")]
    Ended(TransactionId, ParticipantName),
    /// The store could not do it.
    #[error("the order is stored, and {1} could not carry it out: {2}")]
    Failed(TransactionId, ParticipantName, String),
}

/// Something that changed, for logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Note {
    /// A decision is stored.
    Decided {
        /// The transaction.
        transaction: TransactionId,
        /// Purchases that commit.
        committed: Vec<String>,
        /// Purchases that were refused, with the reason.
        refused: Vec<(String, Reason)>,
    },
    /// A transaction is given up without a decision.
    Aborted {
        /// The transaction.
        transaction: TransactionId,
        /// Its purchases.
        purchases: Vec<String>,
        /// Why, for a person.
        detail: String,
    },
    /// Every participant has acknowledged.
    Ended {
        /// The transaction.
        transaction: TransactionId,
    },
    /// A branch can't be ended now; it is tried again.
    Waiting {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
        /// Why.
        detail: String,
    },
    /// A branch needs a person.
    Stuck {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
        /// Why, and what to do.
        detail: String,
    },
    /// A branch was ended against the decision.
    Heuristic {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
        /// How.
        kind: HeuristicKind,
        /// The evidence.
        detail: String,
    },
    /// A store had lost a branch; it was carried out from the decision.
    Redone {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
    },
    /// Units that could not be deducted are kept as debt.
    Debts {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
        /// What is owed.
        debts: Vec<Debt>,
    },
    /// A store does not remember what it had acknowledged; that is carried out again from the log
    /// before new purchases are taken.
    Forgot {
        /// Whose store.
        participant: ParticipantName,
        /// How many transactions.
        transactions: u64,
    },
    /// A store has lost something, and whether it also lost these transactions can't be told: the
    /// log has forgotten them, and the store may not have been told so.
    Unchecked {
        /// Whose store.
        participant: ParticipantName,
        /// The first of them; `None`: from the coordinator's beginning.
        from: Option<TransactionId>,
        /// The first that can be told again.
        before: TransactionId,
    },
    /// A decision that a store forgot can't be read in the log.
    Unreadable {
        /// The transaction.
        transaction: TransactionId,
        /// Where it was forgotten.
        participants: Vec<ParticipantName>,
    },
    /// Everything that a store forgot is carried out again.
    Remembers {
        /// Whose store.
        participant: ParticipantName,
        /// Transactions that were done from their decision.
        redone: u64,
        /// Transactions whose effect the store still had.
        still_there: u64,
    },
    /// A sweep found a prepared branch of this coordinator that has no decision.
    FoundUndecided {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
    },
    /// Two sweeps in a row have found a branch prepared whose commit was acknowledged; it is
    /// committed again.
    FoundCommitted {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
    },
    /// A branch is prepared of which a person has said that it had ended; it is ended as he said.
    FoundSettled {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
        /// How.
        ending: Ending,
    },
    /// An operator has ordered a repair; it is being carried out.
    RepairOrdered {
        /// What he said.
        repair: Repair,
    },
    /// A branch was redone from the decision, by an operator's order.
    Repaired {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
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
