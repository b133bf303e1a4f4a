//! How a branch can be ended against its decision.

use strum::VariantArray;
use tandem_protocol::HeuristicKind;

use super::{Entry, Group, Text};

pub(super) fn entries() -> Vec<Entry> {
    let kinds = HeuristicKind::VARIANTS.iter();
    kinds
        .map(|kind| Entry::new(Group::Heuristic, kind.as_ref(), text(*kind)))
        .collect()
}

fn text(kind: HeuristicKind) -> Text {
    match kind {
        HeuristicKind::RolledBack => Text {
            means: "decided to commit, and nothing of it is at this store",
            cause: "Somebody rolled the branch back by hand, or the store was restored from before it.",
            act: "`tandem tx repair ID --participant NAME --reason TEXT` redoes it from the decision, after a preview; many at \
                  once: `tandem tx repair --all --reason TEXT`.",
        },
        HeuristicKind::Committed => Text {
            means: "aborted, and it is at this store",
            cause: "Somebody committed the branch by hand before it was released.",
            act: "Take it back as `tandem tx show ID` says, then `tandem tx settle ID --participant NAME --as rolled-back \
                  --reason TEXT`.",
        },
        HeuristicKind::Mixed => Text {
            means: "decided to commit, and a part of it is at this store",
            cause: "Somebody wrote or removed some of it by hand.",
            act: "`tandem tx repair ID --participant NAME --reason TEXT` adds what is missing and leaves what is there.",
        },
    }
}
