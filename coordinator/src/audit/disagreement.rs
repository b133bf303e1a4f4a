//! What a disagreement is called, what it means, and what mends it.

use tandem_proto::v1;
use tandem_protocol::{HeuristicKind, ParticipantName, Standing, TransactionId};

/// The kinds of disagreement. Their names on the wire are the variants' in UPPER_SNAKE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr, strum::VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum DisagreementKind {
    RowMissing,
    RowDiffers,
    RowWithoutDecision,
    CommitNotRemembered,
    RollBackRemembered,
    CommitWithoutDecision,
    /// The same, and the log knows it.
    #[strum(serialize = "COMMIT_WITHOUT_DECISION")]
    CommitByHand,
    HoldLeft,
    HeldSumWrong,
    DeductedDiffers,
    BranchLeft,
    Debt,
    Heuristic,
    Stuck,
}

impl DisagreementKind {
    /// What it means, as a clause.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            DisagreementKind::RowMissing => {
                "the purchase was decided and its row was acknowledged; somebody has removed it \
                 since, or the store has lost it"
            }
            DisagreementKind::RowDiffers => {
                "somebody has changed the row since it was written, or a trigger when it was"
            }
            DisagreementKind::RowWithoutDecision => {
                "tandem has not decided this purchase, so that no units were deducted for it"
            }
            DisagreementKind::CommitNotRemembered => {
                "the store has acknowledged this commit and does not remember it: it has lost its \
                 memory, or somebody has removed it; whether its effect is there that memory does \
                 not tell"
            }
            DisagreementKind::RollBackRemembered => {
                "the store has acknowledged this commit and remembers a roll back: its effect is \
                 not there"
            }
            DisagreementKind::CommitWithoutDecision => {
                "somebody has committed it by hand, or the log is an old copy; the next start of \
                 the coordinator is refused for it"
            }
            DisagreementKind::CommitByHand => {
                "somebody has committed by hand what was aborted; the log knows that, and starts go on"
            }
            DisagreementKind::HoldLeft => {
                "units are held for a transaction that will not ask for them, and can't be sold"
            }
            DisagreementKind::HeldSumWrong => {
                "what counts as available is wrong by the difference: units can't be sold, or are \
                 promised twice"
            }
            DisagreementKind::DeductedDiffers => {
                "more or less was deducted than was decided, so that the stock is wrong by the \
                 difference; or the store's count is wrong: it was changed by hand, or lost with \
                 commits that the log has forgotten"
            }
            DisagreementKind::BranchLeft => {
                "its rows stay locked until somebody ends it, and tandem never touches what it does \
                 not own"
            }
            DisagreementKind::Debt => {
                "units were sold that were not in stock when they were to be deducted"
            }
            DisagreementKind::Heuristic => "the store has ended the branch against the decision",
            DisagreementKind::Stuck => "only a person can end the branch",
        }
    }
}

/// Where a disagreement is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) participant: &'a ParticipantName,
    pub(super) transaction: &'a str,
    pub(super) purchase: &'a str,
}

/// A disagreement in words.
pub(super) fn disagreement(
    kind: DisagreementKind,
    place: Place<'_>,
    detail: String,
    remedy: String,
) -> v1::Disagreement {
    v1::Disagreement {
        kind: kind.as_ref().into(),
        participant: place.participant.to_string(),
        transaction_id: place.transaction.into(),
        purchase_id: place.purchase.into(),
        detail,
        meaning: kind.meaning().into(),
        remedy,
    }
}

/// The verb that redoes a branch.
pub(super) fn repair(id: &TransactionId, participant: &ParticipantName) -> String {
    format!("`tandem tx repair {id} --participant {participant} --reason TEXT`")
}

/// What to do about the row of a purchase that was decided.
pub(super) fn of_row(id: &TransactionId, participant: &ParticipantName) -> String {
    format!(
        "{} inserts it again from the decision",
        repair(id, participant)
    )
}

/// What to do about a memory that was lost.
pub(super) fn of_memory(
    id: &TransactionId,
    participant: &ParticipantName,
    keeps_rows: bool,
) -> String {
    let verb = repair(id, participant);
    if keeps_rows {
        format!("{verb} writes the memory again, and the rows that are missing")
    } else {
        format!(
            "{verb} deducts the units from the decision and remembers it; compare the stock first: \
             if only the memory was lost they were deducted before"
        )
    }
}

