//! Where purchases wait for a transaction.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::purchase::Purchase;

/// With whom a purchase shares a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Lane {
    /// With whoever comes: several transactions are under way at once.
    Open,
    /// With others that may have to wait for a lock: one transaction is under way at once, so that a
    /// row that many want does not become a transaction for each of them, and the open lane never
    /// waits for it.
    Contended,
}

/// Purchases that no transaction has taken yet, in each lane in the order of their coming.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Queue {
    open: VecDeque<Arc<Purchase>>,
    contended: VecDeque<Arc<Purchase>>,
}

impl Queue {
    /// How many wait in both lanes.
    pub(super) fn len(&self) -> usize {
        self.open.len() + self.contended.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.contended.is_empty()
    }

    /// How many wait in a lane.
    pub(super) fn len_of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Open => self.open.len(),
            Lane::Contended => self.contended.len(),
        }
    }

    /// The next one in a lane.
    pub(super) fn front(&self, lane: Lane) -> Option<&Arc<Purchase>> {
        match lane {
            Lane::Open => self.open.front(),
            Lane::Contended => self.contended.front(),
        }
    }

    pub(super) fn pop_front(&mut self, lane: Lane) -> Option<Arc<Purchase>> {
        self.lane(lane).pop_front()
    }

    /// Takes one of either lane.
    pub(super) fn pop_any(&mut self) -> Option<Arc<Purchase>> {
        self.open.pop_front().or_else(|| self.contended.pop_front())
    }

    pub(super) fn push_front(&mut self, lane: Lane, purchase: Arc<Purchase>) {
        self.lane(lane).push_front(purchase);
    }

    pub(super) fn push_back(&mut self, lane: Lane, purchase: Arc<Purchase>) {
        self.lane(lane).push_back(purchase);
    }

    pub(super) fn retain(&mut self, stays: impl Fn(&Purchase) -> bool) {
        self.open.retain(|purchase| stays(purchase));
        self.contended.retain(|purchase| stays(purchase));
    }

    /// Puts those that are in the wrong lane at the end of the other one.
    pub(super) fn sort(&mut self, lane_of: impl Fn(&Purchase) -> Lane) {
        let is_open = |purchase: &Arc<Purchase>| lane_of(purchase) == Lane::Open;
        let (open, to_contended) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(is_open);
        let (to_open, contended) = std::mem::take(&mut self.contended)
            .into_iter()
            .partition(is_open);
        (self.open, self.contended) = (open, contended);
        self.open.extend::<VecDeque<_>>(to_open);
        self.contended.extend::<VecDeque<_>>(to_contended);
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Arc<Purchase>> {
        match lane {
            Lane::Open => &mut self.open,
            Lane::Contended => &mut self.contended,
        }
    }
}
