//! What is to become of what the stores hold, when a coordinator is gone, stopped, or has lost its log: each
//! store is asked, the log or the running coordinator besides, and nothing is changed.
//!
//! A look has two passes. The first lists what is prepared and remembered at each store; whatever its verdict
//! is not simply that it has ended is looked at again by itself, since a coordinator that runs has moved on
//! meanwhile.

mod log;
mod look;
mod statements;
mod stores;
mod verdict;

pub(crate) use look::{Found, Looked, look};
pub(crate) use verdict::{Because, End, Holds};
