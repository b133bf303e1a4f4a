//! The pure core of tandem: one transaction, all transactions, recovery's plan, log records.
//!
//! Nothing here reads a clock, a disk, a socket or a source of randomness: events come in with
//! the time of their arrival, actions come out, and the same events give the same actions.

pub mod id;
pub mod purchase;
pub mod time;

pub use id::{CoordinatorId, Epoch, IdError, ParticipantName, TransactionId};
pub use purchase::{Entry, Item, Purchase, Reason, Refusal};
pub use time::Timestamp;
