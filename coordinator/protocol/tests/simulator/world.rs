//! One seed's world: the real core and its log's records, stores that crash, a network that loses,
//! repeats and delays, clients that come again, a person who settles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tandem_protocol::{
    Action, BranchProgress, Coordinator, CoordinatorId, Ending, Epoch, Event, Item as Line,
    ParticipantName, Purchase, Record, Recovered, Reply, RequestId, Settings, Settlement,
    Timestamp, TransactionState, WaitFor,
};

use crate::disk::Disk;
use crate::invariants::{Checked, Ledger, Violation, check};
use crate::network::{Answer, Request};
use crate::notation::{action_text, event_text, name};
use crate::participant::{Effect, Kind, Rows, Stock, Store};
use crate::rng::Rng;

/// From here on nothing fails any more, in virtual milliseconds.
const HEAL_MS: u64 = 12_000;

/// Everything has ended this long after, or never will.
const REST_MS: u64 = 120_000;

/// Late copies of messages arrive within this time.
pub(crate) const LATE_MS: u64 = 3_000;

const SWEEP_MS: u64 = 1_000;
const LAZY_FORCE_MS: u64 = 1_000;

/// Something that is planted in the world to see that an invariant notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    CommitsGoOutBeforeTheyAreStored,
    ForceIsDropped,
    LastRecordsAreNotReplayed,
    RepeatedCommitDeductsAgain,
    SweepRollsBackWhatLives,
    ReleaseGoesTooFar,
    StaleLogIsBelieved,
    HeldUnitsAreSoldAgain,
    RepliesAreLost,
}

pub(crate) struct Outcome {
    pub(crate) trace: Vec<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) violation: Option<Violation>,
}

pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    agenda: BTreeMap<(u64, u64), Item>,
    agenda_next: u64,
    settings: Settings,
    pub(crate) stores: BTreeMap<ParticipantName, Store>,
    disk: Disk,
    /// The newest log while the process runs on an old copy of it.
    newest: Option<Disk>,
    copy: Option<Disk>,
    /// Epochs that a process on an old copy has used up at the stores.
    burnt: BTreeSet<Epoch>,
    pub(crate) process: Option<Process>,
    lives: u64,
    next_request: RequestId,
    purchases: Vec<Arc<Purchase>>,
    pub(crate) ledger: Ledger,
    trace: Vec<String>,
    counts: BTreeMap<&'static str, u64>,
    pub(crate) fault: Fault,
}

/// A coordinator's process.
pub(crate) struct Process {
    core: Coordinator,
    pub(crate) life: u64,
    pub(crate) epoch: Epoch,
    is_stale: bool,
    /// Calls whose answer is still waited for.
    pub(crate) calls: BTreeSet<u64>,
    pub(crate) last_call: u64,
    up: BTreeSet<ParticipantName>,
    requests: BTreeMap<RequestId, (Arc<Purchase>, u32)>,
    settling: BTreeSet<RequestId>,
    tick_at: u64,
}

/// Something that happens at a time.
pub(crate) enum Item {
    Submit(Arc<Purchase>, u32),
    /// A request arrives at a store.
    Arrive {
        life: u64,
        epoch: Epoch,
        call: u64,
        to: ParticipantName,
        request: Request,
        is_answered: bool,
    },
    /// Its answer arrives at the process that asked.
    Answer {
        life: u64,
        call: u64,
        answer: Answer,
    },
    Connect(u64, ParticipantName),
    Sweep(u64, ParticipantName),
    Force(u64),
    Tick(u64, u64),
    CrashProcess,
    StartProcess,
    CrashStore(ParticipantName),
    RestartStore(ParticipantName),
    CopyLog,
    Restock,
    AppTakesUnits,
    Operator,
    BranchIsRolledBackByHand,
    LastRound,
}

/// Plays a seed to its end, or to the first violation.
pub(crate) fn play(seed: u64, fault: Fault) -> Outcome {
    let mut world = World::new(seed, fault);
    let violation = world.run().err();
    if let Some(violation) = &violation {
        world.log(format!("{}: {}", violation.invariant, violation.detail));
    }
    Outcome {
        trace: world.trace,
        counts: world.counts,
        violation,
    }
}

