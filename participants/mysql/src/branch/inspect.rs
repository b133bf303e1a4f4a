//! What is prepared at the server, and what it says of one transaction.

use std::collections::HashMap;

use tandem_participant::{BranchState, BranchTruth, Error, PreparedBranch, PreparedId};
use tandem_protocol::{ParticipantName, Timestamp, TransactionId};
use tokio::time::Instant;

use crate::branch::processes;
use crate::records::evidence::{self, Evidence};
use crate::records::{marker, xa_recover, xid};
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::{answer, codes};
use crate::store::Store;

/// Transactions whose marker rows are read in one query.
const MARKERS_MAX: usize = 200;

/// Every prepared branch. Those of this participant are told by their marker rows, which also hold
/// their times: a branch whose marker is not in this database belongs to a participant of the same
/// name in another one, and its transactions are not this coordinator's.
pub(crate) async fn list_prepared(store: &Store) -> Result<Vec<PreparedBranch>, Error> {
    let deadline = store.statement_deadline();
    let mut session = store.service_sessions.lease(deadline).await?;
    let ids = xa_recover::listed(&mut session, &store.name, deadline)
        .await
        .map_err(|failure| failure.into_error("listing prepared branches"))?;
    let times = prepare_times(&mut session, &ids, &store.name, deadline)
        .await
        .map_err(|failure| failure.into_error("reading marker rows"))?;
    session.give_back();
    let branches = ids.into_iter().map(|id| {
        let PreparedId::Transaction(transaction) = &id else {
            return PreparedBranch {
                id,
                prepare_time: None,
            };
        };
        let prepare_time = times.get(transaction).copied();
        let id = match prepare_time {
            Some(_) => id,
            None => xid::foreign(transaction, &store.name),
        };
        PreparedBranch { id, prepare_time }
    });
    Ok(branches.collect())
}

/// The server's own truth about one transaction.
pub(crate) async fn inspect(
    store: &Store,
    transaction: &TransactionId,
) -> Result<BranchTruth, Error> {
    let deadline = store.statement_deadline();
    let mut session = store.service_sessions.lease(deadline).await?;
    let truth = truth(&mut session, store, transaction, deadline)
        .await
        .map_err(|failure| {
            failure.into_error(&format!("inspecting {}", store.branch(transaction)))
        })?;
    session.give_back();
    Ok(truth)
}

async fn prepare_times(
    session: &mut Session,
    ids: &[PreparedId],
    participant: &ParticipantName,
    deadline: Instant,
) -> Result<HashMap<TransactionId, Timestamp>, PacketFailure> {
    let transactions: Vec<&TransactionId> = ids
        .iter()
        .filter_map(|id| match id {
            PreparedId::Transaction(transaction) => Some(transaction),
            PreparedId::Foreign(_) => None,
        })
        .collect();
    let mut times = HashMap::new();
    for some in transactions.chunks(MARKERS_MAX) {
        let conditions: Vec<String> = some
            .iter()
            .map(|transaction| format!("({})", marker::condition(transaction, participant)))
            .collect();
        let query = evidence::dirty(&format!(
            "SELECT CONCAT(coordinator, '.', epoch, '.', `sequence`), prepare_time_ms FROM \
             tandem_branches WHERE {}",
            conditions.join(" OR ")
        ));
        let rows = match session.query(&query, deadline).await {
            Ok(rows) => rows,
            // Branches of this name, but tandem's tables are in another database.
            Err(failure) if failure.number() == Some(codes::NO_SUCH_TABLE) => return Ok(times),
            Err(failure) => return Err(failure),
        };
        for row in &rows {
            if let Ok(transaction) = answer::field(row, 0)?.parse() {
                times.insert(transaction, Timestamp(answer::field_number(row, 1)?));
            }
        }
    }
    Ok(times)
}

async fn truth(
    session: &mut Session,
    store: &Store,
    transaction: &TransactionId,
    deadline: Instant,
) -> Result<BranchTruth, PacketFailure> {
    let evidence = match evidence::read(session, transaction, &store.name, deadline).await {
        Err(failure) if failure.number() == Some(codes::NO_SUCH_TABLE) => {
            return Ok(BranchTruth {
                state: BranchState::Absent,
                detail: "tandem's tables do not exist here".into(),
            });
        }
        evidence => evidence?,
    };
    let listed = match xa_recover::listed(session, &store.name, deadline).await {
        Ok(ids) => Some(ids.contains(&PreparedId::Transaction(transaction.clone()))),
        Err(failure) if failure.number() == Some(codes::XA_RESOURCE_ERROR) => None,
        Err(failure) => return Err(failure),
    };
    let (state, detail) = match (evidence, listed) {
        (Evidence::Committed, _) => (BranchState::Committed, "its marker row is committed".into()),
        (Evidence::RolledBack, _) => (
            BranchState::RolledBack,
            "its marker row says that it was rolled back".into(),
        ),
        (Evidence::Nothing, Some(true)) => (
            BranchState::Unclear,
            "XA RECOVER lists it, but its marker row is not in this database: another participant \
             of the same name uses this server"
                .into(),
        ),
        (Evidence::Nothing, _) => (
            BranchState::Absent,
            "no marker row, nothing locked, not in XA RECOVER".into(),
        ),
        (Evidence::InDoubt, Some(true)) => (
            BranchState::Prepared,
            "its marker row is locked and XA RECOVER lists it".into(),
        ),
        (Evidence::InDoubt, _) => {
            let preparer =
                evidence::read_preparer(session, transaction, &store.name, deadline).await?;
            let activity = processes::activity(session, transaction, preparer, deadline).await?;
            (
                BranchState::Unclear,
                format!("its marker row is locked, XA RECOVER does not list it: {activity:?}"),
            )
        }
    };
    Ok(BranchTruth { state, detail })
}
