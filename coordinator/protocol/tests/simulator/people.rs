//! People with access to the stores, and the app that sells beside tandem.

use tandem_protocol::{
    BranchProgress, Damage, Decision, Ending, Entry, Epoch, Event, ParticipantName, Repair,
    Settlement, TransactionId, TransactionState, TransactionView,
};

use crate::invariants::Checked;
use crate::participant::Kind;
use crate::plan::Trouble;
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
        let Some((name, id)) = self.prepared_row_branch(Item::BranchIsRolledBackByHand) else {
            return;
        };
        self.log(|| format!("someone rolls {id} back at {name}"));
        if let Some(store) = self.stores.get_mut(&name) {
            store.roll_back_by_hand(&id);
        }
        self.count("branches rolled back by hand");
    }

    /// Commits what the coordinator has decided, or has not, or never will.
    pub(crate) fn commit_by_hand(&mut self) {
        let Some((name, id)) = self.prepared_row_branch(Item::BranchIsCommittedByHand) else {
            return;
        };
        self.log(|| format!("someone commits {id} at {name}"));
        let Some(store) = self.stores.get_mut(&name) else {
            return;
        };
        let Some(branch) = store.prepared.get(&id) else {
            return;
        };
        let entries = branch.entries.clone();
        store.commit_by_hand(&id, &entries);
        store.by_hand.insert(id);
        self.ledger.committed_by_hand(&entries);
        self.count("branches committed by hand");
    }

    /// Somebody looks for a prepared branch at a store of rows; later again if there is none.
    fn prepared_row_branch(&mut self, again: Item) -> Option<(ParticipantName, TransactionId)> {
        let found = self.stores.values().find_map(|store| {
            let is_rows = matches!(store.kind, Kind::Rows(_)) && store.is_up;
            let id = store.prepared.keys().next().filter(|_| is_rows)?;
            Some((store.name.clone(), id.clone()))
        });
        if found.is_none() && !self.is_healed() {
            self.after(5, 20, again);
        }
        found.filter(|_| !self.is_healed())
    }

    /// Takes back what was committed at a store without a decision: the coordinator has refused
    /// to start on a log that does not know of it.
    pub(crate) fn undo_by_hand(&mut self) {
        for store in self.stores.values_mut() {
            for id in store.by_hand.clone() {
                if !self.ledger.decided().contains_key(&id) {
                    store.undo_by_hand(&id);
                    self.undone.insert((store.name.clone(), id));
                }
            }
        }
    }

    /// A person compares the stores with the log, as `tandem audit` does. A branch that was rolled back
    /// before its store was put back in time, prepared again by a message that came late, and committed
    /// by hand before a sweep found it is nothing that the coordinator asks for again.
    pub(crate) fn audit(&mut self) {
        if self.is_anything_by_hand() {
            self.log(|| "someone audits, and takes back what is not decided".into());
            self.undo_by_hand();
            self.count("commits by hand found by an audit");
        }
    }

    pub(crate) fn is_anything_by_hand(&self) -> bool {
        let mut ids = self.stores.values().flat_map(|store| &store.by_hand);
        ids.any(|id| !self.ledger.decided().contains_key(id))
    }

    /// A person looks at what waits: carries out by hand what no machine can, says so, and has
    /// other things retried. Sometimes he does not wait until he must.
    pub(crate) fn operator(&mut self) -> Checked {
        self.after(200, 600, Item::Operator);
        let Some(process) = &self.process else {
            return Ok(());
        };
        let (life, epoch) = (process.life, process.epoch);
        let views: Vec<_> = process.core.unfinished().collect();
        for view in views {
            for branch in &view.branches {
                let acts = match branch.progress {
                    BranchProgress::Heuristic(_) => self.rng.per_mille(700),
                    BranchProgress::Stuck(_) => self.rng.per_mille(100),
                    BranchProgress::Waiting(_) | BranchProgress::Ending => {
                        let acts = self.chance(Trouble::Settling, 30);
                        if !acts {
                            continue;
                        }
                        acts
                    }
                    BranchProgress::NotAsked
                    | BranchProgress::Preparing
                    | BranchProgress::Prepared
                    | BranchProgress::Empty
                    | BranchProgress::Ended
                    | BranchProgress::Settled(_) => continue,
                };
                // What he does may have ended the process.
                if !self.lives(life) {
                    return Ok(());
                }
                if acts && self.rng.per_mille(500) {
                    // Also where nothing is damaged, which is refused.
                    self.order_repair(&view.id, &branch.participant, None)?;
                } else if acts {
                    self.carry_out_by_hand(epoch, &view, &branch.participant)?;
                } else {
                    let transaction = view.id.clone();
                    self.tell(vec![Event::RetryNow { transaction }])?;
                }
            }
        }
        self.redo_what_has_ended(life)?;
        self.redo_what_is_held_after_a_settlement(life)
    }

    /// What he carried out by hand where the store had lost its memory the store knows nothing of: a
    /// late repeat of the prepare holds units again. The audit names them, and a repair ends them.
    fn redo_what_is_held_after_a_settlement(&mut self, life: u64) -> Checked {
        let Some(process) = self.process.as_ref().filter(|_| self.lives(life)) else {
            return Ok(());
        };
        let is_left = |(participant, id, _): &&(ParticipantName, TransactionId, Vec<Entry>)| {
            let store = &self.stores[participant];
            let has_ended = matches!(
                process.core.damage(&id.at(participant)),
                Ok(Damage::Ended(Some(_)))
            );
            store.is_up && store.prepared.contains_key(id) && has_ended
        };
        let Some((participant, id, _)) = self.by_hand.iter().find(is_left).cloned() else {
            return Ok(());
        };
        self.count("holds left after a settlement");
        let decision = self.ledger.decided().get(&id).cloned();
        self.order_repair(&id, &participant, decision)
    }

    /// Now and then he believes that a store has lost what has ended long ago.
    fn redo_what_has_ended(&mut self, life: u64) -> Checked {
        if !self.chance(Trouble::Settling, 150) || !self.lives(life) {
            return Ok(());
        }
        let Some(process) = &self.process else {
            return Ok(());
        };
        let ended: Vec<Decision> = self
            .ledger
            .decided()
            .values()
            .filter(|decision| {
                let damage = process
                    .core
                    .damage(&decision.transaction.at(&decision.participants[0]));
                matches!(damage, Ok(Damage::Ended(Some(_))))
            })
            .cloned()
            .collect();
        if ended.is_empty() {
            return Ok(());
        }
        let decision = self.rng.pick(&ended).clone();
        let participant = self.rng.pick(&decision.participants).clone();
        self.count("ended branches to be redone");
        let id = decision.transaction.clone();
        self.order_repair(&id, &participant, Some(decision))
    }

    fn order_repair(
        &mut self,
        id: &TransactionId,
        participant: &ParticipantName,
        decision: Option<Decision>,
    ) -> Checked {
        self.next_request += 1;
        let request = self.next_request;
        if let Some(process) = &mut self.process {
            process.settling.insert(request);
        }
        self.tell(vec![Event::RepairOrdered {
            request,
            repair: Repair {
                transaction: id.clone(),
                participant: participant.clone(),
                reason: "it is not there".into(),
                operator: "ann".into(),
            },
            decision,
        }])
    }

    fn carry_out_by_hand(
        &mut self,
        epoch: Epoch,
        view: &TransactionView,
        participant: &ParticipantName,
    ) -> Checked {
        let Some(store) = self.stores.get_mut(participant).filter(|s| s.is_up) else {
            return Ok(());
        };
        let (ending, what) = match view.state {
            TransactionState::Committing => {
                let effect = store.commit_by_hand(&view.id, &view.entries);
                let done = (participant.clone(), view.id.clone(), view.entries.clone());
                self.by_hand.push(done);
                self.ledger.done(store, &view.id, &effect)?;
                (Ending::Commit, "branches carried out by hand")
            }
            TransactionState::Aborting => {
                let what = if store.undo_by_hand(&view.id) {
                    let undone = (participant.clone(), view.id.clone());
                    self.undone.insert(undone);
                    "commits undone by hand"
                } else {
                    "branches released by hand"
                };
                let (result, effect) = store.roll_back(&view.id, epoch);
                self.ledger.done(store, &view.id, &effect)?;
                if result.is_err() {
                    return Ok(());
                }
                (Ending::RollBack, what)
            }
            _ => return Ok(()),
        };
        self.count(what);
        self.next_request += 1;
        let request = self.next_request;
        if let Some(process) = &mut self.process {
            process.settling.insert(request);
        }
        self.tell(vec![Event::Settled {
            request,
            settlement: Settlement {
                transaction: view.id.clone(),
                participant: participant.clone(),
                ending,
                reason: "carried out by hand".into(),
                operator: "ann".into(),
            },
            force: false,
        }])
    }
}
