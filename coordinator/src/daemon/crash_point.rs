//! Named steps at which a process can be told to die or to stop, for the demonstration and for
//! the tests of recovery: `TANDEM_AT=decided:kill`, `TANDEM_AT=decided:stop`, and
//! `TANDEM_AT=decided:kill:40` for the fortieth time that the step is reached.
//!
//! Without the variable a step costs one load of a static.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{Signal, raise};
use tandem_log::LogStep;

use crate::logging;

/// The environment variable that names a step and what happens there.
pub const VARIABLE: &str = "TANDEM_AT";

/// A step of the coordinator or of a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// The log has been read; the epoch has not begun.
    LogOpened,
    /// The epoch is durable; no participant knows of it.
    EpochBegun,
    /// A participant is about to be told of the epoch.
    Enlisting,
    /// It has been; what it holds has not been asked for.
    Enlisted,
    /// A participant has said what it holds; the core has not heard it.
    Listed,
    /// A participant is about to be asked what its store remembers.
    Recalling,
    /// A transaction is about to be prepared at a participant.
    Preparing,
    /// A participant has voted; the core has not heard it.
    Voted,
    /// All votes are in; the decision is about to be appended to the log.
    Deciding,
    /// A record waits for the log's own thread.
    Appended,
    /// A step of that thread.
    Log(LogStep),
    /// The decision is durable; nobody has been told.
    Decided,
    /// One participant has acknowledged a commit.
    Acknowledged,
    /// A client is about to be answered.
    Replying,
    /// A participant is about to be told to roll back.
    RollingBack,
    /// It has acknowledged that.
    RolledBack,
    /// All participants have; the end record is about to be appended.
    Ending,
    /// A participant is about to be told what it may forget.
    Forgetting,
    /// An operator's order to redo a branch is durable; the participant is about to be asked.
    Repairing,
    /// A step of a sidecar.
    Store(StoreStep),
}

/// A step of a sidecar, which is asked by the coordinator and asks its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreStep {
    /// Asked to enlist; the store has not been asked.
    Enlisting,
    /// The store knows the epoch; the coordinator has not heard it.
    Enlisted,
    /// Asked to prepare; the store has not been asked.
    Preparing,
    /// The store has prepared or refused; the coordinator has not heard it.
    Prepared,
    /// Asked to commit; the store has not been asked.
    Committing,
    /// The store has committed; the coordinator has not heard it.
    Committed,
    /// Asked to roll back; the store has not been asked.
    RollingBack,
    /// The store has rolled back; the coordinator has not heard it.
    RolledBack,
    /// Asked what is remembered; the store has not been asked.
    Recalling,
    /// The store has said it; the coordinator has not heard it.
    Recalled,
    /// Allowed to forget; the store has not been asked.
    Forgetting,
    /// The store has forgotten; the coordinator has not heard it.
    Forgotten,
}

impl CrashPoint {
    /// All steps: a start's, then those of a purchase, in the order in which it passes them, then a
    /// sidecar's.
    pub const ALL: [CrashPoint; 37] = [
        CrashPoint::LogOpened,
        CrashPoint::EpochBegun,
        CrashPoint::Enlisting,
        CrashPoint::Enlisted,
        CrashPoint::Listed,
        CrashPoint::Recalling,
        CrashPoint::Preparing,
        CrashPoint::Voted,
        CrashPoint::Deciding,
        CrashPoint::Appended,
        CrashPoint::Log(LogStep::Storing),
        CrashPoint::Log(LogStep::Written),
        CrashPoint::Log(LogStep::Forced),
        CrashPoint::Log(LogStep::Marked),
        CrashPoint::Decided,
        CrashPoint::Acknowledged,
        CrashPoint::Replying,
        CrashPoint::RollingBack,
        CrashPoint::RolledBack,
        CrashPoint::Ending,
        CrashPoint::Forgetting,
        CrashPoint::Log(LogStep::Releasing),
        CrashPoint::Log(LogStep::Rebased),
        CrashPoint::Log(LogStep::Released),
        CrashPoint::Store(StoreStep::Enlisting),
        CrashPoint::Store(StoreStep::Enlisted),
        CrashPoint::Store(StoreStep::Recalling),
        CrashPoint::Store(StoreStep::Recalled),
        CrashPoint::Store(StoreStep::Preparing),
        CrashPoint::Store(StoreStep::Prepared),
        CrashPoint::Store(StoreStep::Committing),
        CrashPoint::Store(StoreStep::Committed),
        CrashPoint::Store(StoreStep::RollingBack),
        CrashPoint::Store(StoreStep::RolledBack),
        CrashPoint::Store(StoreStep::Forgetting),
        CrashPoint::Store(StoreStep::Forgotten),
        CrashPoint::Repairing,
    ];

