//! Pruning the marker rows that no coordinator will ask about again, and those of roll backs whose
//! prepares can't come any more.

use std::collections::BTreeSet;

use tandem_participant::{Error, Forget};
use tandem_protocol::{Epoch, TransactionId};
use tokio::time::Instant;

use crate::enlistment::enlisted;
use crate::records::lives::{self, condition};
use crate::records::marker;
use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::store::Store;

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
    enlisted::check(store, coordinator, forget.caller_epoch, deadline).await?;
    let mut session = store.service_sessions.lease(deadline).await?;
    let pruned = prune(store, &mut session, forget, deadline).await;
    pruned.map_err(|failure| {
        failure.into_error(&format!("forgetting what was before {}", forget.before))
    })?;
    session.give_back();
    Ok(())
}

async fn prune(
    store: &Store,
    session: &mut Session,
    forget: &Forget,
    deadline: Instant,
) -> Result<(), PacketFailure> {
    let TransactionId {
        coordinator,
        epoch,
        sequence,
    } = &forget.before;
    let condition = condition(&store.name, coordinator);
    let closed = match &forget.closed {
        Some(closed) if closed.coordinator == *coordinator => (closed.epoch, closed.sequence),
        _ => (Epoch(0), 0),
    };
    // First, so that a prepare that arrives late finds the points when its marker has gone.
    let packet = format!(
        "{}; {}",
        raise(
            "tandem_coordinators",
            "forgotten",
            (*epoch, *sequence),
            &condition
        ),
        raise("tandem_lives", "closed", closed, &condition),
    );
    session.run(&packet, deadline).await?;
    store
        .coordinators
        .passed(coordinator, (*epoch, *sequence), closed);

    let newest = format!(
        "SELECT epoch, `sequence` FROM tandem_branches WHERE {condition} AND {} ORDER BY epoch \
         DESC, `sequence` DESC LIMIT 1",
        marker::committed_condition()
    );
    let mut kept = BTreeSet::new();
    for row in &session.query(&newest, deadline).await? {
        kept.insert((answer::field_number(row, 0)?, answer::field_number(row, 1)?));
    }
    for except in &forget.except {
        if except.coordinator == *coordinator {
            kept.insert((except.epoch.0, except.sequence));
        }
    }
    let old = Rows {
        condition: condition.clone(),
        after: (Epoch(0), 0),
        before: (*epoch, *sequence),
    };
    delete(session, old, |row| !kept.contains(&row), deadline).await?;
    // Roll backs before the point where the last call ended are deleted, but for those that were
    // remembered since.
    let swept = store.coordinators.swept(coordinator);
    let rolled_back = Rows {
        condition: format!("{condition} AND {}", marker::rolled_back_condition()),
        after: swept,
        before: closed,
    };
    let reached = delete(session, rolled_back, |_| true, deadline).await?;
    store.coordinators.sweep_ended(coordinator, swept, reached);
    Ok(())
}

/// Raises a point of a coordinator's row.
fn raise(table: &str, point: &str, to: (Epoch, u64), condition: &str) -> String {
    let (epoch, sequence) = to;
    format!(
        "UPDATE {table} SET {point}_epoch = {epoch}, {point}_sequence = {sequence} WHERE {condition} \
         AND ({point}_epoch < {epoch} OR ({point}_epoch = {epoch} AND {point}_sequence < {sequence}))"
    )
}

/// Marker rows between two points: after the one, before the other.
struct Rows {
    condition: String,
    after: (Epoch, u64),
    before: (Epoch, u64),
}

/// Deletes those of the rows that are chosen, for as long as there is time. Gives the point up to
/// which all are; sequences begin at 1.
async fn delete(
    session: &mut Session,
    rows: Rows,
    is_chosen: impl Fn((u64, u64)) -> bool,
    deadline: Instant,
) -> Result<(Epoch, u64), PacketFailure> {
    let Rows {
        condition,
        mut after,
        before,
    } = rows;
    while Instant::now() < deadline {
        let page = format!(
            "SELECT epoch, `sequence` FROM tandem_branches WHERE {condition} AND (epoch > {0} OR \
             (epoch = {0} AND `sequence` > {1})) AND (epoch < {2} OR (epoch = {2} AND `sequence` < \
             {3})) ORDER BY epoch, `sequence` LIMIT {CHUNK_ROWS}",
            after.0, after.1, before.0, before.1,
        );
        let rows = session.query(&page, deadline).await?;
        let mut packet = String::from("START TRANSACTION");
        for row in &rows {
            after = lives::point(row, 0)?;
            if is_chosen((after.0.0, after.1)) {
                packet.push_str(&format!(
                    "; DELETE FROM tandem_branches WHERE {condition} AND epoch = {} AND `sequence` = {}",
                    after.0, after.1
                ));
            }
        }
        packet.push_str("; COMMIT");
        session.run(&packet, deadline).await?;
        if rows.len() < CHUNK_ROWS {
            return Ok(after.max((before.0, before.1.saturating_sub(1))));
        }
    }
    Ok(after)
}
