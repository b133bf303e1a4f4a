//! Columns of purchases' ids that take two ids for the same one.

use tokio::time::Instant;

use crate::danger::FoldingColumn;
use crate::preflight::columns::{Column, Columns};
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::param::Param;
use crate::store::Store;

/// Each column of an id that folds case. A column that is not found is a view's, or the user may not read
/// it.
pub(crate) async fn of_ids(
    store: &Store,
    session: &mut Session,
    columns: &Columns,
    deadline: Instant,
) -> Result<Vec<FoldingColumn>, PacketFailure> {
    let (by_purchase, by_item) = store.settings.templates.kept();
    let mut found = Vec::new();
    for kept in by_purchase.into_iter().chain(by_item) {
        if let Some(name) = kept.column(Param::PurchaseId)
            && let Some(column) = columns.of(&kept.table, name)
            && column.is_of_a_table
            && !column.collation.is_empty()
            && folds(session, column, deadline).await?
        {
            found.push(FoldingColumn {
                table: kept.table.clone(),
                column: name.to_owned(),
                column_type: column.column_type.clone(),
                is_nullable: column.is_nullable,
                character_set: column.character_set.clone(),
                collation: column.collation.clone(),
            });
        }
    }
    Ok(found)
}

async fn folds(
    session: &mut Session,
    column: &Column,
    deadline: Instant,
) -> Result<bool, PacketFailure> {
    let (character_set, collation) = (&column.character_set, &column.collation);
    // The names are the server's own.
    let letter =
        |letter: char| format!("CONVERT('{letter}' USING {character_set}) COLLATE {collation}");
    let folds = format!("SELECT {} = {}", letter('a'), letter('A'));
    let answer = session.query(&folds, deadline).await?;
    Ok(answer::cell(&answer, 0)? == "1")
}
