//! Stores that forget what they have acknowledged: copies that are restored, with and without a sign of
//! it, stock that is flushed and set again, memory that is deleted.

use std::collections::{BTreeMap, BTreeSet};

use tandem_protocol::{
    Action, Decision, Event, ParticipantName, Position, Record, Timestamp, TransactionId,
};

use crate::invariants::{Checked, check};
use crate::participant::{Kind, Store};
use crate::world::{Item, World};

/// A store as it was, and what was on its shelves.
pub(crate) struct Copy {
    store: Store,
    shelved: BTreeMap<String, i64>,
}

impl World {
    /// Somebody copies a store's files.
    pub(crate) fn copy_store(&mut self, name: &ParticipantName) {
        let Some(store) = self.stores.get(name) else {
            return;
        };
        let copy = Copy {
            store: store.clone(),
            shelved: self.ledger.shelved().clone(),
        };
        self.log(|| format!("{name} is copied"));
        self.store_copies.insert(name.clone(), copy);
    }

    /// A store comes back from a copy: a restored backup, a replica that lagged behind.
    pub(crate) fn restore_store(&mut self, name: &ParticipantName) {
        let Some(old) = self.put_back(name) else {
            return;
        };
        if let Some(store) = self.stores.get_mut(name) {
            store.restore(old);
            store.is_up = false;
        }
        self.carry_out_by_hand_again(name);
        self.hold_up_answers(name);
        self.count(match self.is_stock(name) {
            true => "stock stores restored from an old copy",
            false => "row stores restored from an old copy",
        });
        self.log(|| format!("{name} is restored from its copy"));
        let back = (self.now + self.rng.within(20, 500)).min(crate::world::HEAL_MS);
        self.at(back, Item::RestartStore(name.clone()));
    }

    /// Somebody makes a snapshot of a store's machine, and will go back to it.
    pub(crate) fn snapshot_store(&mut self, name: &ParticipantName) {
        self.copy_store(name);
        self.after(20, 3_000, Item::TurnStoreBack(name.clone()));
    }

    /// A store is what it was a moment ago, and nothing shows it: its machine was put back to a
    /// snapshot. One of another life would show it, and a store that tells nothing of its lives could
    /// not be found out.
    pub(crate) fn turn_store_back(&mut self, name: &ParticipantName) {
        let life = self.stores.get(name).map(Store::incarnation);
        let copy = self.store_copies.get(name);
        let copied = copy.map(|copy| copy.store.incarnation());
        if life != copied || life.is_some_and(|life| life.is_empty()) {
            return;
        }
        let Some(old) = self.put_back(name) else {
            return;
        };
        if let Some(store) = self.stores.get_mut(name) {
            store.turn_back(old);
        }
        self.ledger.was_put_back(name);
        self.carry_out_by_hand_again(name);
        self.count(match self.is_stock(name) {
            true => "stock stores put back without a sign",
            false => "row stores put back without a sign",
        });
        self.log(|| format!("{name} is put back, and nothing shows it"));
    }

    /// A store as it was when it was copied, if it may come back now.
    fn put_back(&mut self, name: &ParticipantName) -> Option<Store> {
        let copy = self.store_copies.get(name).filter(|_| self.may_forget())?;
        let (old, shelved) = (copy.store.clone(), copy.shelved.clone());
        let is_up = self.stores.get(name).is_some_and(|store| store.is_up);
        if !is_up {
            return None;
        }
        if self.is_stock(name) {
            self.ledger.reshelve(shelved);
        }
        Some(old)
    }

    fn is_stock(&self, name: &ParticipantName) -> bool {
        let store = self.stores.get(name);
        store.is_some_and(|store| matches!(store.kind, Kind::Stock(_)))
    }

    /// Everything in the stock store is deleted while it runs, and the app puts back what it had on
    /// its shelves at first.
    pub(crate) fn flush_store(&mut self) {
        if !self.may_forget() {
            return;
        }
        let Some((store, shelved)) = self
            .first
            .as_ref()
            .map(|c| (c.store.clone(), c.shelved.clone()))
        else {
            return;
        };
        let name = store.name.clone();
        if !self.is_acknowledging(&name) {
            // The worst moment is when something was just done and nobody knows.
            return self.after(2, 10, Item::FlushStore);
        }
        if let Some(found) = self.stores.get_mut(&name) {
            if !found.is_up {
                return;
            }
            found.restore(store);
        }
        self.ledger.reshelve(shelved);
        self.carry_out_by_hand_again(&name);
        self.hold_up_answers(&name);
        self.count("stores flushed");
        self.log(|| format!("{name} is flushed and filled again"));
    }

