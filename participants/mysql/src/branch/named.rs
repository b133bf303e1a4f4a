//! The purchases of a transaction by the app's rows, for a person.

use tandem_participant::Error;
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::session::answer;
use crate::session::failure::PacketFailure;
use crate::sql::param::Param;
use crate::store::Store;

/// Purchases that are named to a person.
const NAMED_MAX: usize = 20;

/// Names the purchases that the rows say a transaction has written, for a person; says why if it can't.
/// The column need have no index, so that the table may be read to its end.
pub(crate) async fn purchases_of(
    store: &Store,
    transaction: &TransactionId,
    deadline: Instant,
) -> String {
    let (Some(kept), _) = store.settings.templates.kept() else {
        return String::new();
    };
    let Some(column) = kept.column(Param::TransactionId) else {
        return String::new();
    };
    let id = kept.id_column();
    let query = format!(
        "SELECT {id} FROM {} WHERE {column} = '{transaction}' ORDER BY {id} LIMIT {NAMED_MAX}",
        kept.table
    );
    match ids(store, &query, deadline).await {
        Ok(ids) if ids.is_empty() => "; no row says that it is of it".into(),
        Ok(ids) => format!("; its purchases: {}", ids.join(", ")),
        Err(error) => format!("; its purchases can't be looked up: {error}"),
    }
}

async fn ids(store: &Store, query: &str, deadline: Instant) -> Result<Vec<String>, Error> {
    let mut session = store.service_sessions.lease(deadline).await?;
    let rows = session.query(query, deadline).await;
    let rows = rows.map_err(|failure| failure.into_error("reading its rows"))?;
    let ids = rows.iter().map(|row| answer::field(row, 0));
    let ids: Result<Vec<String>, PacketFailure> = ids.collect();
    session.give_back();
    ids.map_err(|failure| failure.into_error("reading its rows"))
}
