//! Tables of an engine without transactions, which keep their rows when a branch is rolled back.

use tokio::time::Instant;

use crate::danger::{Danger, Engine};
use crate::preflight::behind::{self, Behind};
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::names::{Place, any_of, unquoted};
use crate::sql::param::Param;
use crate::sql::tables;
use crate::store::Store;

/// Those among tandem's own tables, those that the app's statements name, and those behind their views and
/// triggers; and what could not be looked at.
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
    let mut places: Vec<Place> = names.iter().map(|name| Place::written(name)).collect();
    let kept = store.settings.templates.keeping_ids();
    let ids = kept.filter_map(|(_, kept)| kept.column(Param::PurchaseId).map(unquoted));
    let ids: Vec<String> = ids.collect();
    let Behind {
        tables,
        unseen,
        unsound,
    } = behind::of(session, &places, &ids, deadline).await?;
    let behind = tables.keys();
    places.extend(behind.map(|(schema, table)| Place::named(schema, table)));
    let query = format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES WHERE ENGINE <> 'InnoDB' AND \
         ({})",
        any_of(&places, ["TABLE_SCHEMA", "TABLE_NAME"])
    );
    let mut found = Vec::new();
    for row in &session.query(&query, deadline).await? {
        let place = (answer::field(row, 0)?, answer::field(row, 1)?);
        found.push(Engine::Other {
            table: format!("{}.{}", place.0, place.1),
            engine: answer::field(row, 2)?,
            by: tables.get(&place).cloned(),
        });
    }
    found.extend(unseen.into_iter().map(Engine::Unseen));
    let mut found: Vec<Danger> = found.into_iter().map(Danger::TableNotInnodb).collect();
    if !unsound.is_empty() {
        found.push(Danger::TriggerUnsound(unsound));
    }
    Ok(found)
}
