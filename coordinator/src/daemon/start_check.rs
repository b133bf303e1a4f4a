//! What a start asks before it writes anything: whether a store knows that the log is not the newest.
//!
//! A process that is started on an old copy, or with another log, would otherwise store an epoch of its
//! own, and the process that runs on the newest log would be the one that is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use futures::future::join_all;
use tandem_participant::{Look, Looked, Participant};
use tandem_protocol::{CoordinatorId, ParticipantName};
use tokio::time::timeout;

use super::link;
use super::log::Found;
use crate::config::{Config, ParticipantSettings, missing::missing};
use crate::store_kind::StoreKind;

/// How long a start waits for what the stores know. One that has not answered by then is asked
/// before it is enlisted.
const LOOK_MAX: Duration = Duration::from_secs(3);

/// Asks every store that answers soon; an error says which knows better than the log, and what to do.
pub(super) async fn refuse_stale_log(
    coordinator: &CoordinatorId,
    log: &Found,
    participants: &BTreeMap<ParticipantName, Arc<dyn Participant>>,
) -> anyhow::Result<()> {
    let answers = participants
        .iter()
        .map(|(name, participant)| known_at(coordinator, name, participant.as_ref()));
    for (name, looked) in participants.keys().zip(join_all(answers).await) {
        let Some(looked) = looked else {
            continue;
        };
        let known = looked.known.as_ref().map(link::known);
        let newest = &looked.newest_committed;
        if let Some(stale) = log
            .recovered
            .contradiction(log.log_id(), name, known.as_ref(), newest)
        {
            bail!(
                "{stale}. Nothing was touched. Start the coordinator on the newest log folder, not on \
                 an old copy of it."
            );
        }
    }
    Ok(())
}

/// Asks sidecars what they are, where the configuration leaves open whether somebody keeps the stock and
/// somebody the record; an error says who is missing. One that does not answer soon may be either.
pub(super) async fn refuse_what_is_missing(
    config: &Config,
    participants: &BTreeMap<ParticipantName, Arc<dyn Participant>>,
) -> anyhow::Result<()> {
    let described = participants.iter().map(async |(name, participant)| {
        let known = config
            .participants
            .get(name)
            .and_then(ParticipantSettings::kind);
        if let Some(kind) = known {
            return Some(kind);
        }
        let described = timeout(LOOK_MAX, participant.describe()).await.ok()?.ok()?;
        Some(StoreKind::of_name(&described.kind))
    });
    let kinds = join_all(described).await;
    if let Some(missing) = config.lacks(kinds.iter().copied()) {
        bail!("{missing}");
    }
    if let Some(accepted) = missing(kinds) {
        tracing::warn!("{} is accepted", accepted.as_ref());
    }
    Ok(())
}

async fn known_at(
    coordinator: &CoordinatorId,
    name: &ParticipantName,
    participant: &dyn Participant,
) -> Option<Looked> {
    let look = Look {
        coordinator: coordinator.clone(),
    };
    match timeout(LOOK_MAX, participant.look(&look)).await {
        Ok(Ok(looked)) => Some(looked),
        Ok(Err(error)) => {
            tracing::warn!(participant = %name, %error, "could not be asked what it knows, later again");
            None
        }
        Err(_) => {
            tracing::warn!(
                participant = %name, waited = ?LOOK_MAX,
                "has not said what it knows, later again"
            );
            None
        }
    }
}