    /// The step's name in the variable.
    pub fn as_str(self) -> &'static str {
        match self {
            CrashPoint::LogOpened => "log_opened",
            CrashPoint::EpochBegun => "epoch_begun",
            CrashPoint::Enlisting => "enlisting",
            CrashPoint::Enlisted => "enlisted",
            CrashPoint::Listed => "listed",
            CrashPoint::Recalling => "recalling",
            CrashPoint::Preparing => "preparing",
            CrashPoint::Voted => "voted",
            CrashPoint::Deciding => "deciding",
            CrashPoint::Appended => "appended",
            CrashPoint::Log(LogStep::Storing) => "log_storing",
            CrashPoint::Log(LogStep::Written) => "log_written",
            CrashPoint::Log(LogStep::Forced) => "log_forced",
            CrashPoint::Log(LogStep::Marked) => "log_marked",
            CrashPoint::Decided => "decided",
            CrashPoint::Acknowledged => "acknowledged",
            CrashPoint::Replying => "replying",
            CrashPoint::RollingBack => "rolling_back",
            CrashPoint::RolledBack => "rolled_back",
            CrashPoint::Ending => "ending",
            CrashPoint::Forgetting => "forgetting",
            CrashPoint::Log(LogStep::Releasing) => "log_releasing",
            CrashPoint::Log(LogStep::Rebased) => "log_rebased",
            CrashPoint::Log(LogStep::Released) => "log_released",
            CrashPoint::Repairing => "repairing",
            CrashPoint::Store(StoreStep::Enlisting) => "store_enlisting",
            CrashPoint::Store(StoreStep::Enlisted) => "store_enlisted",
            CrashPoint::Store(StoreStep::Recalling) => "store_recalling",
            CrashPoint::Store(StoreStep::Recalled) => "store_recalled",
            CrashPoint::Store(StoreStep::Preparing) => "store_preparing",
            CrashPoint::Store(StoreStep::Prepared) => "store_prepared",
            CrashPoint::Store(StoreStep::Committing) => "store_committing",
            CrashPoint::Store(StoreStep::Committed) => "store_committed",
            CrashPoint::Store(StoreStep::RollingBack) => "store_rolling_back",
            CrashPoint::Store(StoreStep::RolledBack) => "store_rolled_back",
            CrashPoint::Store(StoreStep::Forgetting) => "store_forgetting",
            CrashPoint::Store(StoreStep::Forgotten) => "store_forgotten",
        }
    }

    /// The role whose process passes it; for what only an operator's order leads to, his.
    pub fn role(self) -> &'static str {
        match self {
            CrashPoint::Store(_) => "participant",
            CrashPoint::Repairing => "operator",
            _ => "serve",
        }
    }
}

/// What the variable asks for.
struct Chosen {
    step: CrashPoint,
    signal: Signal,
    /// How often the step is reached until then, this time included.
    passing: u64,
}

/// Whether the environment names a step.
pub(super) fn is_chosen() -> bool {
    chosen().is_some()
}

/// Dies or stops here, if the environment says so, once.
pub(super) fn reach(step: CrashPoint) {
    // A process that was stopped and goes on has passed the step.
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if let Some(chosen) = chosen()
        && chosen.step == step
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == chosen.passing
    {
        let signal = chosen.signal;
        tracing::warn!(step = step.as_str(), %signal, "{VARIABLE} says to stop here");
        logging::flush();
        // To this thread: a stop that is sent to the process is taken by any of its threads, and
        // this one would go on for a while. It can only fail for a signal that does not exist.
        let _ = raise(signal);
    }
}

fn chosen() -> Option<&'static Chosen> {
    static CHOSEN: OnceLock<Option<Chosen>> = OnceLock::new();
    CHOSEN
        .get_or_init(|| parse(&std::env::var(VARIABLE).ok()?))
        .as_ref()
}

fn parse(text: &str) -> Option<Chosen> {
    let mut parts = text.split(':');
    let name = parts.next()?;
    let step = CrashPoint::ALL
        .into_iter()
        .find(|step| step.as_str() == name)?;
    let signal = match parts.next()? {
        "kill" => Signal::SIGKILL,
        "stop" => Signal::SIGSTOP,
        _ => return None,
    };
    let passing = parts.next().map_or(Some(1), |count| count.parse().ok())?;
    Some(Chosen {
        step,
        signal,
        passing,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_step_has_a_name_of_its_own_that_chooses_it() {
        let names: BTreeSet<&str> = CrashPoint::ALL
            .into_iter()
            .map(CrashPoint::as_str)
            .collect();
        assert_eq!(names.len(), CrashPoint::ALL.len());
        for step in CrashPoint::ALL {
            let chosen = parse(&format!("{}:kill", step.as_str())).expect("well formed");
            assert_eq!((chosen.step, chosen.passing), (step, 1));
        }
    }

    #[test]
    fn a_later_passing_can_be_chosen_and_nonsense_is_not_taken_for_the_first() {
        let chosen = parse("decided:stop:40").expect("well formed");
        assert_eq!((chosen.signal, chosen.passing), (Signal::SIGSTOP, 40));
        for text in [
            "",
            "decided",
            "decided:later",
            "decided:kill:soon",
            "never:kill",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
