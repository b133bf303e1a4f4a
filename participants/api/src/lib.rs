//! What a participant of a two-phase commit is: the trait that the MySQL and the Redis participant
//! implement, its gRPC client and server sides, and the conformance suite that any participant
//! must pass.

pub mod address;
mod admission;
pub mod audit;
pub mod client;
#[cfg(feature = "conformance")]
pub mod conformance;
pub mod convert;
mod participant;
pub mod rules;
pub mod server;

pub use admission::Admission;
pub use client::{RemoteParticipant, Timeouts};
pub use participant::{
    Acknowledged, BranchState, BranchTruth, Commit, Committed, Description, Enlist, Enlisted,
    Error, Finding, Forget, Hold, KnownCoordinator, Look, Looked, Participant, Prepare, Recall,
    Recalled, RollBack, RolledBack, Stock, Voted,
};
pub use server::ParticipantServer;
pub use tandem_protocol::{
    CommitEvidence, Debt, HeuristicKind, PreparedBranch, PreparedId, RefusedEntry, Repaired, Vote,
};
