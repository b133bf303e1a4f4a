//! Why an entry is refused whose statement the server has answered with an error.

use tandem_participant::RefusedEntry;
use tandem_protocol::{Entry, Reason, Refusal, TransactionId};
use tokio::time::Instant;

use crate::session::answer;
use crate::session::codes::Class;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::encode;
use crate::sql::guard::Missed;
use crate::sql::param::Param;
use crate::store::Store;

/// Longest [`Refusal::detail`], in bytes.
const DETAIL_BYTES_MAX: usize = 300;

/// Refuses the entry.
///
/// `undo` is a statement that takes back what the entry's own statements did, where they may still
/// have an effect: a row that they inserted must not be taken for one that was there before.
/// An error is that of the session; the statement's own is in `failure`.
pub(crate) async fn refuse(
    store: &Store,
    session: &mut Session,
    failure: &PacketFailure,
    (transaction, entry): (&TransactionId, &Entry),
    undo: Option<&str>,
    deadline: Instant,
) -> Result<RefusedEntry, PacketFailure> {
    let mut detail = failure.cause.to_string();
    let class = failure.class();
    // A purchase that is there is no other refusal's: what its statements look for may be as it left it.
    let found = match class {
        Some(Class::Duplicate | Class::Missed(_)) => {
            look(store, session, entry, undo, deadline).await?
        }
        _ => Found::Unknown,
    };
    if let Found::Row { maker: Some(maker) } = &found
        && maker.coordinator != transaction.coordinator
    {
        detail = format!(
            "coordinator {} made it, in transaction {maker}; {detail}",
            maker.coordinator
        );
    }
    let reason = match (class, found) {
        (_, Found::Row { .. }) => Reason::DuplicatePurchase,
        (Some(Class::Duplicate), Found::Unknown)
            if names_purchase(&detail, &entry.purchase.purchase_id) =>
        {
            Reason::DuplicatePurchase
        }
        (class, _) => reason(class),
    };
    Ok(RefusedEntry {
        number: entry.number,
        refusal: Refusal {
            reason,
            detail: shortened(detail),
        },
    })
}

/// Why an entry is refused whose purchase is not there already.
fn reason(class: Option<Class>) -> Reason {
    match class {
        Some(Class::Locked | Class::BranchLost) => Reason::Locked,
        // No room, and no writes now, of one entry while its neighbours are taken: the app's schema
        // says so, a full partition or a trigger.
        Some(Class::Configuration | Class::Room | Class::NotNow) => Reason::Misconfigured,
        Some(Class::Missed(Missed::Fewer)) => Reason::NoSuchRow,
        Some(Class::Missed(Missed::More)) => Reason::TooManyRows,
        Some(Class::Entry | Class::Duplicate) | None => Reason::ConstraintViolated,
    }
}

/// What is there under the id of a purchase.
enum Found {
    /// A row of this very id, and the transaction that its row names.
    Row {
        maker: Option<TransactionId>,
    },
    NoRow,
    /// The statements don't say plainly in which column the id is, or the user may not read it.
    Unknown,
}

/// Whether the row there has this very id, byte for byte: a unique key may compare by a collation
/// that takes other ids for the same, and it may be another key than the id's.
///
/// A plain read sees what is committed. The rows of branches in doubt are locked, so a duplicate is
/// never one of theirs.
async fn look(
    store: &Store,
    session: &mut Session,
    entry: &Entry,
    undo: Option<&str>,
    deadline: Instant,
) -> Result<Found, PacketFailure> {
    let (by_purchase, by_item) = store.settings.templates.kept();
    let Some(kept) = by_purchase.or(by_item) else {
        return Ok(Found::Unknown);
    };
    let Some(column) = kept.column(Param::PurchaseId) else {
        return Ok(Found::Unknown);
    };
    let mut id = String::new();
    encode::text(&mut id, &entry.purchase.purchase_id);
    // The first comparison finds the row by its index.
    let look = format!(
        "SELECT {maker} FROM {table} WHERE {column} = {id} AND CAST(CONVERT({column} USING utf8mb4) \
         AS BINARY) = CAST({id} AS BINARY) LIMIT 1",
        maker = kept.column(Param::TransactionId).unwrap_or("NULL"),
        table = kept.table,
    );
    let packet = match undo {
        Some(undo) => format!("{undo}; {look}"),
        None => look,
    };
    match session.query(&packet, deadline).await {
        Ok(rows) => match rows.first() {
            None => Ok(Found::NoRow),
            Some(row) => {
                let maker = answer::field(row, 0)?.parse().ok();
                Ok(Found::Row { maker })
            }
        },
        Err(failure) if failure.number().is_some() => Ok(Found::Unknown),
        Err(failure) => Err(failure),
    }
}

/// Whether `Duplicate entry 'VALUE' for key 'KEY'` names this purchase: its id, alone or as a part
/// of a composite key (the servers print `'p-17'` or `'shop-p-17'`).
pub fn names_purchase(message: &str, purchase_id: &str) -> bool {
    let Some(value) = message
        .split_once("Duplicate entry '")
        .and_then(|(_, rest)| rest.rsplit_once("' for key "))
        .map(|(value, _)| value)
    else {
        return false;
    };
    // Columns of a composite key are printed joined by '-', which ids may hold too.
    value == purchase_id
        || value
            .strip_prefix(purchase_id)
            .is_some_and(|rest| rest.starts_with('-'))
        || value
            .strip_suffix(purchase_id)
            .is_some_and(|rest| rest.ends_with('-'))
        || value.contains(&format!("-{purchase_id}-"))
}

/// Cuts a text for a person at 300 bytes, between characters.
pub fn shortened(mut text: String) -> String {
    if text.len() > DETAIL_BYTES_MAX {
        let mut end = DETAIL_BYTES_MAX - "…".len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicate_of_the_purchase_is_told_from_another_key() {
        let names = |value: &str| {
            let message = format!("Duplicate entry '{value}' for key 'purchases.PRIMARY'");
            names_purchase(&message, "p-1")
        };
        for value in ["p-1", "shop-p-1", "p-1-sku"] {
            assert!(names(value), "{value}");
        }
        for value in ["p-11", "voucher"] {
            assert!(!names(value), "{value}");
        }
    }

    #[test]
    fn long_detail_is_cut_between_characters() {
        let detail = shortened("ü".repeat(400));
        assert!(detail.len() <= DETAIL_BYTES_MAX && detail.ends_with('…'));
    }
}
