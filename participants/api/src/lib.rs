//! What a participant of a two-phase commit is: the trait that the MySQL and the Redis participant
//! implement, its gRPC client and server sides, and the conformance suite that any participant
//! must pass.

mod acts_for;
pub mod address;
mod admission;
pub mod attributes;
pub mod audit_question;
mod call;
pub mod client;
pub mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod convert;
mod error;
mod examination;
mod items_json;
pub mod money;
mod participant;
mod reread;
pub mod rules;
pub mod server;
mod way;

pub use acts_for::ActsFor;
pub use admission::{ACCESS_DENIED, Admission};
pub use call::{
    Acknowledged, BranchState, BranchTruth, CheckedStore, Commit, Committed, Description, Enlist,
    Enlisted, Finding, Forget, Hold, KnownCoordinator, Look, Looked, Prepare, Recall, Recalled,
    RollBack, RolledBack, Stock, Voted,
};
pub use client::{RemoteParticipant, Timeouts};
pub use error::{Error, ErrorKind};
pub use examination::{Examined, Remedy, Trial};
pub use items_json::items_json;
pub use participant::Participant;
pub use reread::{FilesError, reread};
pub use server::ParticipantServer;
pub use tandem_protocol::{
    CommitEvidence, Debt, HeuristicKind, PreparedBranch, PreparedId, RefusedEntry, Repaired, Vote,
};
pub use way::Credentials;
