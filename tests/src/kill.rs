//! Rounds of `kill -9` under load, each followed by healing, quiet and judgement.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::coordinator::Start;
use crate::judge::{Books, Judge};
use crate::load::Load;
use crate::machine::Pair;
use crate::random::Random;
use crate::world::{Setup, World};

/// Clients that buy during each round.
const CLIENTS: usize = 16;

/// Skus that never run out.
const PLENTY: [&str; 6] = ["tea", "cups", "kettles", "spoons", "trays", "milk"];

/// The sku that runs out in each round, so that there are refusals.
const SCARCE: &str = "scones";

/// Steps of the coordinator at which it is told to die; see its `crash_point`.
const STEPS: [&str; 5] = [
    "preparing:kill",
    "deciding:kill",
    "decided:kill",
    "acknowledged:kill",
    "ending:kill",
];

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Victim {
    /// `tandem serve`.
    Coordinator,
    /// MariaDB or MySQL.
    Mysql,
    /// Redis or Valkey.
    Redis,
    /// `tandem participant mysql`.
    SidecarMysql,
    /// `tandem participant redis`.
    SidecarRedis,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The servers.
    pub pair: Pair,
    /// Who is killed.
    pub victim: Victim,
    /// How often.
    pub rounds: u32,
    /// What all random choices follow from.
    pub seed: u64,
    /// Whether each round is reported on stdout.
    pub verbose: bool,
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Victim::Coordinator => "coordinator",
            Victim::Mysql => "mysql",
            Victim::Redis => "redis",
            Victim::SidecarMysql => "sidecar_mysql",
            Victim::SidecarRedis => "sidecar_redis",
        })
    }
}

/// Carries a plan out and gives the figures of all rounds together.
///
/// # Errors
/// At the first round after which something does not hold: the seed, the logs' ends, and the
/// folder in which logs and data were kept.
pub async fn carry_out(plan: &Plan) -> Result<Books> {
    let setup = Setup {
        sidecars: matches!(plan.victim, Victim::SidecarMysql | Victim::SidecarRedis),
        ..Setup::default()
    };
    let world = World::new(&plan.pair, setup).await?;
    for sku in PLENTY {
        world.stores.seed(sku, 1_000_000_000).await?;
    }
    let mut random = Random::new(plan.seed);
    let mut total = Books::default();
    for number in 0..plan.rounds {
        let started = Instant::now();
        let done = round(&world, plan.victim, number, &mut random).await;
        let books = done.with_context(|| {
            let kept = world.keep(&format!("{}-{}", plan.victim, plan.seed));
            format!(
                "round {number} of killing {} on {}, seed {} (TANDEM_SEED); kept in {kept:?}\n{}",
                plan.victim,
                world.stores.names(),
                plan.seed,
                world.logs()
            )
        })?;
        if plan.verbose {
            println!(
                "round {number}: {books} ({} ms)",
                started.elapsed().as_millis()
            );
        }
        total = total.plus(books);
    }
    ensure!(
        total.committed > 0 && total.unknown + total.not_made > 0,
        "the rounds show nothing, since no kill met a purchase: {total}"
    );
    Ok(total)
}

async fn round(world: &World, victim: Victim, number: u32, random: &mut Random) -> Result<Books> {
    world.stores.seed(SCARCE, 60).await?;
    world.stores.take_stock().await?;
    // Every third death of the coordinator is at a named step instead of anywhere.
    let at_step = (victim == Victim::Coordinator && number % 3 == 2).then(|| {
        let step = *random.one_of(&STEPS);
        step.to_owned()
    });
    if let Some(step) = &at_step {
        world.coordinator.stop()?;
        world.start_to_end_at(step).await?;
    }
    let prefix = format!("r{number}");
    let mut skus = PLENTY.to_vec();
    skus.push(SCARCE);
    let client = world.coordinator.client();
    let load = Load::start(
        &client,
        CLIENTS,
        &format!("{prefix}-"),
        random.number(),
        &skus,
    );
    if at_step.is_some() {
        world.coordinator.wait_end().await?;
        world.start_again().await?;
    } else {
        tokio::time::sleep(random.millis(20, 600)).await;
        kill_and_heal(world, victim, random).await?;
    }
    // The load goes on over the healed parts for a while.
    tokio::time::sleep(random.millis(50, 250)).await;
    let records = load.finish().await?;
    let judge = Judge(&world.stores);
    judge.quiet(&world.coordinator.operator()).await?;
    let books = judge.judge(&format!("{prefix}-"), &records).await?;
    world.counts_agree()?;
    Ok(books)
}

/// Kills one part wherever it is, and starts it again after a pause.
///
/// # Errors
/// If it does not start; with its log.
pub(crate) async fn kill_and_heal(
    world: &World,
    victim: Victim,
    random: &mut Random,
) -> Result<()> {
    let pause = random.millis(0, 300);
    match victim {
        Victim::Coordinator => {
            world.coordinator.kill9()?;
            tokio::time::sleep(pause).await;
            if random.between(1, 3) == 1 {
                // The next death comes at any moment of the recovery.
                let start = Start {
                    ..world.start.without_env()
                };
                world.coordinator.launch(&start)?;
                tokio::time::sleep(random.millis(1, 400)).await;
                world.coordinator.kill9()?;
            }
            world.start_again().await
        }
        Victim::Mysql => {
            world.stores.mysql.kill9()?;
            tokio::time::sleep(pause).await;
            tokio::task::block_in_place(|| world.stores.mysql.restart())
        }
        Victim::Redis => {
            world.stores.redis.kill9()?;
            tokio::time::sleep(pause).await;
            tokio::task::block_in_place(|| world.stores.redis.restart())
        }
        Victim::SidecarMysql | Victim::SidecarRedis => {
            let sidecar = &world.sidecars[usize::from(victim == Victim::SidecarRedis)];
            sidecar.kill9()?;
            tokio::time::sleep(pause).await;
            sidecar.restart().await
        }
    }
}

/// How many rounds the suite runs: `TANDEM_KILL_ROUNDS`, else few.
pub fn rounds_wanted() -> u32 {
    const FEW: u32 = 5;
    let wanted = std::env::var("TANDEM_KILL_ROUNDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(FEW)
}
