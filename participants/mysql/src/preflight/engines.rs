//! Tables of an engine without transactions, which keep their rows when a branch is rolled back.

use tokio::time::Instant;

use crate::danger::Danger;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::names::place;
use crate::sql::tables;
use crate::store::Store;

/// Those among tandem's own tables and those that the app's statements name.
pub(crate) async fn of(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<Danger>, PacketFailure> {
    let own = tables::names(store.settings.default_schema);
    let mut names = store.settings.templates.tables();
    names.extend(own);
    names.sort_unstable();
    names.dedup();
    let places: Vec<String> = names
        .iter()
        .map(|name| format!("({})", place(name)))
        .collect();
    let query = format!(
        "SELECT CONCAT(TABLE_SCHEMA, '.', TABLE_NAME), ENGINE FROM information_schema.TABLES WHERE \
         ENGINE <> 'InnoDB' AND ({})",
        places.join(" OR ")
    );
    let rows = session.query(&query, deadline).await?;
    rows.iter()
        .map(|row| {
            Ok(Danger::TableNotInnodb {
                table: answer::field(row, 0)?,
                engine: answer::field(row, 1)?,
            })
        })
        .collect()
}
