//! The marker row: what it says of a branch, and how it is written.

use tandem_protocol::{Epoch, ParticipantName, Timestamp, TransactionId};
use tokio::time::Instant;

use crate::codes;
use crate::lives;
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

/// What the server must show of itself before a marker row is inserted.
#[derive(Debug)]
pub(crate) enum Proof<'a> {
    /// No higher epoch than this caller's is enlisted.
    Epoch(Epoch),
    /// Neither that, nor has the server lost anything.
    Whole {
        caller: Epoch,
        /// The life in which the coordinator is enlisted.
        incarnation: &'a str,
        /// Commits that it acknowledged and that the session does not vouch for.
        committed: &'a [TransactionId],
    },
}

/// A marker row, as it is inserted.
#[derive(Debug)]
pub(crate) struct Marker<'a> {
    pub(crate) transaction: &'a TransactionId,
    pub(crate) participant: &'a ParticipantName,
    pub(crate) now: Timestamp,
    /// What is in the branch, where the table has columns for it.
    pub(crate) contents: Option<Contents>,
}

/// What a later recovery that has nothing but the stores needs to know of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Numbers of its entries: `0-4,7`.
    pub(crate) entries: String,
    /// All participants of its transaction, separated by commas.
    pub(crate) participants: String,
}

impl Contents {
    pub(crate) fn new(mut numbers: Vec<u32>, participants: &[ParticipantName]) -> Self {
        numbers.sort_unstable();
        let names: Vec<&str> = participants.iter().map(ParticipantName::as_str).collect();
        Self {
            entries: runs(&numbers),
            participants: names.join(","),
        }
    }
}

/// The numbers, in order, as runs: `0-4,7`.
fn runs(numbers: &[u32]) -> String {
    let mut text = String::new();
    let mut rest = numbers;
    while let Some(&first) = rest.first() {
        let follows = |pair: &&[u32]| pair[0].checked_add(1) == Some(pair[1]);
        let length = 1 + rest.windows(2).take_while(follows).count();
        let comma = if text.is_empty() { "" } else { "," };
        text.push_str(&format!("{comma}{first}"));
        if length > 1 {
            text.push_str(&format!("-{}", rest[length - 1]));
        }
        rest = &rest[length..];
    }
    text
}

impl Proof<'_> {
    /// The proof as a condition that is 1 where it holds and 0 where it does not.
    fn condition(&self, transaction: &TransactionId, participant: &ParticipantName) -> String {
        let row = format!(
            "participant = '{participant}' AND coordinator = '{}'",
            transaction.coordinator
        );
        match self {
            Proof::Epoch(caller) => format!(
                "1 - EXISTS (SELECT 1 FROM tandem_coordinators WHERE {row} AND epoch > {caller})"
            ),
            Proof::Whole {
                caller,
                incarnation,
                committed,
            } => {
                let TransactionId {
                    epoch, sequence, ..
                } = transaction;
                let mut proof = format!(
                    "EXISTS (SELECT 1 FROM tandem_lives JOIN tandem_coordinators USING \
                     (participant, coordinator) WHERE {row} AND epoch <= {caller} AND incarnation = \
                     '{incarnation}' AND (closed_epoch < {epoch} OR closed_epoch = {epoch} AND \
                     closed_sequence <= {sequence}))"
                );
                for (epoch, some) in lives::by_epoch(committed) {
                    proof.push_str(&format!(
                        " AND {} = (SELECT COUNT(*) FROM tandem_branches WHERE {row} AND epoch = \
                         {epoch} AND `sequence` IN ({}) AND {})",
                        some.len(),
                        lives::sequences(&some),
                        committed_condition()
                    ));
                }
                proof
            }
        }
    }
}

/// The first statement of each branch. It fails with error 1690, an overflow, where the proof does
/// not hold: the server checks that within the branch, so it also stops a coordinator whose
/// participant has not heard of its successor, or that the server was put back in time. An overflow
/// is an error in every `sql_mode`. An INSERT … SELECT at READ COMMITTED locks nothing that it
/// reads, so branches in doubt don't keep the next epoch from enlisting; a subquery within VALUES
/// does lock on MySQL. CONNECTION_ID() tells a proxy that moves open sessions to another server
/// (all but that measured on MariaDB 10.11 and MySQL 9.7).
pub(crate) fn insert_marker(marker: &Marker<'_>, session: &Session, proof: &Proof<'_>) -> String {
    let Marker {
        transaction,
        participant,
        now,
        contents,
    } = marker;
    let (columns, values) = match contents {
        Some(Contents {
            entries,
            participants,
        }) => (
            ", entries, participants",
            format!(", '{entries}', '{participants}'"),
        ),
        None => ("", String::new()),
    };
    format!(
        "INSERT INTO tandem_branches (participant, coordinator, epoch, `sequence`, state, \
         connection_id, server_start, prepare_time_ms{columns}) SELECT '{participant}', \
         '{coordinator}', {epoch}, {sequence}, {STATE_COMMITTED} + {max} * (1 - (CONNECTION_ID() = \
         {connection_id} AND {proof})), {connection_id}, {server_start}, {now}{values}",
        max = u64::MAX,
        coordinator = transaction.coordinator,
        epoch = transaction.epoch,
        sequence = transaction.sequence,
        connection_id = session.id,
        server_start = session.server.start,
        now = now.0,
        proof = proof.condition(transaction, participant),
    )
}

/// Corrects what the marker row says is in the branch, where entries were refused after it was
/// inserted.
pub(crate) fn update_contents(
    transaction: &TransactionId,
    participant: &ParticipantName,
    contents: &Contents,
) -> String {
    format!(
        "UPDATE tandem_branches SET entries = '{}' WHERE {}",
        contents.entries,
        condition(transaction, participant)
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

/// The condition of rows that a roll back left.
pub(crate) fn rolled_back_condition() -> String {
    format!("state = {STATE_ROLLED_BACK}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_entries_are_written_as_runs() {
        assert_eq!(runs(&[]), "");
        assert_eq!(runs(&[7]), "7");
        assert_eq!(runs(&[0, 1, 2, 3, 4, 7]), "0-4,7");
        assert_eq!(runs(&[1, 3, 4, u32::MAX]), "1,3-4,4294967295");
    }
}
