//! One seed's world: the real core and its log's records, stores that crash, a network that loses,
//! repeats and delays, clients that come again, people at the stores.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tandem_protocol::{
    Coordinator, CoordinatorId, Decision, Entry, Epoch, Event, ParticipantName, Purchase,
    Recovered, RequestId, Settings, Timestamp, TransactionId,
};

use crate::availability::{Availability, SCARCE};
use crate::disk::Disk;
use crate::invariants::{Checked, Ledger, Violation, check};
use crate::locks::Lock;
use crate::loss::Copy;
use crate::network::{Answer, HalfOpen, Request};
use crate::notation::name;
use crate::participant::{Acknowledged, Kind, Rows, Stock, Store};
use crate::plan::{Plan, Planted, Trouble, Weather};
use crate::refusals::Wanted;
use crate::rng::Rng;
use crate::tampered::Tampered;
use crate::totals::invariant_totals_are_what_was_decided;

/// From here on nothing fails any more, in virtual milliseconds.
pub(crate) const HEAL_MS: u64 = 20_000;

/// Everything has ended this long after, or never will.
const REST_MS: u64 = 400_000;

/// Late copies of messages arrive within this time.
pub(crate) const LATE_MS: u64 = 3_000;

pub(crate) struct Outcome {
    pub(crate) trace: Vec<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    /// Purchases that clients wanted.
    pub(crate) purchases: u64,
    /// Things that happened.
    pub(crate) events: u64,
    pub(crate) violation: Option<Violation>,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) rng: Rng,
    pub(crate) now: u64,
    events: u64,
    pub(crate) agenda: BTreeMap<(u64, u64), Item>,
    agenda_next: u64,
    pub(crate) settings: Settings,
    pub(crate) stores: BTreeMap<ParticipantName, Store>,
    pub(crate) half_open: BTreeMap<ParticipantName, HalfOpen>,
    /// When the last message that is on its way arrives.
    pub(crate) last_late: u64,
    pub(crate) disk: Disk,
    pub(crate) disk_full_until: u64,
    /// The newest log while the process runs on an old copy of it.
    pub(crate) newest: Option<Disk>,
    pub(crate) copy: Option<Disk>,
    /// Copies of stores, and the stock store as it was at first.
    pub(crate) store_copies: BTreeMap<ParticipantName, Copy>,
    pub(crate) first: Option<Copy>,
    /// What the operator carried out by hand, and settled.
    pub(crate) by_hand: Vec<(ParticipantName, TransactionId, Vec<Entry>)>,
    /// What somebody had committed by hand, and was taken back.
    pub(crate) undone: BTreeSet<(ParticipantName, TransactionId)>,
    /// Whether the log forgets nothing within the run.
    pub(crate) remembers_all: bool,
    /// Epochs that a process on an old copy has used up at the stores.
    pub(crate) burnt: BTreeSet<Epoch>,
    pub(crate) process: Option<Process>,
    pub(crate) lives: u64,
    pub(crate) next_request: RequestId,
    pub(crate) purchases: Vec<Arc<Purchase>>,
    pub(crate) ledger: Ledger,
    pub(crate) wanted: Wanted,
    /// Rows that others' sessions hold, or have held.
    pub(crate) locks: Vec<Lock>,
    /// Draws which rows are locked when, so that a run without locks is the same one otherwise.
    pub(crate) lock_rng: Rng,
    /// When the last wait for one ends.
    pub(crate) lock_wait_until: u64,
    pub(crate) availability: Availability,
    trace: Option<Vec<String>>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
}

