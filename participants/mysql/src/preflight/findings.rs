//! Everything that is found of the server and the app's tables.

use tandem_participant::Finding;
use tokio::time::Instant;

use crate::danger::{Danger, Doubt};
use crate::preflight::{audited, columns, engines, folding, small, time_zone, unique, variables};
use crate::records::xa_recover;
use crate::session::codes;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::server::Flavour;
use crate::store::Store;

/// Everything found, accepted or not.
pub(crate) async fn findings(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<Finding>, PacketFailure> {
    let columns = columns::of(session, &store.settings.templates, deadline).await?;
    let keys = unique::find(store, session, &columns, deadline).await?;
    let mut found = variables::of(session, deadline).await?;
    found.extend(replica(session, deadline).await?);
    found.extend(engines::of(store, session, deadline).await?);
    let (missing, unseen) = match keys.doubt {
        Some(Doubt::Unseen(_)) => (None, keys.doubt),
        doubt => (doubt, None),
    };
    found.extend(missing.map(Danger::NoUniqueKey));
    match xa_recover::listed(session, &store.name, deadline).await {
        Err(failure) if failure.number() == Some(codes::XA_RESOURCE_ERROR) => {
            found.push(Danger::XaRecoverRefused);
        }
        listed => drop(listed?),
    }
    let folding = folding::of_ids(store, session, &columns, deadline).await?;
    found.extend(folding.into_iter().map(Danger::IdFoldsCase));
    found.extend(time_zone::of(store, session, deadline).await?);
    found.extend(unseen.map(Danger::NoUniqueKey));
    if !keys.narrow.is_empty() {
        found.push(Danger::KeyTooNarrow(keys.narrow));
    }
    let small = small::of(&store.settings.templates, &columns);
    if !small.is_empty() {
        found.push(Danger::ColumnTooSmall(small));
    }
    let audited = audited::by_types(store, session, &columns, deadline).await?;
    if !audited.left_out.is_empty() {
        found.push(Danger::NotAudited(audited.left_out));
    }
    let accept = &store.settings.accept;
    let findings = found.into_iter().map(|danger| danger.into_finding(accept));
    Ok(findings.collect())
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
