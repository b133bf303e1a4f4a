//! A Python client that is built from gRPC reflection alone (`tests/python/client.py`), with
//! packages from PyPI in a virtual environment; a visible skip where those can't be had.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use futures::future::LocalBoxFuture;
use libtest_mimic::{Completion, Trial};
use tandem_servers::PortLease;
use tandem_tests::{
    Answer, Asked, Machine, Pair, PairName, Setup, World, conclude, purchase, python_environment,
    run, skipped,
};

fn main() -> ExitCode {
    let machine = Machine::look();
    let trials = match machine.pair(PairName::Installed) {
        Ok(pair) => vec![
            trial("client_from_reflection", &pair, |world, python| {
                Box::pin(client_from_reflection(world, python))
            }),
            trial("client_of_several_addresses", &pair, |world, python| {
                Box::pin(client_of_several_addresses(world, python))
            }),
        ],
        Err(reason) => vec![skipped("client_from_reflection".to_owned(), reason)],
    };
    conclude("python", &machine, trials)
}

/// A test of a world of its own, with the interpreter.
fn trial(
    name: &'static str,
    pair: &Pair,
    test: for<'a> fn(&'a World, &'a Path) -> LocalBoxFuture<'a, Result<()>>,
) -> Trial {
    let pair = pair.clone();
    Trial::ignorable_test(format!("{name}::{pair}"), move || {
        let python = match python_environment() {
            Ok(python) => python,
            Err(reason) => return Ok(Completion::ignored_with(format!("{reason:#}"))),
        };
        run(name, |runtime| {
            runtime.block_on(async {
                let world = World::new(&pair, Setup::default()).await?;
                world.stores.seed("tea", 10).await?;
                test(&world, &python).await
            })
        })?;
        Ok(Completion::Completed)
    })
}

/// Runs the script to its end, which must be a success.
fn script(world: &World, python: &Path, arguments: &[&str]) -> Result<()> {
    let script = folder().join("client.py");
    let output = Command::new(python).arg(script).args(arguments).output()?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        world.logs()
    );
    Ok(())
}

fn address(world: &World) -> String {
    let url = world.coordinator.client_url();
    url.trim_start_matches("http://").to_owned()
}

/// The HTTP/2 stack refuses the authority that gRPC makes of several addresses: the coordinator says
/// so, and what it advises works.
async fn client_of_several_addresses(world: &World, python: &Path) -> Result<()> {
    let nobody = PortLease::take(None)?;
    let nobody = format!("127.0.0.1:{}", nobody.port());
    script(world, python, &["several", &nobody, &address(world)])?;
    let log = world.coordinator.log();
    let told = log
        .lines()
        .find(|line| line.contains("reset before it could be read"))
        .with_context(|| format!("the coordinator says nothing of it:\n{log}"))?;
    println!("{told}");
    ensure!(
        told.contains("malformed authority") && told.contains("grpc.default_authority"),
        "{told}"
    );
    ensure!(told.contains("WARN"), "a person is to see it: {told}");
    Ok(())
}

async fn client_from_reflection(world: &World, python: &Path) -> Result<()> {
    script(world, python, &[&address(world)])?;
    let made = world.coordinator.client().find("py-1").await?;
    let asked = |id, units, answer| Asked {
        purchase: purchase(id, &[("tea", units)]),
        answers: vec![answer],
    };
    let reason = "INSUFFICIENT_STOCK".to_owned();
    let books = world
        .judge(&[
            asked("py-1", 2, Answer::of(&Ok(made))),
            asked("py-2", 9, Answer::Refused { reason }),
        ])
        .await?;
    ensure!(books.committed == 1, "{books}");
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}
