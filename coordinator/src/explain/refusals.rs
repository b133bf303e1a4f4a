//! Why a store refuses a purchase.

use strum::VariantArray;
use tandem_protocol::Reason;

use super::{Entry, Group, Text};

pub(super) fn entries() -> Vec<Entry> {
    let reasons = Reason::VARIANTS.iter();
    reasons
        .map(|reason| Entry::new(Group::Refusal, reason.as_ref(), text(*reason)))
        .collect()
}

fn text(reason: Reason) -> Text {
    match reason {
        Reason::InsufficientStock => Text {
            means: "fewer units are available than the purchase wants; nothing of it is kept, and the id is spent",
            cause: "Available is what is in stock less what is held for other purchases; also units of one that is \
                    being aborted count as held until they are released.",
            act: "`tandem stock SKU` shows stock, holds and debt. Restock, or let the customer take less; the next \
                  try needs a new purchase id.",
        },
        Reason::UnknownSku => Text {
            means: "there is no stock of this sku where the settings look for it; nothing is kept, and the id is spent",
            cause: "The key or field that stock_key, stock_hash or stock_field names is not there, or the name is one \
                    of tandem's own keys.",
            act: "Create the stock (`SET stock:SKU N`) or mend the setting; an item that has no stock is sent with \
                  tracked = false. The next try needs a new purchase id.",
        },
        Reason::NotANumber => Text {
            means: "the stock of this sku is not an integer that can be counted; nothing is kept, and the id is spent",
            cause: "Something wrote a fraction, a text, a value beyond 2^53, or a key of another type.",
            act: "Read the key at Redis, find who writes it, and set it to an integer. The next try needs a new \
                  purchase id.",
        },
        Reason::DuplicatePurchase => Text {
            means: "a row with this very purchase id is in MySQL already, from before the log's memory",
            cause: "The client asks again after tandem has forgotten the purchase, or another coordinator has made it \
                    (the detail says which).",
            act: "Nothing: it was made. Look at the row. If the client did not make it, its ids are not unique.",
        },
        Reason::ConstraintViolated => Text {
            means: "the schema refuses a value, a key or a rule of this purchase; nothing is kept, and the id is spent",
            cause: "A unique key, a foreign key, a CHECK, a column that is too small, or a trigger; the detail has the \
                    server's number and words.",
            act: "Mend the value or the schema. COLUMN_TOO_SMALL, KEY_TOO_NARROW and ID_FOLDS_CASE in `tandem \
                  participants` tell what would refuse more. The next try needs a new purchase id.",
        },
        Reason::Locked => Text {
            means: "another session holds a row that the purchase needs; nothing was written",
            cause: "A transaction that is open at MySQL: a report with FOR UPDATE, a forgotten session, a branch that is \
                    in doubt. The detail names the holder where tandem's user may read that.",
            act: "The client tries again with the same id. If it lasts, end the session that is named (`KILL ID`), or \
                  the branch: `tandem tx list --in-doubt`.",
        },
        Reason::Misconfigured => Text {
            means: "a store can't take purchases as its tables, rights or the statements are; nothing is kept or \
                    remembered",
            cause: "A table, column or right is gone, a table is full or read-only, or an item names a pool where the \
                    settings know none.",
            act: "Mend what `tandem participants` names. The same ids go through then.",
        },
        Reason::NoSuchRow => Text {
            means: "a statement of the configuration met no row where it must meet one; nothing is kept or remembered",
            cause: "An unknown customer, a cart that is not open any more: an UPDATE, DELETE or INSERT … SELECT found \
                    fewer rows than its `rows` says.",
            act: "Put the row right, or ask without it; then the same id. If any number of rows is right, write \
                  rows = \"any\" beside the statement.",
        },
        Reason::TooManyRows => Text {
            means: "a statement of the configuration met more rows than it must; nothing is kept or remembered",
            cause: "Its WHERE is too wide for this customer or item, or rows are there twice.",
            act: "Put the rows or the statement right, then the same id. If it may meet several, write their number as \
                  `rows` beside the statement.",
        },
    }
}