impl World {
    fn new(seed: u64, fault: Fault) -> World {
        let mut rng = Rng::new(seed);
        let remembers_all = rng.per_mille(500);
        let settings = Settings {
            queue_purchases_max: 12,
            transaction_purchases_max: *rng.pick(&[1, 3, 8]),
            transaction_bytes_max: 2_000,
            pipeline_transactions_max: *rng.pick(&[1, 2, 4]),
            unfinished_transactions_max: *rng.pick(&[4, 20]),
            prepare_timeout: Duration::from_millis(250),
            unavailable_grace: Duration::from_millis(200),
            retry_base: Duration::from_millis(10),
            retry_cap: Duration::from_millis(400),
            retries_in_flight_max: *rng.pick(&[1, 3]),
            retention_age: Duration::from_millis(if remembers_all { 3_600_000 } else { 1_500 }),
            retention_purchases_max: if remembers_all { 10_000 } else { 6 },
        };
        let mut ledger = Ledger::new(remembers_all);
        let mut stock = Stock::default();
        for (sku, units) in [("tea", 100), ("mug", 40), ("pot", 3)] {
            stock.values.insert(sku.into(), units);
            ledger.shelve(sku, units);
        }
        let rows = |banned| {
            let rows = BTreeMap::new();
            Kind::Rows(Rows { rows, banned })
        };
        let mut kinds = vec![
            ("redis", Kind::Stock(stock)),
            ("mysql", rows("banned-by-mysql")),
        ];
        if rng.per_mille(300) {
            // Two whose branches are all or nothing.
            kinds.push(("ledger", rows("banned-by-ledger")));
        }
        let stores = kinds
            .into_iter()
            .map(|(text, kind)| (name(text), Store::new(name(text), kind, fault)))
            .collect();
        let mut world = World {
            rng,
            now: 0,
            agenda: BTreeMap::new(),
            agenda_next: 0,
            settings,
            stores,
            disk: Disk::default(),
            newest: None,
            copy: None,
            burnt: BTreeSet::new(),
            process: None,
            lives: 0,
            next_request: 0,
            purchases: Vec::new(),
            ledger,
            trace: Vec::new(),
            counts: BTreeMap::new(),
            fault,
        };
        world.plan();
        world
    }

    /// Puts on the agenda what comes from outside.
    fn plan(&mut self) {
        self.at(0, Item::StartProcess);
        for number in 0..self.rng.within(20, 80) {
            let purchase = self.purchase(number);
            self.purchases.push(purchase.clone());
            let time = self.rng.within(0, HEAL_MS - 1_000);
            // Many come in bursts.
            let time = if self.rng.per_mille(600) {
                time / 2_000 * 2_000
            } else {
                time
            };
            self.at(time, Item::Submit(purchase, 6));
        }
        let names: Vec<ParticipantName> = self.stores.keys().cloned().collect();
        for store in names {
            for _ in 0..self.rng.within(0, 3) {
                let time = self.rng.within(0, HEAL_MS - 100);
                self.at(time, Item::CrashStore(store.clone()));
            }
        }
        for _ in 0..self.rng.within(0, 4) {
            let time = self.rng.within(0, HEAL_MS - 100);
            self.at(time, Item::CrashProcess);
        }
        for item in [
            Item::Restock,
            Item::AppTakesUnits,
            Item::AppTakesUnits,
            Item::CopyLog,
            Item::CopyLog,
            Item::BranchIsRolledBackByHand,
        ] {
            if self.rng.per_mille(600) {
                let time = self.rng.within(500, HEAL_MS - 100);
                self.at(time, item);
            }
        }
        self.at(500, Item::Operator);
        self.at(HEAL_MS + LATE_MS + 2_000, Item::LastRound);
    }

    fn purchase(&mut self, number: u64) -> Arc<Purchase> {
        let mut items = Vec::new();
        for (sku, chance) in [("tea", 700), ("mug", 400), ("pot", 150)] {
            if self.rng.per_mille(chance) {
                items.push(self.line(sku));
            }
        }
        if items.is_empty() {
            let sku = *self.rng.pick(&["tea", "ghost"]);
            items.push(self.line(sku));
        }
        let customers = [
            "ann",
            "bob",
            "cem",
            "dia",
            "banned-by-mysql",
            "banned-by-ledger",
        ];
        Arc::new(Purchase {
            purchase_id: format!("p-{number}"),
            customer_id: (*self.rng.pick(&customers)).into(),
            currency: "EUR".into(),
            items,
        })
    }

    fn line(&mut self, sku: &str) -> Line {
        Line {
            sku: sku.into(),
            quantity: u32::try_from(self.rng.within(1, 3)).expect("small"),
            unit_price_minor: 100,
        }
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.now >= HEAL_MS
    }

    pub(crate) fn at(&mut self, time: u64, item: Item) {
        self.agenda_next += 1;
        self.agenda.insert((time, self.agenda_next), item);
    }

    pub(crate) fn after(&mut self, low: u64, high: u64, item: Item) {
        let pause = self.rng.within(low, high);
        self.at(self.now + pause, item);
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_insert(0) += 1;
    }

