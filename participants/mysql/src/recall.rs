//! Which committed branches the server does not remember any more, by their marker rows.

use std::collections::{BTreeMap, BTreeSet};

use tandem_participant::{Error, Recall, Recalled};
use tandem_protocol::{Epoch, TransactionId};
use tokio::time::Instant;

use crate::participant::Store;
use crate::session::{self, Failure, Session};
use crate::{enlist, evidence};

/// Reads the marker rows of the transactions. A server that came from an old copy, or was replaced
/// by an empty one, lacks those that were committed since.
pub(crate) async fn recall(store: &Store, recall: &Recall) -> Result<Recalled, Error> {
    let deadline = store.statement_deadline();
    let coordinator = &recall.coordinator;
    store
        .coordinators
        .check(store, coordinator, recall.caller_epoch, deadline)
        .await?;
    let mut session = store.service_sessions.lease(deadline).await?;
    if store.coordinators.is_restarted(coordinator, &session) {
        session.give_back();
        return Err(Error::NotEnlisted {
            detail: format!(
                "{} was started again since coordinator {coordinator} enlisted",
                store.settings.address
            ),
        });
    }
    let read = read(store, &mut session, recall, deadline).await;
    let read = read.map_err(|failure| {
        failure.into_error(&format!("reading what is remembered of {coordinator}"))
    })?;
    session.give_back();
    read.ok_or_else(|| Error::NotEnlisted {
        detail: format!(
            "{} does not know epoch {} of coordinator {coordinator} any more: it was restored from \
             an old copy, or its tables were emptied",
            store.settings.address, recall.caller_epoch
        ),
    })
}

/// `None` where the server does not know the caller's epoch.
async fn read(
    store: &Store,
    session: &mut Session,
    recall: &Recall,
    deadline: Instant,
) -> Result<Option<Recalled>, Failure> {
    let condition = enlist::condition(store, &recall.coordinator);
    let query = format!(
        "SELECT epoch, forgotten_epoch, forgotten_sequence FROM tandem_coordinators WHERE {condition}"
    );
    let rows = session.query(&query, deadline).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    if session::field_number(row, 0)? != recall.caller_epoch.0 {
        return Ok(None);
    }
    let (epoch, sequence) = (
        session::field_number(row, 1)?,
        session::field_number(row, 2)?,
    );
    let remembers_from = (epoch > 0).then(|| TransactionId {
        coordinator: recall.coordinator.clone(),
        epoch: Epoch(epoch),
        sequence,
    });

    let mut asked: BTreeMap<Epoch, Vec<String>> = BTreeMap::new();
    for transaction in &recall.transactions {
        let sequences = asked.entry(transaction.epoch).or_default();
        sequences.push(transaction.sequence.to_string());
    }
    let mut there = BTreeSet::new();
    // A query for each epoch, since a list of pairs makes MariaDB 10.11 scan all rows.
    for (epoch, sequences) in asked {
        let query = format!(
            "SELECT `sequence` FROM tandem_branches WHERE {condition} AND epoch = {epoch} AND \
             `sequence` IN ({}) AND {}",
            sequences.join(", "),
            evidence::committed_condition()
        );
        for row in &session.query(&query, deadline).await? {
            there.insert((epoch, session::field_number(row, 0)?));
        }
    }
    let is_forgotten = |id: &&TransactionId| !there.contains(&(id.epoch, id.sequence));
    Ok(Some(Recalled {
        changes: 0,
        forgotten: recall
            .transactions
            .iter()
            .filter(is_forgotten)
            .cloned()
            .collect(),
        remembers_from,
        incarnation: String::new(),
    }))
}
