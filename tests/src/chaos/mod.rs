//! Real chaos: rounds of faults of every kind under load, each followed by healing, quiet and
//! judgement from the stores and the clients' records alone.

mod arena;
mod availability;
mod by_hand;

mod ground;
mod kind;
mod mistake;
mod shop;
mod strike;
mod tally;
mod time;

use std::ffi::OsString;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::task::{JoinSet, block_in_place};
use tokio::time::sleep;

use crate::answer::Asked;
use crate::coordinator::Coordinator;
use crate::disk::Disk;
use crate::dump;
use crate::judge::{Books, Judge};
use crate::links::LinkName;
use crate::load::{Goods, Load};
use crate::machine::Pair;
use crate::parts::Part;
use crate::programs::tandem_program;
use crate::random::Random;
use arena::Arena;
use by_hand::Verb;
use ground::Ground;
use kind::{Armed, Deck, Fault, Hand};
use mistake::Moment;
use shop::scarce_sku;

pub use availability::Service;
pub use kind::Kind;
pub use mistake::Mistake;
pub use tally::{LONG_ROUNDS, Tally};

/// Clients that buy during each round, and the connections that they share.
const CLIENTS: usize = 16;
const CONNECTIONS: usize = 4;

/// Skus that never run out.
const PLENTY: [&str; 6] = ["tea", "cups", "kettles", "spoons", "trays", "milk"];

/// The sku that runs out in each round, so that there are refusals.
const SCARCE: &str = "scones";

/// How long the load goes on at least, and how long the first and the second death at a step are
/// waited for once all faults are over: some steps come seldom.
const LOAD_MIN: Duration = Duration::from_millis(900);
const STEP_MAX: Duration = Duration::from_secs(6);
const AGAIN_MAX: Duration = Duration::from_millis(1_500);

/// How often a prepare is made to fail where only aborts reach a step.
const ABORT_EACH: Duration = Duration::from_millis(150);

const POLL: Duration = Duration::from_millis(10);

/// The longest that a round may take: two waits of a minute, and what leads to them.
const ROUND_MAX: Duration = Duration::from_secs(240);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The servers.
    pub pair: Pair,
    /// How many rounds.
    pub rounds: u32,
    /// Rounds before this one are dealt and not played.
    pub first: u32,
    /// What all random choices follow from.
    pub seed: u64,
    /// The kinds of faults; all of them if empty.
    pub kinds: Vec<Kind>,
    /// Whether a process is told to die at a step in each round.
    pub steps: bool,
    /// Appended to the MySQL server's arguments.
    pub mysql_args: Vec<OsString>,
    /// Whether purchases are kept in a shop's own schema, on servers with unusual settings.
    pub shop: bool,
    /// Whether the build under test is one that does not count what is deducted.
    pub is_older: bool,
    /// A mistake that is to be found.
    pub mistake: Option<Mistake>,
    /// Whether each round is reported on stdout.
    pub verbose: bool,
}

/// What all rounds together came to.
#[derive(Debug)]
pub struct Outcome {
    /// Purchases.
    pub books: Books,
    /// How they were served.
    pub service: Service,
    /// Faults.
    pub tally: Tally,
    /// Kinds that can't be tried on this machine, and why.
    pub skipped: Vec<String>,
}

/// The steps at which `tandem` can be told to die, each with the role that passes it.
///
/// # Errors
/// If the program can't be asked.
pub fn steps() -> Result<Vec<(String, String)>> {
    let output = Command::new(tandem_program()?).arg("steps").output()?;
    ensure!(output.status.success(), "tandem steps: {output:?}");
    let text = String::from_utf8(output.stdout)?;
    let line = |line: &str| {
        let (step, role) = line.split_once(' ').context("a step without a role")?;
        Ok((step.to_owned(), role.to_owned()))
    };
    text.lines().map(line).collect()
}

