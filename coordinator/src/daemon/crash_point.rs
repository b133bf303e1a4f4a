//! Named steps at which a process can be told to die or to stop, for the demonstration and for
//! the tests of recovery: `TANDEM_AT=decided:kill`, `TANDEM_AT=decided:stop`.
//!
//! Without the variable a step costs one load of a static.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{Signal, raise};

/// The environment variable that names a step and what happens there.
pub const VARIABLE: &str = "TANDEM_AT";

/// A step of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A transaction is about to be prepared at a participant.
    Preparing,
    /// All votes are in; the decision is about to be appended to the log.
    Deciding,
    /// The decision is durable; nobody has been told.
    Decided,
    /// One participant has acknowledged a commit.
    Acknowledged,
    /// All participants have; the end record is about to be appended.
    Ending,
    /// An operator's order to redo a branch is durable; the participant is about to be asked.
    Repairing,
}

impl Step {
    /// All steps, in the order in which a purchase passes them, and then an operator's orders.
    pub const ALL: [Step; 6] = [
        Step::Preparing,
        Step::Deciding,
        Step::Decided,
        Step::Acknowledged,
        Step::Ending,
        Step::Repairing,
    ];

    /// The step's name in the variable.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Preparing => "preparing",
            Step::Deciding => "deciding",
            Step::Decided => "decided",
            Step::Acknowledged => "acknowledged",
            Step::Ending => "ending",
            Step::Repairing => "repairing",
        }
    }
}

/// Dies or stops here, if the environment says so; the first time only.
pub(super) fn reach(step: Step) {
    static CHOSEN: OnceLock<Option<(Step, Signal)>> = OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var(VARIABLE).ok()?;
        let (name, what) = text.split_once(':')?;
        let step = Step::ALL.into_iter().find(|step| step.as_str() == name)?;
        match what {
            "kill" => Some((step, Signal::SIGKILL)),
            "stop" => Some((step, Signal::SIGSTOP)),
            _ => None,
        }
    });
    // A process that was stopped and goes on has passed the step.
    static PASSED: AtomicBool = AtomicBool::new(false);
    if let Some((at, signal)) = chosen
        && *at == step
        && !PASSED.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(step = step.as_str(), %signal, "{VARIABLE} says to stop here");
        // To this thread: a stop that is sent to the process is taken by any of its threads, and
        // this one would go on for a while. It can only fail for a signal that does not exist.
        let _ = raise(*signal);
    }
}
