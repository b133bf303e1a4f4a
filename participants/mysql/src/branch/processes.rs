//! The server's process list: whether the session that prepared a branch has really gone.

use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::records::evidence::Preparer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::{answer, codes};

/// Whether anyone may still be at work on the branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activity {
    Quiet,
    /// The session that prepared it is still connected, or is being taken down.
    PreparerConnected(u64),
    /// Another session runs a statement with this transaction's id in it.
    Statement(u64),
}

/// Looks who may be at work. Without the PROCESS privilege the list shows the sessions of the same
/// user, which tandem's are.
///
/// An id counts only within the life of the server that gave it out. Until the session has left
/// this list another session's `XA COMMIT` may be answered OK and commit nothing; watching
/// `innodb_trx` is not enough (measured on MariaDB 10.11 and 11.8).
pub(crate) async fn activity(
    session: &mut Session,
    transaction: &TransactionId,
    preparer: Option<Preparer>,
    deadline: Instant,
) -> Result<Activity, PacketFailure> {
    let preparer_id = preparer
        .filter(|preparer| preparer.server_start == session.server.start)
        .map_or(0, |preparer| preparer.connection_id);
    // The transaction's id is made of `a-z 0-9 - .` only; its quotes keep shop.1.1 from being
    // found in shop.1.10.
    let rows = session
        .query(
            &format!(
                "SELECT ID, ID = {preparer_id} FROM information_schema.PROCESSLIST WHERE \
                 ID <> CONNECTION_ID() AND (ID = {preparer_id} OR INFO LIKE '%XA % ''{transaction}''%')"
            ),
            deadline,
        )
        .await?;
    let mut activity = Activity::Quiet;
    for row in &rows {
        let id = answer::field_number(row, 0)?;
        if answer::field_number(row, 1)? == 1 {
            return Ok(Activity::PreparerConnected(id));
        }
        activity = Activity::Statement(id);
    }
    Ok(activity)
}

/// Ends a connection. That it has gone already is no error.
pub(crate) async fn kill(
    session: &mut Session,
    connection_id: u64,
    deadline: Instant,
) -> Result<(), PacketFailure> {
    end(session, &format!("KILL {connection_id}"), deadline).await
}

/// Ends the statement that a connection runs now, and leaves the connection. That there is none is
/// no error.
pub(crate) async fn interrupt(
    session: &mut Session,
    connection_id: u64,
    deadline: Instant,
) -> Result<(), PacketFailure> {
    end(session, &format!("KILL QUERY {connection_id}"), deadline).await
}

async fn end(session: &mut Session, kill: &str, deadline: Instant) -> Result<(), PacketFailure> {
    match session.run(kill, deadline).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.number() == Some(codes::NO_SUCH_CONNECTION) => Ok(()),
        Err(failure) => Err(failure),
    }
}
