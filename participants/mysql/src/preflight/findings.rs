//! Everything that is found of the server and the app's tables.

use tandem_participant::Finding;
use tokio::time::Instant;

use crate::danger::Danger;
use crate::preflight::columns::Columns;
use crate::preflight::{audited, columns, engines, folding, small, time_zone, unique, variables};
use crate::records::xa_recover;
use crate::session::codes;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::server::Flavour;
use crate::store::Store;

/// Everything found, accepted or not, for people.
pub(crate) async fn findings(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<Finding>, PacketFailure> {
    let found = dangers(store, session, deadline).await?;
    let accept = &store.settings.accept;
    let findings = found.into_iter().map(|danger| danger.into_finding(accept));
    Ok(findings.collect())
}

/// Everything found.
pub(crate) async fn dangers(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<Danger>, PacketFailure> {
    let mut found = variables::of(session, deadline).await?;
    found.extend(replica(session, deadline).await?);
    found.extend(engines::of(store, session, deadline).await?);
    match xa_recover::listed(session, &store.name, deadline).await {
        Err(failure) if failure.number() == Some(codes::XA_RESOURCE_ERROR) => {
            found.push(Danger::XaRecoverRefused);
        }
        listed => drop(listed?),
    }
    found.extend(time_zone::of(store, session, deadline).await?);
    let columns = columns::of(session, &store.settings.templates, deadline).await?;
    // Default tables that are still to be made will be as they must.
    if !(store.settings.default_schema && columns.are_unknown()) {
        found.extend(of_columns(store, session, &columns, deadline).await?);
    }
    Ok(found)
}

/// What is found of the columns that the statements write.
async fn of_columns(
    store: &Store,
    session: &mut Session,
    columns: &Columns,
    deadline: Instant,
) -> Result<Vec<Danger>, PacketFailure> {
    let keys = unique::find(store, session, columns, deadline).await?;
    let folding = folding::of_ids(store, session, columns, deadline).await?;
    let mut found: Vec<Danger> = folding.into_iter().map(Danger::IdFoldsCase).collect();
    found.extend(keys.doubt.map(Danger::NoUniqueKey));
    if !keys.narrow.is_empty() {
        found.push(Danger::KeyTooNarrow(keys.narrow));
    }
    let small = small::of(&store.settings.templates, columns);
    if !small.is_empty() {
        found.push(Danger::ColumnTooSmall(small));
    }
    let audited = audited::by_types(store, session, columns, deadline).await?;
    if !audited.left_out.is_empty() {
        found.push(Danger::NotAudited(audited.left_out));
    }
    Ok(found)
}

async fn replica(
    session: &mut Session,
    deadline: Instant,
) -> Result<Option<Danger>, PacketFailure> {
    let show = match session.server.flavour {
        Flavour::MariaDb => "SHOW ALL REPLICAS STATUS",
        Flavour::MySql => "SHOW REPLICA STATUS",
    };
    match session.query(show, deadline).await {
        Ok(rows) => Ok((!rows.is_empty()).then_some(Danger::Replica)),
        Err(failure) if failure.number().is_some() => Ok(Some(Danger::ReplicaStateUnknown {
            show,
            refusal: failure.cause.to_string(),
        })),
        Err(failure) => Err(failure),
    }
}
