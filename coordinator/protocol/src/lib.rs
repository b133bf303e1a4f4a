//! The pure core of tandem: one transaction, all transactions, recovery's plan, log records.
//!
//! Nothing here reads a clock, a disk, a socket or a source of randomness: events come in with
//! the time of their arrival, actions come out, and the same events give the same actions.
//!
//! Where to begin: [`Event`] and [`Action`] are the whole conversation; [`Coordinator::handle`] holds
//! it; `transaction.rs` is one transaction, `transactions.rs` are all; `recovery/` says what a prepared branch
//! that was found at a store means. The rule that everything serves: a [`Action::Commit`] and a
//! [`Reply::Committed`] come into being only by the event that says that the decision is stored.

#![warn(clippy::wildcard_enum_match_arm)]
#![allow(
    missing_docs,
    reason = "what the name and the type of a field say is not said again"
)]

mod action;
mod branch;
mod by_hand;
mod closing;
mod contended;
mod coordinator;
mod event;
mod held;
mod history;
mod id;
mod in_flight;
mod index;
mod lanes;
mod note;
mod participants;
mod purchase;
mod record;
mod recovery;
mod releases;
mod reply;
mod stale;
mod tail;
mod time;
mod totals;
mod transaction;
mod transactions;
mod unordered;
mod view;

pub use action::Action;
pub use branch::{
    CallFailure, CallFailureKind, CommitEvidence, Debt, Ending, HeuristicKind, PreparedBranch,
    PreparedId, RefusedEntry, Repaired, Vote,
};
pub use by_hand::{Repair, Settlement};
pub use coordinator::{
    ContentPlace, Coordinator, Damage, DeductionsPage, HistoryPage, OutcomesOf, OutcomesPage,
    OutcomesWanted, PurchaseView, RememberedDecision, RememberedOutcome, Settings, SkuDeductions,
    Standing,
};
pub use event::{Call, Event, WaitFor};
pub use id::{
    BranchId, CoordinatorId, Epoch, IdError, ParticipantName, Position, RequestId, Ticket,
    TransactionId,
};
pub use note::Note;
pub use participants::{Loss, RecallView};
pub use purchase::{Entry, Item, Purchase, Reason, Refusal, sku_and_pool, stock_name};
pub use record::{
    Decision, Fingerprint, Record, RecordError, RefusedPurchase, entry_bytes, fingerprint,
};
pub use recovery::{LogRecord, Recovered, ReplayError, Verdict};
pub use reply::{RepairError, Reply, SettleError};
pub use stale::{Claim, Enlistment, Stale};
pub use time::Timestamp;
pub use totals::{ParticipantTotals, SkuTotal};
pub use view::{BranchProgress, BranchView, TransactionState, TransactionView};
