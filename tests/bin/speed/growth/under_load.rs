//! A load that lasts: what is kept must stay as it is, and a store that is away must not stay
//! behind when it is back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use sqlx::{Executor, Row};
use tandem_servers::Server;
use tandem_tests::{Answer, Client, Machine, purchase};
use tokio::time::sleep;

use super::{Absentee, Ground, redis_bytes};
use crate::contestant::CHANNELS;
use crate::folder::bytes_in;
use crate::pace::Pace;
use crate::scene::{Place, Scene};
use crate::workload::Workload;

/// Clients that may wait for an answer at once.
const CLIENTS: usize = 256;

/// How long a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Purchases that the coordinator remembers: so few that a steady load soon passes them.
const RETAINED_MAX: u64 = 50_000;

/// The longest load before and after a store is away.
const AROUND_MAX: Duration = Duration::from_secs(60);

/// Lines of a table.
const LINES: u32 = 20;

/// By how much the last third of a steady load may be above the middle one.
const GROWTH_MAX: f64 = 1.1;

/// What clients were told.
#[derive(Debug, Default)]
struct Told {
    bought: AtomicU64,
    not_made: AtomicU64,
    unknown: AtomicU64,
}

/// What there is at a moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    memory_kib: u64,
    log_bytes: u64,
    redis_keys: u64,
    redis_bytes: u64,
    markers: u64,
    waiting: u64,
}

/// A steady load, in which nothing may grow once as much is remembered as may be.
pub(crate) async fn steady(
    machine: &Machine,
    ground: &Ground,
    time: Duration,
    rate: f64,
) -> Result<()> {
    let scene = ground.lay(machine, RETAINED_MAX).await?;
    let load = begin(&scene, time, rate).await?;
    let samples = load.watch(&scene, Instant::now() + time).await?;
    load.end(&scene).await?;
    // Each third's mean: the log and the marker rows are pruned many at a time.
    let third = samples.len() / 3;
    ensure!(third > 0, "the load was too short to see anything grow");
    let (middle, last) = (
        &samples[third..2 * third],
        &samples[samples.len() - third..],
    );
    for (what, of) in [
        ("memory", (|sample| sample.memory_kib) as fn(&Sample) -> u64),
        ("the log", |sample| sample.log_bytes),
        ("Redis's keys", |sample| sample.redis_keys),
        ("Redis's memory", |sample| sample.redis_bytes),
        ("marker rows", |sample| sample.markers),
    ] {
        let sum = |samples: &[Sample]| samples.iter().map(of).sum::<u64>();
        let growth = sum(last) as f64 / sum(middle).max(1) as f64;
        println!("{what}: {growth:.2} times what there was in the middle");
        ensure!(growth <= GROWTH_MAX, "{what} grew");
    }
    Ok(())
}

/// A load during which a store is away for a time.
pub(crate) async fn away(
    machine: &Machine,
    ground: &Ground,
    absentee: Absentee,
    time: Duration,
    rate: f64,
) -> Result<()> {
    let scene = ground.lay(machine, RETAINED_MAX).await?;
    let around = time.min(AROUND_MAX);
    let load = begin(&scene, time + around * 2, rate).await?;
    let server: &Server = match absentee {
        Absentee::Mysql => &scene.stores.mysql,
        Absentee::Redis => &scene.stores.redis,
    };
    let begun = Instant::now();
    load.watch(&scene, begun + around).await?;
    server.kill9()?;
    println!("{} is away", server.binary());
    // The stores can't be looked at meanwhile.
    load.sleep_until(begun + around + time).await;
    server.restart()?;
    println!("{} is back", server.binary());
    load.watch(&scene, begun + time + around * 2).await?;
    load.end(&scene).await
}

struct UnderLoad {
    told: Arc<Told>,
    clients: tokio::task::JoinHandle<Result<()>>,
    line: Duration,
}

async fn begin(scene: &Scene, time: Duration, rate: f64) -> Result<UnderLoad> {
    let tandem = scene.tandem(Place::Inside);
    tandem.coordinator.start(&tandem.start).await?;
    println!(
        "{rate:.0} purchases offered per second for {time:?}\n{:>8} {:>9} {:>9} {:>9} {:>9} {:>9} \
         {:>11} {:>10} {:>9} {:>8}",
        "second",
        "bought/s",
        "not made",
        "unknown",
        "memory",
        "log",
        "Redis keys",
        "Redis",
        "markers",
        "waiting"
    );
    let total = (rate * time.as_secs_f64()) as u64;
    let pace = Pace::start(Instant::now(), rate, total, CLIENTS);
    let told = Arc::new(Told::default());
    let channels: Vec<Client> = (0..CHANNELS)
        .map(|_| tandem.coordinator.client().with_deadline(ANSWER_MAX))
        .collect();
    let clients = (0..CLIENTS).map(|number| {
        let client = channels[number % CHANNELS].clone();
        tokio::spawn(buy(client, number, pace.clone(), told.clone()))
    });
    let clients = try_join_all(clients.collect::<Vec<_>>());
    Ok(UnderLoad {
        told,
        clients: tokio::spawn(async {
            clients.await?;
            Ok(())
        }),
        line: time / LINES,
    })
}

