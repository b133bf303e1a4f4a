//! One seed's world: the real core and its log's records, stores that crash, a network that loses,
//! repeats and delays, clients that come again, a person who settles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tandem_protocol::{
    Coordinator, CoordinatorId, Epoch, Event, ParticipantName, Purchase, Recovered, RequestId,
    Settings,
};

use crate::disk::Disk;
use crate::invariants::{Checked, Ledger, Violation, check};
use crate::network::{Answer, Request};
use crate::notation::name;
use crate::participant::{Kind, Rows, Stock, Store};
use crate::rng::Rng;

/// From here on nothing fails any more, in virtual milliseconds.
const HEAL_MS: u64 = 12_000;

/// Everything has ended this long after, or never will.
const REST_MS: u64 = 120_000;

/// Late copies of messages arrive within this time.
pub(crate) const LATE_MS: u64 = 3_000;

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
    pub(crate) agenda: BTreeMap<(u64, u64), Item>,
    pub(crate) agenda_next: u64,
    pub(crate) settings: Settings,
    pub(crate) stores: BTreeMap<ParticipantName, Store>,
    pub(crate) disk: Disk,
    /// The newest log while the process runs on an old copy of it.
    pub(crate) newest: Option<Disk>,
    pub(crate) copy: Option<Disk>,
    /// Epochs that a process on an old copy has used up at the stores.
    pub(crate) burnt: BTreeSet<Epoch>,
    pub(crate) process: Option<Process>,
    pub(crate) lives: u64,
    pub(crate) next_request: RequestId,
    pub(crate) purchases: Vec<Arc<Purchase>>,
    pub(crate) ledger: Ledger,
    pub(crate) trace: Vec<String>,
    pub(crate) counts: BTreeMap<&'static str, u64>,
    pub(crate) fault: Fault,
}

/// A coordinator's process.
pub(crate) struct Process {
    pub(crate) core: Coordinator,
    pub(crate) life: u64,
    pub(crate) epoch: Epoch,
    pub(crate) is_stale: bool,
    /// Calls whose answer is still waited for.
    pub(crate) calls: BTreeSet<u64>,
    pub(crate) last_call: u64,
    pub(crate) up: BTreeSet<ParticipantName>,
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
            cautious_transactions: *rng.pick(&[0, 2, 32]),
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

    pub(crate) fn unfinished(&self) -> String {
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

    pub(crate) fn lives(&self, life: u64) -> bool {
        self.process.as_ref().is_some_and(|p| p.life == life)
    }

    fn is_connected(&self, life: u64, store: &ParticipantName) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|p| p.life == life && p.up.contains(store))
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

    pub(crate) fn at_rest(&mut self) -> Checked {
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
        let detail = format!(
            "{} unfinished after a restart",
            recovered.unfinished().len()
        );
        check(
            "invariant_everything_ends",
            recovered.unfinished().len() == 0,
            detail,
        )
    }
}
