//! States that tables and JSON show: the word of the table is the code, the wire's name another of it.

use tandem_proto::v1::{
    BranchProgress, BranchState, LinkState, PurchaseState, RepairState, TransactionState,
};

use super::{Entry, Group, Text};
use crate::cli::names::{WireEnum, full, word};

/// An entry for each value of an enum of the wire but the unspecified one, which has the number 0.
fn of<E: WireEnum>(group: Group, text: impl Fn(E) -> Option<Text>) -> Vec<Entry> {
    let numbers = (0..).map_while(|number| Some((number, E::try_from(number).ok()?)));
    let entry = |(number, value)| {
        let entry = Entry::new(group, word::<E>(number), text(value)?);
        Some(entry.also(full::<E>(number)))
    };
    numbers.filter_map(entry).collect()
}

fn text(means: &'static str, cause: &'static str, act: &'static str) -> Option<Text> {
    Some(Text { means, cause, act })
}

pub(super) fn transactions() -> Vec<Entry> {
    of(Group::Transaction, |state| match state {
        TransactionState::Unspecified => None,
        TransactionState::Preparing => text(
            "asked to prepare; no decision yet",
            "A purchase was submitted a moment ago, or a store is slow.",
            "Nothing: it is aborted by itself if its votes are not in by the prepare deadline.",
        ),
        TransactionState::Deciding => text(
            "all votes are in, and the decision is on its way to the disk",
            "The disk of the decision log is slow if it lasts for more than seconds.",
            "Mend that disk; it goes on by itself. If the coordinator ends meanwhile, its next start finds what the \
             disk has.",
        ),
        TransactionState::Committing => text(
            "decided to commit, and not every participant has acknowledged it",
            "A store is slow or down, or a branch waits for a person.",
            "`tandem tx show ID` says which branch and why. What is not stuck or heuristic goes on by itself.",
        ),
        TransactionState::Aborting => text(
            "aborted; not every participant has released what it prepared",
            "A store is slow or down.",
            "Nothing: it is asked again by itself. `tandem tx retry ID` asks now.",
        ),
        TransactionState::Committed => text(
            "committed everywhere",
            "All participants have acknowledged it.",
            "Nothing, unless `tandem tx show ID` says that a store owes units.",
        ),
        TransactionState::Refused => text(
            "every purchase of it was refused; it has ended without effect",
            "The stores refused them, each with a reason.",
            "Nothing.",
        ),
    })
}

pub(super) fn branches() -> Vec<Entry> {
    of(Group::Branch, |progress| match progress {
        BranchProgress::Unspecified => None,
        BranchProgress::NotAsked => text(
            "the participant was not asked for anything yet",
            "Another participant is asked first.",
            "Nothing.",
        ),
        BranchProgress::Preparing => text(
            "asked to prepare, and has not answered",
            "The call is under way.",
            "Nothing: it has a deadline.",
        ),
        BranchProgress::Prepared => text(
            "it has promised to commit",
            "The other votes, or the decision, are awaited.",
            "Nothing.",
        ),
        BranchProgress::Ending => text(
            "a commit or roll back is to be acknowledged",
            "The call is under way, or failed and waits for its next try.",
            "Nothing: it is asked again until it is done. `tandem tx retry ID` asks now; if it lasts, `tandem \
             participants` says what is wrong.",
        ),
        BranchProgress::Ended => text(
            "acknowledged by the store",
            "It was committed or rolled back as decided.",
            "Nothing.",
        ),
        BranchProgress::Stuck => text(
            "only a person can end this branch",
            "The store said so: its server has lost the branch.",
            "Do at the store what its last failure says, then `tandem tx retry ID`.",
        ),
        BranchProgress::Heuristic => text(
            "the store ended the branch against the decision",
            "Somebody ended it by hand, or the store has lost it.",
            "`tandem tx repair ID --participant NAME --reason TEXT` where it was decided to commit; else take it back and \
             settle it, as `tandem tx show ID` says.",
        ),
        BranchProgress::Settled => text(
            "ended by a person's word; the store is not asked any more",
            "Somebody ran `tandem tx settle`; the timeline says who and why.",
            "Nothing. If it is found prepared all the same, it is ended as was said.",
        ),
    })
}

