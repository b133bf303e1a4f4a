//! The preload library that makes forces cost a fixed time.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

const SOURCE: &str = include_str!("slow_fsync.c");

pub(crate) struct Preload {
    library: PathBuf,
    microseconds: u64,
    _folder: TempDir,
}

impl Preload {
    /// Compiles the library with the machine's C compiler.
    pub(crate) fn build(microseconds: u64) -> Result<Preload> {
        let folder = tempfile::tempdir()?;
        let source = folder.path().join("slow_fsync.c");
        let library = folder.path().join("slow_fsync.so");
        std::fs::write(&source, SOURCE)?;
        let status = Command::new("cc")
            .args(["-shared", "-fPIC", "-O2", "-o"])
            .args([&library, &source])
            .status()
            .context("run the C compiler")?;
        ensure!(status.success(), "the C compiler failed: {status}");
        Ok(Preload {
            library,
            microseconds,
            _folder: folder,
        })
    }

    pub(crate) fn env(&self) -> Vec<(String, String)> {
        vec![
            ("LD_PRELOAD".into(), self.library.display().to_string()),
            ("TANDEM_FSYNC_US".into(), self.microseconds.to_string()),
        ]
    }
}
