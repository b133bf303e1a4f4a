//! `tandem steps`: where a process can be told to die, for tests of recovery.

use crate::daemon::{CRASH_POINT_VARIABLE, CrashPoint};

use super::{VerbFailure, output};

/// Prints every step, one a line, for `TANDEM_AT`.
///
/// # Errors
/// If stdout fails.
pub fn run() -> Result<(), VerbFailure> {
    output::note(&format!(
        "{CRASH_POINT_VARIABLE}=STEP:kill, STEP:stop, or STEP:kill:N for the Nth time"
    ));
    let lines = CrashPoint::ALL.map(|step| format!("{} {}", step.as_str(), step.role()));
    output::data(&lines.join("\n"))
}