/// A coordinator's process.
pub(crate) struct Process {
    pub(crate) core: Tampered,
    pub(crate) life: u64,
    pub(crate) epoch: Epoch,
    pub(crate) is_stale: bool,
    /// Calls whose answer is still waited for.
    pub(crate) calls: BTreeSet<u64>,
    /// Those of them that have told what the store must know.
    pub(crate) telling: BTreeSet<u64>,
    pub(crate) last_call: u64,
    pub(crate) up: BTreeSet<ParticipantName>,
    /// How often each store was enlisted, and how often it had been when each call was made.
    pub(crate) enlistments: BTreeMap<ParticipantName, u64>,
    /// What each store must know.
    pub(crate) acknowledged: BTreeMap<ParticipantName, Acknowledged>,
    /// Before what each store may have forgotten.
    pub(crate) let_go: BTreeMap<ParticipantName, TransactionId>,
    pub(crate) asked_in: BTreeMap<u64, u64>,
    pub(crate) requests: BTreeMap<RequestId, (Arc<Purchase>, u32)>,
    pub(crate) settling: BTreeSet<RequestId>,
    pub(crate) tick_at: u64,
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
    /// A request is sent once no call is under way up to a number that has told what the store must know.
    SendBehind {
        life: u64,
        behind: u64,
        to: ParticipantName,
        request: Request,
    },
    Connect(u64, ParticipantName),
    Sweep(u64, ParticipantName),
    Force(u64),
    Tick(u64, u64),
    CrashProcess,
    StartProcess,
    CrashStore(ParticipantName),
    RestartStore(ParticipantName),
    OpenHalf(ParticipantName),
    LockRow(ParticipantName),
    DiskFull,
    CopyLog,
    CopyStore(ParticipantName),
    RestoreStore(ParticipantName),
    SnapshotStore(ParticipantName),
    TurnStoreBack(ParticipantName),
    FlushStore,
    MemoryIsDeleted,
    DecisionRead(u64, Box<(TransactionId, Option<Decision>)>),
    Restock,
    AppTakesUnits,
    Operator,
    BranchIsRolledBackByHand,
    BranchIsCommittedByHand,
    LastRound,
}

/// Plays a plan to its end, or to the first violation. The trace is kept if it is wanted.
pub(crate) fn play(plan: &Plan, traced: bool) -> Outcome {
    let mut world = World::new(plan, traced);
    let violation = world.run().err();
    if let Some(violation) = &violation {
        world.log(|| format!("{}: {}", violation.invariant, violation.detail));
    }
    Outcome {
        trace: world.trace.unwrap_or_default(),
        counts: world.counts,
        purchases: world.purchases.len() as u64,
        events: world.events,
        violation,
    }
}

