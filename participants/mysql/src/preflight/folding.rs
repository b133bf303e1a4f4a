//! Columns of purchases' ids that take two ids for the same one.

use tokio::time::Instant;

use crate::danger::FoldingColumn;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::encode;
use crate::sql::kept::Kept;
use crate::sql::names::{place, unquoted};
use crate::sql::param::Param;
use crate::store::Store;

/// Each column of an id that folds case. A column that is not found is a view's, or the user may not read
/// it.
pub(crate) async fn of_ids(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<FoldingColumn>, PacketFailure> {
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
) -> Result<Option<FoldingColumn>, PacketFailure> {
    let query = format!(
        "SELECT COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE = 'NO' FROM \
         information_schema.COLUMNS JOIN information_schema.TABLES USING (TABLE_SCHEMA, TABLE_NAME) \
         WHERE {} AND COLUMN_NAME = {} AND TABLE_TYPE = 'BASE TABLE' AND COLLATION_NAME IS NOT NULL",
        place(&kept.table),
        encode::literal(&unquoted(column)),
    );
    let rows = session.query(&query, deadline).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let (character_set, collation) = (answer::field(row, 1)?, answer::field(row, 2)?);
    // The names are the server's own.
    let letter =
        |letter: char| format!("CONVERT('{letter}' USING {character_set}) COLLATE {collation}");
    let folds = format!("SELECT {} = {}", letter('a'), letter('A'));
    let answer = session.query(&folds, deadline).await?;
    if answer::cell(&answer, 0)? != "1" {
        return Ok(None);
    }
    Ok(Some(FoldingColumn {
        table: kept.table.clone(),
        column: column.to_owned(),
        column_type: answer::field(row, 0)?,
        is_nullable: answer::field(row, 3)? != "1",
        character_set,
        collation,
    }))
}
