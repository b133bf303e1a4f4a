//! What a person must do at the server when no coordinator can.

use tandem_protocol::{CoordinatorId, Entry, ParticipantName, TransactionId};

use crate::records::xid;
use crate::settings::{Settings, UTC};
use crate::sql::fill::Begun;
use crate::sql::tables;
use crate::sql::templates::Templates;

/// Bytes of one statement that a person is given, about.
const STATEMENT_BYTES: usize = 16 * 1024;

/// How to carry out a commit decision with a client of the server: text for a person, with each
/// statement between backticks. Without settings it is written for the default tables.
pub fn commit_by_hand(
    settings: Option<&Settings>,
    begun: Begun<'_>,
    participant: &ParticipantName,
    entries: &[Entry],
) -> String {
    let transaction = begun.transaction;
    let xid = xid::literal(transaction, participant);
    let TransactionId {
        coordinator,
        epoch,
        sequence,
    } = transaction;
    let rows = statements(settings, begun, entries);
    let (rows, whose) = match settings {
        Some(_) => (rows.join(", "), ""),
        None => (
            rows.join(", "),
            " (with statements of your own: their rows)",
        ),
    };
    format!(
        "if `XA RECOVER` lists {transaction}: `XA COMMIT {xid}` (error 1397: a session that is still \
         connected has it; end that one first). If not, it is committed where this gives a row: `SELECT \
         1 FROM tandem_branches WHERE participant = '{participant}' AND coordinator = '{coordinator}' AND \
         epoch = {epoch} AND sequence = {sequence} AND state = 1 FOR UPDATE NOWAIT` (error 1205 or 3572: \
         the server keeps it prepared and does not list it; restart the server). If that gives none, it \
         was rolled back: put it back in one transaction{whose}: {rows}, and tandem's memory of it: \
         `REPLACE INTO tandem_branches (participant, coordinator, epoch, sequence, state, connection_id, \
         server_start, prepare_time_ms) VALUES ('{participant}', '{coordinator}', {epoch}, {sequence}, 1, \
         0, 0, 0)`"
    )
}

/// What writes the rows of these entries, each between backticks. In place of its guard it is said how many
/// rows a statement must match: a client's own count leaves out what is matched and not changed.
fn statements(settings: Option<&Settings>, begun: Begun<'_>, entries: &[Entry]) -> Vec<String> {
    let own = settings.and_then(|settings| settings.statements.clone());
    let all: Vec<&Entry> = entries.iter().collect();
    // Settings that don't parse have been refused where they were read.
    let own = own.unwrap_or_else(tables::default_statements);
    let declared = settings.map(|settings| settings.attributes.clone());
    let Ok(templates) = Templates::parse(&own, &declared.unwrap_or_default()) else {
        return Vec::new();
    };
    let templates = templates.without_personal();
    let zone = settings.map_or(UTC, Settings::zone);
    let mut statements = vec![format!("`SET time_zone = '{zone}'`")];
    for line in templates.render(begun, &all, STATEMENT_BYTES) {
        match (line.guard(), statements.last_mut()) {
            (Some(guard), Some(guarded)) => guarded.push_str(&guard.by_hand()),
            _ => statements.push(format!("`{}`", line.sql)),
        }
    }
    statements
}

/// How to end a prepared branch of which no log can say any more whether it was decided, and how to see
/// what is in it: text for a person, with each statement between backticks. It is written for the default
/// tables.
pub fn end_by_hand(transaction: &TransactionId, participant: &ParticipantName) -> String {
    let xid = xid::literal(transaction, participant);
    format!(
        "Its purchases are those that `SET SESSION TRANSACTION ISOLATION LEVEL READ UNCOMMITTED` and \
         `SELECT purchase_id, sku, quantity FROM purchases JOIN purchase_items USING (purchase_id) WHERE \
         transaction_id = '{transaction}'` show; all that was sold of a sku besides, `SELECT \
         SUM(quantity) FROM purchases JOIN purchase_items USING (purchase_id) WHERE sku = 'SKU' AND \
         transaction_id LIKE '{}.%'` at the usual level (with statements of your own: in the tables that they \
         write). To commit it: `XA COMMIT {xid}`. To release it: `XA ROLLBACK {xid}`",
        transaction.coordinator
    )
}

/// How to commit a branch that is prepared: text for a person, with the statement between backticks.
pub fn commit_prepared_by_hand(
    transaction: &TransactionId,
    participant: &ParticipantName,
) -> String {
    format!("`XA COMMIT {}`", xid::literal(transaction, participant))
}

/// How to release a branch that is prepared: text for a person, with the statement between backticks.
pub fn release_by_hand(transaction: &TransactionId, participant: &ParticipantName) -> String {
    format!("`XA ROLLBACK {}`", xid::literal(transaction, participant))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tandem_protocol::{Purchase, Timestamp};

    use super::*;
    use crate::sql::statement::Per;
    use crate::sql::statement::Statement;

    #[test]
    fn what_a_statement_must_match_is_said_beside_it() {
        let mut settings = Settings::new("mysql://h/d".to_owned().into());
        settings.statements = Some(vec![
            Statement::new(Per::Purchase, "INSERT INTO o (id) VALUES (:purchase_id)"),
            Statement::new(Per::Purchase, "UPDATE c SET a = 1 WHERE id = :customer_id"),
        ]);
        let purchase = Purchase {
            purchase_id: "p".into(),
            customer_id: "ann".into(),
            ..Purchase::default()
        };
        let entry = Entry {
            number: 0,
            purchase: Arc::new(purchase),
        };
        let transaction = "shop.1.2".parse().expect("well formed");
        let begun = Begun {
            transaction: &transaction,
            time: Timestamp(1),
        };
        assert_eq!(
            statements(Some(&settings), begun, &[entry]),
            [
                "`SET time_zone = '+00:00'`",
                "`INSERT INTO o (id) VALUES ('p')`",
                "`UPDATE c SET a = 1 WHERE id = 'ann'` (it must match 1 row: if it does not, roll back and \
                 put that row right first)"
            ]
        );
    }
}
