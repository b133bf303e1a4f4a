//! Purchases between their submission and their last reply.

use std::sync::Arc;

use crate::event::WaitFor;
use crate::id::{RequestId, TransactionId};
use crate::purchase::Purchase;
use crate::record::Fingerprint;
use crate::time::Timestamp;

/// A purchase between its submission and its last reply.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct InFlight {
    pub(crate) purchase: Arc<Purchase>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) place: Place,
    pub(crate) waiters: Vec<Waiter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    Queued,
    In(TransactionId),
}

/// A call that waits for a purchase's outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Waiter {
    pub(crate) request: RequestId,
    pub(crate) wait_for: WaitFor,
    pub(crate) deadline: Timestamp,
}