    pub(crate) fn log(&mut self, line: String) {
        self.trace.push(format!("{:>6} {line}", self.now));
    }

    fn run(&mut self) -> Checked {
        let last_round = HEAL_MS + LATE_MS + 2_000;
        while let Some(((time, _), item)) = self.agenda.pop_first() {
            self.now = time;
            self.happen(item)?;
            let at_rest = self.now > last_round + LATE_MS
                && self.process.as_ref().is_some_and(|p| p.core.is_quiet());
            if at_rest {
                return self.at_rest();
            }
            let late = self.now > HEAL_MS + REST_MS;
            check("invariant_everything_ends", !late, self.unfinished())?;
        }
        check(
            "invariant_everything_ends",
            false,
            "nothing is on the agenda",
        )
    }

    fn unfinished(&self) -> String {
        let Some(process) = &self.process else {
            return "no process runs".into();
        };
        let unfinished: Vec<_> = process.core.unfinished().collect();
        format!(
            "queued {}, unfinished {unfinished:?}",
            process.core.queued()
        )
    }

    fn happen(&mut self, item: Item) -> Checked {
        match item {
            Item::Submit(purchase, tries) => self.submit(purchase, tries)?,
            Item::Arrive {
                life,
                epoch,
                call,
                to,
                request,
                is_answered,
            } => self.arrive(life, epoch, call, &to, request, is_answered)?,
            Item::Answer { life, call, answer } => self.answered(life, call, answer)?,
            Item::Connect(life, store) => {
                if self.lives(life) {
                    self.send(&store, Request::Connect);
                }
            }
            Item::Sweep(life, store) => {
                if self.is_connected(life, &store) {
                    self.send(&store, Request::List);
                }
            }
            Item::Force(life) => {
                if self.lives(life) {
                    self.force()?;
                }
            }
            Item::Tick(life, time) => {
                if self.lives(life) && self.process.as_ref().is_some_and(|p| p.tick_at == time) {
                    self.tell(vec![Event::Tick])?;
                }
            }
            Item::CrashProcess => self.crash_process()?,
            Item::StartProcess => self.start_process()?,
            Item::CrashStore(store) => self.crash_store(&store),
            Item::RestartStore(store) => self.restart_store(&store),
            Item::CopyLog => {
                if self.newest.is_none() {
                    let copy = self.copy.insert(self.disk.clone());
                    let copied = copy.len();
                    self.log(format!("the log is copied at {copied} records"));
                }
            }
            Item::Restock => self.restock(),
            Item::AppTakesUnits => self.app_takes_units(),
            Item::Operator => self.operator()?,
            Item::BranchIsRolledBackByHand => self.roll_back_by_hand(),
            Item::LastRound => {
                self.log("every purchase is submitted once more".into());
                for purchase in self.purchases.clone() {
                    self.after(0, 400, Item::Submit(purchase, 20));
                }
            }
        }
        Ok(())
    }

    fn lives(&self, life: u64) -> bool {
        self.process.as_ref().is_some_and(|p| p.life == life)
    }

