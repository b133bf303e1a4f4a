//! What a person must do at the server when no coordinator can.

use tandem_protocol::{ParticipantName, TransactionId};

use crate::xid;

/// How to carry out a commit decision with a client of the server: text for a person.
pub fn commit_by_hand(transaction: &TransactionId, participant: &ParticipantName) -> String {
    let xid = xid::literal(transaction, participant);
    format!(
        "if XA RECOVER lists {transaction}: XA COMMIT {xid}; if not, it is committed when this \
         gives a row: SELECT 1 FROM tandem_branches WHERE participant = '{participant}' AND \
         coordinator = '{}' AND epoch = {} AND `sequence` = {} AND state = 1 FOR UPDATE NOWAIT",
        transaction.coordinator, transaction.epoch, transaction.sequence
    )
}
