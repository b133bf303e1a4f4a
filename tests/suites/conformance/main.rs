//! The participants' conformance suite on every server that this machine has or can fetch, in
//! process and, once for each kind of store, over gRPC.

#![allow(clippy::unwrap_used)]

mod mysql;
mod redis;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Result, anyhow, bail};
use libtest_mimic::{Completion, Trial};
use tandem_participant::Timeouts;
use tandem_participant::conformance::{Bench, Case, Outcome, OverGrpc, cases};
use tandem_servers::ServerBinary;
use tandem_tests::{Machine, conclude, run, skipped};

use mysql::MysqlBench;
use redis::{Hash, Keys, Products, RedisBench};

/// How a bench over a server is made.
trait Stand: Bench + Sized {
    /// What is behind the server's name in a test's.
    const WAY: &'static str = "";

    type Server: Send + Sync + 'static;

    fn start(binary: &ServerBinary) -> Result<Self::Server>;

    async fn over(server: Arc<Self::Server>) -> Result<Arc<Self>>;
}

fn main() -> ExitCode {
    let machine = Machine::look();
    let mut trials = Vec::new();
    for (number, (name, binary)) in machine.mysqls().into_iter().enumerate() {
        trials.extend(on::<MysqlBench>(name, binary, false));
        if number == 0 {
            trials.extend(on::<MysqlBench>(name, binary, true));
        }
    }
    for (number, (name, binary)) in machine.redises().into_iter().enumerate() {
        trials.extend(on::<RedisBench<Keys>>(name, binary, false));
        // The scripts are the same on every server; what a server does otherwise the participant's own suite
        // tries, in each place of the stock.
        if number != 1 {
            trials.extend(on::<RedisBench<Hash>>(name, binary, false));
        }
        if number != 2 {
            trials.extend(on::<RedisBench<Products>>(name, binary, false));
        }
        if number == 0 {
            trials.extend(on::<RedisBench<Keys>>(name, binary, true));
        }
    }
    conclude("conformance", &machine, trials)
}

/// Every case on one server. They share its process; a case that kills it gets one of its own.
fn on<S: Stand>(
    name: &'static str,
    binary: &Result<ServerBinary, String>,
    over_grpc: bool,
) -> Vec<Trial> {
    let way = format!("{}{}", S::WAY, if over_grpc { "+grpc" } else { "" });
    let binary = match binary {
        Ok(binary) => binary.clone(),
        Err(reason) => return vec![skipped(format!("every_case::{name}{way}"), reason.clone())],
    };
    let shared: Arc<Mutex<Option<Arc<S::Server>>>> = Arc::default();
    let trial = |case: Case| {
        let title = format!("{}::{name}{way}", case.name);
        let (binary, shared) = (binary.clone(), Arc::clone(&shared));
        Trial::ignorable_test(title.clone(), move || {
            let mut ended = Completion::Completed;
            run(&title, |runtime| {
                let server = if case.runs_alone() {
                    Arc::new(S::start(&binary)?)
                } else {
                    of_all::<S>(&shared, &binary)?
                };
                match runtime.block_on(check::<S>(case, server, over_grpc))? {
                    Outcome::Passed => Ok(()),
                    Outcome::Skipped(capability) => {
                        ended = Completion::ignored_with(format!("no {capability:?} there"));
                        Ok(())
                    }
                    Outcome::Failed(what) => bail!(what),
                }
            })?;
            Ok(ended)
        })
    };
    cases().into_iter().map(trial).collect()
}

async fn check<S: Stand>(case: Case, server: Arc<S::Server>, over_grpc: bool) -> Result<Outcome> {
    let bench: Arc<dyn Bench> = S::over(server).await?;
    let bench = if over_grpc {
        OverGrpc::new(bench, Timeouts::default())
    } else {
        bench
    };
    Ok(case.check(bench).await)
}

/// The server that cases share, started by the first of them.
fn of_all<S: Stand>(
    shared: &Mutex<Option<Arc<S::Server>>>,
    binary: &ServerBinary,
) -> Result<Arc<S::Server>> {
    let mut shared = shared.lock().map_err(|_| anyhow!("it did not start"))?;
    if let Some(server) = &*shared {
        return Ok(Arc::clone(server));
    }
    let server = Arc::new(S::start(binary)?);
    *shared = Some(Arc::clone(&server));
    Ok(server)
}
