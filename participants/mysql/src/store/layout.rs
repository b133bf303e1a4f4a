//! What tandem's tables are known to have.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// As far as it was looked at; they are made and changed in `preflight`.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Whether `tandem_branches` has the columns of layout 2. They do not go again.
    has_contents: AtomicBool,
    /// tandem's branches that were prepared when it was looked last.
    prepared: Mutex<BTreeSet<String>>,
}

impl Layout {
    /// Whether marker rows can tell what is in their branches.
    pub(crate) fn has_contents(&self) -> bool {
        self.has_contents.load(Ordering::Acquire)
    }

    /// Notes that they can.
    pub(crate) fn set_has_contents(&self) {
        self.has_contents.store(true, Ordering::Release);
    }

    /// Whether none of these was prepared when it was looked last; they are what is looked at next.
    pub(crate) fn are_new(&self, prepared: BTreeSet<String>) -> bool {
        let mut before = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        let are_new = before.is_disjoint(&prepared);
        *before = prepared;
        are_new
    }
}
