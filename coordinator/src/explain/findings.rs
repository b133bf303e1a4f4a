//! Findings that every kind of store, a listener, or the configuration may have.

use strum::VariantArray;
use tandem_participant::ACCESS_DENIED;

use super::{Entry, Group, Text};
use crate::access::OfListener;
use crate::config::missing::Missing;

pub(super) fn entries() -> Vec<Entry> {
    let missing = Missing::VARIANTS.iter();
    let missing = missing.map(|one| Entry::new(Group::Finding, one.as_ref(), text(*one)));
    let denied = Entry::new(Group::Finding, ACCESS_DENIED, DENIED);
    let listeners = OfListener::VARIANTS.iter();
    let listeners =
        listeners.map(|one| Entry::new(Group::Finding, one.as_ref(), of_listener(*one)));
    missing.chain([denied]).chain(listeners).collect()
}

fn text(missing: Missing) -> Text {
    match missing {
        Missing::NoStockParticipant => Text {
            means: "no participant keeps the stock: purchases would be committed and no unit deducted",
            cause: "The configuration has no Redis participant, and no sidecar that may keep stock.",
            act: "Add one such as [participants.stock.redis]; or, if that is meant, accept = [\"NO_STOCK_PARTICIPANT\"] in \
                  [coordinator].",
        },
        Missing::NoRecordParticipant => Text {
            means: "no participant keeps a record: purchases would be committed and no row written",
            cause: "The configuration has no MySQL participant, and no sidecar that may keep records.",
            act: "Add one such as [participants.purchases.mysql]; or, if that is meant, accept = \
                  [\"NO_RECORD_PARTICIPANT\"] in [coordinator].",
        },
    }
}

fn of_listener(finding: OfListener) -> Text {
    match finding {
        OfListener::Plaintext => Text {
            means: "other machines can reach a listener that has no TLS: whoever is on the way reads and changes what is \
                    said, tokens too",
            cause: "The listener says plaintext = true, at an address that is not only this machine's.",
            act: "Add [tls] and [access], tell clients and operators the https address and the CA, then take plaintext = \
                  true away. Or listen at 127.0.0.1.",
        },
    }
}

const DENIED: Text = Text {
    means: "the store does not let tandem in; connections that are there serve on",
    cause: "The password, the account or a right was changed, or the account is locked.",
    act: "Mend it at the store, then `tandem participants retry NAME` has it tried at once. A changed url takes a restart. \
          Until then it is tried every 300 seconds at most, so that no account is locked by it.",
};
