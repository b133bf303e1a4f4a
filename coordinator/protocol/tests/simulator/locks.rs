//! Rows that somebody else's session holds for a while.

use std::collections::BTreeSet;

use tandem_protocol::{Entry, ParticipantName, Purchase};

use crate::participant::Kind;
use crate::world::{HEAL_MS, World};

/// A store waits this long for a row before it refuses the purchase; shorter than its callers wait.
pub(crate) const LOCK_WAIT_MS: u64 = 100;

/// A row that is held.
#[derive(Debug)]
pub(crate) struct Lock {
    store: ParticipantName,
    row: Row,
    from: u64,
    until: u64,
}

/// Which row; the coordinator is never told.
#[derive(Debug, Clone, Copy)]
enum Row {
    Customer(&'static str),
    Sku(&'static str),
}

impl Row {
    fn is_needed_by(self, purchase: &Purchase) -> bool {
        match self {
            Row::Customer(customer) => purchase.customer_id == customer,
            Row::Sku(sku) => purchase.items.iter().any(|item| item.sku == sku),
        }
    }
}

impl World {
    /// Somebody's session holds a row of a store for a while.
    pub(crate) fn lock_row(&mut self, store: &ParticipantName) {
        let rows = [
            Row::Customer("ann"),
            Row::Customer("bob"),
            Row::Customer("cem"),
            Row::Sku("mug"),
        ];
        let lock = Lock {
            store: store.clone(),
            row: *self.lock_rng.pick(&rows),
            from: self.now,
            until: (self.now + self.lock_rng.within(200, 3_000)).min(HEAL_MS),
        };
        self.count("rows locked by others");
        self.log(|| format!("{lock:?}"));
        self.locks.push(lock);
    }

    /// The numbers of the entries that find a row locked at a store.
    pub(crate) fn locked(&self, store: &ParticipantName, entries: &[Entry]) -> BTreeSet<u32> {
        let is_rows = |store| match self.stores.get(store).map(|store| &store.kind) {
            Some(Kind::Rows(_)) => true,
            Some(Kind::Stock(_)) | None => false,
        };
        if !is_rows(store) {
            return BTreeSet::new();
        }
        let held: Vec<&Lock> = self
            .locks
            .iter()
            .filter(|lock| lock.store == *store && self.now < lock.until)
            .collect();
        let needs = |entry: &&Entry| {
            held.iter()
                .any(|lock| lock.row.is_needed_by(&entry.purchase))
        };
        entries
            .iter()
            .filter(needs)
            .map(|entry| entry.number)
            .collect()
    }

    /// Whether a purchase needs a row that somebody held at some moment since.
    pub(crate) fn met_a_lock(&self, purchase: &Purchase, since: u64) -> bool {
        let mut locks = self.locks.iter();
        locks.any(|lock| {
            lock.row.is_needed_by(purchase) && lock.from <= self.now && since <= lock.until
        })
    }
}
