//! Why a verb failed: the `code` of a failure in JSON where no server has answered.

use strum::VariantArray;

use super::{Entry, Group, Text};
use crate::cli::FailureKind;

pub(super) fn entries() -> Vec<Entry> {
    let kinds = FailureKind::VARIANTS.iter();
    kinds
        .filter_map(|kind| Some(Entry::new(Group::Failure, kind.as_ref(), text(*kind)?)))
        .collect()
}

/// `None` for what is never printed.
fn text(kind: FailureKind) -> Option<Text> {
    let (means, cause, act) = match kind {
        // An answer has gRPC's code, and nobody reads what is written to a closed pipe.
        FailureKind::Refused | FailureKind::ClosedPipe => return None,
        FailureKind::Negative => (
            "it was not done, or the answer is no",
            "The detail says which; nothing is known to be broken.",
            "Read the detail.",
        ),
        FailureKind::Disagreement => (
            "what was compared disagrees",
            "`tandem audit` found what the log and the stores say differently.",
            "Each disagreement says what mends it.",
        ),
        FailureKind::Incomplete => (
            "nothing that was looked at is wrong, and not everything could be looked at",
            "A store was down, the log has forgotten a part of the time, or a column can't be compared.",
            "Mend what NOT COMPARED names, or ask for less.",
        ),
        FailureKind::Usage => (
            "the command line asks for something that can't be",
            "A flag or a value is wrong or missing.",
            "Mend what the detail names; `--help` lists what the verb takes.",
        ),
        FailureKind::Unusable => (
            "the configuration can't be used at its stores",
            "A statement can't run there, or a table is missing.",
            "Mend what was printed, and check again: `tandem config check --config FILE`.",
        ),
        FailureKind::Unasked => (
            "a store could not be asked, and nothing else is wrong",
            "It is down, or the way to it is cut.",
            "Mend that, and check again.",
        ),
        FailureKind::Config => (
            "the configuration file can't be used",
            "It is not there, can't be read, or breaks a rule; the detail has line and column.",
            "Mend that line: `tandem config check --config FILE --offline` finds the next one.",
        ),
        FailureKind::Unreachable => (
            "no connection was made; nothing was asked",
            "Nobody listens there: the coordinator is down, or the address is wrong.",
            "See that `tandem serve` runs, and name its listener with `--server` or `--admin`.",
        ),
        FailureKind::NoAnswer => (
            "the server was asked, and no answer came; what was asked may have taken effect",
            "The connection broke, or `--timeout` passed.",
            "Ask again: every verb is safe to repeat, a purchase with the same id.",
        ),
        FailureKind::Unknown => (
            "the outcome is not known yet",
            "The answer says so: not decided yet, or cut short.",
            "Ask again.",
        ),
        FailureKind::Other => (
            "something else went wrong on this machine",
            "The detail has it with its causes.",
            "Read the detail.",
        ),
    };
    Some(Text { means, cause, act })
}
