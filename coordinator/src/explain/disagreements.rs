//! What an audit finds.

use strum::VariantArray;

use super::{Entry, Group, Text};
use crate::audit::DisagreementKind;

pub(super) fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for kind in DisagreementKind::VARIANTS {
        // Those that share a name share what is said of it.
        if entries.iter().all(|entry| entry.code != kind.as_ref()) {
            entries.push(Entry::new(Group::Disagreement, kind.as_ref(), text(*kind)));
        }
    }
    entries
}

fn text(kind: DisagreementKind) -> Text {
    let (cause, act) = told(kind);
    Text {
        means: kind.meaning(),
        cause,
        act,
    }
}

/// How it comes about, and what to do.
fn told(kind: DisagreementKind) -> (&'static str, &'static str) {
    match kind {
        DisagreementKind::RowMissing => (
            "A DELETE by hand or by the app; a restore of MySQL that tandem could not notice.",
            "`tandem tx repair ID --participant NAME --reason TEXT` inserts it again from the decision. If the order \
             was cancelled by the app, nothing is wrong with tandem: give the units back and leave it.",
        ),
        DisagreementKind::RowDiffers => (
            "An UPDATE by hand or by the app; a trigger that changes what is inserted.",
            "Compare with `tandem purchase get ID` and put the row right by hand, or leave it if the app meant it.",
        ),
        DisagreementKind::RowWithoutDecision => (
            "Somebody inserted it with a transaction id, committed a branch by hand, or the log is an old copy.",
            "Find out who wrote it. Delete it, or deduct its units by hand.",
        ),
        DisagreementKind::CommitNotRemembered => (
            "tandem's keys or rows were deleted, or the store was restored.",
            "`tandem tx repair ID --participant NAME --reason TEXT` writes the memory again. At Redis it deducts the \
             units: compare the stock first.",
        ),
        DisagreementKind::RollBackRemembered => (
            "Somebody rolled it back by hand, and the store said otherwise when it was asked.",
            "`tandem tx repair ID --participant NAME --reason TEXT` redoes it from the decision.",
        ),
        DisagreementKind::CommitWithoutDecision | DisagreementKind::CommitByHand => (
            "An XA COMMIT by hand of what was aborted, or a log that has forgotten a decision.",
            "`tandem tx show ID` says what the log knows. Where it knows the abort: take the commit back as it says, \
             then settle it as rolled back. Where it knows nothing: see \"A stale or damaged log\" in the operator's \
             manual.",
        ),
        DisagreementKind::HoldLeft => (
            "A coordinator is gone, or the store was restored with a hold of a transaction that has ended.",
            "Of a transaction that was committed `tandem tx repair` gives them back; of one without a decision the next \
             sweep does; of another coordinator's ask whoever runs it.",
        ),
        DisagreementKind::HeldSumWrong => (
            "Somebody changed tandem's keys, or a restore brought back a part of them.",
            "Set the sum as the remedy says while nothing is prepared for that stock.",
        ),
        DisagreementKind::DeductedDiffers => (
            "The count was changed by hand, an import wrote the product anew, or the store lost commits that the log has \
             forgotten.",
            "Compare the stock with the shelf, put it right, then the count, as \"The audit\" in the operator's manual says.",
        ),
        DisagreementKind::BranchLeft => (
            "Another coordinator's, somebody's own XA, or one so old that the log has forgotten it.",
            "Its owner ends it. If there is none: \"Ending a branch by hand\" in the operator's manual.",
        ),
        DisagreementKind::Debt => (
            "The app lowered the stock below what tandem holds, or the key vanished between hold and commit.",
            "`tandem stock SKU` says how much. Put the stock right, then clear the debt with the command that it prints.",
        ),
        DisagreementKind::Heuristic => (
            "Somebody ended the branch by hand, or the store has lost it.",
            "`tandem tx show ID` says which of the three heuristic ends it is, and what to do.",
        ),
        DisagreementKind::Stuck => (
            "The server has lost the branch: it holds locks and can't be listed.",
            "Do what the last failure in `tandem tx show ID` says, then `tandem tx retry ID`.",
        ),
    }
}
