//! `tests/shop/check.py`, run over what the clients were told.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::shop::fixture::sources;
use crate::world::World;

/// The program with what it is given.
pub(crate) struct Checker {
    arguments: Vec<String>,
    script: PathBuf,
}

impl Checker {
    /// Writes down what was there before and what was told, a document for each purchase, as `check.py` wants
    /// both.
    ///
    /// # Errors
    /// If that can't be written.
    pub(crate) fn new(world: &World, before: &Value, told: &[Value]) -> Result<Checker> {
        let (before_path, told_path) = (
            world.folder().join("before.json"),
            world.folder().join("told.jsonl"),
        );
        fs::write(&before_path, before.to_string())?;
        let lines = told.iter().map(|one| one.to_string() + "\n");
        fs::write(&told_path, lines.collect::<String>())?;
        let arguments = [
            ("--mysql", world.stores.mysql.port().to_string()),
            ("--redis", world.stores.redis.port().to_string()),
            ("--before", before_path.display().to_string()),
            ("--told", told_path.display().to_string()),
        ];
        Ok(Checker {
            arguments: arguments
                .into_iter()
                .flat_map(|(name, value)| [name.to_owned(), value])
                .collect(),
            script: sources().join("check.py"),
        })
    }

    /// Each difference that it finds; prints its last two lines.
    ///
    /// # Errors
    /// If it can't be run, or ends without having compared.
    pub(crate) fn differences(&self) -> Result<Vec<String>> {
        let output = Command::new("python3")
            .arg(&self.script)
            .args(&self.arguments)
            .output()
            .context("run python3")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let (differences, summary): (Vec<&str>, Vec<&str>) =
            said.lines().partition(|line| line.starts_with("DIFFERS "));
        println!("checker: {}", summary.join("; "));
        ensure!(
            summary.len() == 2 && output.status.success() == differences.is_empty(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(differences.into_iter().map(str::to_owned).collect())
    }
}
