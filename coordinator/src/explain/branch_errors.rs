//! Why a participant's call failed, as a sidecar answers and `tandem tx show` tells it.

use strum::VariantArray;
use tandem_participant::ErrorKind;

use super::{Entry, Group, Text};

pub(super) fn entries() -> Vec<Entry> {
    let kinds = ErrorKind::VARIANTS.iter();
    kinds
        .map(|kind| Entry::new(Group::BranchError, kind.as_ref(), text(*kind)))
        .collect()
}

fn text(kind: ErrorKind) -> Text {
    match kind {
        ErrorKind::Unavailable => Text {
            means: "the store can't be reached or did not answer in time; what was asked may have taken effect",
            cause: "It is down, the network is cut, or it is slower than the call's timeout.",
            act: "Mend the store or the way to it. The coordinator asks again by itself, which is safe.",
        },
        ErrorKind::Busy => Text {
            means: "the store is healthy and can't do it now; asking again later is safe",
            cause: "A lock, a backup, a session that has not gone yet, or no connection left.",
            act: "Usually nothing: it is asked again by itself. If it lasts, its detail says what stands in the way.",
        },
        ErrorKind::Stuck => Text {
            means: "only a person can end this branch now",
            cause: "The server itself has lost the branch: it is prepared inside, and no session can end it.",
            act: "Do at the store what the last failure in `tandem tx show ID` says (restart that server), then `tandem \
                  tx retry ID`.",
        },
        ErrorKind::Heuristic => Text {
            means: "the store has ended the branch against the decision",
            cause: "Somebody ended it by hand, or the store has lost it.",
            act: "`tandem tx show ID` says how; HEURISTIC_ROLLBACK and HEURISTIC_MIXED are repaired, HEURISTIC_COMMIT is \
                  taken back by hand.",
        },
        ErrorKind::Fenced => Text {
            means: "the store knows a newer epoch or another log of this coordinator: this one must stop",
            cause: "Two coordinators run under one id, or this one runs on an old copy of its log.",
            act: "Find out which one is to run and on which folder: `tandem log inspect DIR OTHER` says which knows more.",
        },
        ErrorKind::NotEnlisted => Text {
            means: "the store does not know this coordinator, or not any more; nothing was done",
            cause: "It was flushed, restored or failed over, or tandem's keys or rows were deleted.",
            act: "Nothing: the coordinator enlists again, and carries out again what the store has lost. `tandem \
                  participants` says how much.",
        },
        ErrorKind::Unsafe => Text {
            means: "the store's settings would lose decided purchases",
            cause: "A finding that is neither mended nor accepted.",
            act: "`tandem participants` names it and says what mends it. Only if the risk is meant: accept = [\"NAME\"].",
        },
        ErrorKind::Invalid => Text {
            means: "the request or the configuration is wrong; asking again does not help",
            cause: "A name, a statement or a setting that this store can't use, or a coordinator and a sidecar of versions \
                    that do not fit.",
            act: "Mend what the detail names; `tandem config check --config FILE` finds it without a trace.",
        },
    }
}
