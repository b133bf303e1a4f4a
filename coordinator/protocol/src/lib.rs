//! The pure core of tandem: one transaction, all transactions, recovery's plan, log records.
//!
//! Nothing here reads a clock, a disk, a socket or a source of randomness: events come in with
//! the time of their arrival, actions come out, and the same events give the same actions.
//!
//! Where to begin: [`Event`] and [`Action`] are the whole conversation; [`Coordinator::handle`] holds
//! it; `transaction.rs` is one transaction; `recovery.rs` says what a prepared branch that was
//! found at a store means. The rule that everything serves: a [`Action::Commit`] and a
//! [`Reply::Committed`] come into being only by the event that says that the decision is stored.

#![warn(clippy::wildcard_enum_match_arm)]

mod action;
mod branch;
mod coordinator;
mod event;
mod history;
mod id;
mod index;
mod note;
mod purchase;
mod record;
mod recovery;
mod reply;
mod stale;
mod time;
mod totals;
mod transaction;
mod unordered;

pub use action::Action;
pub use branch::{
    CommitEvidence, Debt, Failure, FailureKind, HeuristicKind, PreparedBranch, PreparedId,
    RefusedEntry, Repaired, Vote,
};
pub use coordinator::{
    BranchProgress, BranchView, Coordinator, Damage, DeductionsPage, HistoryPage, Loss, MemoryView,
    PurchaseView, RememberedDecision, Settings, SkuDeductions, Standing, TransactionState,
    TransactionView,
};
pub use event::{Call, Ending, Event, Position, Repair, RequestId, Settlement, Ticket, WaitFor};
pub use id::{CoordinatorId, Epoch, IdError, ParticipantName, TransactionId};
pub use note::Note;
pub use purchase::{Entry, Item, Purchase, Reason, Refusal};
pub use record::{
    Decision, Fingerprint, Record, RecordError, RefusedPurchase, entry_bytes, fingerprint,
};
pub use recovery::{LogRecord, Recovered, ReplayError, Verdict};
pub use reply::{RepairError, Reply, SettleError};
pub use stale::{Claim, Enlistment, Stale};
pub use time::Timestamp;
pub use totals::{ParticipantTotals, SkuTotal};