    fn is_connected(&self, life: u64, store: &ParticipantName) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|p| p.life == life && p.up.contains(store))
    }

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

    fn noted(&mut self, note: &tandem_protocol::Note) {
        use tandem_protocol::Note;
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

    fn force(&mut self) -> Checked {
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

    fn start_process(&mut self) -> Checked {
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
        let unfinished = recovered.unfinished();
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

    fn crash_process(&mut self) -> Checked {
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

    fn crash_store(&mut self, store: &ParticipantName) {
        let Some(found) = self.stores.get_mut(store) else {
            return;
        };
        if !found.is_up {
            return;
        }
        found.is_up = false;
        let what = match found.kind {
            Kind::Stock(_) => "stock store crashes",
            Kind::Rows(_) => "row store crashes",
        };
        self.count(what);
        self.log(format!("{store} dies"));
        let back = (self.now + self.rng.within(20, 1_500)).min(HEAL_MS);
        self.at(back, Item::RestartStore(store.clone()));
    }

    fn restart_store(&mut self, store: &ParticipantName) {
        let forgets = self.rng.per_mille(300);
        let Some(found) = self.stores.get_mut(store) else {
            return;
        };
        let forgets = forgets && matches!(found.kind, Kind::Stock(_));
        found.restart(forgets);
        let how = if forgets { " without its holds" } else { "" };
        self.log(format!("{store} is back{how}"));
    }

    fn restock(&mut self) {
        for store in self.stores.values_mut() {
            if let Kind::Stock(stock) = &mut store.kind {
                *stock.values.entry("mug".into()).or_insert(0) += 10;
            }
        }
        self.ledger.shelve("mug", 10);
    }

    /// The app sells units without asking, also such as are held.
    fn app_takes_units(&mut self) {
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

    fn roll_back_by_hand(&mut self) {
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
    fn operator(&mut self) -> Checked {
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

    fn submit(&mut self, purchase: Arc<Purchase>, tries: u32) -> Checked {
        if self.process.is_none() {
            self.after(50, 300, Item::Submit(purchase, tries));
            return Ok(());
        }
        self.next_request += 1;
        let request = self.next_request;
        let wait_for = if self.rng.per_mille(500) {
            WaitFor::Applied
        } else {
            WaitFor::Decided
        };
        let patience = if self.is_healed() {
            5_000
        } else {
            *self.rng.pick(&[0, 20, 100, 1_000, 5_000])
        };
        if let Some(process) = &mut self.process {
            let asked = (purchase.clone(), tries);
            process.requests.insert(request, asked);
        }
        self.tell(vec![Event::Submitted {
            request,
            purchase,
            wait_for,
            deadline: Timestamp(self.now + patience),
        }])
    }

    fn come_again(&mut self, purchase: Arc<Purchase>, tries: u32) {
        if tries > 0 {
            self.after(20, 1_000, Item::Submit(purchase, tries - 1));
        }
    }

    fn replied(&mut self, request: RequestId, reply: &Reply) -> Checked {
        if self.fault == Fault::RepliesAreLost && self.rng.per_mille(20) {
            return Ok(());
        }
        let asked = self
            .process
            .as_mut()
            .and_then(|p| p.requests.remove(&request));
        let Some((purchase, tries)) = asked else {
            let detail = format!("call {request} is answered again or was never made");
            return check("invariant_every_call_is_answered_once", false, detail);
        };
        let is_stale = self.newest.is_some();
        if !is_stale || matches!(reply, Reply::Committed { .. }) {
            self.ledger.replied(&purchase, reply)?;
        }
        let what = match reply {
            Reply::Committed { applied: true, .. } => "replies committed, applied",
            Reply::Committed { .. } => "replies committed, not applied yet",
            Reply::Refused { refusal, .. } if refusal.reason.is_final() => "replies refused",
            Reply::Refused { .. } => "replies refused for now",
            Reply::Reused => "replies reused",
            Reply::Unavailable { .. } => "replies unavailable",
            Reply::QueueFull { .. } => "replies queue full",
            Reply::ShuttingDown => "replies shutting down",
            Reply::OutcomeUnknown => "replies outcome unknown",
            Reply::OutcomeCommitted { .. } => "replies outcome committed",
        };
        self.count(what);
        match reply {
            Reply::Committed { .. } | Reply::Refused { .. } | Reply::Reused => {
                if self.is_healed() {
                    return Ok(());
                }
                if self.rng.per_mille(300) {
                    self.come_again(purchase, tries);
                } else if self.rng.per_mille(100) {
                    let mut other = (*purchase).clone();
                    other.customer_id.push_str("-too");
                    self.come_again(Arc::new(other), tries);
                }
            }
            Reply::Unavailable { .. }
            | Reply::QueueFull { .. }
            | Reply::ShuttingDown
            | Reply::OutcomeUnknown
            | Reply::OutcomeCommitted { .. } => self.come_again(purchase, tries),
        }
        Ok(())
    }

    fn at_rest(&mut self) -> Checked {
        self.log("at rest".into());
        self.ledger.at_rest(self.stores.values())?;
        let Some(process) = &self.process else {
            return Ok(());
        };
        let waiting: Vec<_> = process.requests.keys().chain(&process.settling).collect();
        let detail = format!("calls {waiting:?} have no answer");
        check(
            "invariant_every_call_is_answered_once",
            waiting.is_empty(),
            detail,
        )?;
        let names = self.stores.keys();
        let waits: usize = names
            .filter_map(|store| process.core.participant(store))
            .map(|(_, waiting)| waiting)
            .sum();
        let detail = self.unfinished();
        check("invariant_everything_ends", waits == 0, detail)?;
        self.check_restart()
    }

    /// What a restart would read is what was decided, ended, and nothing else.
    fn check_restart(&mut self) -> Checked {
        let (_, durable) = self.disk.force(self.fault);
        for record in &durable {
            self.ledger.stored(record)?;
        }
        let id: CoordinatorId = "shop".parse().expect("well formed");
        let recovered = Recovered::replay(&id, self.disk.records()).expect("the log is whole");
        let detail = format!("{} unfinished after a restart", recovered.unfinished());
        check(
            "invariant_everything_ends",
            recovered.unfinished() == 0,
            detail,
        )
    }
}
