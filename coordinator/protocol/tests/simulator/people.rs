//! People with access to the stores, and the app that sells beside tandem.

use tandem_protocol::{BranchProgress, Ending, Event, Settlement, TransactionState};

use crate::invariants::Checked;
use crate::participant::{Effect, Kind};
use crate::world::{Item, World};

impl World {
    pub(crate) fn restock(&mut self) {
        for store in self.stores.values_mut() {
            if let Kind::Stock(stock) = &mut store.kind {
                *stock.values.entry("mug".into()).or_insert(0) += 10;
            }
        }
        self.ledger.shelve("mug", 10);
    }

    /// The app sells units without asking, also such as are held.
    pub(crate) fn app_takes_units(&mut self) {
        for store in self.stores.values_mut() {
            if let Kind::Stock(stock) = &mut store.kind
                && let Some(value) = stock.values.get_mut("mug")
            {
                self.ledger.shelve("mug", -*value);
                *value = 0;
                stock.shrunk.insert("mug".into());
            }
        }
    }

    pub(crate) fn roll_back_by_hand(&mut self) {
        let found = self.stores.values().find_map(|store| {
            let is_rows = matches!(store.kind, Kind::Rows(_));
            let id = store.prepared.keys().next().filter(|_| is_rows)?;
            Some((store.name.clone(), id.clone()))
        });
        match found {
            None if !self.is_healed() => self.after(5, 20, Item::BranchIsRolledBackByHand),
            None => {}
            Some((name, id)) => {
                self.log(format!("someone rolls {id} back at {name}"));
                if let Some(store) = self.stores.get_mut(&name) {
                    store.roll_back_by_hand(&id);
                }
                self.count("branches rolled back by hand");
            }
        }
    }

    /// A person looks at what waits: carries out by hand what no machine can, says so, and has
    /// other things retried.
    pub(crate) fn operator(&mut self) -> Checked {
        self.after(200, 600, Item::Operator);
        let Some(process) = &self.process else {
            return Ok(());
        };
        let views: Vec<_> = process.core.unfinished().collect();
        for view in views {
            for branch in view.branches {
                let waits = match branch.progress {
                    BranchProgress::Heuristic(_) => 700,
                    BranchProgress::Stuck(_) => 100,
                    _ => continue,
                };
                if !self.rng.per_mille(waits) {
                    let transaction = view.id.clone();
                    self.tell(vec![Event::RetryNow { transaction }])?;
                    continue;
                }
                let Some(store) = self.stores.get_mut(&branch.participant) else {
                    continue;
                };
                if view.state != TransactionState::Committing || !store.is_up {
                    continue;
                }
                let effect = store.commit_by_hand(&view.id, &view.entries);
                self.ledger.done(store, &view.id, &effect)?;
                self.next_request += 1;
                let request = self.next_request;
                if let Some(process) = &mut self.process {
                    process.settling.insert(request);
                }
                self.tell(vec![Event::Settled {
                    request,
                    settlement: Settlement {
                        transaction: view.id.clone(),
                        participant: branch.participant,
                        ending: Ending::Commit,
                        reason: "carried out by hand".into(),
                        operator: "ann".into(),
                    },
                    force: false,
                }])?;
                if effect == Effect::Committed {
                    self.count("branches carried out by hand");
                }
            }
        }
        Ok(())
    }
}
