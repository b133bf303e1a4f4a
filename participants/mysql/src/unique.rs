//! Whether a unique key refuses a purchase that comes again after tandem has forgotten it.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::folding::{place, unquoted};
use crate::kept::Kept;
use crate::param::Param;
use crate::participant::Store;
use crate::session::{self, Failure, Session};
use crate::settings::Per;

/// What is known of the keys of the tables that keep purchases' ids.
pub(crate) enum Keys {
    /// One of them refuses a second row of the same id.
    Refuse,
    /// None does: for a person, what there is.
    Missing(String),
    /// Not all of them can be looked at: for a person, why.
    Unknown(String),
}

/// Looks at every table that a statement says to keep ids in: one that refuses the purchase is enough.
pub(crate) async fn of_ids(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Keys, Failure> {
    let mut missing = Vec::new();
    let mut unknown = Vec::new();
    for (per, kept) in store.settings.templates.keeping_ids() {
        let Some(id) = kept.column(Param::PurchaseId) else {
            continue;
        };
        if !is_there(session, kept, deadline).await? {
            unknown.push(format!("{} is a view, or may not be looked up", kept.table));
            continue;
        }
        let keys = keys(session, kept, deadline).await?;
        if keys.values().any(|key| refuses(key, per, kept, id)) {
            return Ok(Keys::Refuse);
        }
        missing.push(told(kept, id, &keys));
    }
    Ok(if let Some(why) = unknown.first() {
        Keys::Unknown(why.clone())
    } else if missing.is_empty() {
        Keys::Unknown("no statement names the column that it keeps :purchase_id in".into())
    } else {
        Keys::Missing(missing.join("; "))
    })
}

/// Whether it is a table whose keys are listed.
async fn is_there(session: &mut Session, kept: &Kept, deadline: Instant) -> Result<bool, Failure> {
    let query = format!(
        "SELECT 1 FROM information_schema.TABLES WHERE {} AND TABLE_TYPE <> 'VIEW'",
        place(&kept.table)
    );
    Ok(!session.query(&query, deadline).await?.is_empty())
}

/// The unique keys of a table by their names, each with its columns. A part that is no column is an empty
/// name.
type UniqueKeys = BTreeMap<String, Vec<String>>;

async fn keys(
    session: &mut Session,
    kept: &Kept,
    deadline: Instant,
) -> Result<UniqueKeys, Failure> {
    let query = format!(
        "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS WHERE {} AND NON_UNIQUE = 0 \
         ORDER BY INDEX_NAME, SEQ_IN_INDEX",
        place(&kept.table)
    );
    let mut keys = UniqueKeys::new();
    for row in session.query(&query, deadline).await? {
        let columns = keys.entry(session::field(&row, 0)?).or_default();
        columns.push(session::field(&row, 1)?);
    }
    Ok(keys)
}

/// Whether the same purchase again is refused by this key: it has the id, and besides only what the
/// same purchase writes again, constants and, where each item has a row, which item it is.
fn refuses(key: &[String], per: Per, kept: &Kept, id: &str) -> bool {
    let of_the_item = |param| kept.column(param).filter(|_| per == Per::Item);
    let same: Vec<String> = kept
        .constants()
        .chain(of_the_item(Param::Sku))
        .chain(of_the_item(Param::ItemNumber))
        .chain([id])
        .map(|column| unquoted(column).to_lowercase())
        .collect();
    let id = unquoted(id).to_lowercase();
    let key: Vec<String> = key.iter().map(|column| column.to_lowercase()).collect();
    key.contains(&id) && key.iter().all(|column| same.contains(column))
}

fn told(kept: &Kept, id: &str, keys: &UniqueKeys) -> String {
    let table = &kept.table;
    let has = match keys.is_empty() {
        true => "it has none".to_owned(),
        false => {
            let keys: Vec<String> = keys
                .iter()
                .map(|(name, columns)| format!("{name} ({})", columns.join(", ")))
                .collect();
            format!("it has {}", keys.join(", "))
        }
    };
    format!(
        "no unique key of {table} is of {id} alone or beside constants ({has}): ALTER TABLE {table} ADD \
         UNIQUE ({id})"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens;

    #[test]
    fn only_what_the_same_purchase_writes_again_may_be_beside_its_id() {
        let sql = "INSERT INTO orders (`Id`, shop, n, sku, line, made) VALUES (:purchase_id, 'main', 7, :sku, \
                   :item_number, :purchase_time)";
        let kept = Kept::of(&tokens::split(sql).expect("well formed")).expect("plain");
        let refuses = |key: &[&str], per| {
            let key: Vec<String> = key.iter().map(|column| (*column).to_owned()).collect();
            refuses(&key, per, &kept, "`Id`")
        };
        for key in [&["id"][..], &["ID", "SHOP"], &["n", "shop", "Id"]] {
            assert!(refuses(key, Per::Purchase), "{key:?}");
        }
        for key in [
            &["id", "made"][..],
            &["shop"],
            &["id", ""],
            &["id", "sku"],
            &[],
        ] {
            assert!(!refuses(key, Per::Purchase), "{key:?}");
        }
        assert!(refuses(&["id", "sku"], Per::Item));
        assert!(refuses(&["id", "line", "shop"], Per::Item));
        assert!(!refuses(&["sku", "line"], Per::Item));
    }
}
