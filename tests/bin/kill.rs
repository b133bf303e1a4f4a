//! `tests/kill`: many rounds of one victim.

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tandem_tests::kill::{Plan, Victim, carry_out};
use tandem_tests::{Random, StoreChoice};

/// Kills one part again and again under load, heals it, and compares both stores with what the
/// clients were told.
#[derive(Debug, Parser)]
#[command(name = "tests/kill")]
struct Args {
    /// How often
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// On which servers: the installed MariaDB and Redis, or fetched ones
    #[arg(long, value_enum, default_value_t = StoreChoice::Mariadb)]
    store: StoreChoice,
    /// Who is killed
    #[arg(long, value_enum, default_value_t = Victim::Coordinator)]
    victim: Victim,
    /// Repeats the random choices of another run
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let plan = Plan {
        seed: args.seed.unwrap_or_else(Random::seed),
        victim: args.victim,
        rounds: args.rounds,
        verbose: true,
        pair: args.store.pair()?,
    };
    println!(
        "killing {} on {} and {}, {} rounds, seed {}",
        plan.victim, plan.pair.mysql, plan.pair.redis, plan.rounds, plan.seed
    );
    let runtime = tokio::runtime::Runtime::new()?;
    let books = runtime.block_on(carry_out(&plan))?;
    println!("all rounds agree: {books}");
    Ok(ExitCode::SUCCESS)
}
