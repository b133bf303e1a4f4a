//! A Python client that is built from gRPC reflection alone (`tests/python/client.py`), with
//! packages from PyPI in a virtual environment; a visible skip where those can't be had.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use libtest_mimic::{Completion, Trial};
use tandem_tests::{
    Answer, Asked, Machine, Pair, PairName, Setup, World, conclude, purchase, run, skipped,
};

fn main() -> ExitCode {
    let machine = Machine::look();
    let trial = match machine.pair(PairName::Installed) {
        Ok(pair) => Trial::ignorable_test(format!("client_from_reflection::{pair}"), move || {
            let python = match environment() {
                Ok(python) => python,
                Err(reason) => return Ok(Completion::ignored_with(format!("{reason:#}"))),
            };
            run("client_from_reflection", |runtime| {
                runtime.block_on(client_from_reflection(&pair, &python))
            })?;
            Ok(Completion::Completed)
        }),
        Err(reason) => skipped("client_from_reflection".to_owned(), reason),
    };
    conclude("python", &machine, vec![trial])
}

async fn client_from_reflection(pair: &Pair, python: &Path) -> Result<()> {
    let world = World::new(pair, Setup::default()).await?;
    world.stores.seed("tea", 10).await?;
    let url = world.coordinator.client_url();
    let address = url.trim_start_matches("http://");
    let script = folder().join("client.py");
    let output = Command::new(python).arg(script).arg(address).output()?;
    print!("{}", String::from_utf8_lossy(&output.stdout));
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stderr),
        world.logs()
    );
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

/// The interpreter of a virtual environment with the packages, made once a target folder.
fn environment() -> Result<PathBuf> {
    let folder_of_it = std::env::current_exe()?
        .ancestors()
        .nth(2)
        .context("this program is in no target folder")?
        .join("tandem-python");
    let python = folder_of_it.join("bin/python");
    let complete = folder_of_it.join("complete");
    if complete.exists() {
        return Ok(python);
    }
    quietly(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder_of_it),
    )
    .context("no virtual environment (apt-get install python3-venv)")?;
    quietly(
        Command::new(&python)
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
            ])
            .arg("--requirement")
            .arg(folder().join("requirements.txt")),
    )
    .context("no packages from PyPI")?;
    std::fs::write(complete, "")?;
    Ok(python)
}

fn quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = [output.stdout, output.stderr].concat();
    let last = String::from_utf8_lossy(&said);
    let last = last.lines().rev().find(|line| !line.trim().is_empty());
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        last.unwrap_or_default()
    );
    Ok(())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python")
}
