//! What `tandem doctor` finds that no participant tells.

use strum::VariantArray;

use super::{Entry, Group, Text};
use crate::doctor::Ailment;

pub(super) fn entries() -> Vec<Entry> {
    let all = Ailment::VARIANTS.iter();
    all.map(|one| Entry::new(Group::Ailment, one.as_ref(), text(*one)))
        .collect()
}

/// What is said of one.
pub(crate) fn text(ailment: Ailment) -> Text {
    match ailment {
        Ailment::ClockDiffers => Text {
            means: "times that the store writes by itself differ from those of the decisions, and an audit of a time \
                    misses rows at its edges",
            cause: "A machine does not follow the time server, or follows another.",
            act: "Have both machines follow the same time server (`chronyc tracking`).",
        },
        Ailment::PortTaken => Text {
            means: "a start ends there, and no purchase is taken",
            cause: "Another program listens there, or the address is none of this machine's.",
            act: "End that program (`ss -ltnp` names it), or give the listener another address.",
        },
        Ailment::NoRoom => Text {
            means: "a start copies the log before it reads it, and a coordinator whose disk is full ends with purchases \
                    in doubt",
            cause: "The file system of data_dir is nearly full.",
            act: "Make room, or move data_dir as a whole to a larger file system while no coordinator runs.",
        },
        Ailment::FolderRefused => Text {
            means: "a start ends there, and no purchase is taken",
            cause: "data_dir belongs to another user or another coordinator, or the system refuses to read it.",
            act: "Run it as tandem's user; `chown` the folder to that one, or name another in data_dir.",
        },
        Ailment::LogInMemory => Text {
            means: "a power cut loses every decision, and what is prepared then can't be ended rightly",
            cause: "data_dir is on a tmpfs.",
            act: "Put data_dir on a disk before the first start, or move the folder as a whole while no coordinator \
                  runs.",
        },
        Ailment::LogDamaged => Text {
            means: "a log that has lost a decision could roll back a purchase that was reported as committed, so no \
                    start is made on it",
            cause: "The folder was copied, restored or edited, or the disk has failed.",
            act: "Keep the folder as it is; `tandem log inspect DIR` says what can be read and what to do.",
        },
        Ailment::SecretOpen => Text {
            means: "whoever reads it can sell, or take back, in tandem's name",
            cause: "The file of a secret has rights for others than its owner and group.",
            act: "`chmod o= FILE`, and another password if somebody may have read it.",
        },
        Ailment::StatementRefused => Text {
            means: "each purchase would be refused as MISCONFIGURED",
            cause: "A statement of the configuration can't run at its store: a table, a column or a right is missing.",
            act: "Make what the server names, or mend the statement at its line.",
        },
        Ailment::TrialFailed => Text {
            means: "purchases would fare the same",
            cause: "The store refused, or did otherwise than it was told, with a transaction on scratch rows or keys.",
            act: "Mend what the store says; the findings beside it often name the cause.",
        },
        Ailment::NotAsked => Text {
            means: "a purchase that needs the store is answered UNAVAILABLE",
            cause: "The store is down, or lets nobody in, or the url leads elsewhere.",
            act: "Start the store, or mend the url or the account; then run `tandem doctor` again.",
        },
    }
}
