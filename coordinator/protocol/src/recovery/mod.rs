//! Recovery: from the log's records to what is known, and what a prepared branch that was found at a
//! participant means.
//!
//! `replay` and `apply` read the log into `recovered`, `known` and `verdict` judge a branch; these are pure. `adopt` takes
//! up what the log has left, and `found_prepared` carries out what a sweep leads to.

mod adopt;
mod apply;
mod error;
mod found_prepared;
mod known;
mod recovered;
mod replay;
mod verdict;

pub use error::ReplayError;
pub(crate) use known::KnownBranch;
pub use recovered::Recovered;
pub use replay::LogRecord;
pub use verdict::Verdict;
