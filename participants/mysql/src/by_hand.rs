//! What a person must do at the server when no coordinator can.

use tandem_protocol::{CoordinatorId, ParticipantName, TransactionId};

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

/// How to take back what somebody has committed against a decision: text for a person, with each
/// statement between backticks. It is written for the default tables.
pub fn take_back_by_hand(transaction: &TransactionId, participant: &ParticipantName) -> String {
    let own = format!("transaction_id = '{transaction}'");
    format!(
        "`DELETE FROM purchase_items WHERE purchase_id IN (SELECT purchase_id FROM purchases WHERE \
         {own})`, `DELETE FROM purchases WHERE {own}` (with statements of your own: the rows that they \
         have written), and tandem's memory of it, `DELETE FROM tandem_branches WHERE participant = \
         '{participant}' AND coordinator = '{}' AND epoch = {} AND sequence = {}`",
        transaction.coordinator, transaction.epoch, transaction.sequence
    )
}

/// How to ask the store what it knows of a coordinator: the newest epoch and the newest commit that it
/// has seen. Text for a person, with each statement between backticks.
pub fn newest_by_hand(coordinator: &CoordinatorId, participant: &ParticipantName) -> String {
    let own = format!("participant = '{participant}' AND coordinator = '{coordinator}'");
    format!(
        "`SELECT epoch FROM tandem_coordinators WHERE {own}` (its epoch), `SELECT CONCAT(coordinator, \
         '.', epoch, '.', sequence) FROM tandem_branches WHERE {own} AND state = 1 ORDER BY epoch DESC, \
         sequence DESC LIMIT 1` (its newest commit)"
    )
}
