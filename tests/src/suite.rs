//! Runs cases, each named with the servers that it ran on; one whose servers are missing is a
//! visible skip with its reason.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::machine::{Machine, Pair, PairName};
use crate::world::{Setup, World};

/// The longest that a case may take, and that its servers may take to start.
const CASE_MAX: Duration = Duration::from_secs(300);

/// A case's body over its world.
pub type Body = for<'a> fn(&'a World) -> Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// One case.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// What must hold.
    pub name: &'static str,
    /// On which servers.
    pub pairs: &'static [PairName],
    /// A program without which it is skipped.
    pub needs: Option<&'static str>,
    /// How its world is started.
    pub setup: fn() -> Setup,
    /// What is tried.
    pub body: Body,
}

/// Runs a suite of cases with the command line's filters and prints what it ran on.
pub fn run_suite(suite: &str, cases: &[Case]) -> ExitCode {
    let machine = Machine::look();
    let mut trials = Vec::new();
    for case in cases {
        for name in case.pairs {
            let pair = machine.pair(*name).and_then(|pair| {
                let missing = case.needs.filter(|program| !is_installed(program));
                missing.map_or(Ok(pair), |program| {
                    Err(format!("{program} is not installed"))
                })
            });
            trials.push(match pair {
                Ok(pair) => {
                    let case = *case;
                    Trial::test(format!("{}::{pair}", case.name), move || {
                        run(case.name, |runtime| run_case(runtime, case, &pair))
                    })
                }
                Err(reason) => skipped(format!("{}::{name:?}", case.name), reason),
            });
        }
    }
    let mut arguments = Arguments::from_args();
    // A case mostly waits: for servers to start, for deadlines, for pauses that the daemon makes.
    arguments
        .test_threads
        .get_or_insert_with(|| 2 * processors());
    conclude_as(suite, &machine, &arguments, trials)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A trial that says why it can't be run.
pub fn skipped(name: String, reason: String) -> Trial {
    Trial::ignorable_test(name, move || Ok(Completion::ignored_with(reason)))
}

/// Runs trials and prints what they ran on.
pub fn conclude(suite: &str, machine: &Machine, trials: Vec<Trial>) -> ExitCode {
    conclude_as(suite, machine, &Arguments::from_args(), trials)
}

fn conclude_as(
    suite: &str,
    machine: &Machine,
    arguments: &Arguments,
    trials: Vec<Trial>,
) -> ExitCode {
    if !arguments.list {
        println!("{suite}: {}", machine.servers());
    }
    libtest_mimic::run(arguments, trials).exit_code()
}

/// Runs something asynchronous; a panic in it is a failure like another.
///
/// # Errors
/// What failed.
pub fn run(
    name: &str,
    act: impl FnOnce(&tokio::runtime::Runtime) -> Result<()>,
) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let done = catch_unwind(AssertUnwindSafe(|| act(&runtime)));
    // What a case spawned must not hold up the others.
    runtime.shutdown_background();
    match done {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{name}: {error:?}").into()),
        Err(panic) => Err(format!("{name}: {}", said(&*panic)).into()),
    }
}

fn run_case(runtime: &tokio::runtime::Runtime, case: Case, pair: &Pair) -> Result<()> {
    let in_time = |done: Result<Result<()>, Elapsed>| {
        done.unwrap_or_else(|_| Err(anyhow!("it did not end in {CASE_MAX:?}")))
    };
    let world = runtime
        .block_on(async { timeout(CASE_MAX, World::new(pair, (case.setup)())).await })
        .map_err(|_| anyhow!("its servers did not start in {CASE_MAX:?}"))??;
    let done = catch_unwind(AssertUnwindSafe(|| {
        in_time(runtime.block_on(async { timeout(CASE_MAX, (case.body)(&world)).await }))
    }));
    let failure = match done {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error,
        Err(panic) => anyhow!("{}", said(&*panic)),
    };
    Err(anyhow!("{failure:?}\n{}", world.logs()))
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
