//! The coordinator's process: the shell around the core, its log, its starts and deaths.

use std::collections::{BTreeMap, BTreeSet};

use tandem_protocol::{
    Action, Coordinator, CoordinatorId, Epoch, Event, Note, ParticipantName, Record, Recovered,
    Timestamp,
};

use crate::invariants::{Checked, check};
use crate::network::Request;
use crate::notation::{action_text, event_text};
use crate::world::{Fault, Item, Process, World};

const SWEEP_MS: u64 = 1_000;
const LAZY_FORCE_MS: u64 = 1_000;

impl World {
    /// The link to a store as the daemon keeps it: up, and swept from time to time.
    pub(crate) fn came_up(&mut self, store: &ParticipantName, events: Vec<Event>) -> Checked {
        if let Some(process) = &mut self.process {
            process.up.insert(store.clone());
            let sweep = Item::Sweep(process.life, store.clone());
            self.at(self.now + SWEEP_MS, sweep);
        }
        self.tell(events)
    }

    /// Down, and tried again by one probe.
    pub(crate) fn went_down(&mut self, store: &ParticipantName, mut events: Vec<Event>) -> Checked {
        if let Some(process) = &mut self.process {
            let was_up = process.up.remove(store);
            let connecting = events.is_empty();
            if was_up || connecting {
                let connect = Item::Connect(process.life, store.clone());
                self.after(10, 200, connect);
                events.push(Event::ParticipantDown {
                    participant: store.clone(),
                    detail: "it was unavailable".into(),
                });
            }
        }
        self.tell(events)
    }

    pub(crate) fn swept(&mut self, store: &ParticipantName, events: Vec<Event>) -> Checked {
        if let Some(process) = &mut self.process {
            let sweep = Item::Sweep(process.life, store.clone());
            self.at(self.now + SWEEP_MS, sweep);
        }
        self.tell(events)
    }