/// Carries a plan out.
///
/// # Errors
/// At the first round after which something does not hold: its seed and faults, and the folder in
/// which logs, data and what was told were kept.
pub async fn carry_out(plan: &Plan) -> Result<Outcome> {
    let mut kinds = if plan.kinds.is_empty() {
        Kind::all()
    } else {
        plan.kinds.clone()
    };
    let mut skipped = Vec::new();
    if let Err(reason) = Disk::permitted() {
        let disks = kinds.iter().filter(|kind| kind.needs_disk());
        skipped = disks.map(|kind| format!("{kind}: {reason}")).collect();
        kinds.retain(|kind| !kind.needs_disk());
    }
    let steps = if plan.steps { steps()? } else { Vec::new() };
    let steps: Vec<(String, bool)> = steps
        .into_iter()
        .filter(|(_, role)| role != "operator")
        .map(|(step, role)| (step, role == "participant"))
        .collect();
    let mut tally = Tally::new(&kinds, &steps);
    let mut deck = Deck::new(plan.seed, kinds, steps);
    let mut arena = plan.open(0).await?;
    let (mut total, mut served) = (Books::default(), Service::default());
    for _ in 0..plan.rounds {
        let mut hand = deck.deal();
        if hand.number < plan.first {
            continue;
        }
        if plan.shop && number_of_world(hand.number) != arena.number {
            arena = plan.open(number_of_world(hand.number)).await?;
        }
        let started = Instant::now();
        let mut records = Vec::new();
        let played = tokio::time::timeout(
            ROUND_MAX,
            round(&arena, &mut hand, &mut records, &mut tally),
        )
        .await
        .unwrap_or_else(|_| Err(anyhow::anyhow!("it did not end in {ROUND_MAX:?}")));
        let number = hand.number;
        let (books, service) = match played {
            Ok(done) => done,
            Err(error) => {
                let kept = match plan.mistake {
                    Some(_) => "no folder".to_owned(),
                    None => keep(&arena, plan, number, &records).await,
                };
                return Err(error.context(format!(
                    "round {number} of chaos on {}, seed {}: {hand}; kept in {kept}",
                    arena.world.stores.names(),
                    plan.seed
                )));
            }
        };
        if plan.verbose {
            println!(
                "round {number}, seed {}: {hand}: {books}; {service} ({} ms)",
                plan.seed,
                started.elapsed().as_millis()
            );
        }
        total = total.plus(books);
        served = served.plus(service);
    }
    ensure!(
        total.committed > 0,
        "the rounds show nothing, since nothing was bought: {total}"
    );
    Ok(Outcome {
        books: total,
        service: served,
        tally,
        skipped,
    })
}

/// In a shop every few rounds have servers of their own, set in another way.
fn number_of_world(round: u32) -> u32 {
    const ROUNDS: u32 = 8;
    round / ROUNDS
}

impl Plan {
    /// Opens a world for rounds.
    async fn open(&self, number: u32) -> Result<Arc<Arena>> {
        let mut random = Random::new(self.seed ^ (u64::from(number) << 40));
        let mut ground = match self.shop {
            true => Ground::draw(&self.pair, &mut random),
            false => Ground::default(),
        };
        ground.mysql_args.extend(self.mysql_args.clone());
        ground.is_older = self.is_older;
        if let Some(mistake) = self.mistake {
            mistake.lay(&mut ground);
        }
        if self.verbose && self.shop {
            println!("world {number}: {ground}");
        }
        let said = ground.to_string();
        let arena = Arena::open(&self.pair, ground, self.mistake, number).await;
        let arena = Arc::new(arena.with_context(|| format!("world {number}: {said}"))?);
        if arena.shop.is_none() {
            for sku in PLENTY {
                arena.world.stores.seed(sku, 1_000_000_000).await?;
            }
        }
        Ok(arena)
    }
}

