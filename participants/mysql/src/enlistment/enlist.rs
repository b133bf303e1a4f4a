//! A coordinator makes itself known.

use tandem_participant::{Enlist, Enlisted, Error};
use tandem_protocol::Epoch;
use tokio::time::Instant;

use crate::enlistment::{life, look};
use crate::preflight::layout::{self, Moment, Tables};
use crate::preflight::{findings, rehearsal};
use crate::records::lives::{self, Known, condition};
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::encode;
use crate::store::Store;

/// Longest log or instance id, in bytes.
const ID_BYTES_MAX: usize = 64;

/// Checks the server, makes the tables, and stores the epoch if no other fences it off.
pub(crate) async fn enlist(store: &Store, enlist: &Enlist) -> Result<Enlisted, Error> {
    for (name, value) in [
        ("log_id", &enlist.log_id),
        ("instance_id", &enlist.instance_id),
    ] {
        if value.is_empty() || value.len() > ID_BYTES_MAX {
            return Err(Error::Invalid {
                detail: format!(
                    "{name} must be 1 to {ID_BYTES_MAX} bytes, not {}",
                    value.len()
                ),
            });
        }
    }
    let deadline = store.statement_deadline();
    let mut session = store.service_sessions.lease_anew(deadline).await?;
    // Before anything is written; and once more where tables are new, for what they came to be.
    are_safe(store, &mut session, deadline).await?;
    if layout::create(store, &mut session, deadline).await? == Tables::Created {
        are_safe(store, &mut session, deadline).await?;
    }
    // Once a coordinator is here its decisions come first, whatever becomes of the app's tables.
    if !store.coordinators.knows(&enlist.coordinator) {
        let refused = rehearsal::of_statements(store, &mut session, deadline).await?;
        if let Some(detail) = refused {
            return Err(Error::Invalid { detail });
        }
    }

    let doing = || format!("enlisting {}", enlist.coordinator);
    if let Some(obstacle) = layout::migrate(store, &mut session, Moment::Enlisting, deadline)
        .await
        .map_err(|failure| failure.into_error(&doing()))?
    {
        tracing::info!(participant = %store.name, "tandem's tables stay as they are for now: {obstacle}");
    }
    let known = match remember(store, &mut session, enlist, deadline).await {
        Ok(known) => known,
        Err(Refused::Fenced(detail)) => return Err(Error::Fenced { detail }),
        Err(Refused::Failed(failure)) => {
            return Err(failure.into_error(&doing()));
        }
    };
    let incarnation = known.incarnation.clone();
    store
        .coordinators
        .learn(&enlist.coordinator, known, &session);
    let coordinator = &enlist.coordinator;
    let newest_committed = look::newest_committed(store, &mut session, coordinator, deadline)
        .await
        .map_err(|failure| failure.into_error("reading marker rows"))?;
    session.give_back();
    tracing::info!(
        coordinator = %enlist.coordinator,
        epoch = %enlist.epoch,
        participant = %store.name,
        incarnation,
        "coordinator enlisted"
    );
    Ok(Enlisted {
        incarnation,
        changes: 0,
        newest_committed,
        refuses_singly: false,
    })
}

/// Whether the server's settings lose nothing, but for what is accepted.
async fn are_safe(store: &Store, session: &mut Session, deadline: Instant) -> Result<(), Error> {
    let findings = findings::findings(store, session, deadline)
        .await
        .map_err(|failure| failure.into_error("checking the server's settings"))?;
    if findings.iter().all(|finding| finding.accepted) {
        return Ok(());
    }
    Err(Error::Unsafe { findings })
}

enum Refused {
    Fenced(String),
    Failed(PacketFailure),
}

impl From<PacketFailure> for Refused {
    fn from(failure: PacketFailure) -> Self {
        Refused::Failed(failure)
    }
}

/// Stores the epoch, under the row's lock, unless a rule refuses it. Any way out but the last
/// leaves the transaction to be rolled back with the session.
async fn remember(
    store: &Store,
    session: &mut Session,
    enlist: &Enlist,
    deadline: Instant,
) -> Result<Known, Refused> {
    let mut log_id = String::new();
    encode::text(&mut log_id, &enlist.log_id);
    let mut instance_id = String::new();
    encode::text(&mut instance_id, &enlist.instance_id);
    let condition = condition(&store.name, &enlist.coordinator);
    // Epochs begin at 1, so the row of a coordinator that is new fences nobody.
    let packet = format!(
        "START TRANSACTION; \
         INSERT INTO tandem_coordinators (participant, coordinator, log_id, epoch, instance_id) \
         SELECT '{name}', '{coordinator}', {log_id}, 0, '' FROM DUAL WHERE NOT EXISTS (SELECT 1 \
         FROM tandem_coordinators WHERE {condition}); \
         SELECT log_id, epoch, instance_id, forgotten_epoch, forgotten_sequence FROM \
         tandem_coordinators WHERE {condition} FOR UPDATE",
        name = store.name,
        coordinator = enlist.coordinator,
    );
    let rows = session.query(&packet, deadline).await?;
    let row = rows
        .first()
        .ok_or_else(|| PacketFailure::lost(0, "the coordinator's row vanished"))?;
    let known_log = answer::field(row, 0)?;
    let known_epoch = Epoch(answer::field_number(row, 1)?);
    let known_instance = answer::field(row, 2)?;
    let forgotten = lives::point(row, 3)?;
    let at = &store.settings.address;
    let coordinator = &enlist.coordinator;
    if known_log != enlist.log_id {
        return Err(Refused::Fenced(format!(
            "{at} knows coordinator {coordinator} by log {known_log:?}, not {:?}: start it on its \
             own log, or give a new coordinator a new id",
            enlist.log_id
        )));
    }
    if known_epoch > enlist.epoch {
        return Err(Refused::Fenced(format!(
            "{at} knows epoch {known_epoch} of coordinator {coordinator}, and this is epoch {}: \
             its log is an old copy, or a newer coordinator runs elsewhere",
            enlist.epoch
        )));
    }
    if known_epoch == enlist.epoch && known_instance != enlist.instance_id {
        return Err(Refused::Fenced(format!(
            "{at} knows epoch {known_epoch} of coordinator {coordinator} by another process \
             ({known_instance:?}): if one runs on a copy of this log, stop it; if that was a start \
             that was refused for its old copy, start this one again, which begins the next epoch",
        )));
    }
    let incarnation = life::present(store, session, enlist, forgotten, deadline).await?;
    // Committed, and so flushed: a lost epoch would let a stale coordinator in.
    let packet = format!(
        "UPDATE tandem_coordinators SET epoch = {}, instance_id = {instance_id} WHERE \
         {condition}; COMMIT",
        enlist.epoch
    );
    session.run(&packet, deadline).await?;
    let known = lives::read(session, &store.name, coordinator, deadline).await?;
    known
        .filter(|known| known.incarnation == incarnation)
        .ok_or_else(|| PacketFailure::lost(0, "the coordinator's row was changed meanwhile").into())
}