pub(super) fn truths() -> Vec<Entry> {
    of(Group::StoreTruth, |state| match state {
        BranchState::Unspecified => None,
        BranchState::Prepared => text(
            "the store holds it prepared: rows locked, units held",
            "It is in doubt, or on its way.",
            "Nothing while its coordinator runs. Without one: \"Ending a branch by hand\" in the operator's manual.",
        ),
        BranchState::Committed => text(
            "the store remembers that it committed it",
            "It was carried out, by tandem or by hand.",
            "Nothing, unless the transaction was aborted: then HEURISTIC_COMMIT.",
        ),
        BranchState::RolledBack => text(
            "the store remembers that it rolled it back",
            "It was aborted or refused there, or somebody rolled it back.",
            "Nothing, unless the decision is commit: then HEURISTIC_ROLLBACK.",
        ),
        BranchState::Absent => text(
            "the store neither holds it prepared nor remembers it",
            "It never came there, was forgotten since, or was lost or settled by hand.",
            "Nothing of one that ended long ago. Where the decision is commit and young, `tandem participants` says \
             whether the store has lost something.",
        ),
        BranchState::Unclear => text(
            "the store can't tell now",
            "A session that still has the branch, or a server that was just started; the detail says which.",
            "Look again.",
        ),
    })
}

pub(super) fn links() -> Vec<Entry> {
    of(Group::Link, |state| match state {
        LinkState::Unspecified => None,
        LinkState::Connecting => text(
            "not enlisted yet since the coordinator's start",
            "The start is under way, or the store does not answer.",
            "Wait a moment; then what is printed below the table says what was tried.",
        ),
        LinkState::Up => text("it can be asked", "It is enlisted and answers.", "Nothing."),
        LinkState::Down => text(
            "it was tried and failed; purchases that need it are answered UNAVAILABLE",
            "The store is down, unreachable, denies tandem, or has findings that are not accepted.",
            "Mend what is printed below the table. It is tried again by itself; `tandem participants retry NAME` tries \
             now.",
        ),
    })
}

pub(super) fn purchases() -> Vec<Entry> {
    of(Group::Purchase, |state| match state {
        PurchaseState::Unspecified => None,
        PurchaseState::Pending => text(
            "accepted, no decision yet",
            "It waits for a transaction, or for the stores' votes.",
            "Ask again.",
        ),
        PurchaseState::Committed => text(
            "decided: it is or will be in both stores",
            "Both stores promised it, and the decision is on disk.",
            "Nothing, unless it says that an operator is needed: then `tandem tx show` of its transaction.",
        ),
        PurchaseState::Refused => text(
            "decided: a store refused it and nothing of it is kept",
            "The reason is printed with it.",
            "`tandem explain` of that reason.",
        ),
    })
}

pub(super) fn repairs() -> Vec<Entry> {
    of(Group::Repair, |state| match state {
        RepairState::Unspecified => None,
        RepairState::Preview => text(
            "only said, not done",
            "The preview was asked for, or you have not said yes yet.",
            "Say yes, or run it again with `--yes`.",
        ),
        RepairState::Done => text(
            "the store has it now",
            "It was redone from the decision, or was there.",
            "Nothing.",
        ),
        RepairState::Ordered => text(
            "the order is stored; the store could not be asked yet and will be",
            "The store is down.",
            "Mend the store; the order is carried out by itself, also after a restart.",
        ),
        RepairState::Failed => text(
            "the order is stored, and the store could not do it",
            "A row has gone on, a key is taken, a right is missing: the effect says which.",
            "Put that right and repair again; or do it by hand and settle it.",
        ),
    })
}
