//! `tests/chaos`: many rounds of faults of every kind.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use tandem_tests::chaos::{Kind, Mistake, Plan, carry_out, steps};
use tandem_tests::{Machine, PairName, Random, enter_own_mounts};

/// Plays rounds of faults under load on real servers, with a proxy between every two parts; heals
/// everything after each, and compares both stores with what the clients were told.
#[derive(Debug, Parser)]
#[command(name = "tests/chaos")]
struct Args {
    /// How many
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    /// On which servers: the installed MariaDB and Redis, or fetched ones
    #[arg(long, value_enum, default_value_t = Store::Mariadb)]
    store: Store,
    /// Repeats the random choices of another run
    #[arg(long)]
    seed: Option<u64>,
    /// Plays only the rounds from this one on
    #[arg(long, default_value_t = 0)]
    first: u32,
    /// Only these kinds of faults
    #[arg(long, value_delimiter = ',', value_name = "FAULT,...")]
    faults: Vec<Kind>,
    /// No process is told to die at a step
    #[arg(long)]
    no_steps: bool,
    /// Appended to the MySQL server's arguments
    #[arg(long, allow_hyphen_values = true, value_name = "ARG")]
    mysql_arg: Vec<OsString>,
    /// With the orders of a shop that was there before tandem (tests/shop), compared by its own checker, on
    /// servers whose unusual settings the seed draws anew every few rounds
    #[arg(long)]
    shop: bool,
    /// The build (`TANDEM_BIN`) is one from before deductions were counted: what it does wrong is found
    #[arg(long)]
    older: bool,
    /// Plants mistakes from outside, one after the other, each of which has to be found
    #[arg(long)]
    mistakes: bool,
    /// Only names the kinds of faults and the steps
    #[arg(long)]
    list: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Store {
    /// MariaDB and Redis as installed
    Mariadb,
    /// MySQL 9.7 and Valkey 9
    Mysql97,
    /// MySQL 9.7 and Redis 8
    Redis8,
}

/// Plays rounds until each mistake has been found, and says by what.
async fn find_mistakes(plan: &Plan) -> Result<ExitCode> {
    let mut all_found = true;
    for mistake in Mistake::ALL {
        if let Some(reason) = mistake.unfit_for(&plan.pair.redis) {
            println!("SKIPPED {mistake}: {reason}");
            continue;
        }
        let plan = Plan {
            mistake: Some(mistake),
            kinds: mistake.kinds(),
            steps: false,
            verbose: false,
            ..plan.clone()
        };
        let said = match carry_out(&plan).await {
            Ok(outcome) => format!("nothing: {}", outcome.books),
            Err(error) => format!("{error:#}"),
        };
        let by = mistake.breaks().iter().find(|name| said.contains(**name));
        all_found &= by.is_some();
        match by {
            Some(name) => println!("mistake {mistake}: found by {name}"),
            None => println!(
                "mistake {mistake}: NOT found in {} rounds: {said}",
                plan.rounds
            ),
        }
    }
    Ok(if all_found {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if args.list {
        for kind in Kind::all() {
            println!("fault {kind}");
        }
        for (step, role) in steps()? {
            println!("step {step} ({role})");
        }
        return Ok(ExitCode::SUCCESS);
    }
    enter_own_mounts();
    let name = match args.store {
        Store::Mariadb => PairName::Installed,
        Store::Mysql97 => PairName::MysqlValkey,
        Store::Redis8 => PairName::MysqlRedis,
    };
    let pair = match Machine::look().pair(name) {
        Ok(pair) => pair,
        Err(reason) => anyhow::bail!("the servers are not here: {reason}"),
    };
    let plan = Plan {
        seed: args.seed.unwrap_or_else(Random::seed),
        rounds: args.rounds,
        first: args.first,
        kinds: args.faults,
        steps: !args.no_steps,
        mysql_args: args.mysql_arg,
        shop: args.shop,
        is_older: args.older,
        mistake: None,
        verbose: true,
        pair,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    if args.mistakes {
        return runtime.block_on(find_mistakes(&plan));
    }
    println!(
        "chaos on {} and {}, {} rounds, seed {}",
        plan.pair.mysql, plan.pair.redis, plan.rounds, plan.seed
    );
    let outcome = runtime.block_on(carry_out(&plan))?;
    println!("{}", outcome.tally);
    for skipped in &outcome.skipped {
        println!("SKIPPED {skipped}");
    }
    println!("all rounds agree: {}; {}", outcome.books, outcome.service);
    let missing = outcome.tally.missing(plan.rounds);
    if missing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("too seldom to show anything: {}", missing.join(", "));
    Ok(ExitCode::FAILURE)
}
