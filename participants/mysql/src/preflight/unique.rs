//! Whether a unique key refuses a purchase that comes again after tandem has forgotten it.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::danger::Doubt;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::kept::Kept;
use crate::sql::names::{place, unquoted};
use crate::sql::param::Param;
use crate::sql::statement::Per;
use crate::store::Store;

/// What is in doubt about the keys of the tables that a statement says to keep ids in; nothing, where one
/// of them refuses a second row of the same id.
pub(crate) async fn doubt(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Option<Doubt>, PacketFailure> {
    let kept = store.settings.templates.keeping_ids();
    let kept: Vec<(Per, &Kept, &str)> = kept
        .filter_map(|(per, kept)| Some((per, kept, kept.column(Param::PurchaseId)?)))
        .collect();
    let tables = tables(session, &kept, deadline).await?;
    let mut missing = Vec::new();
    let mut unseen = Vec::new();
    for ((per, kept, id), keys) in kept.into_iter().zip(tables) {
        match keys {
            Some(keys) if keys.values().any(|key| refuses(key, per, kept, id)) => return Ok(None),
            Some(keys) => missing.push(told(kept, id, &keys)),
            None => unseen.push(format!("{} is a view, or may not be looked up", kept.table)),
        }
    }
    Ok(Some(if let Some(why) = unseen.into_iter().next() {
        Doubt::Unseen(why)
    } else if missing.is_empty() {
        Doubt::Unseen("no statement names the column that it keeps :purchase_id in".into())
    } else {
        Doubt::Missing(missing.join("; "))
    }))
}

/// The unique keys of a table by their names, each with its columns. A part that is no column is an empty
/// name.
type UniqueKeys = BTreeMap<String, Vec<String>>;

/// Those of each table, by one query; `None` for what is no table whose keys are listed. Each table is
/// asked for by a SELECT of its own, as MariaDB opens every table that there is where its name is one of
/// several in a condition.
async fn tables(
    session: &mut Session,
    kept: &[(Per, &Kept, &str)],
    deadline: Instant,
) -> Result<Vec<Option<UniqueKeys>>, PacketFailure> {
    let mut tables = vec![None; kept.len()];
    if kept.is_empty() {
        return Ok(tables);
    }
    let select = |(number, (_, kept, _)): (usize, &(Per, &Kept, &str))| {
        let place = place(&kept.table);
        format!(
            "SELECT {number}, NULL, NULL, 0 FROM information_schema.TABLES WHERE {place} AND TABLE_TYPE <> \
             'VIEW' UNION ALL SELECT {number}, INDEX_NAME, COLUMN_NAME, SEQ_IN_INDEX FROM \
             information_schema.STATISTICS WHERE {place} AND NON_UNIQUE = 0"
        )
    };
    let selects: Vec<String> = kept.iter().enumerate().map(select).collect();
    let query = format!("{} ORDER BY 1, 4", selects.join(" UNION ALL "));
    for row in &session.query(&query, deadline).await? {
        let number = usize::try_from(answer::field_number(row, 0)?).unwrap_or(usize::MAX);
        let Some(table) = tables.get_mut(number) else {
            continue;
        };
        let keys: &mut UniqueKeys = table.get_or_insert_default();
        let name = answer::field(row, 1)?;
        // The table's own row.
        if !name.is_empty() {
            keys.entry(name).or_default().push(answer::field(row, 2)?);
        }
    }
    Ok(tables)
}

/// Whether the same purchase again is refused by this key: it has the id, and besides only what the
/// same purchase writes again, constants and, where each item has a row, which item it is.
fn refuses(key: &[String], per: Per, kept: &Kept, id: &str) -> bool {
    let of_the_item = |param| kept.column(param).filter(|_| per == Per::Item);
    let same: Vec<String> = kept
        .constants()
        .chain(of_the_item(Param::Sku))
        .chain(of_the_item(Param::LineId))
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
    use crate::sql::tokens;

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
