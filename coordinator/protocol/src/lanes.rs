//! Where purchases wait for a transaction.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::purchase::Purchase;

/// With whom a purchase shares a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// With whoever comes: several transactions are under way at once.
    Open,
    /// With others that may have to wait for a lock: one transaction is under way at once, so that a
    /// row that many want does not become a transaction for each of them, and the open lane never
    /// waits for it.
    Contended,
}

/// Purchases that no transaction has taken yet, in each lane in the order of their coming.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Queue {
    open: VecDeque<Waiting>,
    contended: VecDeque<Waiting>,
}

/// A purchase that waits for a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Waiting {
    pub(crate) purchase: Arc<Purchase>,
    /// Whether it was in a transaction already, which had to begin again for another's sake. It shares the
    /// next one only with such ones, so that nobody else makes it begin again.
    pub(crate) again: bool,
}

impl Queue {
    /// How many wait in both lanes.
    pub(crate) fn len(&self) -> usize {
        self.open.len() + self.contended.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.contended.is_empty()
    }

    /// How many wait in a lane.
    pub(crate) fn len_of(&self, lane: Lane) -> usize {
        match lane {
            Lane::Open => self.open.len(),
            Lane::Contended => self.contended.len(),
        }
    }

    /// Those that wait in a lane, the next one first.
    pub(crate) fn in_lane(&self, lane: Lane) -> impl ExactSizeIterator<Item = &Purchase> {
        let waiting = match lane {
            Lane::Open => &self.open,
            Lane::Contended => &self.contended,
        };
        waiting.iter().map(|waiting| &*waiting.purchase)
    }

    /// The next one in a lane.
    pub(crate) fn front(&self, lane: Lane) -> Option<&Waiting> {
        match lane {
            Lane::Open => self.open.front(),
            Lane::Contended => self.contended.front(),
        }
    }

    pub(crate) fn pop_front(&mut self, lane: Lane) {
        self.lane(lane).pop_front();
    }

    /// Takes one of either lane.
    pub(crate) fn pop_any(&mut self) -> Option<Arc<Purchase>> {
        let waiting = self.open.pop_front();
        let waiting = waiting.or_else(|| self.contended.pop_front());
        waiting.map(|waiting| waiting.purchase)
    }

    /// Adds one that comes.
    pub(crate) fn push(&mut self, lane: Lane, purchase: Arc<Purchase>) {
        let again = false;
        self.lane(lane).push_back(Waiting { purchase, again });
    }

    /// Adds one that has been here before, in front of those that came since.
    pub(crate) fn push_again(&mut self, lane: Lane, purchase: Arc<Purchase>) {
        let again = true;
        self.lane(lane).push_front(Waiting { purchase, again });
    }

    pub(crate) fn retain(&mut self, stays: impl Fn(&Purchase) -> bool) {
        self.open.retain(|waiting| stays(&waiting.purchase));
        self.contended.retain(|waiting| stays(&waiting.purchase));
    }

    /// Puts those that are in the wrong lane at the end of the other one.
    pub(crate) fn sort(&mut self, lane_of: impl Fn(&Purchase) -> Lane) {
        let is_open = |waiting: &Waiting| lane_of(&waiting.purchase) == Lane::Open;
        let parted = |lane: &mut VecDeque<Waiting>| -> (VecDeque<Waiting>, VecDeque<Waiting>) {
            std::mem::take(lane).into_iter().partition(is_open)
        };
        let (open, to_contended) = parted(&mut self.open);
        let (to_open, contended) = parted(&mut self.contended);
        (self.open, self.contended) = (open, contended);
        self.open.extend(to_open);
        self.contended.extend(to_contended);
    }

    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Waiting> {
        match lane {
            Lane::Open => &mut self.open,
            Lane::Contended => &mut self.contended,
        }
    }
}
