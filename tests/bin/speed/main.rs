//! tandem beside the code that it replaces, and beside what the machine can do at all.
//!
//! The contestants take turns, round by round, so that the machine's mood cancels out. After each
//! turn the stores are read; a turn whose rows, stock, holds or prepared branches do not agree with
//! the answers is no figure but an error.

mod against;
mod answers;
mod books;
mod contest;
mod contestant;
mod cpu;
mod folder;
mod forces;
mod growth;
mod limits;
mod measure;
mod meter;
mod neighbours;
mod orders;
mod overload;
mod pace;
mod plan;
mod report;
mod scene;
mod score;
mod stage;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use tandem_tests::Machine;
use tokio::runtime::Runtime;

use against::Against;
use contestant::Contestant;
use contestant::dtmrs::Kept;
use forces::Forces;
use limits::{call, force_rate};
use measure::{Manner, Measured};
use report::{json, plot, table};

/// The clients, whoever's they are, are not to be measured by what glibc's allocator costs them on
/// two cores that the servers want too. The coordinator and Redis use the same one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Compares tandem with INSERT, then DECRBY, and with the machine's limits.
///
/// Without a choice of what is measured, everything is, in less than twenty minutes.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    compare: Compare,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What grows with the work that is done
    Growth {
        #[command(subcommand)]
        question: growth::Question,
    },
    /// What a purchase that can't be made costs the others
    Neighbours(neighbours::Args),
    /// What far more purchases than can be made cost those that are
    Overload(overload::Args),
    #[command(name = call::VERB, hide = true)]
    ServeNothing { port: u16 },
    #[command(name = force_rate::VERB, hide = true)]
    ForceRate { window_ms: u64, rounds: u32 },
}

#[derive(Debug, clap::Args)]
struct Compare {
    /// Only the most telling figures, in less than a minute
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    chosen: plan::Chosen,
    /// Compare with another build of tandem instead: its program. End with an error if this one is
    /// slower by more than 3 %, beyond doubt
    #[arg(long, value_name = "PATH", conflicts_with_all = [
        "quick", "contestants", "offered", "series", "dtmrs", "json", "plots", "at_least",
    ])]
    against: Option<PathBuf>,
    /// Length of one turn, in seconds
    #[arg(long)]
    seconds: Option<f64>,
    /// Turns of each contestant
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// What every forced write costs, in microseconds, with the data in memory
    #[arg(long, default_value_t = 1_000, conflicts_with = "real_disk")]
    fsync_us: u64,
    /// Data on the disk that TMPDIR is on; forced writes take what they take
    #[arg(long)]
    real_disk: bool,
    /// A line of the coordinators' section [limits]; the defaults otherwise
    #[arg(long)]
    limits: Vec<String>,
    /// Let dtmrs take part: its program (cargo install dtmrs --features redis)
    #[arg(long, value_name = "PATH")]
    dtmrs: Option<PathBuf>,
    /// Where dtmrs is to keep its transactions
    #[arg(long, value_name = "STORE", default_value = "redis")]
    dtmrs_kept: Kept,
    /// Write all figures to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw plots into this folder
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// End with an error unless tandem reaches these ratios: CLIENTS:RATIO
    #[arg(long, value_delimiter = ',')]
    at_least: Vec<String>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    match args.verb {
        Some(Verb::ServeNothing { port }) => call::serve(port),
        Some(Verb::ForceRate { window_ms, rounds }) => {
            force_rate::measure(Duration::from_millis(window_ms), rounds)
        }
        Some(Verb::Growth { question }) => Runtime::new()?.block_on(growth::answer(&question)),
        Some(Verb::Neighbours(args)) => Runtime::new()?.block_on(neighbours::measure(&args)),
        Some(Verb::Overload(args)) => Runtime::new()?.block_on(overload::measure(&args)),
        None => compare(&args.compare),
    }
}

fn compare(args: &Compare) -> Result<()> {
    if let Some(program) = &args.against {
        return compare_builds(args, program);
    }
    let chosen = args.chosen.parts();
    let is_program = chosen.is_empty();
    let mut parts = match (is_program, args.quick) {
        (false, _) => chosen,
        (true, true) => plan::quick(),
        (true, false) => plan::full(),
    };
    if let (true, Some(part)) = (args.dtmrs.is_some(), parts.first_mut()) {
        plan::invite(part, Contestant::Dtmrs);
    }
    let manner = args.manner(if args.quick {
        (0.6, 0.15, 1)
    } else {
        (1.5, 0.3, 2)
    })?;
    let disk = announce(&manner);
    let machine = Machine::look();
    let measured = Runtime::new()?.block_on(measure::all(&machine, parts, &manner))?;
    for one in &measured {
        print!("{}", table::part(one)?);
    }
    let mut log = Vec::new();
    if is_program {
        let window = manner.window.min(Duration::from_secs(1));
        log = force_rate::ask(&Forces::new(manner.force)?, window, manner.rounds)?;
        print!("{}", table::log(&log)?);
    }
    if let Some(path) = &args.json {
        let all = json::all(&manner, &measured, &log);
        fs::write(path, format!("{all:#}\n"))?;
    }
    if let Some(folder) = &args.plots {
        plot::all(folder, &measured, &disk)?;
    }
    args.at_least
        .iter()
        .try_for_each(|wish| require(wish, &measured))
}

/// Says how everything is measured; gives what a forced write costs, for people.
fn announce(manner: &Manner) -> String {
    let disk = match manner.force {
        Some(cost) => format!("{} ms per forced write", cost.as_secs_f64() * 1e3),
        None => "a real disk".to_owned(),
    };
    println!("{disk}; {} rounds of {:?}", manner.rounds, manner.window);
    disk
}

fn compare_builds(args: &Compare, program: &Path) -> Result<()> {
    let manner = args.manner((2.0, 0.5, 10))?;
    announce(&manner);
    let against = Against {
        program: program.to_owned(),
        manner,
    };
    let parts = args.chosen.combined(&[1, 128, 1_024]);
    Runtime::new()?.block_on(against.run(&Machine::look(), &parts))
}

impl Compare {
    /// How it is measured: the length of a turn and of what goes before it, in seconds, and the
    /// turns, unless others were chosen.
    fn manner(&self, (seconds, warm_up, rounds): (f64, f64, u32)) -> Result<Manner> {
        Ok(Manner {
            window: Duration::try_from_secs_f64(self.seconds.unwrap_or(seconds))?,
            warm_up: Duration::try_from_secs_f64(warm_up)?,
            rounds: self.rounds.unwrap_or(rounds),
            force: (!self.real_disk).then(|| Duration::from_micros(self.fsync_us)),
            limits: self.limits.join("\n"),
            dtmrs: self.dtmrs.clone().map(|program| (program, self.dtmrs_kept)),
        })
    }
}

/// An error unless tandem makes as many times naive's purchases per second as is wished.
fn require(wish: &str, measured: &[Measured]) -> Result<()> {
    let (clients, least) = wish
        .split_once(':')
        .context("--at-least is CLIENTS:RATIO")?;
    let (clients, least): (usize, f64) = (clients.parse()?, least.parse()?);
    for part in measured {
        let rate = |who| {
            let score = part.closed.get(&(clients, who));
            let score = score.context("these clients or this contestant were not tried")?;
            anyhow::Ok(score.per_second())
        };
        let ratio = rate(Contestant::Tandem)? / rate(Contestant::Naive)?;
        ensure!(
            ratio >= least,
            "{}, {}: at {clients} clients tandem makes {ratio:.2} times naive's purchases, less \
             than {least}",
            part.servers,
            part.part.workload.title()
        );
    }
    Ok(())
}
