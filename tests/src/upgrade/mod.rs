//! An older `tandem` dies under load, and this one takes its stores and its log over while all of them
//! are killed again and again. Then purchases go on, and everything is judged. Or both builds take turns,
//! where what they keep is the same.

mod hand;
mod lost;
mod older;
mod seen;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::time::sleep;

use crate::judge::{Books, Judge};
use crate::load::Load;
use crate::machine::Pair;
use crate::parts::Part;
use crate::world::{LIMITS, Setup, World};
use hand::{Death, Hand};

pub use seen::Seen;

/// Clients that buy all the time.
const CLIENTS: usize = 48;

/// Skus that never run out, and one that does.
const PLENTY: [&str; 4] = ["tea", "cups", "kettles", "spoons"];
const SCARCE: &str = "scones";

/// Small transactions and many of them, so that a death leaves many unfinished.
const MORE_LIMITS: &str = "transaction_purchases_max = 2\npipeline_transactions_max = 24\n";

/// How long a death at a step is waited for: some starts do not pass it.
const STEP_MAX: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(5);

/// The longest that a round may take.
const ROUND_MAX: Duration = Duration::from_secs(180);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The servers.
    pub pair: Pair,
    /// The older build.
    pub from: PathBuf,
    /// Whether it keeps what this build keeps, so that each can take over from the other.
    pub takes_turns: bool,
    /// How many rounds.
    pub rounds: u32,
    /// Rounds before this one are not played.
    pub first: u32,
    /// What all random choices follow from.
    pub seed: u64,
}

/// Carries a plan out; each round on stores and a log of its own.
///
/// # Errors
/// At the first round after which something does not hold: its seed and what was done, and the folder
/// in which logs and data were kept.
pub async fn carry_out(plan: &Plan) -> Result<(Books, Seen)> {
    let (mut total, mut seen) = (Books::default(), Seen::default());
    for number in plan.first..plan.rounds {
        let hand = Hand::deal(plan.seed, number);
        let started = Instant::now();
        let books = round(plan, &hand, &mut seen).await.with_context(|| {
            let servers = &plan.pair;
            format!("round {number} on {servers}, seed {}: {hand}", plan.seed)
        })?;
        println!(
            "round {number}: {hand}: {books} ({} ms)",
            started.elapsed().as_millis()
        );
        total = total.plus(books);
    }
    seen.check(plan)?;
    Ok((total, seen))
}

async fn round(plan: &Plan, hand: &Hand, seen: &mut Seen) -> Result<Books> {
    let setup = Setup {
        limits: format!("{LIMITS}{MORE_LIMITS}"),
        sidecars: hand.sidecars,
        program: Some(plan.from.clone()),
        ..Setup::default()
    };
    let world = World::new(&plan.pair, setup).await?;
    let upgrade = Upgrade {
        plan,
        hand,
        world: &world,
    };
    let played = tokio::time::timeout(ROUND_MAX, upgrade.play(seen)).await;
    let played = played.unwrap_or_else(|_| anyhow::bail!("it did not end in {ROUND_MAX:?}"));
    played.with_context(|| {
        let kept = world.keep(&format!("upgrade-{}-{}", plan.seed, hand.number));
        match kept {
            Ok(kept) => format!("kept in {}", kept.display()),
            Err(error) => format!("nothing was kept: {error:#}"),
        }
    })
}

/// A round under way.
struct Upgrade<'a> {
    plan: &'a Plan,
    hand: &'a Hand,
    world: &'a World,
}

