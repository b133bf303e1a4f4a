//! What tandem's tables say of a coordinator, and in which life of the server it is enlisted.
//!
//! A life is named by which server it is, by its start, and by a number that is kept in the
//! coordinator's row. Another one begins, and with it the coordinator looks through everything that
//! it remembers, when the server is another or was started again, and when it does not know a commit
//! that it acknowledged: it was restored from a copy, or is a replica that lagged behind.

use tandem_participant::Acknowledged;
use tandem_protocol::{CoordinatorId, Epoch, ParticipantName, TransactionId};
use tokio::time::Instant;

use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::server::Server;

/// What is known of a coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    /// The highest epoch enlisted.
    pub(crate) epoch: Epoch,
    /// Transactions before this epoch and sequence are forgotten.
    pub(crate) forgotten: (Epoch, u64),
    /// Transactions before this epoch and sequence are not prepared any more.
    pub(crate) closed: (Epoch, u64),
    /// The life of the server in which it is enlisted.
    pub(crate) incarnation: String,
}

impl Known {
    /// Whether the coordinator has said that it will not prepare the transaction any more.
    pub(crate) fn is_past(&self, transaction: &TransactionId) -> bool {
        (transaction.epoch, transaction.sequence) < self.forgotten.max(self.closed)
    }

    /// Whether the marker row of a committed transaction may be gone.
    pub(crate) fn is_forgotten(&self, transaction: &TransactionId) -> bool {
        (transaction.epoch, transaction.sequence) < self.forgotten
    }
}

/// The condition that selects a coordinator's row.
pub(crate) fn condition(participant: &ParticipantName, coordinator: &CoordinatorId) -> String {
    // Both are made of `a-z 0-9 -` only.
    format!("participant = '{participant}' AND coordinator = '{coordinator}'")
}

/// A point in a coordinator's transactions, from two columns of a row.
pub(crate) fn point(
    row: &sqlx::mysql::MySqlRow,
    column: usize,
) -> Result<(Epoch, u64), PacketFailure> {
    Ok((
        Epoch(answer::field_number(row, column)?),
        answer::field_number(row, column + 1)?,
    ))
}

/// What the tables say of a coordinator; an empty incarnation where no life of it has begun yet.
pub(crate) async fn read(
    session: &mut Session,
    participant: &ParticipantName,
    coordinator: &CoordinatorId,
    deadline: Instant,
) -> Result<Option<Known>, PacketFailure> {
    let query = format!(
        "SELECT epoch, forgotten_epoch, forgotten_sequence, IFNULL(closed_epoch, 0), \
         IFNULL(closed_sequence, 0), incarnation FROM tandem_coordinators LEFT JOIN tandem_lives \
         USING (participant, coordinator) WHERE {}",
        condition(participant, coordinator)
    );
    let rows = session.query(&query, deadline).await?;
    rows.first()
        .map(|row| {
            Ok(Known {
                epoch: Epoch(answer::field_number(row, 0)?),
                forgotten: point(row, 1)?,
                closed: point(row, 3)?,
                incarnation: answer::field(row, 5)?,
            })
        })
        .transpose()
}

/// Whether it is a life of this run of the server.
pub(crate) fn is_of(incarnation: &str, server: &Server) -> bool {
    incarnation
        .rsplit_once('.')
        .is_some_and(|(run, _)| run == server.identity)
}

/// The commits of the coordinator that the server must know, but for those that it may have
/// forgotten.
pub(crate) fn needed(
    acknowledged: &Acknowledged,
    coordinator: &CoordinatorId,
    is_forgotten: impl Fn(&TransactionId) -> bool,
) -> Vec<TransactionId> {
    let own = acknowledged.committed.iter().filter(|transaction| {
        transaction.coordinator == *coordinator && !is_forgotten(transaction)
    });
    let mut needed: Vec<TransactionId> = own.cloned().collect();
    needed.sort_unstable();
    needed.dedup();
    needed
}
