//! `tests/upgrade`: many rounds of taking over what an older build has left.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use tandem_tests::upgrade::{Plan, carry_out};
use tandem_tests::{Random, StoreChoice};

/// Lets an older build work under load and die, and has this one take over its stores and its log while
/// all of them are killed again and again; then compares both stores with what the clients were told.
#[derive(Debug, Parser)]
#[command(name = "tests/upgrade")]
struct Args {
    /// The older `tandem`
    #[arg(long, value_name = "BINARY")]
    from: PathBuf,
    /// How often
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// The older build keeps what this one keeps: both take turns, and neither is refused
    #[arg(long)]
    both_ways: bool,
    /// On which servers: the installed MariaDB and Redis, or fetched ones
    #[arg(long, value_enum, default_value_t = StoreChoice::Mariadb)]
    store: StoreChoice,
    /// Repeats the random choices of another run
    #[arg(long)]
    seed: Option<u64>,
    /// Plays only the rounds from this one on
    #[arg(long, default_value_t = 0)]
    first: u32,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let plan = Plan {
        from: args.from.canonicalize()?,
        takes_turns: args.both_ways,
        rounds: args.rounds,
        first: args.first,
        seed: args.seed.unwrap_or_else(Random::seed),
        pair: args.store.pair()?,
    };
    println!(
        "taking over from {} on {} and {}, {} rounds, seed {}",
        plan.from.display(),
        plan.pair.mysql,
        plan.pair.redis,
        plan.rounds,
        plan.seed
    );
    let runtime = tokio::runtime::Runtime::new()?;
    let (books, seen) = runtime.block_on(carry_out(&plan))?;
    println!("{seen}");
    println!("all rounds agree: {books}");
    Ok(ExitCode::SUCCESS)
}
