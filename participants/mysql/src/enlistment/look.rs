//! What is known of a coordinator, without a trace.

use tandem_participant::{Enlisted, Error, KnownCoordinator, Look, Looked};
use tandem_protocol::{CoordinatorId, Epoch, TransactionId};
use tokio::time::Instant;

use crate::records::lives::condition;
use crate::records::marker;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::{answer, codes};
use crate::store::Store;

/// What the tables say of a coordinator; where there are none, nothing.
pub(crate) async fn look(store: &Store, look: &Look) -> Result<Looked, Error> {
    let deadline = store.statement_deadline();
    // Whatever server was there before, this is about the one that answers now.
    let mut session = store.service_sessions.lease_anew(deadline).await?;
    let looked = match read(store, &mut session, &look.coordinator, deadline).await {
        Err(failure) if failure.number() == Some(codes::NO_SUCH_TABLE) => Looked::default(),
        looked => looked.map_err(|failure| {
            failure.into_error(&format!("looking for coordinator {}", look.coordinator))
        })?,
    };
    session.give_back();
    Ok(looked)
}

async fn read(
    store: &Store,
    session: &mut Session,
    coordinator: &CoordinatorId,
    deadline: Instant,
) -> Result<Looked, PacketFailure> {
    let query = format!(
        "SELECT log_id, epoch, instance_id FROM tandem_coordinators WHERE {}",
        condition(&store.name, coordinator)
    );
    let rows = session.query(&query, deadline).await?;
    let known = rows.first().map(|row| {
        Ok(KnownCoordinator {
            log_id: answer::field(row, 0)?,
            epoch: Epoch(answer::field_number(row, 1)?),
            instance_id: answer::field(row, 2)?,
        })
    });
    Ok(Looked {
        known: known.transpose()?,
        newest_committed: newest_committed(store, session, coordinator, deadline).await?,
    })
}

/// A plain read at READ COMMITTED: it waits for nothing and sees committed rows only.
pub(crate) async fn newest_committed(
    store: &Store,
    session: &mut Session,
    coordinator: &CoordinatorId,
    deadline: Instant,
) -> Result<Vec<TransactionId>, PacketFailure> {
    let query = format!(
        "SELECT epoch, `sequence` FROM tandem_branches WHERE {} AND {} ORDER BY epoch DESC, \
         `sequence` DESC LIMIT {}",
        condition(&store.name, coordinator),
        marker::committed_condition(),
        Enlisted::NEWEST_COMMITTED_MAX
    );
    let rows = session.query(&query, deadline).await?;
    rows.iter()
        .map(|row| {
            Ok(TransactionId {
                coordinator: coordinator.clone(),
                epoch: Epoch(answer::field_number(row, 0)?),
                sequence: answer::field_number(row, 1)?,
            })
        })
        .collect()
}
