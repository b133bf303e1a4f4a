//! The core's notes as log lines. What happens to every purchase is at level debug; what a person
//! may have to know is above it.

use tandem_protocol::{Ending, Note};

/// Writes one note.
pub(super) fn write(note: &Note) {
    match note {
        Note::Decided {
            transaction,
            committed,
            refused,
        } => tracing::debug!(%transaction, ?committed, ?refused, "decided"),
        Note::Aborted {
            transaction,
            purchases,
            detail,
        } => tracing::warn!(%transaction, ?purchases, detail, "aborted"),
        Note::Ended { transaction } => tracing::debug!(%transaction, "ended"),
        Note::Waiting {
            transaction,
            participant,
            detail,
        } => tracing::warn!(%transaction, %participant, detail, "in doubt, tried again"),
        Note::Stuck {
            transaction,
            participant,
            detail,
        } => tracing::error!(%transaction, %participant, detail, "stuck, needs a person"),
        Note::Heuristic {
            transaction,
            participant,
            kind,
            detail,
        } => tracing::error!(
            %transaction, %participant, %kind, detail,
            "ended against the decision, needs a person"
        ),
        Note::Redone {
            transaction,
            participant,
        } => tracing::warn!(
            %transaction, %participant,
            "the store had lost the branch; carried out from the decision"
        ),
        Note::Debts {
            transaction,
            participant,
            debts,
        } => {
            for debt in debts {
                tracing::error!(
                    %transaction, %participant, sku = debt.sku, quantity = debt.quantity,
                    detail = debt.detail, "could not be deducted, recorded as debt"
                );
            }
        }
        Note::FoundUndecided {
            transaction,
            participant,
        } => tracing::info!(
            %transaction, %participant,
            "prepared without a decision, rolled back"
        ),
        Note::RepairOrdered { repair } => tracing::warn!(
            transaction = %repair.transaction,
            participant = %repair.participant,
            operator = repair.operator,
            reason = repair.reason,
            "to be redone from the decision, by an operator's order"
        ),
        Note::Repaired {
            transaction,
            participant,
            present,
        } => tracing::warn!(
            %transaction, %participant, ?present,
            "redone from the decision; what was present was left as it is"
        ),
        Note::Settled { settlement } => tracing::warn!(
            transaction = %settlement.transaction,
            participant = %settlement.participant,
            operator = settlement.operator,
            reason = settlement.reason,
            settled_as = match settlement.ending {
                Ending::Commit => "committed",
                Ending::RollBack => "rolled back",
            },
            "settled by hand"
        ),
    }
}