impl Upgrade<'_> {
    async fn play(&self, seen: &mut Seen) -> Result<Books> {
        let world = self.world;
        for sku in PLENTY {
            world.stores.seed(sku, 1_000_000_000).await?;
        }
        world.stores.seed(SCARCE, 60).await?;
        let mut skus = PLENTY.to_vec();
        skus.push(SCARCE);
        let client = world.coordinator.client();
        let load = Load::start(&client, CLIENTS, "u", self.hand.load_seed, &skus);
        self.older_dies(seen).await?;
        world.update();
        if self.hand.sidecars {
            let is_refused = self.hand.older_after && !self.plan.takes_turns;
            if is_refused {
                self.refuse_older_sidecars(seen).await?;
            }
            for part in self.sidecars() {
                world.sidecar(part).restart().await?;
            }
            if is_refused {
                self.refuse_older_beside_sidecars(seen).await?;
            }
        }
        for death in &self.hand.deaths {
            self.die(death, seen).await?;
        }
        world.update();
        self.settle().await?;
        sleep(self.hand.goes_on).await;
        let records = load.finish().await?;
        self.repair_what_mysql_lost(seen).await?;
        let judge = Judge(&world.stores);
        judge.quiet(&world.coordinator.operator()).await?;
        let books = judge.judge("u", &records).await?;
        self.audit()?;
        if self.hand.older_after && !self.hand.sidecars {
            world.coordinator.stop()?;
            if self.plan.takes_turns {
                self.older_takes_its_turn(seen);
            } else {
                self.refuse_older(seen).await?;
            }
            self.settle().await?;
            judge.quiet(&world.coordinator.operator()).await?;
            judge.judge("u", &records).await?;
            self.audit()?;
        }
        Ok(books)
    }

    /// The older build works, and dies with what it has under way.
    async fn older_dies(&self, seen: &mut Seen) -> Result<()> {
        let world = self.world;
        sleep(self.hand.works).await;
        for &store in &self.hand.with_it {
            world.pause(store)?;
        }
        sleep(self.hand.before_it).await;
        world.kill(Part::Coordinator)?;
        for part in self.sidecars() {
            world.kill(part)?;
        }
        for &store in &self.hand.with_it {
            if self.hand.they_die {
                world.kill(store)?;
                world.revive(store, None)?;
            } else {
                world.resume(store)?;
            }
        }
        seen.taken_over(world).await
    }

    /// What is started from now on is of the older build.
    fn older_takes_its_turn(&self, seen: &mut Seen) {
        self.world.run_build(Some(self.plan.from.clone()));
        seen.older_turns += 1;
    }

    /// The coordinator is started, and one or several parts die.
    async fn die(&self, death: &Death, seen: &mut Seen) -> Result<()> {
        let world = self.world;
        world.update();
        if death.older_again && self.plan.takes_turns {
            self.older_takes_its_turn(seen);
        }
        let step = death.step.map(|step| format!("{step}:kill"));
        world.revive(Part::Coordinator, step.as_deref())?;
        if death.at_move && !self.plan.takes_turns {
            older::wait_half_moved(world).await?;
        } else if step.is_some() {
            let begun = Instant::now();
            while world.runs(Part::Coordinator)? && begun.elapsed() < STEP_MAX {
                sleep(POLL).await;
            }
        } else {
            sleep(death.after).await;
        }
        for &victim in &death.victims {
            let by_itself = world.ended(Part::Coordinator)?;
            seen.death(victim, world.kill(victim)? || by_itself.is_some());
        }
        for &victim in &death.victims {
            if victim != Part::Coordinator {
                world.revive(victim, None)?;
            }
        }
        seen.interrupted(world).await?;
        // Beside its sidecars there is nothing of an older coordinator's own that could be refused.
        let may_be_refused = death.older_again && !self.hand.sidecars && !self.plan.takes_turns;
        if may_be_refused && older::is_shut_out(world).await? {
            world.kill(Part::Coordinator)?;
            self.refuse_older(seen).await?;
        }
        Ok(())
    }

    /// Everything is started that is down, and works.
    async fn settle(&self) -> Result<()> {
        for part in self.sidecars() {
            self.world.revive(part, None)?;
        }
        self.world.revive(Part::Coordinator, None)?;
        self.world.coordinator.ready().await
    }

    fn sidecars(&self) -> Vec<Part> {
        let all = [Part::MysqlSidecar, Part::RedisSidecar];
        all.into_iter().filter(|_| self.hand.sidecars).collect()
    }

    /// The coordinator's own comparison of both stores with its log.
    fn audit(&self) -> Result<()> {
        let output = self.world.tandem(&["audit", "--output", "json"])?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        let document: Value = serde_json::from_slice(&output.stdout).with_context(said)?;
        ensure!(
            output.status.success(),
            "the audit disagrees: {:#}",
            document["disagreements"]
        );
        Ok(())
    }
}