async fn round(
    arena: &Arc<Arena>,
    hand: &mut Hand,
    records: &mut Vec<Asked>,
    tally: &mut Tally,
) -> Result<(Books, Service)> {
    let world = &arena.world;
    arena.by_hand.lock().unwrap().clear();
    arena.ends.lock().unwrap().clear();
    arena.rows_lost.store(false, Ordering::Relaxed);
    arena.troubles.clear();
    let opening = arena.troubles.begin();
    match &arena.shop {
        Some(shop) => shop.begin_round(&world.stores).await?,
        None => world.stores.seed(SCARCE, 60).await?,
    }
    world.stores.take_stock().await?;
    arena.remember_end()?;
    arena.copy_for_mistake()?;
    if let Some(armed) = &hand.armed {
        arena.world.kill(armed.part)?;
        arena.world.revive(armed.part, armed.order(0).as_deref())?;
        if armed.part != Part::Coordinator && armed.needs_enlisting() {
            // It would not notice so short an absence.
            arena.world.kill(Part::Coordinator)?;
            arena.world.revive(Part::Coordinator, None)?;
        }
    }
    let prefix = prefix(hand.number);
    let port = arena.links()?.of(LinkName::Clients).port();
    let connections = [0; CONNECTIONS].map(|_| Coordinator::client_through(port));
    let seed = hand.random.number();
    let keeps_rows = |fault: &Fault| !(fault.kind.loses_rows() || fault.kind.is_by_hand());
    let keeps_rows = hand.faults.iter().all(keeps_rows);
    let goods = arena.goods(keeps_rows);
    let load = Load::start_at(&goods, &connections, CLIENTS, &prefix, seed);
    // Who is armed may die at any moment from the beginning on.
    let armed = match hand.armed {
        Some(_) => Some(opening),
        None => {
            load.all_served_since(Instant::now()).await?;
            opening.recovered();
            None
        }
    };
    let deaths = strike_all(arena, hand, tally).await?;
    drop(armed);
    if let Some(armed) = &hand.armed {
        tally.step(armed, deaths);
        if armed.order(deaths).is_some() {
            // The order must not outlive the round.
            arena.note_ends()?;
            arena.world.kill(armed.part)?;
        }
    }
    let sever = hand.random.between(0, 1) == 1;
    // What is half open stays so.
    let deaf = (!sever && hand.has(Kind::HalfOpenLink)).then(|| arena.troubles.begin());
    tally.refused_starts += arena.heal(sever).await?;
    let goes_on = hand.random.millis(300, 600);
    let healed = Instant::now();
    let served = async {
        load.all_served_since(healed).await?;
        let recovered = Instant::now();
        arena.err(Moment::Recovered).await?;
        sleep(goes_on).await;
        let (records, waits) = load.finish_with_waits().await?;
        anyhow::Ok((recovered, records, waits))
    };
    let operated = async {
        loop {
            arena.operate(tally).await?;
            sleep(POLL).await;
        }
    };
    let (recovered, told, mut waits) = tokio::select! {
        served = served => served?,
        failed = operated => return failed,
    };
    *records = told;
    drop(deaf);
    arena.operate(tally).await?;
    let judge = Judge(&world.stores);
    judge.quiet(&world.coordinator.operator()).await?;
    arena.err(Moment::Quiet).await?;
    let books = judge.judge(&prefix, records).await?;
    if let Some(shop) = &arena.shop {
        shop.note(records, &waits, !keeps_rows);
        block_in_place(|| shop.check(world))?;
    }
    if !arena.ground.is_older {
        world.counts_agree()?;
    }
    for name in LinkName::ALL {
        arena.links()?.of(name).sever();
    }
    arena.judge_ends(hand)?;
    // Units that are being given back may be gone or there in a moment: who wants one of the last is told to
    // try again.
    let scarce = arena.shop.as_ref().map_or(SCARCE, |_| scarce_sku());
    for wait in waits.iter_mut().filter(|wait| wait.wants(scarce)) {
        wait.before.clear();
    }
    let service = availability::judge(&arena.troubles, recovered, &waits);
    let service = service.map_err(anyhow::Error::msg)?;
    Ok((books, service))
}

