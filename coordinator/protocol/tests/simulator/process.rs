//! The coordinator's process: the shell around the core, its log, its starts and deaths.

use std::collections::{BTreeMap, BTreeSet};

use tandem_protocol::{
    Action, Coordinator, CoordinatorId, Event, Note, ParticipantName, Record, Recovered, Timestamp,
};

use crate::invariants::{Checked, check};
use crate::network::Request;
use crate::notation::{action_text, event_text};
use crate::participant::LOG_ID;
use crate::plan::{Planted, Shell, Trouble};
use crate::tampered::{Tampered, Tampering};
use crate::world::{Item, Process, World};

const SWEEP_MS: u64 = 1_000;
const LAZY_FORCE_MS: u64 = 1_000;

impl World {
    /// The link to a store as the daemon keeps it: up, and swept from time to time.
    pub(crate) fn came_up(
        &mut self,
        store: &ParticipantName,
        events: Vec<Event>,
        changes: u64,
    ) -> Checked {
        self.enlisted(store, &events, changes);
        if let Some(process) = &mut self.process {
            process.up.insert(store.clone());
            *process.enlistments.entry(store.clone()).or_insert(0) += 1;
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
                match self.has(Planted::Shell(Shell::LinkStaysDown)) {
                    true => self.after(3_000, 5_000, connect),
                    false => self.after(10, 200, connect),
                }
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
            self.log(|| format!("> {}", event_text(event)));
            self.ledger.heard(event);
            self.wanted.heard(event);
        }
        let now = Timestamp(self.now);
        let Some(process) = &mut self.process else {
            return Ok(());
        };
        let actions = process.core.handle_all(now, events);
        let next = process.core.next_deadline();
        let apart = process.core.queued_apart();
        let apart = apart.map(|purchase| purchase.purchase_id.clone());
        let apart: Vec<String> = apart.collect();
        let life = process.life;
        if process.tick_at != next.0 {
            process.tick_at = next.0;
            self.at(next.0, Item::Tick(life, next.0));
        }
        if !apart.is_empty() {
            self.count("purchases that waited apart");
            self.wait_apart(&apart);
        }
        check(
            "invariant_deadline_is_ahead",
            next > now,
            format!("the next deadline is {next:?}, now is {now:?}"),
        )?;
        for action in actions {
            self.log(|| format!("< {}", action_text(&action)));
            self.ledger.wanted(&action)?;
            self.wanted.invariant_refusal_was_true(&action)?;
            self.check_forgetting(&action)?;
            self.carry_out(action)?;
            if self.chance(Trouble::CoordinatorCrashes, 2) {
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
                self.disk.append(Some(ticket), &record);
                if forced {
                    self.after(1, 8, Item::Force(life));
                } else {
                    self.at(self.now + LAZY_FORCE_MS, Item::Force(life));
                }
            }
            Action::Enlist { participant } => {
                let told = self.acknowledged(&participant);
                self.send(&participant, Request::Connect(told));
            }
            Action::Prepare {
                participant,
                transaction,
                entries,
                ..
            } => {
                let told = self.acknowledged(&participant);
                self.send(&participant, Request::Prepare(transaction, entries, told));
            }
            Action::Commit {
                participant,
                transaction,
                entries,
                ..
            } => self.send(&participant, Request::Commit(transaction, entries)),
            Action::Repair {
                participant,
                transaction,
                entries,
                ..
            } => self.send(&participant, Request::Repair(transaction, entries)),
            Action::RollBack {
                participant,
                transaction,
            } => self.send(&participant, Request::RollBack(transaction)),
            Action::Forget {
                participant,
                before,
                except,
                closed,
            } => {
                self.let_go(&participant, &before);
                if closed.is_some() {
                    self.count("transactions closed");
                }
                let forget = Request::Forget(before, except, closed);
                self.send_behind_telling(&participant, forget);
            }
            Action::Recall {
                participant,
                page,
                transactions,
            } => self.send(&participant, Request::Recall(page, transactions)),
            Action::ReadDecision {
                transaction,
                position,
            } => self.read_decision(life, transaction, position),
            Action::Reply { request, reply } => self.replied(request, &reply)?,
            Action::ReplySettled { request, .. } => {
                let was_asked = self
                    .process
                    .as_mut()
                    .is_some_and(|p| p.settling.remove(&request));
                let detail = format!("settlement {request}");
                check("invariant_every_call_is_answered_once", was_asked, detail)?;
            }
            Action::ReplyRepaired { request, .. } => {
                let was_asked = self
                    .process
                    .as_mut()
                    .is_some_and(|p| p.settling.remove(&request));
                let detail = format!("repair {request}");
                check("invariant_every_call_is_answered_once", was_asked, detail)?;
            }
            Action::Release { before } => {
                self.disk.release(before);
                self.count("records released");
            }
            Action::Halt { reason } => self.halted(&reason)?,
            Action::Note(note) => self.noted(&note),
        }
        Ok(())
    }

