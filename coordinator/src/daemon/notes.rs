//! The core's notes as log lines. What happens to every purchase is at level debug; what a person
//! may have to know is above it.

use tandem_protocol::{Ending, Note};

/// Writes one note, in the room that it is about.
pub(super) fn write(note: &Note) {
    match note {
        Note::Decided { .. }
        | Note::Aborted { .. }
        | Note::Ended { .. }
        | Note::Waiting { .. }
        | Note::Stuck { .. }
        | Note::Heuristic { .. }
        | Note::Redone { .. }
        | Note::Debts { .. } => of_a_transaction(note),
        Note::Forgot { .. }
        | Note::Unchecked { .. }
        | Note::Unreadable { .. }
        | Note::Remembers { .. }
        | Note::FoundCommitted { .. }
        | Note::FoundSettled { .. }
        | Note::FoundUndecided { .. } => of_a_store(note),
        Note::RepairOrdered { .. } | Note::Repaired { .. } | Note::Settled { .. } => {
            of_a_person(note)
        }
    }
}

/// What becomes of transactions.
fn of_a_transaction(note: &Note) {
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
        other => tracing::error!(?other, "a note that is written elsewhere"),
    }
}

/// What stores have lost, and what was found at them.
fn of_a_store(note: &Note) {
    match note {
        Note::Forgot {
            participant,
            transactions,
        } => tracing::error!(
            %participant, transactions,
            "the store has lost commits that it had acknowledged: it was restored from an old copy, \
             failed over to a replica that lagged behind, or its memory was deleted; they are \
             carried out again from the log, and new purchases wait for that"
        ),
        Note::Unchecked {
            participant,
            from,
            before,
        } => tracing::error!(
            %participant, from = from.as_ref().map(tracing::field::display), %before,
            "the store has lost something, and these transactions can't be checked: the log has \
             forgotten them; compare them by hand"
        ),
        Note::Unreadable {
            transaction,
            participants,
        } => tracing::error!(
            %transaction, ?participants,
            "the decision that these stores forgot can't be read in the log; put it right by hand"
        ),
        Note::Remembers {
            participant,
            redone,
            still_there,
        } => tracing::warn!(
            %participant, redone, still_there,
            "the store has again what it had lost; new purchases go on"
        ),
        Note::FoundCommitted {
            transaction,
            participant,
        } => tracing::error!(
            %transaction, %participant,
            "prepared, although its commit was acknowledged: the store was put back in time; \
             it is committed again"
        ),
        Note::FoundSettled {
            transaction,
            participant,
            ending,
        } => tracing::warn!(
            %transaction, %participant,
            "settled by hand, and prepared all the same; it is {} as was said",
            match ending {
                Ending::Commit => "committed",
                Ending::RollBack => "rolled back",
            }
        ),
        Note::FoundUndecided {
            transaction,
            participant,
        } => tracing::info!(
            %transaction, %participant,
            "prepared without a decision, rolled back"
        ),
        other => tracing::error!(?other, "a note that is written elsewhere"),
    }
}

/// What operators have ordered and said.
fn of_a_person(note: &Note) {
    match note {
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
        other => tracing::error!(?other, "a note that is written elsewhere"),
    }
}