/// All faults, each in its time, and the deaths at a step. Gives how many of those came.
async fn strike_all(arena: &Arc<Arena>, hand: &Hand, tally: &mut Tally) -> Result<u32> {
    let begun = Instant::now();
    let mut strikes = JoinSet::new();
    for fault in hand.faults.clone() {
        let arena = Arc::clone(arena);
        strikes.spawn(async move {
            let struck = arena.strike(&fault).await;
            (fault, struck)
        });
    }
    let mut deaths = 0;
    let mut over = None;
    let mut aborted = begun;
    loop {
        while let Some(done) = strikes.try_join_next() {
            let (fault, struck) = done?;
            if let Err(reason) = &struck {
                println!(
                    "round {}: {} did not strike: {reason:#}",
                    hand.number, fault.kind
                );
            }
            tally.fault(&fault, struck.unwrap_or(false));
        }
        let armed = hand.armed.as_ref();
        let armed = armed.filter(|armed| armed.order(deaths).is_some());
        if let Some(armed) = armed {
            deaths += u32::from(arena.take_death(armed, deaths)?);
            if armed.needs_aborts() && aborted.elapsed() > ABORT_EACH {
                // It fails where another fault has stopped MySQL, and then there are aborts.
                let _ = tokio::time::timeout(ABORT_EACH, arena.kill_sessions()).await;
                aborted = Instant::now();
            }
        }
        arena.note_ends()?;
        if strikes.is_empty() && begun.elapsed() >= LOAD_MIN {
            let over = *over.get_or_insert_with(Instant::now);
            let patience = if deaths == 0 { STEP_MAX } else { AGAIN_MAX };
            if armed.is_none() || over.elapsed() >= patience {
                return Ok(deaths);
            }
        }
        sleep(POLL).await;
    }
}

/// Of the purchases of a round.
fn prefix(number: u32) -> String {
    format!("r{number}-")
}

impl Arena {
    /// What is bought in a round.
    fn goods(&self, keeps_rows: bool) -> Goods {
        match &self.shop {
            None => {
                let skus = PLENTY.iter().chain([&SCARCE]);
                Goods::Skus(skus.map(|sku| (*sku).to_owned()).collect())
            }
            // What is lost or ended by hand could not be repaired if another one had taken its place.
            Some(shop) => Goods::Orders {
                begun: Arc::clone(&shop.begun),
                repeats: keeps_rows,
                twins: keeps_rows && self.ground.folds,
            },
        }
    }

    /// A process that was not killed ends only where it must.
    fn judge_ends(&self, hand: &Hand) -> Result<()> {
        let committed = self.by_hand.lock().unwrap().clone();
        let committed = committed.iter().any(|one| one.verb == Verb::Commit);
        let died = |end: &String| {
            let armed = hand.armed.as_ref().map(|armed: &Armed| armed.part);
            armed.is_some_and(|part| end.starts_with(&part.to_string()) && end.contains("SIGKILL"))
        };
        for end in &*self.ends.lock().unwrap() {
            let coordinator = end.starts_with(&Part::Coordinator.to_string());
            ensure!(
                died(end) || coordinator && (hand.has(Kind::FullLogDisk) || committed),
                "invariant_ends_only_where_it_must: {end}"
            );
        }
        Ok(())
    }
}

async fn keep(arena: &Arena, plan: &Plan, number: u32, records: &[Asked]) -> String {
    for disk in arena.world.disks.iter().flatten() {
        // Else what fills it would be kept too.
        let _ = disk.empty();
    }
    let name = format!("chaos-{}-{number}", plan.seed);
    match arena.world.keep(&name) {
        Ok(place) => {
            let stores = &arena.world.stores;
            match dump::write(stores, &prefix(number), records, &place).await {
                Ok(()) => place.display().to_string(),
                Err(error) => format!("{} (not all: {error:#})", place.display()),
            }
        }
        Err(error) => format!("nothing: {error:#}"),
    }
}
