//! All that can be looked at before a coordinator works with the server, without a trace.

use tandem_participant::{CheckedStore, Error};
use tokio::time::Instant;

use crate::preflight::describe;
use crate::preflight::layout::{self, Tables};
use crate::preflight::{findings, rehearsal};
use crate::session::connection::Session;
use crate::store::Store;

/// Looks at the server's settings, tandem's tables and the app's statements. What may have to be made or
/// altered at the first start is tried as the statements are, and left as it is.
pub(crate) async fn check(store: &Store) -> Result<CheckedStore, Error> {
    let deadline = store.statement_deadline();
    let mut session = store.service_sessions.lease_anew(deadline).await?;
    let findings = findings::findings(store, &mut session, deadline)
        .await
        .map_err(|failure| failure.into_error("checking the server's settings"))?;
    let faults = faults(store, &mut session, deadline).await?;
    let mut description = describe::of(store, session.server.name.clone());
    description.findings = findings;
    session.give_back();
    Ok(CheckedStore {
        description,
        faults,
    })
}

/// What would keep every purchase from being made, each for a person.
pub(crate) async fn faults(
    store: &Store,
    session: &mut Session,
    deadline: Instant,
) -> Result<Vec<String>, Error> {
    let mut faults = Vec::new();
    let there = match layout::look(store, session, deadline).await {
        Err(Error::Invalid { detail }) => {
            faults.push(detail);
            None
        }
        there => Some(there?),
    };
    if there == Some(Tables::Missing) {
        let refused = layout::rehearse(store, session, deadline).await?;
        faults.extend(refused);
    }
    // Statements of the default tables run once these are there.
    if there == Some(Tables::Present) || !store.settings.default_schema {
        let refused = rehearsal::of_statements(store, session, deadline).await?;
        faults.extend(refused);
    }
    Ok(faults)
}