    /// What was settled by hand is nobody's to redo but the hand's, and nobody's to undo.
    fn carry_out_by_hand_again(&mut self, name: &ParticipantName) {
        let Some(store) = self.stores.get_mut(name) else {
            return;
        };
        for (at, id, entries) in &self.by_hand {
            if at == name && !store.applied.contains_key(id) {
                store.commit_by_hand(id, entries);
            }
        }
        for (at, id) in &self.undone {
            if at == name {
                store.undo_by_hand(id);
            }
        }
    }

    /// Somebody deletes what the coordinator keeps in the stock store, and leaves the stock.
    pub(crate) fn delete_memory(&mut self) {
        if !self.may_forget() {
            return;
        }
        let Some(store) = self.stock_store_mut() else {
            return;
        };
        if !store.is_up {
            return;
        }
        store.delete_memory();
        self.count("memories deleted");
        self.log(|| "the stock store's memory is deleted".into());
    }

    /// The first copy, from before the first purchase.
    pub(crate) fn first_copy(&self) -> Option<Copy> {
        let store = self.stock_store()?;
        Some(Copy {
            store: store.clone(),
            shelved: self.ledger.shelved().clone(),
        })
    }

    /// The log hands a decision back.
    pub(crate) fn read_decision(&mut self, life: u64, id: TransactionId, at: Position) {
        let found = self.disk.records().find(|(position, _)| *position == at);
        let decision = match found.map(|(_, bytes)| Record::decode(bytes)) {
            Some(Ok(Record::Decided(decision))) => Some(decision),
            _ => None,
        };
        self.after(0, 5, Item::DecisionRead(life, Box::new((id, decision))));
    }

    pub(crate) fn decision_read(
        &mut self,
        transaction: TransactionId,
        decision: Option<Decision>,
    ) -> Checked {
        self.tell(vec![Event::DecisionRead {
            transaction,
            decision,
        }])
    }

    /// What the log is to forget was decided longer ago than a store may have lost.
    pub(crate) fn check_forgetting(&self, action: &Action) -> Checked {
        let Action::Store {
            record: Record::Forgotten { before, .. },
            ..
        } = action
        else {
            return Ok(());
        };
        let Some(process) = &self.process else {
            return Ok(());
        };
        let unfinished: BTreeSet<_> = process.core.unfinished().map(|view| view.id).collect();
        let age = |decision: &Decision| Timestamp(self.now).since(decision.decide_time);
        let young = self.ledger.decided().iter().find(|(id, decision)| {
            let is_forgotten = *id < before && !unfinished.contains(id);
            is_forgotten && age(decision) < self.settings.retention_age_min
        });
        let detail = format!("{:?} is to be forgotten", young.map(|(id, _)| id));
        check(
            "invariant_nothing_young_is_forgotten",
            young.is_none(),
            detail,
        )
    }

    /// What is past retention can't be done again, and an old log beside an old store is believed.
    fn may_forget(&self) -> bool {
        self.remembers_all && self.newest.is_none() && !self.is_healed()
    }

    fn stock_store(&self) -> Option<&Store> {
        let is_stock = |store: &&Store| matches!(store.kind, Kind::Stock(_));
        self.stores.values().find(is_stock)
    }

    fn stock_store_mut(&mut self) -> Option<&mut Store> {
        let is_stock = |store: &&mut Store| matches!(store.kind, Kind::Stock(_));
        self.stores.values_mut().find(is_stock)
    }
}

/// What the daemon's links know.
impl World {
    /// How often a store was enlisted by the process that runs.
    pub(crate) fn enlistments(&self, store: &ParticipantName) -> u64 {
        let process = self.process.as_ref();
        process
            .and_then(|process| process.enlistments.get(store))
            .copied()
            .unwrap_or(0)
    }
}
