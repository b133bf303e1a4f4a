//! A Python with the packages that tests need.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::{env, fs};

use anyhow::{Context, Result, ensure};

/// The interpreter of a virtual environment with the packages of `tests/python/requirements.txt`, made once a
/// target folder, and again when they change.
///
/// # Errors
/// Why it can't be made: no `venv`, no packages.
pub fn python_environment() -> Result<PathBuf> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _made_once = ONE_AT_A_TIME.lock().unwrap();
    let folder_of_it = env::current_exe()?
        .ancestors()
        .nth(2)
        .context("this program is in no target folder")?
        .join("tandem-python");
    let python = folder_of_it.join("bin/python");
    let complete = folder_of_it.join("complete");
    let requirements = fs::read_to_string(requirements())?;
    if fs::read_to_string(&complete).is_ok_and(|made| made == requirements) {
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
            .arg(self::requirements()),
    )
    .context("no packages from PyPI")?;
    fs::write(complete, requirements)?;
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

fn requirements() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python/requirements.txt")
}