    /// Tells the core what happened and does what it asks for.
    pub(crate) fn tell(&mut self, events: Vec<Event>) -> Checked {
        for event in &events {
            self.log(format!("> {}", event_text(event)));
        }
        let now = Timestamp(self.now);
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let actions = process.core.handle_all(now, events);
        let next = process.core.next_deadline();
        let life = process.life;
        if process.tick_at != next.0 {
            process.tick_at = next.0;
            self.at(next.0, Item::Tick(life, next.0));
        }
        check(
            "invariant_deadline_is_ahead",
            next > now,
            format!("the next deadline is {next:?}, now is {now:?}"),
        )?;
        for action in actions {
            self.log(format!("< {}", action_text(&action)));
            self.ledger.wanted(&action)?;
            self.carry_out(action)?;
            if !self.is_healed() && self.rng.per_mille(2) {
                self.crash_process()?;
            }
            if !self.lives(life) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, action: Action) -> Checked {
        let life = self.lives;
        match action {
            Action::Store {
                ticket,
                record,
                forced,
            } => {
                if self.fault == Fault::CommitsGoOutBeforeTheyAreStored
                    && let Record::Decided(decision) = &record
                {
                    for participant in decision.participants.clone() {
                        let entries = decision.entries.clone();
                        let transaction = decision.transaction.clone();
                        self.send(&participant, Request::Commit(transaction, entries));
                    }
                }
                self.disk.append(Some(ticket), &record);
                if forced {
                    self.after(1, 8, Item::Force(life));
                } else {
                    self.at(self.now + LAZY_FORCE_MS, Item::Force(life));
                }
            }
            Action::Prepare {
                participant,
                transaction,
                entries,
                ..
            } => self.send(&participant, Request::Prepare(transaction, entries)),
            Action::Commit {
                participant,
                transaction,
                entries,
                ..
            } => self.send(&participant, Request::Commit(transaction, entries)),
            Action::RollBack {
                participant,
                transaction,
            } => self.send(&participant, Request::RollBack(transaction)),
            Action::Forget {
                participant,
                before,
                except,
            } => self.send(&participant, Request::Forget(before, except)),
            Action::Reply { request, reply } => self.replied(request, &reply)?,
            Action::ReplySettled { request, .. } => {
                let was_asked = self
                    .process
                    .as_mut()
                    .is_some_and(|p| p.settling.remove(&request));
                let detail = format!("settlement {request}");
                check("invariant_every_call_is_answered_once", was_asked, detail)?;
            }
            Action::Release { before } => {
                self.disk.release(before, self.fault);
                self.count("records released");
            }
            Action::Halt { reason } => self.halted(&reason)?,
            Action::Note(note) => self.noted(&note),
        }
        Ok(())
    }

    fn noted(&mut self, note: &Note) {
        let what = match note {
            Note::Decided { committed, .. } if committed.len() > 1 => "groups committed",
            Note::Decided { committed, .. } if committed.is_empty() => "transactions refused whole",
            Note::Decided { .. } => "single purchases committed",
            Note::Aborted { .. } => "aborted",
            Note::Ended { .. } => "ended",
            Note::Waiting { .. } => "calls retried",
            Note::Stuck { .. } => "branches stuck",
            Note::Heuristic { .. } => "heuristics",
            Note::Redone { .. } => "lost branches redone",
            Note::Debts { .. } => "debts",
            Note::FoundUndecided { .. } => "branches rolled back by a sweep",
            Note::Settled { .. } => "branches settled",
        };
        self.count(what);
    }

    pub(crate) fn force(&mut self) -> Checked {
        let (events, durable) = self.disk.force(self.fault);
        for record in &durable {
            self.stored(record)?;
        }
        if events.is_empty() {
            return Ok(());
        }
        self.tell(events)
    }

    fn stored(&mut self, record: &Record) -> Checked {
        if matches!(record, Record::Forgotten { .. }) {
            self.count("forgotten");
        }
        let is_stale = self.newest.is_some();
        if is_stale && let Record::Decided(decision) = record {
            let known = self.ledger.decided().contains_key(&decision.transaction);
            let detail = format!("{} was decided on an old copy", decision.transaction);
            check("invariant_stale_log_decides_nothing", known, detail)?;
        }
        self.ledger.stored(record)
    }

    pub(crate) fn start_process(&mut self) -> Checked {
        self.lives += 1;
        let life = self.lives;
        self.choose_log();
        let id: CoordinatorId = "shop".parse().expect("well formed");
        let mut records: Vec<_> = self.disk.records().collect();
        if self.fault == Fault::LastRecordsAreNotReplayed {
            records.truncate(records.len().saturating_sub(3));
        }
        let recovered = Recovered::replay(&id, records).expect("the log is whole");
        // The epoch is what the log says, also where a planted fault hides its end.
        let epoch = Epoch(recovered.next_epoch().0.max(life));
        let unfinished = recovered.unfinished().len();
        let record = Record::EpochStarted {
            epoch,
            instance_id: life.to_string(),
            time: Timestamp(self.now),
        };
        self.disk.append(None, &record);
        let (_, durable) = self.disk.force(self.fault);
        for record in &durable {
            self.ledger.stored(record)?;
        }
        let is_stale = self.newest.is_some();
        let on = if is_stale { " on an old copy" } else { "" };
        self.log(format!("epoch {epoch} starts{on}, {unfinished} unfinished"));
        if unfinished > 0 {
            self.count("unfinished decisions recovered");
        }
        let names: Vec<ParticipantName> = self.stores.keys().cloned().collect();
        let core = Coordinator::new(
            self.settings.clone(),
            id,
            epoch,
            names.clone(),
            recovered,
            Timestamp(self.now),
        );
        self.process = Some(Process {
            core,
            life,
            epoch,
            is_stale,
            calls: BTreeSet::new(),
            last_call: 0,
            up: BTreeSet::new(),
            requests: BTreeMap::new(),
            settling: BTreeSet::new(),
            tick_at: 0,
        });
        for store in names {
            self.after(1, 300, Item::Connect(life, store));
        }
        self.tell(vec![Event::Tick])
    }

    /// Now and then the process is started on an old copy of the log, once.
    fn choose_log(&mut self) {
        if let Some(newest) = self.newest.take() {
            self.disk = newest;
            return;
        }
        if self.is_healed() {
            return;
        }
        let Some(copy) = self.copy.take() else {
            return;
        };
        // Only what a store has committed and remembers gives an old copy away.
        let gives_away = self.stores.values().any(|store| {
            let known = store.newest_committed();
            known.iter().any(|id| !copy.explains(id))
        });
        if gives_away {
            self.count("starts on an old log");
            self.newest = Some(std::mem::replace(&mut self.disk, copy));
        }
    }

    pub(crate) fn crash_process(&mut self) -> Checked {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        self.count("coordinator crashes");
        self.log("the coordinator dies".into());
        if process.is_stale {
            self.burnt.insert(process.epoch);
        }
        let durable = self.disk.crash(&mut self.rng, self.fault);
        for record in &durable {
            self.stored(record)?;
        }
        for (purchase, tries) in process.requests.into_values() {
            self.come_again(purchase, tries);
        }
        self.after(10, 400, Item::StartProcess);
        Ok(())
    }

    fn halted(&mut self, reason: &str) -> Checked {
        let process = self.process.as_ref();
        let expected = process.is_some_and(|p| p.is_stale || self.burnt.contains(&p.epoch));
        check("invariant_newest_log_is_never_refused", expected, reason)?;
        self.count("old logs refused");
        self.crash_process()
    }
}
