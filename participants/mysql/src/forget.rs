//! Pruning the marker rows that no coordinator will ask about again.

use std::collections::BTreeSet;

use tandem_participant::{Error, Forget};
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::participant::Store;
use crate::session::{self, Failure, Session};
use crate::{enlist, evidence};

/// Rows deleted in one transaction.
const CHUNK_ROWS: usize = 500;

/// Deletes marker rows until none is left or the time for one call is over; what remains is for
/// the next call.
///
/// The newest commit stays: a coordinator that does not know it runs on an old copy of its log.
///
/// Only rows that a plain read shows, and so are committed, are deleted, each by its whole key. A
/// DELETE by range or by a list of keys may scan the table and stop at the rows of branches in
/// doubt (seen on MariaDB 10.11).
pub(crate) async fn forget(store: &Store, forget: &Forget) -> Result<(), Error> {
    let deadline = store.statement_deadline();
    let coordinator = &forget.before.coordinator;
    store
        .coordinators
        .check(store, coordinator, forget.caller_epoch, deadline)
        .await?;
    let mut session = store.service_sessions.lease(deadline).await?;
    prune(store, &mut session, forget, deadline)
        .await
        .map_err(|failure| {
            failure.into_error(&format!("forgetting what was before {}", forget.before))
        })?;
    session.give_back();
    store.coordinators.forgot(&forget.before);
    Ok(())
}

async fn prune(
    store: &Store,
    session: &mut Session,
    forget: &Forget,
    deadline: Instant,
) -> Result<(), Failure> {
    let TransactionId {
        coordinator,
        epoch,
        sequence,
    } = &forget.before;
    let condition = enlist::condition(store, coordinator);
    // First, so that a prepare that arrives late finds the point when its marker has gone.
    let point = format!(
        "UPDATE tandem_coordinators SET forgotten_epoch = {epoch}, forgotten_sequence = \
         {sequence} WHERE {condition} AND (forgotten_epoch < {epoch} OR (forgotten_epoch = \
         {epoch} AND forgotten_sequence < {sequence}))"
    );
    session.run(&point, deadline).await?;

    let newest = format!(
        "SELECT epoch, `sequence` FROM tandem_branches WHERE {condition} AND {} ORDER BY epoch \
         DESC, `sequence` DESC LIMIT 1",
        evidence::committed_condition()
    );
    let mut kept = BTreeSet::new();
    for row in &session.query(&newest, deadline).await? {
        kept.insert((
            session::field_number(row, 0)?,
            session::field_number(row, 1)?,
        ));
    }
    for except in &forget.except {
        if except.coordinator == *coordinator {
            kept.insert((except.epoch.0, except.sequence));
        }
    }
    let (mut after_epoch, mut after_sequence) = (0, 0);
    while Instant::now() < deadline {
        let page = format!(
            "SELECT epoch, `sequence` FROM tandem_branches WHERE {condition} AND (epoch > \
             {after_epoch} OR (epoch = {after_epoch} AND `sequence` > {after_sequence})) AND \
             (epoch < {epoch} OR (epoch = {epoch} AND `sequence` < {sequence})) ORDER BY epoch, \
             `sequence` LIMIT {CHUNK_ROWS}"
        );
        let rows = session.query(&page, deadline).await?;
        let mut packet = String::from("START TRANSACTION");
        for row in &rows {
            after_epoch = session::field_number(row, 0)?;
            after_sequence = session::field_number(row, 1)?;
            if !kept.contains(&(after_epoch, after_sequence)) {
                packet.push_str(&format!(
                    "; DELETE FROM tandem_branches WHERE {condition} AND epoch = {after_epoch} \
                     AND `sequence` = {after_sequence}"
                ));
            }
        }
        packet.push_str("; COMMIT");
        session.run(&packet, deadline).await?;
        if rows.len() < CHUNK_ROWS {
            break;
        }
    }
    Ok(())
}