async fn buy(client: Client, number: usize, pace: Arc<Pace>, told: Arc<Told>) {
    for bought in 0.. {
        if pace.next().await.is_none() {
            return;
        }
        let cart = Workload::Skus.cart("load", number, bought, 0);
        let asked = purchase(&cart.purchase_id, &[(&cart.skus[0], 1)]);
        let count = match Answer::of(&client.submit(&asked).await) {
            Answer::Committed { .. } => &told.bought,
            Answer::NotMade { .. } | Answer::Refused { .. } => &told.not_made,
            Answer::Unknown { .. } => &told.unknown,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl UnderLoad {
    /// Prints a line now and then, until that time.
    async fn watch(&self, scene: &Scene, until: Instant) -> Result<Vec<Sample>> {
        let begun = Instant::now();
        let mut samples = Vec::new();
        let mut before = (begun, self.counts());
        while Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            sleep(self.line.min(left)).await;
            let now = (Instant::now(), self.counts());
            let sample = Sample::read(scene).await?;
            self.print(begun, before, now, &sample);
            samples.push(sample);
            before = now;
        }
        Ok(samples)
    }

    async fn sleep_until(&self, until: Instant) {
        let before = self.counts();
        tokio::time::sleep_until(until.into()).await;
        let now = self.counts();
        println!(
            "meanwhile {} bought, {} not made, {} unknown",
            now[0] - before[0],
            now[1] - before[1],
            now[2] - before[2]
        );
    }

    fn counts(&self) -> [u64; 3] {
        let told = &self.told;
        [&told.bought, &told.not_made, &told.unknown].map(|count| count.load(Ordering::Relaxed))
    }

    fn print(
        &self,
        begun: Instant,
        before: (Instant, [u64; 3]),
        now: (Instant, [u64; 3]),
        sample: &Sample,
    ) {
        let seconds = (now.0 - before.0).as_secs_f64();
        let told: [u64; 3] = std::array::from_fn(|which| now.1[which] - before.1[which]);
        println!(
            "{:>8.0} {:>9.0} {:>9} {:>9} {:>5} MiB {:>5} MiB {:>11} {:>6} MiB {:>9} {:>8}",
            (now.0 - begun).as_secs_f64(),
            told[0] as f64 / seconds,
            told[1],
            told[2],
            sample.memory_kib / 1024,
            sample.log_bytes >> 20,
            sample.redis_keys,
            sample.redis_bytes >> 20,
            sample.markers,
            sample.waiting
        );
    }

    /// Waits for the clients and for quiet; rows and deductions must agree.
    async fn end(self, scene: &Scene) -> Result<()> {
        let told = self.told.clone();
        self.clients.await??;
        let begun = Instant::now();
        scene.party(Place::Inside).quiet().await?;
        let mut sql = scene.stores.sql().await?;
        let rows: i64 = sql
            .fetch_one("SELECT COUNT(*) FROM tandem_purchases")
            .await?
            .try_get(0)?;
        let mut units = 0;
        for (sku, before) in scene.stores.seeded() {
            let now = scene.stores.stock(&sku).await?;
            units += before - now.with_context(|| format!("the stock of {sku} is gone"))?;
        }
        let bought = told.bought.load(Ordering::Relaxed);
        let unknown = told.unknown.load(Ordering::Relaxed);
        println!(
            "quiet {:.2?} after the last answer; {bought} answered as made, {unknown} unknown; \
             {rows} rows, {units} units deducted",
            begun.elapsed()
        );
        let rows = rows.cast_unsigned();
        ensure!(
            rows.cast_signed() == units && (bought..=bought + unknown).contains(&rows),
            "rows, deductions and answers do not agree"
        );
        scene.tandem(Place::Inside).coordinator.stop()
    }
}

impl Sample {
    async fn read(scene: &Scene) -> Result<Sample> {
        let coordinator = &scene.tandem(Place::Inside).coordinator;
        let mut sql = scene.stores.sql().await?;
        let markers: i64 = sql
            .fetch_one("SELECT COUNT(*) FROM tandem_branches")
            .await?
            .try_get(0)?;
        let mut kv = scene.stores.kv().await?;
        let participants = coordinator.operator().participants().await?.participants;
        Ok(Sample {
            memory_kib: coordinator.resident_memory_kib()?,
            log_bytes: bytes_in(&coordinator.data_dir())?,
            redis_keys: redis::cmd("DBSIZE").query_async(&mut kv).await?,
            redis_bytes: redis_bytes(scene).await?,
            markers: markers.cast_unsigned(),
            waiting: participants
                .iter()
                .map(|one| one.waiting)
                .max()
                .unwrap_or(0),
        })
    }
}
