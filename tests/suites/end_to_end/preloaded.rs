//! Libraries that are loaded before the C library of the coordinator.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tandem_tests::World;

/// Compiles a library of this source with the machine's C compiler.
pub(crate) fn library(world: &World, name: &str, source: &str) -> Result<PathBuf> {
    let place = world.folder().join(format!("{name}.c"));
    let library = world.folder().join(format!("{name}.so"));
    fs::write(&place, source)?;
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &place])
        .args(["-ldl", "-lpthread"]);
    let status = compiler.status().context("run the C compiler")?;
    ensure!(status.success(), "the C compiler failed: {status}");
    Ok(library)
}

/// What a process's environment must hold to load it.
pub(crate) fn preload(library: &std::path::Path) -> (String, String) {
    ("LD_PRELOAD".into(), library.display().to_string())
}
