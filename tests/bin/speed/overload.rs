//! What many times more purchases than can be made cost those that are made: offered at a rate of their
//! own, from many connections, half of which read slowly.

mod crowd;
mod slow_reader;
mod watch;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tandem_tests::{Answer, Asked, Machine, PairName, Setup, StoresOptions, World};

use crate::answers::{percentile, word};
use crate::forces::Forces;
use crowd::{Crowd, Told};
use watch::Watch;

/// Few purchases share a forced write, one transaction is under way at a time, and little may wait: so much
/// can be made a second as a machine of any kind can offer ten times.
const LIMITS: &str = "transaction_purchases_max = 16\npipeline_transactions_max = 1\n\
                      queue_purchases_max = 48\nretry_backoff_max_ms = 300\nsweep_interval_s = 1\n";

/// What a forced write costs, beside the limits.
const FORCE: Duration = Duration::from_millis(5);

/// Clients that ask again as soon as they are answered: enough that a full transaction always waits.
const AT_CAPACITY: usize = 48;

/// The most that may be made a second for this to be a low capacity.
const CAPACITY_MAX: f64 = 1_000.0;

/// How much slower what is made may be than at capacity, at the 99th of a hundred.
const SLOWER_MAX: f64 = 3.0;

/// How much more memory the coordinator may have in use than before, in MiB.
const MEMORY_MAX_MIB: u64 = 256;

/// How it is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long too much is offered, in seconds
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// How many times more than can be made is offered
    #[arg(long, default_value_t = 10.0)]
    times: f64,
    /// From how many connections; every second one reads slowly
    #[arg(long, default_value_t = 2_000)]
    connections: usize,
}

/// Measures, prints, and fails if what is promised does not hold.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    let machine = Machine::look();
    let pair = machine
        .pair(PairName::Installed)
        .map_err(|why| anyhow!(why))?;
    let forces = Forces::new(Some(FORCE))?;
    let env = forces.env();
    let stores = StoresOptions {
        env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
        ..StoresOptions::default()
    };
    let setup = Setup {
        stores,
        env,
        limits: LIMITS.to_owned(),
        ..Setup::default()
    };
    let world = World::new(&pair, setup).await?;
    world.stores.seed("tea", 1_000_000_000).await?;
    println!(
        "{}, {}, {} ms a force",
        pair.mysql,
        pair.redis,
        FORCE.as_millis()
    );

    let port = world.coordinator.client_port();
    let warm = Duration::from_secs(2);
    let mut all = crowd::closed_loop(port, "warm", AT_CAPACITY, warm).await?;
    let long = Duration::from_secs(10);
    let at_capacity = crowd::closed_loop(port, "capacity", AT_CAPACITY, long).await?;
    let capacity = made(&at_capacity).count() as f64 / long.as_secs_f64();
    let usual = percentile(&took(&at_capacity), 99);
    println!(
        "capacity, {AT_CAPACITY} clients: {capacity:.0} made/s, p50 {:.1} ms, p99 {usual:.1} ms",
        percentile(&took(&at_capacity), 50)
    );
    all.extend(at_capacity);

    let crowd = Crowd::connect(port, args.connections).await?;
    let watch = Watch::begin(&world)?;
    let offered = capacity * args.times;
    let time = Duration::try_from_secs_f64(args.seconds)?;
    let told = crowd.offer(offered, time).await?;
    let seen = watch.end().await?;
    let (slow, quick): (Vec<&Told>, Vec<&Told>) = told.iter().partition(|told| told.is_slow);
    let made_per_second = made(&told).count() as f64 / args.seconds;
    let beside = percentile(&took(quick.iter().copied()), 99);
    println!(
        "offered {offered:.0}/s for {:.0} s from {} connections: sent {:.0}/s, made {made_per_second:.0}/s",
        args.seconds,
        args.connections,
        told.len() as f64 / args.seconds,
    );
    for (name, part) in [("that read", &quick), ("that read slowly", &slow)] {
        println!(
            "  connections {name}: made {}, p50 {:.1} ms, p99 {:.1} ms; {}",
            made(part.iter().copied()).count(),
            percentile(&took(part.iter().copied()), 50),
            percentile(&took(part.iter().copied()), 99),
            words(part)
        );
    }
    println!("  {seen}");
    let without_hint = told.iter().filter(|told| told.lacks_hint).count();
    all.extend(told);
    let all: Vec<Asked> = all.into_iter().map(|told| told.asked).collect();
    let books = world.judge(&all).await?;
    println!("books: {books}");

    ensure!(
        capacity <= CAPACITY_MAX,
        "the capacity is not low: no figure"
    );
    ensure!(
        beside <= SLOWER_MAX * usual,
        "p99 of what was made is {:.1} times that at capacity",
        beside / usual
    );
    ensure!(
        made_per_second >= capacity / 2.0,
        "too little of what could be made was made"
    );
    ensure!(
        without_hint == 0,
        "{without_hint} were turned away without a word on when to come back"
    );
    seen.check(MEMORY_MAX_MIB)?;
    println!(
        "p99 of what was made: {:.2} times that at capacity",
        beside / usual
    );
    Ok(())
}

fn made<'a>(told: impl IntoIterator<Item = &'a Told>) -> impl Iterator<Item = &'a Told> {
    told.into_iter()
        .filter(|told| told.asked.answers.iter().all(is_made))
}

fn is_made(answer: &Answer) -> bool {
    matches!(answer, Answer::Committed { .. })
}

/// How long what was made took.
fn took<'a>(told: impl IntoIterator<Item = &'a Told>) -> Vec<Duration> {
    made(told).map(|told| told.took).collect()
}

/// How often each other answer came.
fn words(told: &[&Told]) -> String {
    let mut words: BTreeMap<&str, usize> = BTreeMap::new();
    let answers = told.iter().flat_map(|told| &told.asked.answers);
    for answer in answers.filter(|answer| !is_made(answer)) {
        *words.entry(word(answer)).or_default() += 1;
    }
    format!("{words:?}")
}
