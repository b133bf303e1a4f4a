//! What the core asks its shell to do.

use crate::branch::Repaired;
use crate::id::{ParticipantName, Position, RequestId, Ticket, TransactionId};
use crate::note::Note;
use crate::purchase::Entry;
use crate::record::Record;
use crate::reply::{RepairError, Reply, SettleError};
use crate::time::Timestamp;

/// Something that the shell must do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Append a record to the log and report [`Event::Stored`].
    Store {
        /// To be given back.
        ticket: Ticket,
        record: Record,
        /// Whether somebody waits for it; otherwise it rides with the next force.
        forced: bool,
    },
    /// Make the coordinator known to a participant's store, the first thing that is written there.
    Enlist { participant: ParticipantName },
    /// Ask a participant to prepare.
    Prepare {
        participant: ParticipantName,
        transaction: TransactionId,
        entries: Vec<Entry>,
        /// When the transaction began: the time of its purchases.
        begin_time: Timestamp,
        deadline: Timestamp,
    },
    /// Ask a participant to carry out a stored decision.
    Commit {
        participant: ParticipantName,
        transaction: TransactionId,
        /// The entries that survived.
        entries: Vec<Entry>,
        /// When the transaction began.
        begin_time: Timestamp,
        /// When it was decided.
        decide_time: Timestamp,
    },
    /// Ask a participant to redo a stored decision that it has ended another way. The order is
    /// stored.
    Repair {
        participant: ParticipantName,
        transaction: TransactionId,
        /// The entries that survived.
        entries: Vec<Entry>,
        /// When the transaction began.
        begin_time: Timestamp,
        /// When it was decided.
        decide_time: Timestamp,
    },
    /// Ask a participant to release a transaction that has no decision.
    RollBack {
        participant: ParticipantName,
        transaction: TransactionId,
    },
    /// Ask a participant which of these transactions, all of which it has acknowledged, its store
    /// does not remember any more. A failure makes the participant be enlisted again, and is
    /// otherwise not reported.
    Recall {
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
        participant: ParticipantName,
        /// Everything before this one ...
        before: TransactionId,
        /// ... except these.
        except: Vec<TransactionId>,
        /// Nothing before this one will be prepared any more.
        closed: Option<TransactionId>,
    },
    /// Answer a client.
    Reply { request: RequestId, reply: Reply },
    /// Answer an operator's settlement.
    ReplySettled {
        request: RequestId,
        /// Whether it is recorded.
        result: Result<(), SettleError>,
    },
    /// Answer an operator's order of a repair: it was carried out, or why it was not.
    ReplyRepaired {
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