/// What to do about a commit that the log does not know.
pub(super) fn of_stranger(id: &TransactionId, participant: &ParticipantName) -> String {
    format!(
        "no verb: take back by hand what {participant} has of {id}, then remove its memory of it as \
         the operator's manual says under \"A stale or damaged log\""
    )
}

/// What to do about a branch that a store has ended against the decision.
pub(super) fn of_heuristic(
    kind: HeuristicKind,
    id: &TransactionId,
    participant: &ParticipantName,
) -> String {
    match kind {
        HeuristicKind::RolledBack | HeuristicKind::Mixed => {
            let verb = repair(id, participant);
            format!("{verb} redoes it from the decision")
        }
        HeuristicKind::Committed => format!(
            "no verb: take it back at the store as `tandem tx show {id}` says, then `tandem tx settle \
             {id} --participant {participant} --as rolled-back --reason TEXT`"
        ),
    }
}

/// What to do about units that are held.
pub(super) fn of_hold(
    id: Option<&TransactionId>,
    standing: Option<Standing>,
    participant: &ParticipantName,
) -> String {
    match (id, standing) {
        (Some(id), Some(Standing::Committed)) => {
            format!("{} gives them back", repair(id, participant))
        }
        (_, Some(Standing::WithoutDecision)) => {
            "the next sweep of the coordinator gives them back".into()
        }
        (Some(id), _) => format!(
            "no verb: ask whoever runs that coordinator; if nobody does, {}",
            tandem_redis::release_by_hand(None, id, participant)
        ),
        (None, _) => {
            "no verb: ask whoever runs that coordinator; if nobody does, remove the transaction \
                      from the prepared set and its units from the sums by hand"
                .into()
        }
    }
}

/// What to do about a wrong sum.
pub(super) fn of_sum(stock: &str, units: i64) -> String {
    format!(
        "no verb: while nothing is prepared for {stock}, set its field of tandem's `held` hash to \
         {units}, or remove the field if that is 0"
    )
}

/// What to do about a count of deductions that is not the log's: `excess` units too many, or too few.
pub(super) fn of_deducted(sku: &str, excess: i128, due: &str) -> String {
    let change = match excess {
        0.. => format!("raise it by {excess}"),
        _ => format!("lower it by {}", -excess),
    };
    format!(
        "no verb: compare the stock of {sku} with the shelf; if it is wrong by these units, \
         {change}; then set tandem's count of {sku} to {due}, as the \
         operator's manual says under \"The audit\""
    )
}

/// What to do about a prepared branch.
pub(super) fn of_branch(standing: Option<Standing>) -> String {
    match standing {
        Some(Standing::WithoutDecision) => "the next sweep of the coordinator rolls it back".into(),
        Some(Standing::Committed) => {
            "look again; if it stays, end it by hand as its decision says (XA COMMIT)".into()
        }
        _ => "no verb: whoever owns it must end it; if nobody does, a DBA with XA COMMIT or XA \
              ROLLBACK"
            .into(),
    }
}

/// What to do about a debt.
pub(super) fn of_debt(stock: &str) -> String {
    format!(
        "no verb: put the stock of {stock} right, then remove its field of tandem's `debt` hash \
         (HDEL)"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strum::VariantArray;

    use super::*;
    use crate::manual;

    #[test]
    fn manual_lists_every_disagreement() {
        let rows = manual::rows("The audit");
        let listed: BTreeSet<String> = rows.iter().flat_map(|row| manual::names(&row[0])).collect();
        let found = DisagreementKind::VARIANTS.iter();
        let found = found.map(|kind| kind.as_ref().to_owned()).collect();
        assert_eq!(listed, found);
    }

    #[test]
    fn manual_lists_every_heuristic() {
        let rows = manual::rows("What an operator is told");
        let listed = rows.iter().flat_map(|row| manual::names(&row[0]));
        let listed: Vec<String> = listed.filter(|name| name.starts_with("HEUR")).collect();
        for kind in HeuristicKind::VARIANTS {
            assert!(listed.iter().any(|name| name == kind.as_ref()), "{kind}");
        }
        assert_eq!(listed.len(), HeuristicKind::VARIANTS.len());
    }
}
