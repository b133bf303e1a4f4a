//! Columns of purchases' ids that take two ids for the same one.

use tokio::time::Instant;

use crate::encode;
use crate::kept::Kept;
use crate::param::Param;
use crate::participant::Store;
use crate::session::{self, Failure, Session};

/// What is to be known of each column of an id that folds case, for a person. A column that is not
/// found is a view's, or the user may not read it.
pub(crate) async fn of_ids(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<String>, Failure> {
    let (by_purchase, by_item) = store.settings.templates.kept();
    let mut found = Vec::new();
    for kept in by_purchase.into_iter().chain(by_item) {
        if let Some(column) = kept.column(Param::PurchaseId) {
            found.extend(of(session, kept, column, deadline).await?);
        }
    }
    Ok(found)
}

async fn of(
    session: &mut Session,
    kept: &Kept,
    column: &str,
    deadline: Instant,
) -> Result<Option<String>, Failure> {
    let query = format!(
        "SELECT COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE = 'NO' FROM \
         information_schema.COLUMNS JOIN information_schema.TABLES USING (TABLE_SCHEMA, TABLE_NAME) \
         WHERE {} AND COLUMN_NAME = {} AND TABLE_TYPE = 'BASE TABLE' AND COLLATION_NAME IS NOT NULL",
        place(&kept.table),
        text(&unquoted(column)),
    );
    let rows = session.query(&query, deadline).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (character_set, collation) = (session::field(row, 1)?, session::field(row, 2)?);
    // The names are the server's own.
    let letter =
        |letter: char| format!("CONVERT('{letter}' USING {character_set}) COLLATE {collation}");
    let folds = format!("SELECT {} = {}", letter('a'), letter('A'));
    let answer = session.query(&folds, deadline).await?;
    if session::cell(&answer, 0)? != "1" {
        return Ok(None);
    }
    let not_null = match session::field(row, 3)?.as_str() {
        "1" => " NOT NULL",
        _ => "",
    };
    let table = &kept.table;
    Ok(Some(format!(
        "column {column} of {table} is of collation {collation}, which takes ids that differ in case \
         for the same: the second is refused as CONSTRAINT_VIOLATED though it was never made; ALTER \
         TABLE {table} MODIFY {column} {} CHARACTER SET {character_set} COLLATE \
         {character_set}_bin{not_null}, with the column's default and comment if it has them; foreign \
         keys on it are to be dropped before and made again",
        session::field(row, 0)?,
    )))
}

/// The condition that finds a table as a statement writes it.
pub(crate) fn place(table: &str) -> String {
    let (schema, table) = match table.split_once('.') {
        Some((schema, table)) => (text(&unquoted(schema)), table),
        None => ("DATABASE()".to_owned(), table),
    };
    format!(
        "TABLE_SCHEMA = {schema} AND TABLE_NAME = {}",
        text(&unquoted(table))
    )
}

/// A name without its backticks.
pub(crate) fn unquoted(name: &str) -> String {
    name.trim_matches('`').replace("``", "`")
}

fn text(value: &str) -> String {
    let mut out = String::new();
    encode::text(&mut out, value);
    out
}
