//! Which branches are to be redone, and how they are shown before anybody is asked.

use serde_json::{Value, json};
use tandem_proto::v1::{
    BranchProgress, ListTransactionsRequest, TransactionState, TransactionSummary,
};
use tandem_protocol::{HeuristicKind, ParticipantName};

use crate::cli::connection::Connected;
use crate::cli::output::clean;
use crate::cli::{VerbFailure, time};
use crate::plural::count;

/// Transactions on one page of the list, the most that there can be.
const PAGE: u32 = 1_000;

/// Branches that a preview names.
const NAMED_MAX: usize = 10;

/// How a store ended a branch against a decision to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Damage {
    /// HEURISTIC_ROLLBACK: nothing of it is there
    Rollback,
    /// HEURISTIC_MIXED: a part of it is there
    Mixed,
}

impl Damage {
    fn heuristic(self) -> HeuristicKind {
        match self {
            Damage::Rollback => HeuristicKind::RolledBack,
            Damage::Mixed => HeuristicKind::Mixed,
        }
    }
}

/// Which of all branches that were ended against a decision to commit.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Filter {
    /// With --all: only those that the store ended so
    #[arg(long, value_enum, requires = "all")]
    kind: Option<Damage>,
    /// With --all: only what was decided from this moment on: 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "all")]
    since: Option<jiff::Timestamp>,
    /// With --all: only what was decided until this moment
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "all")]
    until: Option<jiff::Timestamp>,
}

/// A branch that is to be redone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Damaged {
    pub(super) transaction: String,
    pub(super) participant: String,
    pub(super) kind: String,
    pub(super) purchases: u64,
    pub(super) decided: Option<prost_types::Timestamp>,
}

impl Filter {
    /// Every branch that it picks, page by page.
    pub(super) async fn find(
        &self,
        connected: &Connected<'_>,
        participant: Option<&ParticipantName>,
    ) -> Result<Vec<Damaged>, VerbFailure> {
        let mut found = Vec::new();
        let mut after = String::new();
        loop {
            let question = ListTransactionsRequest {
                heuristic: true,
                page_size: PAGE,
                after_transaction_id: after,
                ..ListTransactionsRequest::default()
            };
            let page = connected
                .call(question, async |client, q| {
                    client.list_transactions(q).await
                })
                .await?
                .transactions;
            for transaction in &page {
                found.extend(self.pick(transaction, participant));
            }
            match page.last() {
                Some(last) if page.len() == PAGE as usize => {
                    after = last.transaction_id.clone();
                }
                Some(_) | None => return Ok(found),
            }
        }
    }

    fn pick(
        &self,
        transaction: &TransactionSummary,
        participant: Option<&ParticipantName>,
    ) -> Vec<Damaged> {
        // What was aborted has no decision to redo.
        if transaction.state() != TransactionState::Committing || !self.spans(transaction) {
            return Vec::new();
        }
        let branches = transaction.branches.iter().filter(|branch| {
            branch.progress() == BranchProgress::Heuristic
                && participant.is_none_or(|name| name.as_str() == branch.participant)
                && self
                    .kind
                    .is_none_or(|kind| kind.heuristic().as_ref() == branch.heuristic)
        });
        branches
            .map(|branch| Damaged {
                transaction: transaction.transaction_id.clone(),
                participant: branch.participant.clone(),
                kind: branch.heuristic.clone(),
                purchases: transaction.purchases.into(),
                decided: transaction.decide_time,
            })
            .collect()
    }

    fn spans(&self, transaction: &TransactionSummary) -> bool {
        let Some(decided) = time::moment(transaction.decide_time.as_ref()) else {
            return self.since.is_none() && self.until.is_none();
        };
        self.since.is_none_or(|since| since <= decided)
            && self.until.is_none_or(|until| decided <= until)
    }
}

pub(super) fn preview(branches: &[Damaged]) -> String {
    let purchases: u64 = branches.iter().map(|branch| branch.purchases).sum();
    let purchases = usize::try_from(purchases).unwrap_or(usize::MAX);
    let mut lines = vec![format!(
        "preview, nothing is ordered yet: {} of {} in all, which would be given again to their stores \
         from the stored decisions; what a store has of them already would be left as it is. Each \
         order would be a record of its own in the log before the store is asked",
        count(branches.len(), "repair"),
        count(purchases, "purchase"),
    )];
    lines.extend(branches.iter().take(NAMED_MAX).map(|branch| {
        format!(
            "  {} at {}: {}, {}, decided {}",
            clean(&branch.transaction),
            clean(&branch.participant),
            clean(&branch.kind),
            count(
                usize::try_from(branch.purchases).unwrap_or(usize::MAX),
                "purchase"
            ),
            time::absolute(branch.decided.as_ref())
        )
    }));
    if branches.len() > NAMED_MAX {
        let last = branches.last().map(|last| clean(&last.transaction));
        lines.push(format!(
            "  and {} more, the last {}",
            branches.len() - NAMED_MAX,
            last.unwrap_or_default()
        ));
    }
    lines.join("\n")
}

pub(super) fn row(branch: &Damaged) -> Value {
    json!({
        "transaction_id": branch.transaction,
        "participant": branch.participant,
        "kind": branch.kind,
        "purchases": branch.purchases,
        "decide_time": time::absolute(branch.decided.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use tandem_proto::v1::BranchSummary;

    use super::*;
    use crate::cli::samples::{NOW, committing, now};

    fn damaged(heuristic: &str) -> TransactionSummary {
        let mut transaction = committing();
        transaction.decide_time = Some(NOW);
        transaction.branches[0] = BranchSummary {
            participant: "purchases".into(),
            progress: BranchProgress::Heuristic.into(),
            heuristic: heuristic.into(),
            ..BranchSummary::default()
        };
        transaction
    }

    fn filter(kind: Option<Damage>) -> Filter {
        Filter {
            kind,
            since: None,
            until: None,
        }
    }

    #[test]
    fn filter_picks_by_participant_kind_and_time() {
        let found = damaged("HEURISTIC_ROLLBACK");
        let name = |text: &str| text.parse::<ParticipantName>().expect("well formed");
        assert_eq!(filter(None).pick(&found, None).len(), 1);
        let at = |participant| filter(None).pick(&found, Some(&name(participant))).len();
        assert_eq!((at("purchases"), at("stock")), (1, 0));
        let of = |kind| filter(Some(kind)).pick(&found, None).len();
        assert_eq!((of(Damage::Rollback), of(Damage::Mixed)), (1, 0));
        let hour = jiff::SignedDuration::from_hours(1);
        let later = Filter {
            since: now().checked_add(hour).ok(),
            ..filter(None)
        };
        assert_eq!(later.pick(&found, None), []);
        let earlier = Filter {
            since: now().checked_sub(hour).ok(),
            until: Some(now()),
            ..filter(None)
        };
        assert_eq!(earlier.pick(&found, None).len(), 1);
        let mut aborting = found;
        aborting.state = TransactionState::Aborting.into();
        assert_eq!(filter(None).pick(&aborting, None), []);
    }

    #[test]
    fn preview_counts_all_and_names_the_first() {
        let branch = filter(None)
            .pick(&damaged("HEURISTIC_ROLLBACK"), None)
            .remove(0);
        let text = preview(&vec![branch; 12]);
        assert!(text.contains("12 repairs of 24 purchases"), "{text}");
        assert_eq!(text.lines().count(), 1 + NAMED_MAX + 1);
        assert!(text.ends_with("and 2 more, the last shop.3.1042"), "{text}");
    }
}
