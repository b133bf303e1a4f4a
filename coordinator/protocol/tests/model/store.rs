//! The two stores, as small as they can be: `redis` refuses single entries and may lose what it
//! had promised when it restarts as another life; `mysql` commits a branch whole.

use std::collections::{BTreeMap, BTreeSet};

use tandem_protocol::{Epoch, TransactionId};

/// Entries of a branch: an entry's number and its purchase.
pub(crate) type Entries = Vec<(u32, u8)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Which {
    Mysql,
    Redis,
}

impl Which {
    pub(crate) const BOTH: [Which; 2] = [Which::Mysql, Which::Redis];

    /// What the core is told of a life.
    pub(crate) fn incarnation(self, life: u8) -> String {
        match self {
            Which::Redis => format!("life-{life}"),
            Which::Mysql => String::new(),
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Which::Mysql => "mysql",
            Which::Redis => "redis",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) which: Which,
    /// Units at redis; mysql has as many rows as it likes.
    pub(crate) units: i8,
    pub(crate) life: u8,
    /// Whether somebody else holds the row of the first purchase that is to be prepared.
    pub(crate) is_locked: bool,
    enlisted: Epoch,
    pub(crate) prepared: BTreeMap<TransactionId, Entries>,
    /// What was carried out, for each time.
    pub(crate) committed: BTreeMap<TransactionId, Vec<Entries>>,
    pub(crate) released: BTreeSet<TransactionId>,
}

/// What a store comes back without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    Nothing,
    /// What it had promised.
    Holds,
    /// That, and what it had committed last: it comes from an old copy.
    LastCommit,
}

/// What a store says to a prepare, a commit or a roll back.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Said {
    /// These entries are refused, in this life.
    Yes(Vec<u32>, u8),
    No,
    Committed,
    CommittedAlready,
    CommittedFromTheDecision,
    RolledBack,
    Heuristic,
    Fenced,
}

impl Store {
    pub(crate) fn new(which: Which, units: i8) -> Store {
        Store {
            which,
            units,
            life: 1,
            is_locked: false,
            enlisted: Epoch(0),
            prepared: BTreeMap::new(),
            committed: BTreeMap::new(),
            released: BTreeSet::new(),
        }
    }

    pub(crate) fn restart(&mut self, loss: Loss) {
        self.life += 1;
        if loss != Loss::Nothing {
            self.prepared.clear();
        }
        if loss == Loss::LastCommit
            && let Some((_, times)) = self.committed.pop_last()
        {
            let units: usize = times.iter().map(Vec::len).sum();
            self.units += i8::try_from(units).unwrap();
        }
    }

    /// Whether the epoch is not older than the one that is enlisted.
    pub(crate) fn enlist(&mut self, epoch: Epoch) -> bool {
        let is_current = epoch >= self.enlisted;
        self.enlisted = self.enlisted.max(epoch);
        is_current
    }

    pub(crate) fn prepare(&mut self, id: &TransactionId, entries: &Entries) -> Said {
        if id.epoch < self.enlisted {
            return Said::Fenced;
        }
        if self.committed.contains_key(id) || self.released.contains(id) {
            return Said::No;
        }
        let survivors = match self.prepared.get(id) {
            Some(survivors) => survivors.clone(),
            None => {
                let held: usize = self.prepared.values().map(Vec::len).sum();
                let free = usize::try_from(self.units)
                    .unwrap_or(0)
                    .saturating_sub(held);
                let free = match self.which {
                    Which::Redis => free,
                    Which::Mysql => entries.len(),
                };
                let locked = usize::from(self.is_locked);
                entries.iter().skip(locked).take(free).copied().collect()
            }
        };
        let refused = entries.iter().filter(|entry| !survivors.contains(entry));
        let said = Said::Yes(refused.map(|(number, _)| *number).collect(), self.life);
        if survivors.is_empty() {
            self.released.insert(id.clone());
        } else {
            self.prepared.insert(id.clone(), survivors);
        }
        said
    }

    pub(crate) fn commit(&mut self, epoch: Epoch, id: &TransactionId, entries: &Entries) -> Said {
        if epoch < self.enlisted {
            return Said::Fenced;
        }
        if self.committed.contains_key(id) {
            return Said::CommittedAlready;
        }
        let said = match (self.prepared.remove(id), self.which) {
            (Some(_), _) => Said::Committed,
            (None, Which::Redis) if !self.released.contains(id) => Said::CommittedFromTheDecision,
            (None, _) => return Said::Heuristic,
        };
        if self.which == Which::Redis {
            self.units -= i8::try_from(entries.len()).unwrap();
            // What others were promised since is owed.
            if said == Said::CommittedFromTheDecision {
                self.units = self.units.max(0);
            }
        }
        let times = self.committed.entry(id.clone()).or_default();
        times.push(entries.clone());
        said
    }

    pub(crate) fn roll_back(&mut self, epoch: Epoch, id: &TransactionId) -> Said {
        if epoch < self.enlisted {
            return Said::Fenced;
        }
        if self.committed.contains_key(id) {
            return Said::Heuristic;
        }
        self.prepared.remove(id);
        self.released.insert(id.clone());
        Said::RolledBack
    }
}
