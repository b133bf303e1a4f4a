//! What the server's marker rows say of branches.

use tandem_protocol::{ParticipantName, TransactionId};
use tokio::time::Instant;

use crate::records::marker::{self, STATE_COMMITTED, condition};
use crate::records::{ids, lives};
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::{answer, codes};

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
) -> Result<Evidence, PacketFailure> {
    let statement = read_statement(transaction, participant, session);
    let answer = session.query(&statement, deadline).await;
    interpret(answer)
}

/// What the answer to [`read_statement`] means.
pub(crate) fn interpret(
    answer: Result<Vec<sqlx::mysql::MySqlRow>, PacketFailure>,
) -> Result<Evidence, PacketFailure> {
    match answer {
        Ok(rows) => match rows.first() {
            None => Ok(Evidence::Nothing),
            Some(row) if answer::field_number(row, 0)? == STATE_COMMITTED => {
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
) -> Result<Option<Preparer>, PacketFailure> {
    let packet = dirty(&format!(
        "SELECT connection_id, server_start FROM tandem_branches WHERE {}",
        condition(transaction, participant)
    ));
    let rows = session.query(&packet, deadline).await?;
    rows.first()
        .map(|row| {
            Ok(Preparer {
                connection_id: answer::field_number(row, 0)?,
                server_start: answer::field_number(row, 1)?,
            })
        })
        .transpose()
}

/// A query that also sees what is not committed. The level holds for this one statement.
pub(crate) fn dirty(query: &str) -> String {
    format!("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED; {query}")
}

/// Those of the transactions, all of one coordinator, whose marker rows are not there as committed.
pub(crate) async fn missing(
    session: &mut Session,
    participant: &ParticipantName,
    transactions: &[TransactionId],
    deadline: Instant,
) -> Result<Vec<TransactionId>, PacketFailure> {
    let mut missing = Vec::new();
    // A query for each epoch, since a list of pairs makes MariaDB 10.11 scan all rows.
    for (epoch, some) in ids::by_epoch(transactions) {
        let query = format!(
            "SELECT `sequence` FROM tandem_branches WHERE {} AND epoch = {epoch} AND `sequence` IN \
             ({}) AND {}",
            lives::condition(participant, &some[0].coordinator),
            ids::sequences(&some),
            marker::committed_condition()
        );
        let rows = session.query(&query, deadline).await?;
        let there: Vec<u64> = rows
            .iter()
            .map(|row| answer::field_number(row, 0))
            .collect::<Result<_, _>>()?;
        let lost = |id: &&&TransactionId| !there.contains(&id.sequence);
        missing.extend(some.iter().filter(lost).map(|id| (*id).clone()));
    }
    Ok(missing)
}