    fn noted(&mut self, note: &Note) {
        if let Note::Decided {
            committed, refused, ..
        } = note
        {
            *self.counts.entry("purchases committed").or_default() += committed.len() as u64;
            *self.counts.entry("purchases refused").or_default() += refused.len() as u64;
        }
        if let Note::Remembers {
            redone,
            still_there,
            ..
        } = note
        {
            *self.counts.entry("ended transactions redone").or_default() += redone;
            *self
                .counts
                .entry("ended transactions still there")
                .or_default() += still_there;
        }
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
            Note::Forgot { .. } => "stores that forgot",
            Note::Unchecked { .. } => "losses that can't be checked",
            Note::Unreadable { .. } => "decisions that can't be read",
            Note::Remembers { .. } => "stores that remember again",
            Note::FoundCommitted { .. } => "committed branches found prepared",
            Note::FoundSettled { .. } => "settled branches found prepared",
            Note::FoundUndecided { .. } => "branches rolled back by a sweep",
            Note::RepairOrdered { .. } => "repairs ordered",
            Note::Repaired { .. } => "branches repaired",
            Note::Settled { .. } => "branches settled",
        };
        self.count(what);
    }

    pub(crate) fn force(&mut self) -> Checked {
        let fails = self.chance(Trouble::DiskFaults, 2);
        let is_full = self.now < self.disk_full_until;
        if fails || is_full {
            // Nobody knows what is on the disk now: the process ends and the start finds out.
            self.count(if is_full {
                "forces on a full disk"
            } else {
                "forces failed"
            });
            self.log(|| "a force fails".into());
            return self.crash_process();
        }
        let (events, durable) = self.disk.force();
        for record in &durable {
            self.stored(record)?;
        }
        if events.is_empty() {
            return Ok(());
        }
        self.tell(events)
    }

    fn stored(&mut self, record: &Record) -> Checked {
        match record {
            Record::Forgotten { .. } => self.count("forgotten"),
            Record::Totals(_) => self.count("totals written again"),
            Record::Settled { .. } => self.count("settlements stored"),
            _ => {}
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
        if self.now < self.disk_full_until {
            self.count("starts on a full disk");
            self.after(50, 500, Item::StartProcess);
            return Ok(());
        }
        self.lives += 1;
        let life = self.lives;
        self.choose_log();
        let id: CoordinatorId = "shop".parse().expect("well formed");
        if self.disk.open() {
            self.count("torn records dropped");
        }
        let mut records: Vec<_> = self.disk.records().collect();
        if self.has(Planted::Shell(Shell::LastRecordsAreNotReplayed)) {
            records.truncate(records.len().saturating_sub(3));
        }
        let recovered = match Recovered::replay(&id, records) {
            Ok(recovered) => recovered,
            Err(error) => return check("invariant_log_is_readable", false, error.to_string()),
        };
        if let Some(stale) = self.look_first(&recovered) {
            return self.refused_at_its_start(&stale);
        }
        // The epoch is what the log says, also where a planted mistake hides its end.
        let epoch = self.disk.next_epoch();
        let unfinished = recovered.unfinished().len();
        let record = Record::EpochStarted {
            epoch,
            instance_id: life.to_string(),
            time: Timestamp(self.now),
        };
        self.disk.append(None, &record);
        let (_, durable) = self.disk.force();
        for record in &durable {
            self.ledger.stored(record)?;
        }
        let is_stale = self.newest.is_some();
        let on = if is_stale { " on an old copy" } else { "" };
        self.log(|| format!("epoch {epoch} starts{on}, {unfinished} unfinished"));
        if unfinished > 0 {
            self.count("unfinished decisions recovered");
        }
        self.ledger.restarted();
        self.wanted.restarted();
        self.availability.process_started(self.now);
        let names: Vec<ParticipantName> = self.stores.keys().cloned().collect();
        let core = Coordinator::new(
            self.settings.clone(),
            id,
            epoch,
            names.clone(),
            recovered,
            Timestamp(self.now),
        );
        let tampering = match self.plan.planted {
            Planted::Core(tampering) => Some(tampering),
            Planted::Nothing | Planted::Shell(_) | Planted::Store(_) => None,
        };
        self.process = Some(Process {
            core: Tampered::new(core, tampering),
            life,
            epoch,
            is_stale,
            calls: BTreeSet::new(),
            telling: BTreeSet::new(),
            last_call: 0,
            up: BTreeSet::new(),
            enlistments: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            let_go: BTreeMap::new(),
            asked_in: BTreeMap::new(),
            requests: BTreeMap::new(),
            settling: BTreeSet::new(),
            tick_at: 0,
        });
        for store in names {
            self.after(1, 300, Item::Connect(life, store));
        }
        self.tell(vec![Event::Tick])
    }

    /// What a start asks the stores that answer soon, before it writes anything.
    fn look_first(&mut self, recovered: &Recovered) -> Option<String> {
        if self.has(Planted::Core(Tampering::StaleLogIsBelieved)) {
            return None;
        }
        let names: Vec<ParticipantName> = self.stores.keys().cloned().collect();
        for name in names {
            let is_late = self.chance(Trouble::Delays, 300);
            let Some(store) = self.stores.get(&name).filter(|s| s.is_up && !is_late) else {
                continue;
            };
            let (known, newest) = store.look();
            if let Some(stale) = recovered.contradiction(LOG_ID, &name, known.as_ref(), &newest) {
                return Some(stale.to_string());
            }
        }
        None
    }

    /// A start has ended before it wrote anything.
    fn refused_at_its_start(&mut self, reason: &str) -> Checked {
        self.count("starts refused before anything was written");
        self.log(|| format!("the start is refused: {reason}"));
        if self.newest.is_none() {
            let is_by_hand = self.is_anything_by_hand();
            let is_burnt = self.forget_burnt_epochs();
            let is_explained = is_by_hand || is_burnt;
            check(
                "invariant_newest_log_is_never_refused",
                is_explained,
                reason,
            )?;
            self.undo_by_hand();
        }
        self.after(10, 400, Item::StartProcess);
        Ok(())
    }

    /// Somebody who knows that this is the newest log makes stores forget the epoch that a start on an
    /// old copy has left there: none that knew better could be asked then.
    fn forget_burnt_epochs(&mut self) -> bool {
        let mut any = false;
        for store in self.stores.values_mut() {
            if store
                .epoch()
                .is_some_and(|epoch| self.burnt.contains(&epoch))
            {
                store.forget_coordinator();
                any = true;
            }
        }
        if any {
            self.count("epochs of old copies forgotten by hand");
        }
        any
    }

    /// Now and then the process is started on an old copy of the log, once.
    fn choose_log(&mut self) {
        if let Some(newest) = self.newest.take() {
            self.disk = newest;
            return;
        }
        let Some(copy) = &self.copy else {
            return;
        };
        // The worst moment: what one store has carried out and the copy does not know is still
        // prepared at another.
        let in_doubt: Vec<_> = self
            .stores
            .values()
            .flat_map(|s| s.prepared.keys())
            .collect();
        let known_better: Vec<ParticipantName> = self
            .stores
            .values()
            .filter(|store| {
                let mut known = store.newest_committed().into_iter();
                known.any(|id| in_doubt.contains(&&id) && !copy.explains(&id))
            })
            .map(|store| store.name.clone())
            .collect();
        let per_mille = if known_better.is_empty() { 300 } else { 900 };
        if !self.chance(Trouble::OldLogs, per_mille) {
            return;
        }
        let Some(copy) = self.copy.take() else {
            return;
        };
        // Only a later epoch at a store, or what a store has committed and remembers, gives an old
        // copy away.
        let (next, newest_next) = (copy.next_epoch(), self.disk.next_epoch());
        let gives_away = self.stores.values().any(|store| {
            let known = store.newest_committed();
            let mut known = known.iter().filter(|id| !store.by_hand.contains(id));
            store.epoch() >= Some(next) || known.any(|id| !copy.explains(id))
        });
        if gives_away {
            self.count(if next < newest_next {
                "starts on a log of an earlier epoch"
            } else {
                "starts on a log from within the last epoch"
            });
            self.newest = Some(std::mem::replace(&mut self.disk, copy));
            for store in known_better {
                // Who knows better may be down when the others are asked.
                if self.chance(Trouble::StoreCrashes, 500) {
                    self.crash_store(&store);
                }
            }
        }
    }

    pub(crate) fn crash_process(&mut self) -> Checked {
        let Some(process) = self.process.take() else {
            return Ok(());
        };
        self.availability.process_died(self.now);
        self.count("coordinator crashes");
        self.log(|| "the coordinator dies".into());
        if process.is_stale {
            self.burnt.insert(process.epoch);
        }
        let tears = self.chance(Trouble::DiskFaults, 500);
        let durable = self.disk.crash(&mut self.rng, tears);
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
        let is_stale = process.is_some_and(|p| p.is_stale || self.burnt.contains(&p.epoch));
        let is_by_hand = !is_stale && self.is_anything_by_hand();
        check(
            "invariant_newest_log_is_never_refused",
            is_stale || is_by_hand,
            reason,
        )?;
        if is_by_hand {
            self.count("starts refused for a commit by hand");
            self.crash_process()?;
            self.undo_by_hand();
            return Ok(());
        }
        self.count("old logs refused");
        self.crash_process()
    }
}
