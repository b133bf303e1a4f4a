//! What the server is and what is unsafe about it, for people.

use std::time::Duration;

use tandem_participant::{Description, Error};
use tokio::time::Instant;

use crate::danger::Danger;
use crate::preflight::findings;
use crate::preflight::layout::{self, Moment};
use crate::store::Store;

/// How long a session that is there is waited for where no new one is let in.
const SPARE_WAIT: Duration = Duration::from_millis(500);

/// Reads it now, on a session of its own: so it is the server that the address leads to now, also where
/// the other sessions are on the one before.
pub(crate) async fn describe(store: &Store) -> Result<Description, Error> {
    let deadline = store.statement_deadline();
    let mut session = match store.service_sessions.lease_anew(deadline).await {
        // Those that were let in before can tell, if they are not all taken.
        Err(_) if store.admission.finding().is_some() => {
            let soon = Instant::now() + SPARE_WAIT;
            match store.service_sessions.lease(soon).await {
                Ok(session) => session,
                // A server that lets nobody in any more while branches keep those who are there.
                Err(error) => {
                    let server = store.one_server.name().ok_or(error)?;
                    return Ok(of(store, server));
                }
            }
        }
        leased => leased?,
    };
    let doing = "checking the server's settings";
    let mut findings = findings::findings(store, &mut session, deadline)
        .await
        .map_err(|failure| failure.into_error(doing))?;
    let obstacle = layout::migrate(store, &mut session, Moment::Running, deadline)
        .await
        .map_err(|failure| failure.into_error(doing))?;
    let old_layout = obstacle.map(|obstacle| Danger::TablesOfOldLayout { obstacle });
    findings.extend(old_layout.map(|danger| danger.into_finding(&[])));
    let incarnation = store.coordinators.present_life(&session);
    let description = Description {
        incarnation,
        findings,
        ..of(store, session.server.name.clone())
    };
    session.give_back();
    Ok(description)
}

/// What is known of a server by its name alone.
pub(crate) fn of(store: &Store, server: String) -> Description {
    Description {
        kind: "mysql".into(),
        server,
        address: store.settings.address.clone(),
        incarnation: String::new(),
        findings: Vec::new(),
    }
}
