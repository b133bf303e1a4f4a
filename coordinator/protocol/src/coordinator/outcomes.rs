//! What was decided of purchases, as a list of them asks for it: newest first, page by page, so that no
//! event waits for it.

use std::time::Duration;

use super::Coordinator;
use crate::history::{Fate, Kept};
use crate::id::{Position, TransactionId};
use crate::time::Timestamp;
use crate::transaction::{Progress, State, Transaction};

/// Transactions that one page looks at.
const PAGE_MAX: usize = 1_000;

/// How much later than a transaction one may have been decided that began before it: no purchase is
/// prepared for so long.
const DECIDED_LATER_MAX: Duration = Duration::from_secs(3_600);

/// Which outcomes are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomesWanted {
    /// Decided from then on.
    pub since: Timestamp,
    /// Decided until then.
    pub until: Timestamp,
    /// Of which transactions.
    pub of: OutcomesOf,
}

/// Of which transactions outcomes are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomesOf {
    /// Of all, those included that commit nothing.
    All,
    /// Of those with a decision to commit.
    Committed,
    /// Of those that wait for a person at some participant.
    NeedingOperator,
}

/// Some of what the log remembers, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutcomesPage {
    pub outcomes: Vec<RememberedOutcome>,
    /// The next transaction to look at; `None` where there are no more.
    pub next: Option<TransactionId>,
}

/// A transaction whose decision, or whose refusals, the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedOutcome {
    pub transaction: TransactionId,
    /// When it was decided.
    pub decide_time: Timestamp,
    /// Where that stands in the log.
    pub position: Position,
    /// Whether every participant has acknowledged.
    pub has_ended: bool,
    /// Whether a participant has ended its branch against the decision, or can't end it.
    pub needs_operator: bool,
}

impl Coordinator {
    /// Outcomes of the transactions up to one, or of all, newest first.
    pub fn outcomes(&self, wanted: &OutcomesWanted, up_to: Option<&TransactionId>) -> OutcomesPage {
        match wanted.of {
            OutcomesOf::All | OutcomesOf::Committed => {
                let all = self.transactions.history().up_to(up_to);
                self.page(wanted, all)
            }
            OutcomesOf::NeedingOperator => {
                let under_way = self.transactions.under_way_up_to(up_to);
                let all = under_way.filter_map(|transaction| {
                    let kept = self.transactions.history().transaction(&transaction.id)?;
                    Some((&transaction.id, kept))
                });
                self.page(wanted, all)
            }
        }
    }

    /// What was decided of one transaction, if the log holds that.
    pub fn outcome(&self, id: &TransactionId) -> Option<RememberedOutcome> {
        let kept = self.transactions.history().transaction(id)?;
        Some(RememberedOutcome {
            transaction: id.clone(),
            decide_time: kept.decide_time,
            position: kept.outcome()?,
            has_ended: matches!(kept.fate, Fate::Committed | Fate::Refused),
            needs_operator: self.transactions.get(id).is_some_and(needs_operator),
        })
    }

    fn page<'a>(
        &self,
        wanted: &OutcomesWanted,
        all: impl Iterator<Item = (&'a TransactionId, &'a Kept)>,
    ) -> OutcomesPage {
        let mut page = OutcomesPage::default();
        for (number, (id, kept)) in all.enumerate() {
            if number == PAGE_MAX {
                page.next = Some(id.clone());
                break;
            }
            if kept.decide_time + DECIDED_LATER_MAX < wanted.since {
                break;
            }
            let is_within = (wanted.since..=wanted.until).contains(&kept.decide_time);
            let outcome = is_within.then(|| self.outcome(id)).flatten();
            page.outcomes
                .extend(outcome.filter(|outcome| match wanted.of {
                    OutcomesOf::All => true,
                    OutcomesOf::Committed => kept.fate.is_committed(),
                    OutcomesOf::NeedingOperator => outcome.needs_operator,
                }));
        }
        page
    }
}

/// Whether a decided transaction waits for a person somewhere.
fn needs_operator(transaction: &Transaction) -> bool {
    let State::Committing(committing) = &transaction.state else {
        return false;
    };
    let mut branches = committing.branches.values();
    branches.any(|branch| {
        matches!(
            branch.progress,
            Progress::Heuristic(_) | Progress::Stuck { .. }
        )
    })
}
