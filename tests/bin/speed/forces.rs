//! Forced writes: how many each process makes, and what one costs.
//!
//! A library of the project's own is loaded before the C library by every process that stores
//! something.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const SOURCE: &str = include_str!("forces.c");

/// The library, and what it writes down.
pub(crate) struct Forces {
    library: PathBuf,
    folder: TempDir,
}

impl Forces {
    /// Compiles the library with the machine's C compiler. `cost` is that of each force; the disk's
    /// own if there is none.
    pub(crate) fn new(cost: Option<Duration>) -> Result<Forces> {
        let folder = tempfile::Builder::new()
            .prefix("tandem-forces-")
            .tempdir()?;
        let source = folder.path().join("forces.c");
        let library = folder.path().join("forces.so");
        fs::write(&source, SOURCE)?;
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .context("run the C compiler")?;
        ensure!(status.success(), "the C compiler failed: {status}");
        let forces = Forces { library, folder };
        forces.cost(cost)?;
        Ok(forces)
    }

    /// Changes what each force costs from now on.
    pub(crate) fn cost(&self, cost: Option<Duration>) -> Result<()> {
        let us = cost.map_or(Ok(-1), |cost| i64::try_from(cost.as_micros()))?;
        // Written in place: the processes have it mapped.
        let mut file = fs::OpenOptions::new();
        let file = file.write(true).create(true).truncate(false);
        let file = file.open(self.folder.path().join("us"))?;
        std::os::unix::fs::FileExt::write_all_at(&file, &us.to_ne_bytes(), 0)?;
        Ok(())
    }

    /// What a process's environment must hold.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        let path = |path: &std::path::Path| path.display().to_string();
        vec![
            ("LD_PRELOAD".into(), path(&self.library)),
            ("TANDEM_FORCES".into(), path(self.folder.path())),
        ]
    }

    /// How many a process has made so far.
    pub(crate) fn made(&self, pid: u32) -> Result<u64> {
        match fs::read(self.folder.path().join(pid.to_string())) {
            Ok(bytes) => Ok(u64::from_ne_bytes(bytes[..].try_into()?)),
            // It runs without the library: it stores nothing.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}