impl World {
    fn new(plan: &Plan, traced: bool) -> World {
        let mut rng = Rng::new(plan.seed);
        let is_calm = plan.weather == Weather::Calm;
        let remembers_all = rng.per_mille(500);
        let settings = Settings {
            queue_purchases_max: if is_calm { 200 } else { 12 },
            transaction_purchases_max: if is_calm { 12 } else { *rng.pick(&[1, 3, 8]) },
            transaction_bytes_max: 2_000,
            pipeline_transactions_max: *rng.pick(&[1, 2, 4]),
            unfinished_transactions_max: if is_calm { 20 } else { *rng.pick(&[4, 20]) },
            cautious_transactions: *rng.pick(&[0, 2, 32]),
            prepare_timeout: Duration::from_millis(250),
            unavailable_grace: Duration::from_millis(200),
            retry_base: Duration::from_millis(10),
            retry_cap: Duration::from_millis(400),
            retries_in_flight_max: *rng.pick(&[1, 3]),
            retention_age: Duration::from_millis(if remembers_all { 3_600_000 } else { 1_500 }),
            retention_purchases_max: if remembers_all { 10_000 } else { 6 },
            retention_age_min: Duration::from_millis(400),
            closing_age: Duration::from_millis(500),
        };
        let mut ledger = Ledger::new(remembers_all);
        let mut stock = Stock::default();
        let plenty = if is_calm { 1_000 } else { 0 };
        for (sku, units) in [("tea", 300 + plenty), ("mug", 60 + plenty), (SCARCE, 5)] {
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
            .map(|(text, kind)| {
                // The third is one that knows nothing of lives.
                let has_lives = text != "ledger";
                (
                    name(text),
                    Store::new(name(text), kind, has_lives, plan.planted),
                )
            })
            .collect();
        let mut world = World {
            plan: plan.clone(),
            rng,
            now: 0,
            events: 0,
            agenda: BTreeMap::new(),
            agenda_next: 0,
            settings,
            stores,
            half_open: BTreeMap::new(),
            last_late: 0,
            disk: Disk::new(plan.planted),
            disk_full_until: 0,
            newest: None,
            copy: None,
            store_copies: BTreeMap::new(),
            first: None,
            by_hand: Vec::new(),
            undone: BTreeSet::new(),
            remembers_all,
            burnt: BTreeSet::new(),
            process: None,
            lives: 0,
            next_request: 0,
            purchases: Vec::new(),
            ledger,
            wanted: Wanted::default(),
            locks: Vec::new(),
            lock_rng: Rng::new(!plan.seed),
            lock_wait_until: 0,
            availability: Availability::default(),
            trace: traced.then(Vec::new),
            counts: BTreeMap::new(),
        };
        world.first = world.first_copy();
        world.prepare();
        world
    }

    /// Whether a trouble strikes now.
    pub(crate) fn chance(&mut self, trouble: Trouble, per_mille: u64) -> bool {
        // Drawn also where it can't strike, so that leaving one out changes little else.
        self.rng.per_mille(per_mille)
            && !self.is_healed()
            && self.plan.weather == Weather::Rough
            && !self.plan.without.contains(&trouble)
    }

    pub(crate) fn is_healed(&self) -> bool {
        self.now >= HEAL_MS
    }

    pub(crate) fn has(&self, planted: Planted) -> bool {
        self.plan.planted == planted
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

    pub(crate) fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>6} {}", self.now, line()));
        }
    }

    fn run(&mut self) -> Checked {
        let last_round = HEAL_MS + LATE_MS + 2_000;
        while let Some(((time, _), item)) = self.agenda.pop_first() {
            self.now = time;
            self.events += 1;
            self.happen(item)?;
            self.look_for_missing_units();
            let at_rest = self.now > last_round + LATE_MS
                && self.now > self.last_late + LATE_MS
                && self.process.as_ref().is_some_and(|p| p.core.is_quiet());
            if at_rest {
                return self.at_rest();
            }
            let late = self.now > HEAL_MS + REST_MS;
            if late {
                check("invariant_everything_ends", false, self.unfinished())?;
            }
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
            Item::SendBehind {
                life,
                behind,
                to,
                request,
            } => self.send_behind(life, behind, &to, request),
            Item::Connect(life, store) => {
                if self.lives(life) {
                    self.send(&store, Request::Look);
                }
            }
            Item::Sweep(life, store) => {
                if self.is_connected(life, &store) {
                    let told = self.to_be_found(&store);
                    self.send(&store, Request::List(told));
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
            Item::OpenHalf(store) => self.open_half(&store),
            Item::LockRow(store) => self.lock_row(&store),
            Item::DiskFull => {
                self.disk_full_until = self.now + self.rng.within(200, 2_000);
                self.log(|| "the log's disk is full".into());
            }
            Item::CopyLog => {
                if self.newest.is_none() {
                    let copied = self.copy.insert(self.disk.copy()).len();
                    self.log(|| format!("the log is copied at {copied} records"));
                    self.make_copy_old();
                }
            }
            Item::CopyStore(store) => self.copy_store(&store),
            Item::RestoreStore(store) => self.restore_store(&store),
            Item::SnapshotStore(store) => self.snapshot_store(&store),
            Item::TurnStoreBack(store) => self.turn_store_back(&store),
            Item::FlushStore => self.flush_store(),
            Item::MemoryIsDeleted => self.delete_memory(),
            Item::DecisionRead(life, read) => {
                if self.lives(life) {
                    let (id, decision) = *read;
                    self.decision_read(id, decision)?;
                }
            }
            Item::Restock => self.restock(),
            Item::AppTakesUnits => self.app_takes_units(),
            Item::Operator => self.operator()?,
            Item::BranchIsRolledBackByHand => self.roll_back_by_hand(),
            Item::BranchIsCommittedByHand => self.commit_by_hand(),
            Item::LastRound => {
                self.log(|| "every purchase is submitted once more".into());
                for purchase in self.purchases.clone() {
                    self.after(0, 400, Item::Submit(purchase, 20));
                }
            }
        }
        Ok(())
    }

    /// Ends what runs soon after a copy of its log was made, once or twice, and a store with it: a
    /// start on the copy then finds what it does not know half carried out, or nothing but an
    /// epoch that it does not know.
    fn make_copy_old(&mut self) {
        if self.chance(Trouble::StoreCrashes, 500) {
            let names: Vec<ParticipantName> = self.stores.keys().cloned().collect();
            let store = self.rng.pick(&names).clone();
            self.after(1, 100, Item::CrashStore(store));
        }
        if self.chance(Trouble::CoordinatorCrashes, 500) {
            self.after(1, 150, Item::CrashProcess);
            self.after(150, 600, Item::CrashProcess);
        }
    }

    pub(crate) fn lives(&self, life: u64) -> bool {
        self.process.as_ref().is_some_and(|p| p.life == life)
    }

    fn is_connected(&self, life: u64, store: &ParticipantName) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|p| p.life == life && p.up.contains(store))
    }

    pub(crate) fn crash_store(&mut self, store: &ParticipantName) {
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
        self.log(|| format!("{store} dies"));
        let back = (self.now + self.rng.within(20, 1_500)).min(HEAL_MS);
        self.availability.outage(self.now, back);
        self.at(back, Item::RestartStore(store.clone()));
    }

    fn restart_store(&mut self, store: &ParticipantName) {
        let forgets =
            self.rng.per_mille(300) && !self.plan.without.contains(&Trouble::StoreCrashes);
        let Some(found) = self.stores.get_mut(store) else {
            return;
        };
        let forgets = forgets && matches!(found.kind, Kind::Stock(_));
        found.restart(forgets);
        let how = if forgets { " without its holds" } else { "" };
        if forgets {
            self.count("stores back without their holds");
        }
        self.log(|| format!("{store} is back{how}"));
    }

    pub(crate) fn at_rest(&mut self) -> Checked {
        self.log(|| "at rest".into());
        self.audit();
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
        let (_, durable) = self.disk.force();
        for record in &durable {
            self.ledger.stored(record)?;
        }
        let id: CoordinatorId = "shop".parse().expect("well formed");
        let recovered = Recovered::replay(&id, self.disk.records()).expect("the log is whole");
        let unfinished: Vec<_> = recovered.unfinished().collect();
        let detail = format!("unfinished after a restart: {unfinished:?}");
        check(
            "invariant_everything_ends",
            recovered.unfinished().len() == 0,
            detail,
        )?;
        self.check_totals(recovered)
    }

    /// The totals are right, and a restart would read the same.
    fn check_totals(&self, recovered: Recovered) -> Checked {
        let names = self.stores.keys();
        let restarted = Coordinator::new(
            self.settings.clone(),
            "shop".parse().expect("well formed"),
            recovered.next_epoch(),
            names.clone().cloned(),
            recovered,
            Timestamp(self.now),
        );
        // One that came too late counts after a restart.
        let is_exact = !self.counts.contains_key("settlements stored");
        let cores = self.process.iter().map(|process| &*process.core);
        for core in cores.chain([&restarted]) {
            for name in names.clone() {
                let decided = self.ledger.decided().values();
                invariant_totals_are_what_was_decided(decided, core, name, is_exact)?;
            }
        }
        Ok(())
    }
}
