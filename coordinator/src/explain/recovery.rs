//! Why a transaction is to end so, when a coordinator is gone or its log is.

use strum::VariantArray;

use super::{Entry, Group, Text};
use crate::recover::Because;

pub(super) fn entries() -> Vec<Entry> {
    let all = Because::VARIANTS.iter();
    all.map(|because| Entry::new(Group::Recovery, because.as_ref(), text(*because)))
        .collect()
}

fn text(because: Because) -> Text {
    match because {
        Because::DecidedCommit => DECIDED_COMMIT,
        Because::DecidedAbort => DECIDED_ABORT,
        Because::PresumedAbort => PRESUMED_ABORT,
        Because::WorkUnderWay => WORK_UNDER_WAY,
        Because::CommittedElsewhere => COMMITTED_ELSEWHERE,
        Because::RolledBackElsewhere => ROLLED_BACK_ELSEWHERE,
        Because::NeverPromised => NEVER_PROMISED,
        Because::AllPromised => ALL_PROMISED,
        Because::HalfThere => HALF_THERE,
        Because::StoresDisagree => STORES_DISAGREE,
        Because::CommittedUndecided => COMMITTED_UNDECIDED,
        Because::MemoryLost => MEMORY_LOST,
        Because::StoreNotAsked => STORE_NOT_ASKED,
    }
}

const DECIDED_COMMIT: Text = Text {
    means: "the log has the decision to commit, and a store does not have it yet",
    cause: "The coordinator ended between the decision and its end, or a store has lost it since.",
    act: "Start `tandem serve` on the log, which carries it out. Where it can't be started, the statements that are \
          printed do.",
};

const DECIDED_ABORT: Text = Text {
    means: "the log knows it as refused or aborted, and a store still holds it",
    cause: "The coordinator ended before that store had released it.",
    act: "Start `tandem serve` on the log, which releases it; else by the statements that are printed.",
};

const PRESUMED_ABORT: Text = Text {
    means: "the coordinator that runs has no decision of it, so that it is rolled back",
    cause: "It was prepared by an earlier life of the coordinator that ended before the decision.",
    act: "Nothing: the next sweep of the coordinator releases it.",
};

const WORK_UNDER_WAY: Text = Text {
    means: "the coordinator that runs is at work on it",
    cause: "It has not ended yet.",
    act: "Nothing by hand. `tandem tx show ID` says what it waits for.",
};

const COMMITTED_ELSEWHERE: Text = Text {
    means: "another store has committed it, so that it was decided: it is to be committed here too",
    cause: "The coordinator ended between the two commits, and its log is not at hand.",
    act: "Run the statements that are printed. Only if somebody may have committed it at that store by hand is it a \
          person's to choose: such a commit looks the same.",
};

const ROLLED_BACK_ELSEWHERE: Text = Text {
    means: "another store remembers that it was rolled back, so that it was not decided: it is to be released here too",
    cause: "The coordinator ended between the two roll backs, and its log is not at hand.",
    act: "Run the statements that are printed. Only if somebody may have rolled it back at that store by hand is it a \
          person's to choose.",
};

const NEVER_PROMISED: Text = Text {
    means: "another store, which knows the coordinator, neither holds nor remembers it: without its promise nothing was \
            decided, and it is to be released here",
    cause: "The coordinator ended while it had it prepared.",
    act: "Run the statements that are printed. Only if somebody may have settled it, or ended it at that store by hand, \
          or that store was put back to an old copy, compare its purchases first: that leaves nothing either.",
};

const ALL_PROMISED: Text = Text {
    means: "every store has promised it, and whether that was decided is written nowhere that was looked at",
    cause: "The coordinator ended about the moment of the decision, and its log is not at hand or may be an old copy.",
    act: "Look for the newest log first: with it, start `tandem serve`. Without it a person chooses, the same at every \
          store: committing sells what the customer asked for and may have been told is not made; releasing loses it if \
          he was told that it is.",
};

const HALF_THERE: Text = Text {
    means: "one store has committed it, another has nothing of it, and no decision is at hand to redo",
    cause: "The other store has forgotten it rightly, or lost it, or a person has settled it.",
    act: "Compare its purchases by hand. With the log, `tandem tx repair` redoes it once the coordinator runs.",
};

const STORES_DISAGREE: Text = Text {
    means: "one store has committed what another has rolled back",
    cause: "Somebody ended it by hand at one of them.",
    act: "A person chooses: write it at the one, or take it back at the other. With the log, `tandem tx show ID` says what \
          was decided.",
};

const COMMITTED_UNDECIDED: Text = Text {
    means: "a store has committed what has no decision",
    cause: "Somebody committed it by hand, or the log is an old copy.",
    act: "If the log may be an old copy, look for the newest. Else take it back there as `tandem tx show ID` says.",
};

const MEMORY_LOST: Text = Text {
    means: "a store that would tell knows nothing of this coordinator",
    cause: "It was flushed or replaced, the coordinator uses other stores, or its participant has another name there.",
    act: "Name the coordinator's own configuration with `--config`, or compare by hand.",
};

const STORE_NOT_ASKED: Text = Text {
    means: "a store that would tell could not be asked",
    cause: "It is down, or can't tell now.",
    act: "Bring it up and look again.",
};
