//! Why an entry is refused whose statement the server has answered with an error.

use tandem_participant::RefusedEntry;
use tandem_protocol::{Entry, Reason, Refusal};
use tokio::time::Instant;

use crate::codes::Class;
use crate::encode;
use crate::participant::Store;
use crate::session::{self, Failure, Session};
use crate::statements::Param;

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
    failure: &Failure,
    entry: &Entry,
    undo: Option<&str>,
    deadline: Instant,
) -> Result<RefusedEntry, Failure> {
    let reason = match failure.class() {
        Some(Class::Duplicate) => {
            let found = is_there(store, session, entry, undo, deadline).await?;
            let purchase_id = &entry.purchase.purchase_id;
            let named = || names_purchase(&failure.cause.to_string(), purchase_id);
            if found.unwrap_or_else(named) {
                Reason::DuplicatePurchase
            } else {
                Reason::ConstraintViolated
            }
        }
        Some(Class::Locked | Class::BranchLost) => Reason::Locked,
        // No room, and no writes now, of one entry while its neighbours are taken: the app's schema
        // says so, a full partition or a trigger.
        Some(Class::Configuration | Class::Room | Class::NotNow) => Reason::Misconfigured,
        Some(Class::Entry) | None => Reason::ConstraintViolated,
    };
    Ok(RefusedEntry {
        number: entry.number,
        refusal: Refusal {
            reason,
            detail: shortened(failure.cause.to_string()),
        },
    })
}

/// Whether the row there has this very id, byte for byte: a unique key may compare by a collation
/// that takes other ids for the same, and it may be another key than the id's. `None` where the
/// statements don't say plainly in which column the id is, or the user may not read it.
///
/// A plain read sees what is committed. The rows of branches in doubt are locked, so a duplicate is
/// never one of theirs.
async fn is_there(
    store: &Store,
    session: &mut Session,
    entry: &Entry,
    undo: Option<&str>,
    deadline: Instant,
) -> Result<Option<bool>, Failure> {
    let (by_purchase, by_item) = store.settings.templates.kept();
    let kept = by_purchase.or(by_item);
    let place = kept.and_then(|kept| Some((&kept.table, kept.column(Param::PurchaseId)?)));
    let Some((table, column)) = place else {
        return Ok(None);
    };
    let mut id = String::new();
    encode::text(&mut id, &entry.purchase.purchase_id);
    // The first comparison finds the row by its index.
    let look = format!(
        "SELECT COUNT(*) FROM {table} WHERE {column} = {id} AND \
         CAST(CONVERT({column} USING utf8mb4) AS BINARY) = CAST({id} AS BINARY)"
    );
    let packet = match undo {
        Some(undo) => format!("{undo}; {look}"),
        None => look,
    };
    match session.query(&packet, deadline).await {
        Ok(rows) => session::number(&rows, 0).map(|count| Some(count > 0)),
        Err(failure) if failure.number().is_some() => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Whether `Duplicate entry 'VALUE' for key 'KEY'` names this purchase: its id, alone or as a part
/// of a composite key (the servers print `'p-17'` or `'shop-p-17'`).
pub(crate) fn names_purchase(message: &str, purchase_id: &str) -> bool {
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

/// Cuts a text for a person at [`DETAIL_BYTES_MAX`].
pub(crate) fn shortened(mut text: String) -> String {
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
