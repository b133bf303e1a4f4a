//! All that a look finds, what mends it, and what a trial tells besides.

use tandem_participant::{CheckedStore, Error, Examined, Trial, clock};
use tokio::time::Instant;

use crate::danger::Danger;
use crate::preflight::layout::{self, Tables};
use crate::preflight::{check, describe, findings, rights, trial};
use crate::remedy::Remedies;
use crate::rights::{Right, account};
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::store::Store;

/// Looks, and tries.
pub(crate) async fn examine(store: &Store) -> Result<Examined, Error> {
    let deadline = store.statement_deadline();
    let mut session = store.service_sessions.lease_anew(deadline).await?;
    let doing = "examining the server";
    let failed = |failure: PacketFailure| failure.into_error(doing);
    let clock_ahead_ms = clock_ahead(&mut session, deadline).await.map_err(failed)?;
    let mut dangers = findings::dangers(store, &mut session, deadline)
        .await
        .map_err(failed)?;
    let missing = rights::missing(store, &mut session, deadline).await?;
    let is_able = !missing.iter().any(Right::is_needed);
    if !missing.is_empty() {
        dangers.push(Danger::RightMissing(missing));
    }
    let account = current_user(&mut session, deadline).await.map_err(failed)?;
    let remedies = Remedies {
        account: &account,
        flavour: session.server.flavour,
    };
    let remedies = Examined::remedies(&dangers, |danger| remedies.of(danger));
    let faults = check::faults(store, &mut session, deadline).await?;
    let trial = match layout::look(store, &mut session, deadline).await {
        Ok(_) if !is_able => Trial::Skipped("rights are missing".into()),
        Ok(Tables::Present) => trial::run(&mut session, deadline).await,
        Ok(_) | Err(Error::Invalid { .. }) => {
            Trial::Skipped("tandem's tables are not there yet; the first start makes them".into())
        }
        Err(error) => return Err(error),
    };
    let mut description = describe::of(store, session.server.name.clone());
    let accept = &store.settings.accept;
    let found = dangers
        .into_iter()
        .map(|danger| danger.into_finding(accept));
    description.findings = found.collect();
    session.give_back();
    Ok(Examined {
        checked: CheckedStore {
            description,
            faults,
        },
        remedies,
        clock_ahead_ms: Some(clock_ahead_ms),
        trial,
    })
}

/// How far the server's clock is ahead, in milliseconds.
async fn clock_ahead(session: &mut Session, deadline: Instant) -> Result<i64, PacketFailure> {
    let asked = clock::now();
    let rows = session
        .query(
            "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)",
            deadline,
        )
        .await?;
    let theirs = i64::try_from(answer::number(&rows, 0)?).unwrap_or(i64::MAX);
    Ok(clock::ahead_ms(asked, theirs))
}

/// The account that the server takes the user for, quoted.
async fn current_user(session: &mut Session, deadline: Instant) -> Result<String, PacketFailure> {
    let rows = session.query("SELECT CURRENT_USER()", deadline).await?;
    let name = answer::cell(&rows, 0)?;
    let (user, host) = name.rsplit_once('@').unwrap_or((&name, "%"));
    Ok(account(user, host))
}
