//! The store in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tandem_participant::{Debt, Enlist, Hold, RefusedEntry};
use tandem_protocol::{CoordinatorId, Entry, Reason, Refusal, Timestamp, TransactionId};

use crate::Bug;

/// Stock, holds and memory behind one lock.
pub struct MemoryStore {
    state: Mutex<State>,
    bug: Option<Bug>,
}

/// A store as it was once.
pub struct Snapshot(State);

#[derive(Default, Clone)]
pub(crate) struct State {
    pub(crate) dead: bool,
    pub(crate) lives: u64,
    /// Promises and commits, all in all.
    pub(crate) changes: u64,
    /// Nothing before these is prepared any more, and nothing before these needs to be known.
    pub(crate) closed: BTreeMap<CoordinatorId, TransactionId>,
    pub(crate) forgotten: BTreeMap<CoordinatorId, TransactionId>,
    pub(crate) coordinators: BTreeMap<CoordinatorId, Enlist>,
    pub(crate) stock: BTreeMap<String, i64>,
    pub(crate) held: BTreeMap<String, i64>,
    pub(crate) debts: BTreeMap<String, u64>,
    /// Units deducted for each coordinator, debt included.
    pub(crate) deducted: BTreeMap<(CoordinatorId, String), u64>,
    pub(crate) prepared: BTreeMap<TransactionId, Branch>,
    pub(crate) verdicts: BTreeMap<TransactionId, Verdict>,
    pub(crate) last_commit: Option<(TransactionId, Vec<Entry>)>,
}

#[derive(Clone)]
pub(crate) struct Branch {
    pub(crate) entries: Vec<Entry>,
    pub(crate) refused: Vec<RefusedEntry>,
    pub(crate) prepare_time: Timestamp,
    pub(crate) object: u64,
}

#[derive(Clone)]
pub(crate) enum Verdict {
    Committed,
    /// With what the roll back released.
    RolledBack(Vec<Entry>),
}

impl MemoryStore {
    /// An empty store whose participants have the bug.
    pub fn new(bug: Option<Bug>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            bug,
        })
    }

    /// Sets a sku's stock, as the app does.
    pub fn set_stock(&self, sku: &str, units: i64) {
        self.state().stock.insert(sku.into(), units);
    }

    /// A sku's stock, as the app sees it.
    pub fn stock_of(&self, sku: &str) -> Option<i64> {
        self.state().stock.get(sku).copied()
    }

    /// Sets what is counted as deducted for a coordinator, as somebody does who changes it by hand.
    pub fn set_deducted(&self, coordinator: &CoordinatorId, sku: &str, units: u64) {
        let counted = (coordinator.clone(), sku.to_owned());
        self.state().deducted.insert(counted, units);
    }

    /// The store answers nothing from now on.
    pub fn kill(&self) {
        let mut state = self.state();
        state.dead = true;
        if self.has(Bug::LosesPreparedWhenKilled) {
            state.prepared.clear();
            state.held.clear();
        }
        if self.has(Bug::LosesVerdictsWhenKilled) {
            state.verdicts.clear();
        }
        if self.has(Bug::LosesTheLastCommitWhenKilled)
            && let Some((id, entries)) = state.last_commit.take()
        {
            state.restore(&id.coordinator, &entries);
            state.verdicts.remove(&id);
        }
        if self.has(Bug::LosesEpochsWhenKilled) {
            state.coordinators.clear();
        }
    }

    /// All that the store holds.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state().clone())
    }

    /// The store holds what it held once, and shows nothing of it: it is in the life that it was in
    /// then.
    pub fn put_back(&self, snapshot: &Snapshot) {
        self.state().clone_from(&snapshot.0);
    }

    /// The store answers again, in a new life.
    pub fn start(&self) {
        let mut state = self.state();
        state.dead = false;
        state.lives += 1;
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("bug", &self.bug)
            .finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn incarnation(&self) -> String {
        format!("life-{}", self.lives)
    }

    pub(crate) fn refusal(&self, entry: &Entry) -> Option<Refusal> {
        entry.purchase.tracked().find_map(|item| {
            let Some(stock) = self.stock.get(&item.sku) else {
                return Some(Refusal {
                    reason: Reason::UnknownSku,
                    detail: format!("{} is not in stock", item.sku),
                });
            };
            let available = stock - self.held.get(&item.sku).copied().unwrap_or_default();
            (available < i64::from(item.quantity)).then(|| Refusal {
                reason: Reason::InsufficientStock,
                detail: format!(
                    "{}: {available} available, {} wanted",
                    item.sku, item.quantity
                ),
            })
        })
    }

    pub(crate) fn holds(&self, sku: &str) -> impl Iterator<Item = Hold> {
        self.prepared.iter().filter_map(move |(id, branch)| {
            let items = branch.entries.iter().flat_map(|e| e.purchase.tracked());
            let held = items.filter(|item| item.sku == sku);
            let quantity: u64 = held.map(|item| u64::from(item.quantity)).sum();
            (quantity > 0).then(|| Hold {
                transaction: id.clone(),
                quantity,
                since: branch.prepare_time,
            })
        })
    }

    pub(crate) fn hold(&mut self, entry: &Entry, times: i64) {
        for item in entry.purchase.tracked() {
            *self.held.entry(item.sku.clone()).or_default() += times * i64::from(item.quantity);
        }
    }

    pub(crate) fn deduct(&mut self, coordinator: &CoordinatorId, entries: &[Entry]) -> Vec<Debt> {
        self.count(coordinator, entries);
        let mut debts = Vec::new();
        for item in entries.iter().flat_map(|entry| entry.purchase.tracked()) {
            let quantity = i64::from(item.quantity);
            match self.stock.get_mut(&item.sku) {
                Some(stock) => *stock -= quantity,
                None => {
                    let quantity = u64::from(item.quantity);
                    *self.debts.entry(item.sku.clone()).or_default() += quantity;
                    debts.push(Debt {
                        sku: item.sku.clone(),
                        quantity,
                        detail: "there is no such sku".into(),
                    });
                }
            }
        }
        debts
    }

    /// Counts units as deducted.
    pub(crate) fn count(&mut self, coordinator: &CoordinatorId, entries: &[Entry]) {
        for item in entries.iter().flat_map(|entry| entry.purchase.tracked()) {
            let counted = (coordinator.clone(), item.sku.clone());
            *self.deducted.entry(counted).or_default() += u64::from(item.quantity);
        }
    }

    /// Makes what was deducted undone, as if it had never been.
    pub(crate) fn restore(&mut self, coordinator: &CoordinatorId, entries: &[Entry]) {
        for item in entries.iter().flat_map(|entry| entry.purchase.tracked()) {
            let counted = (coordinator.clone(), item.sku.clone());
            if let Some(counted) = self.deducted.get_mut(&counted) {
                *counted = counted.saturating_sub(item.quantity.into());
            }
            if let Some(stock) = self.stock.get_mut(&item.sku) {
                *stock += i64::from(item.quantity);
            }
        }
    }
}
