//! Where the program under test is.

use std::env;
use std::path::PathBuf;
use std::sync::Mutex;

use anyhow::{Context, Result};

/// Names another binary than the one beside the tests.
const VARIABLE: &str = "TANDEM_BIN";

/// The `tandem` that `tests/shipped` has built alone for the same target folder and profile as this
/// program, or what `TANDEM_BIN` names. The one beside this program is not it: a build of the whole
/// workspace has put features into it that only tests turn on.
///
/// # Errors
/// If it has not been built.
pub fn tandem_program() -> Result<PathBuf> {
    if let Some(path) = env::var_os(VARIABLE) {
        return Ok(path.into());
    }
    let own = env::current_exe().context("where this program is")?;
    // A test is in `deps` of the profile's folder, a program in the folder itself.
    let found = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join("shipped/tandem"))
        .find(|path| path.is_file());
    found.with_context(|| {
        format!(
            "there is no `shipped/tandem` beside {}: build it first with tests/shipped, or call \
             tests/run, which does",
            own.display()
        )
    })
}

/// Which `tandem` a part of a world runs: the one under test, or another build.
#[derive(Debug, Default)]
pub(crate) struct Build(Mutex<Option<PathBuf>>);

impl Build {
    /// From its next start on the part runs this program; the one under test if there is none.
    pub(crate) fn set(&self, program: Option<PathBuf>) {
        *self.0.lock().unwrap() = program;
    }

    /// What the part's next process runs.
    ///
    /// # Errors
    /// If the program under test has not been built.
    pub(crate) fn program(&self) -> Result<PathBuf> {
        let other = self.0.lock().unwrap().clone();
        other.map_or_else(tandem_program, Ok)
    }
}
