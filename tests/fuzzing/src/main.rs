//! `tests/fuzz`: a million inputs for each target, or as many as are wanted.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Result, bail};
use clap::Parser;
use tandem_fuzz::{Ran, Target, keep, replay, run, targets};

/// Feeds everything that reads what others write with mutated inputs.
#[derive(Debug, Parser)]
#[command(name = "tests/fuzz")]
struct Args {
    /// How many inputs for each target
    #[arg(long, default_value_t = 100_000)]
    inputs: u64,
    /// Only targets whose name begins so
    #[arg(long, default_value = "")]
    target: String,
    /// Repeats another run's inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many targets at once; as many as there are processors without it
    #[arg(long)]
    threads: Option<usize>,
    /// Adds small inputs with new outcomes to the corpus
    #[arg(long)]
    keep: bool,
    /// Reads this one input, a file that an earlier run wrote down
    #[arg(long, requires = "target")]
    input: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let chosen: Vec<Target> = targets::all()
        .into_iter()
        .filter(|target| target.name.starts_with(&args.target))
        .collect();
    if chosen.is_empty() {
        let names: Vec<&str> = targets::all().iter().map(|target| target.name).collect();
        bail!("there is no such target; there are {}", names.join(", "));
    }
    if let Some(file) = &args.input {
        return Ok(match replay(&chosen[0], file)? {
            Ok(outcome) => {
                println!("{}: {outcome}", chosen[0].name);
                ExitCode::SUCCESS
            }
            Err(said) => {
                println!("{}: {said}", chosen[0].name);
                ExitCode::FAILURE
            }
        });
    }
    println!("seed {}", args.seed);
    println!(
        "{:<26} {:>10} {:>9} {:>7} {:>7}",
        "target", "inputs", "outcomes", "panics", "s"
    );
    let processors = thread::available_parallelism().map_or(1, |n| n.get());
    let waiting = Mutex::new(chosen.iter().rev().collect::<Vec<_>>());
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..args.threads.unwrap_or(processors) {
            scope.spawn(|| {
                while let Some(target) = pop(&waiting) {
                    let ran = run(target, args.seed, args.inputs);
                    if let Ok(ran) = &ran {
                        print(target, ran);
                    }
                    lock(&all).push((target, ran));
                }
            });
        }
    });
    let (mut inputs, mut panics) = (0, 0);
    for (target, ran) in all.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let ran = ran?;
        inputs += ran.inputs;
        panics += ran.panics;
        for failure in &ran.failures {
            println!(
                "\n{}\n  tests/fuzz --target {} --input {}",
                failure.said,
                target.name,
                failure.file.display()
            );
        }
        if args.keep {
            keep(target.name, &ran.found)?;
        }
    }
    println!("{} targets, {inputs} inputs, {panics} panics", chosen.len());
    Ok(if panics == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn print(target: &Target, ran: &Ran) {
    let Ran {
        inputs,
        outcomes,
        panics,
        ..
    } = ran;
    let seconds = ran.took.as_secs_f64();
    println!(
        "{:<26} {inputs:>10} {outcomes:>9} {panics:>7} {seconds:>7.1}",
        target.name
    );
}

fn pop<'a>(waiting: &Mutex<Vec<&'a Target>>) -> Option<&'a Target> {
    lock(waiting).pop()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
