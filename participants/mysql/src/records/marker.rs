//! The marker row as it is written, and the conditions that select marker rows.

use tandem_protocol::{Epoch, ParticipantName, Timestamp, TransactionId};

use crate::records::contents::Contents;
use crate::records::ids;
use crate::session::connection::Session;

/// Marker row of a committed branch.
pub(super) const STATE_COMMITTED: u64 = 1;
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

/// The condition of rows that a roll back left.
pub(crate) fn rolled_back_condition() -> String {
    format!("state = {STATE_ROLLED_BACK}")
}

/// The condition of rows whose branch was committed.
pub(crate) fn committed_condition() -> String {
    format!("state = {STATE_COMMITTED}")
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
                for (epoch, some) in ids::by_epoch(committed) {
                    proof.push_str(&format!(
                        " AND {} = (SELECT COUNT(*) FROM tandem_branches WHERE {row} AND epoch = \
                         {epoch} AND `sequence` IN ({}) AND {})",
                        some.len(),
                        ids::sequences(&some),
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
