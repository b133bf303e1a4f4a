//! `tests/shop/run`: a shop's own tables and products, sold from while everything dies.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tandem_tests::shop::{Plan, carry_out};
use tandem_tests::{Random, StoreChoice};

/// Sells from a shop that was there before tandem, kills everything on the way, and has every cell and unit
/// compared by a program that knows the shop only.
#[derive(Debug, Parser)]
#[command(name = "tests/shop/run")]
struct Args {
    /// How many purchases
    #[arg(long, default_value_t = 100_000)]
    purchases: u64,
    /// How many clients
    #[arg(long, default_value_t = 64)]
    clients: u64,
    /// On which servers: the installed MariaDB and Redis, or fetched ones
    #[arg(long, value_enum, default_value_t = StoreChoice::Mariadb)]
    store: StoreChoice,
    /// How often the coordinator, MySQL and Redis are killed, each
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// Repeats the random choices of another run
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let plan = Plan {
        pair: args.store.pair()?,
        purchases: args.purchases,
        clients: args.clients,
        kills: args.kills,
        seed: args.seed.unwrap_or_else(Random::seed),
    };
    println!(
        "{} purchases at {} clients on {} and {}, {} kills of each, seed {}",
        plan.purchases, plan.clients, plan.pair.mysql, plan.pair.redis, plan.kills, plan.seed
    );
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(carry_out(&plan))?;
    Ok(ExitCode::SUCCESS)
}
