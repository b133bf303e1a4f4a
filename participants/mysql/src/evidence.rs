//! The marker row: what it says of a branch, and how it is written.

use tandem_protocol::{Epoch, ParticipantName, Timestamp, TransactionId};
use tokio::time::Instant;

use crate::codes;
use crate::session::{self, Failure, Session};

/// What a locking read of the marker row that does not wait says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// The branch is committed.
    Committed,
    /// tandem rolled the transaction back and left a marker of it.
    RolledBack,
    /// No branch is prepared or committed: it was never here, or was rolled back by someone else.
    Nothing,
    /// The row is locked: the branch is in doubt, or is being prepared or ended just now.
    InDoubt,
}

/// What an uncommitted marker row says, read without regard to locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Preparer {
    /// The session that wrote it.
    pub(crate) connection_id: u64,
    /// The life of the server in which `connection_id` means a connection.
    pub(crate) server_start: u64,
}

/// Marker row of a committed branch.
const STATE_COMMITTED: u64 = 1;
/// Marker row that a roll back leaves.
const STATE_ROLLED_BACK: u64 = 2;

/// The condition that selects a transaction's marker row.
pub(crate) fn condition(transaction: &TransactionId, participant: &ParticipantName) -> String {
    // Both are made of `a-z 0-9 -` only.
    format!(
        "participant = '{participant}' AND coordinator = '{}' AND epoch = {} AND `sequence` = {}",
        transaction.coordinator, transaction.epoch, transaction.sequence
    )
}

/// The first statement of each branch. It fails with error 1690, an overflow, if a higher epoch of
/// the coordinator than the caller's is enlisted: the server checks that within the branch, so it
/// also stops a coordinator whose participant has not heard of its successor. An overflow is an
/// error in every `sql_mode`. An INSERT … SELECT at READ COMMITTED locks nothing that it reads, so
/// branches in doubt don't keep the next epoch from enlisting; a subquery within VALUES does lock on
/// MySQL (all measured on MariaDB 10.11 and MySQL 9.7).
pub(crate) fn insert_marker(
    transaction: &TransactionId,
    participant: &ParticipantName,
    session: &Session,
    now: Timestamp,
    caller: Epoch,
) -> String {
    format!(
        "INSERT INTO tandem_branches (participant, coordinator, epoch, `sequence`, state, \
         connection_id, server_start, prepare_time_ms) SELECT '{participant}', '{coordinator}', \
         {epoch}, {sequence}, {STATE_COMMITTED} + {max} * EXISTS (SELECT 1 FROM \
         tandem_coordinators WHERE participant = '{participant}' AND coordinator = \
         '{coordinator}' AND epoch > {caller}), {connection_id}, {server_start}, {now}",
        max = u64::MAX,
        coordinator = transaction.coordinator,
        epoch = transaction.epoch,
        sequence = transaction.sequence,
        connection_id = session.id,
        server_start = session.server.start,
        now = now.0,
    )
}

/// Remembers a roll back. It waits while a branch of the transaction holds the marker's key, fails
/// with 1062 if one was committed, and makes all later prepares fail with 1062.
pub(crate) fn insert_tombstone(
    transaction: &TransactionId,
    participant: &ParticipantName,
    now: Timestamp,
) -> String {
    format!(
        "INSERT INTO tandem_branches (participant, coordinator, epoch, `sequence`, state, \
         connection_id, server_start, prepare_time_ms) VALUES ('{participant}', '{}', {}, {}, \
         {STATE_ROLLED_BACK}, 0, 0, {})",
        transaction.coordinator, transaction.epoch, transaction.sequence, now.0
    )
}

/// Takes back what a roll back remembers, where the decision is carried out after all.
pub(crate) fn delete_tombstone(
    transaction: &TransactionId,
    participant: &ParticipantName,
) -> String {
    format!(
        "DELETE FROM tandem_branches WHERE {} AND state = {STATE_ROLLED_BACK}",
        condition(transaction, participant)
    )
}

/// The condition of rows whose branch was committed.
pub(crate) fn committed_condition() -> String {
    format!("state = {STATE_COMMITTED}")
}

/// The locking read that does not wait.
pub(crate) fn read_statement(
    transaction: &TransactionId,
    participant: &ParticipantName,
    session: &Session,
) -> String {
    format!(
        "SELECT state FROM tandem_branches WHERE {} {}",
        condition(transaction, participant),
        session.server.flavour.share_nowait()
    )
}

/// Reads the evidence.
pub(crate) async fn read(
    session: &mut Session,
    transaction: &TransactionId,
    participant: &ParticipantName,
    deadline: Instant,
) -> Result<Evidence, Failure> {
    let statement = read_statement(transaction, participant, session);
    let answer = session.query(&statement, deadline).await;
    interpret(answer)
}

/// What the answer to [`read_statement`] means.
pub(crate) fn interpret(
    answer: Result<Vec<sqlx::mysql::MySqlRow>, Failure>,
) -> Result<Evidence, Failure> {
    match answer {
        Ok(rows) => match rows.first() {
            None => Ok(Evidence::Nothing),
            Some(row) if session::field_number(row, 0)? == STATE_COMMITTED => {
                Ok(Evidence::Committed)
            }
            Some(_) => Ok(Evidence::RolledBack),
        },
        Err(failure) if failure.number().is_some_and(codes::is_locked) => Ok(Evidence::InDoubt),
        Err(failure) => Err(failure),
    }
}

/// Who prepared the branch in doubt. A READ UNCOMMITTED read sees the marker row of a branch that
/// is prepared, by a session that has gone and after a restart of the server too.
pub(crate) async fn read_preparer(
    session: &mut Session,
    transaction: &TransactionId,
    participant: &ParticipantName,
    deadline: Instant,
) -> Result<Option<Preparer>, Failure> {
    let packet = dirty(&format!(
        "SELECT connection_id, server_start FROM tandem_branches WHERE {}",
        condition(transaction, participant)
    ));
    let rows = session.query(&packet, deadline).await?;
    rows.first()
        .map(|row| {
            Ok(Preparer {
                connection_id: session::field_number(row, 0)?,
                server_start: session::field_number(row, 1)?,
            })
        })
        .transpose()
}

/// A query that also sees what is not committed. The level holds for this one statement.
pub(crate) fn dirty(query: &str) -> String {
    format!("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; {query}")
}
