//! Which committed branches the server does not remember any more, by their marker rows.

use tandem_participant::{Error, Recall, Recalled};
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::enlistment::enlisted::{self, not_enlisted};
use crate::records::{evidence, lives};
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::store::Store;

/// Reads the marker rows of the transactions. A server that came from an old copy, or was replaced
/// by an empty one, lacks those that were committed since.
pub(crate) async fn recall(store: &Store, recall: &Recall) -> Result<Recalled, Error> {
    let deadline = store.statement_deadline();
    let coordinator = &recall.coordinator;
    enlisted::check(store, coordinator, recall.caller_epoch, deadline).await?;
    let mut session = store.service_sessions.lease(deadline).await?;
    let read = read(store, &mut session, recall, deadline).await;
    let read = read.map_err(|failure| {
        failure.into_error(&format!("reading what is remembered of {coordinator}"))
    })?;
    session.give_back();
    read.ok_or_else(|| {
        let why = "it was restored from an old copy, or its tables were emptied";
        not_enlisted(store, coordinator, why)
    })
}

/// `None` where the server does not know the caller's epoch, or not in its present life.
async fn read(
    store: &Store,
    session: &mut Session,
    recall: &Recall,
    deadline: Instant,
) -> Result<Option<Recalled>, PacketFailure> {
    let coordinator = &recall.coordinator;
    let known = lives::read(session, &store.name, coordinator, deadline).await?;
    let known = known.filter(|known| {
        known.epoch == recall.caller_epoch && lives::is_of(&known.incarnation, &session.server)
    });
    let Some(known) = known else {
        return Ok(None);
    };
    let (epoch, sequence) = known.forgotten;
    let remembers_from = (epoch.0 > 0).then(|| TransactionId {
        coordinator: coordinator.clone(),
        epoch,
        sequence,
    });
    Ok(Some(Recalled {
        changes: 0,
        forgotten: evidence::missing(session, &store.name, &recall.transactions, deadline).await?,
        remembers_from,
        incarnation: known.incarnation,
    }))
}
