//! Whether a unique key refuses a purchase that comes again after tandem has forgotten it.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::danger::Doubt;
use crate::preflight::columns::Columns;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::kept::Kept;
use crate::sql::names::{place, unquoted};
use crate::sql::param::Param;
use crate::sql::statement::Per;
use crate::store::Store;

/// What is found of the keys of the tables that a statement says to keep ids in.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Nothing, where one of them refuses a second row of the same id.
    pub(crate) doubt: Option<Doubt>,
    /// For a person, each that refuses rows which are not of the same purchase, or of the same item.
    pub(crate) narrow: Vec<String>,
}

pub(crate) async fn find(
    store: &Store,
    session: &mut Session,
    columns: &Columns,
    deadline: Instant,
) -> Result<Found, PacketFailure> {
    let kept = store.settings.templates.keeping_ids();
    let kept: Vec<(Per, &Kept, &str)> = kept
        .filter_map(|(per, kept)| Some((per, kept, kept.column(Param::PurchaseId)?)))
        .collect();
    let tables = tables(session, &kept, deadline).await?;
    let mut found = Found::default();
    let mut missing = Vec::new();
    let mut unseen = Vec::new();
    let mut is_refused = false;
    for ((per, kept, id), keys) in kept.into_iter().zip(tables) {
        found.narrow.extend(narrow_type(kept, id, columns));
        let Some(keys) = keys else {
            unseen.push(format!("{} is a view, or may not be looked up", kept.table));
            continue;
        };
        let narrow = keys
            .iter()
            .filter_map(|(name, key)| narrow_key(name, key, per, kept, id));
        found.narrow.extend(narrow);
        match keys.values().any(|key| refuses(key, per, kept, id)) {
            true => is_refused = true,
            false => missing.push(told(kept, id, &keys)),
        }
    }
    found.doubt = if is_refused {
        None
    } else if let Some(why) = unseen.into_iter().next() {
        Some(Doubt::Unseen(why))
    } else if missing.is_empty() {
        let why = "no statement names the column that it keeps :purchase_id in";
        Some(Doubt::Unseen(why.into()))
    } else {
        Some(Doubt::Missing(missing.join("; ")))
    };
    Ok(found)
}

/// That a column takes other ids for the same, since it keeps numbers.
fn narrow_type(kept: &Kept, id: &str, columns: &Columns) -> Option<String> {
    let table = &kept.table;
    let column = columns.of(table, id)?;
    if !column.data_type.ends_with("int") && column.data_type != "decimal" {
        return None;
    }
    let next = if column.counts {
        ", and 0 for the next number of its own"
    } else {
        ""
    };
    Some(format!(
        "{id} of {table} is of type {}, which takes ids such as 7 and 007 for the same{next}",
        column.column_type
    ))
}

/// That a key refuses a row which is not of the same purchase, or of the same item.
fn narrow_key(name: &str, key: &[Part], per: Per, kept: &Kept, id: &str) -> Option<String> {
    let table = &kept.table;
    let is_id = |part: &&Part| part.column.eq_ignore_ascii_case(&unquoted(id));
    let of_id = key.iter().find(is_id)?;
    if !refuses(key, per, kept, id) {
        return None;
    }
    if let Some(length) = of_id.prefix {
        return Some(format!(
            "unique key {name} of {table} has the first {length} characters of {id} alone: ids that begin alike \
             are taken for the same"
        ));
    }
    (per == Per::Item && refuses(key, Per::Purchase, kept, id)).then(|| {
        format!(
            "unique key {name} of {table} has nothing that tells a purchase's items apart: the second of them is \
             refused, and the purchase with it"
        )
    })
}

/// A column of a key. One that is an expression has an empty name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    column: String,
    /// How many characters of it are in the key, where not all are.
    prefix: Option<u64>,
}

/// The unique keys of a table by their names.
type UniqueKeys = BTreeMap<String, Vec<Part>>;

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
            "SELECT {number}, NULL, NULL, 0, NULL FROM information_schema.TABLES WHERE {place} AND TABLE_TYPE <> \
             'VIEW' UNION ALL SELECT {number}, INDEX_NAME, COLUMN_NAME, SEQ_IN_INDEX, SUB_PART FROM \
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
            keys.entry(name).or_default().push(Part {
                column: answer::field(row, 2)?,
                prefix: answer::field(row, 4)?.parse().ok(),
            });
        }
    }
    Ok(tables)
}

/// Whether the same purchase again is refused by this key: it has the id, and besides only what the
/// same purchase writes again, constants and, where each item has a row, which item it is.
fn refuses(key: &[Part], per: Per, kept: &Kept, id: &str) -> bool {
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
    let key = key.iter().map(|part| part.column.to_lowercase());
    let key: Vec<String> = key.collect();
    key.contains(&id) && key.iter().all(|column| same.contains(column))
}

fn told(kept: &Kept, id: &str, keys: &UniqueKeys) -> String {
    let table = &kept.table;
    let has = match keys.is_empty() {
        true => "it has none".to_owned(),
        false => {
            let keys: Vec<String> = keys
                .iter()
                .map(|(name, parts)| {
                    let columns = parts.iter().map(|part| part.column.as_str());
                    format!("{name} ({})", columns.collect::<Vec<_>>().join(", "))
                })
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
        let parts = |key: &[&str]| -> Vec<Part> {
            let part = |column: &&str| Part {
                column: (*column).to_owned(),
                prefix: None,
            };
            key.iter().map(part).collect()
        };
        let refuses = |key: &[&str], per| refuses(&parts(key), per, &kept, "`Id`");
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
