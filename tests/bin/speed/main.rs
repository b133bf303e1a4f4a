//! Purchases per second of tandem beside those of the code that it replaces, in one run.
//!
//! The contestants take turns, round by round, so that the machine's mood cancels out. After each
//! turn the stores are read; a turn whose rows, stock, holds or prepared branches do not agree with
//! the answers is no figure but an error.

mod books;
mod contest;
mod cpu;
mod naive;
mod report;
mod slow_fsync;
mod through_tandem;

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use tandem_tests::{Machine, PairName, Setup, StoresOptions, World};

use contest::Turn;
use cpu::Meter;
use report::Report;

/// Kinds of goods that are sold.
const SKUS: usize = 100;

/// Units of each: more than any run sells.
const UNITS: i64 = 1_000_000_000;

/// Compares tandem with INSERT, then DECRBY.
#[derive(Debug, Parser)]
struct Args {
    /// Length of one turn, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Turns of each contestant
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Numbers of clients to try
    #[arg(long, value_delimiter = ',', default_value = "1,128")]
    clients: Vec<usize>,
    /// Stores to run on
    #[arg(long, default_value = "mariadb", value_parser = ["mariadb", "mysql97"])]
    store: String,
    /// Let every fsync cost this many microseconds; wants TMPDIR on tmpfs
    #[arg(long)]
    fsync_us: Option<u64>,
    /// A line of the coordinator's section [limits]; the defaults otherwise
    #[arg(long)]
    limits: Vec<String>,
    /// End with an error unless tandem reaches these ratios: CLIENTS:RATIO
    #[arg(long, value_delimiter = ',')]
    at_least: Vec<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(run(&args))?;
    println!("{report}");
    for wish in &args.at_least {
        let (clients, ratio) = wish
            .split_once(':')
            .context("--at-least is CLIENTS:RATIO")?;
        report.require(clients.parse()?, ratio.parse()?)?;
    }
    Ok(())
}

async fn run(args: &Args) -> Result<Report> {
    let machine = Machine::look();
    let name = match args.store.as_str() {
        "mysql97" => PairName::MysqlRedis,
        _ => PairName::Installed,
    };
    let pair = machine.pair(name).map_err(anyhow::Error::msg)?;
    let preload = args.fsync_us.map(slow_fsync::Preload::build).transpose()?;
    let env = preload
        .as_ref()
        .map(slow_fsync::Preload::env)
        .unwrap_or_default();
    let mut world = World::new(
        &pair,
        Setup {
            stores: StoresOptions {
                env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
                ..StoresOptions::default()
            },
            limits: format!("{}\n", args.limits.join("\n")),
            coordinator_down: true,
            env,
            ..Setup::default()
        },
    )
    .await?;
    world.start.participants = through_tandem::participants(&world.stores);
    naive::create_tables(&world.stores).await?;
    world.coordinator.start(&world.start).await?;
    for sku in 0..SKUS {
        world.stores.seed(&contest::sku(sku), UNITS).await?;
    }
    let mut report = Report::new(format!(
        "{}{}, {} rounds of {} s",
        world.stores.names(),
        match args.fsync_us {
            Some(us) => format!(", {us} us per fsync"),
            None => ", real disk".to_owned(),
        },
        args.rounds,
        args.seconds
    ));
    let time = Duration::from_secs(args.seconds);
    for &clients in &args.clients {
        for round in 0..args.rounds {
            let turn = Turn {
                name: format!("{clients}-{round}"),
                clients,
                time,
            };
            let meter = Meter::read(&world)?;
            let mut naive = naive::play(&world.stores, &turn).await?;
            naive.cpu = meter.since()?;
            let meter = Meter::read(&world)?;
            let mut tandem = through_tandem::play(&world, &turn).await?;
            tandem.cpu = meter.since()?;
            report.add(clients, naive, tandem);
        }
    }
    report.peak_memory_kib = world.coordinator.peak_memory_kib()?;
    world.coordinator.stop()?;
    Ok(report)
}
