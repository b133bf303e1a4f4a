//! A shop that was there before tandem, sold from while everything dies, and compared by a program that
//! knows the shop only (`tests/shop/check.py`).

mod buyers;
pub(crate) mod checker;
pub mod fixture;
pub mod guide;
pub(crate) mod orders;
mod personal;
mod tampered;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::judge::Judge;
use crate::kill::{Victim, kill_and_heal};
use crate::machine::Pair;
use crate::random::Random;
use crate::wait::until;
use crate::world::World;

use buyers::{Buyers, Outcome, Told};
use checker::Checker;

/// Who dies, in turns.
const VICTIMS: [Victim; 3] = [Victim::Coordinator, Victim::Mysql, Victim::Redis];

/// What has to happen in a run, or it has shown nothing.
const REASONS: [&str; 4] = [
    "CONSTRAINT_VIOLATED",
    "INSUFFICIENT_STOCK",
    "NO_SUCH_ROW",
    "UNKNOWN_SKU",
];

/// How long purchases may take until the next death is due.
const STALLED: Duration = Duration::from_secs(600);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The servers.
    pub pair: Pair,
    /// How many purchases are submitted.
    pub purchases: u64,
    /// By how many clients.
    pub clients: u64,
    /// How often the coordinator, MySQL and Redis are killed on the way, each.
    pub kills: u64,
    /// What all random choices follow from.
    pub seed: u64,
}

/// Carries a plan out, and says on stdout what each part of it has found.
///
/// # Errors
/// What does not hold; logs and data are kept then, and where.
pub async fn carry_out(plan: &Plan) -> Result<()> {
    let world = fixture::open(&plan.pair, plan.purchases + 1).await?;
    let done = run(&world, plan).await;
    done.with_context(|| {
        let kept = world.keep(&format!("shop-{}", plan.seed));
        format!(
            "the shop on {}, seed {} (TANDEM_SEED); kept in {kept:?}\n{}",
            world.stores.names(),
            plan.seed,
            world.logs()
        )
    })
}

async fn run(world: &World, plan: &Plan) -> Result<()> {
    let started = Instant::now();
    let told = sell(world, plan).await?;
    let judge = Judge(&world.stores);
    judge.quiet(&world.coordinator.operator()).await?;
    println!("sold in {} s", started.elapsed().as_secs());
    ensure_all_kinds(&told)?;
    let lines: Vec<Value> = told.iter().map(Told::as_json).collect();
    let checker = Checker::new(world, &fixture::before(plan.purchases + 1), &lines)?;
    let differences = checker.differences()?;
    ensure!(differences.is_empty(), "{}", differences.join("\n"));
    tampered::audit_agrees(world)?;
    tampered::audit_finds_or_names(world, &checker, &told).await?;
    personal::is_nowhere(world, &told)
}

/// Lets the clients buy, and kills on the way, evenly.
async fn sell(world: &World, plan: &Plan) -> Result<Vec<Told>> {
    let mut random = Random::new(plan.seed);
    let buyers = Buyers::start(world, plan.clients, plan.purchases, random.number());
    let deaths = plan.kills * VICTIMS.len() as u64;
    for death in 0..deaths {
        let due = (death + 1) * plan.purchases / (deaths + 1);
        let victim = VICTIMS[(death % VICTIMS.len() as u64) as usize];
        until("so many purchases are begun", STALLED, async || {
            Ok(buyers.begun() >= due)
        })
        .await?;
        kill_and_heal(world, victim, &mut random).await?;
    }
    let told = buyers.finish().await?;
    ensure!(told.len() as u64 == plan.purchases, "{} told", told.len());
    Ok(told)
}

/// That purchases were made, and that others were refused for each reason that the orders give.
fn ensure_all_kinds(told: &[Told]) -> Result<()> {
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    for one in told {
        let outcome = match &one.outcome {
            Outcome::Committed(_) => "committed",
            Outcome::Refused(reason) => reason,
            Outcome::Unknown => "unknown",
        };
        *outcomes.entry(outcome).or_default() += 1;
    }
    println!("answers: {outcomes:?}");
    for reason in REASONS.iter().chain(&["committed"]) {
        ensure!(outcomes.contains_key(reason), "no {reason}: {outcomes:?}");
    }
    Ok(())
}
