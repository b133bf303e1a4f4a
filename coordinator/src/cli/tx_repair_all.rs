//! `tandem tx repair --all`: one preview, one question, and an order in the log for each branch.

use std::fmt;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tandem_proto::v1::{
    BranchProgress, BranchRepair, ListTransactionsRequest, RepairState, RepairTransactionRequest,
    TransactionState, TransactionSummary,
};
use tandem_protocol::ParticipantName;

use super::connection::{Admin, Connected};
use super::names::full;
use super::output::{self, Output, clean};
use super::{Failure, person, time};
use crate::words::count;

/// Orders under way at once; they share the log's forced writes.
const IN_FLIGHT_MAX: usize = 16;

/// Transactions on one page of the list, the most that there can be.
const PAGE: u32 = 1_000;

/// Branches that a preview names.
const NAMED_MAX: usize = 10;

/// Between two words on how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// How a store ended a branch against a decision to commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// HEURISTIC_ROLLBACK: nothing of it is there
    Rollback,
    /// HEURISTIC_MIXED: a part of it is there
    Mixed,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Kind::Rollback => "HEURISTIC_ROLLBACK",
            Kind::Mixed => "HEURISTIC_MIXED",
        }
    }
}

/// Which of all branches that were ended against a decision to commit.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// With --all: only those that the store ended so
    #[arg(long, value_enum, requires = "all")]
    kind: Option<Kind>,
    /// With --all: only what was decided from this moment on: 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "all")]
    since: Option<jiff::Timestamp>,
    /// With --all: only what was decided until this moment
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "all")]
    until: Option<jiff::Timestamp>,
}

/// Who orders it, and why.
pub(super) struct Order<'a> {
    pub(super) participant: Option<&'a ParticipantName>,
    pub(super) reason: &'a str,
    pub(super) operator: &'a str,
    pub(super) yes: bool,
}

/// A branch that is to be redone.
#[derive(Debug, Clone, PartialEq)]
struct Damaged {
    transaction: String,
    participant: String,
    kind: String,
    purchases: u64,
    decided: Option<prost_types::Timestamp>,
}

/// What came of one order.
#[derive(Debug)]
struct Outcome {
    branch: Damaged,
    answer: Result<BranchRepair, String>,
}

/// What came of all of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    wanted: usize,
    done: usize,
    ordered: usize,
    failed: usize,
    refused: usize,
}

/// Previews all that the filter picks, asks, and orders what was previewed and nothing else.
pub(super) async fn run(filter: &Filter, order: &Order<'_>, admin: &Admin) -> Result<(), Failure> {
    let is_json = admin.common.output == Output::Json;
    let connected = admin.connect().await?;
    let branches = filter.find(&connected, order.participant).await?;
    if branches.is_empty() {
        return Err(Failure::Negative(
            "no store has ended a branch like this against a decision to commit".to_owned(),
        ));
    }
    if !is_json {
        output::data(&preview(&branches))?;
    }
    if let Err(failure) = person::confirm(order.yes, "repaired", "Repair all of these?") {
        if is_json {
            output::json(&json!({ "preview": branches.iter().map(row).collect::<Vec<_>>() }))?;
        }
        return Err(failure);
    }
    carry_out(&connected, order, branches, is_json).await
}

impl Filter {
    /// Every branch that it picks, page by page.
    async fn find(
        &self,
        connected: &Connected<'_>,
        participant: Option<&ParticipantName>,
    ) -> Result<Vec<Damaged>, Failure> {
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
                    .is_none_or(|kind| kind.as_str() == branch.heuristic)
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

async fn carry_out(
    connected: &Connected<'_>,
    order: &Order<'_>,
    branches: Vec<Damaged>,
    is_json: bool,
) -> Result<(), Failure> {
    let mut tally = Tally {
        wanted: branches.len(),
        ..Tally::default()
    };
    let mut rows = Vec::new();
    let mut cut_short = None;
    let mut told = Instant::now();
    let orders = stream::iter(branches).map(|branch| repair(connected, order, branch));
    let mut orders = std::pin::pin!(orders.buffer_unordered(IN_FLIGHT_MAX));
    while let Some(outcome) = orders.next().await {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            // Those that are ordered already go on without this program.
            Err(failure) => {
                cut_short = Some(failure);
                break;
            }
        };
        tally.add(&outcome);
        if is_json {
            rows.push(outcome.document());
        } else if let Some(line) = outcome.line() {
            output::data(&line)?;
        }
        if told.elapsed() >= PROGRESS_INTERVAL {
            told = Instant::now();
            output::note(&format!(
                "{} of {} answered",
                tally.answered(),
                tally.wanted
            ));
        }
    }
    if is_json {
        output::json(&json!({ "repairs": rows, "summary": tally.document() }))?;
    } else {
        output::data(&tally.to_string())?;
    }
    match cut_short {
        Some(failure) => Err(failure),
        None => tally.verdict(),
    }
}

/// Orders one. An error is one after which nobody can be asked.
async fn repair(
    connected: &Connected<'_>,
    order: &Order<'_>,
    branch: Damaged,
) -> Result<Outcome, Failure> {
    let question = RepairTransactionRequest {
        transaction_id: branch.transaction.clone(),
        participant: branch.participant.clone(),
        reason: order.reason.to_owned(),
        operator: order.operator.to_owned(),
        preview: false,
    };
    let answer = connected
        .call(question, async |client, q| {
            client.repair_transaction(q).await
        })
        .await;
    let answer = match answer {
        Ok(answer) => answer
            .repairs
            .into_iter()
            .next()
            .ok_or_else(|| "the coordinator has ordered nothing".to_owned()),
        Err(failure @ Failure::Refused(_)) => Err(failure.to_string()),
        Err(failure) => return Err(failure),
    };
    Ok(Outcome { branch, answer })
}

impl Outcome {
    fn state(&self) -> RepairState {
        match &self.answer {
            Ok(repair) => repair.state(),
            Err(_) => RepairState::Unspecified,
        }
    }

    fn effect(&self) -> &str {
        match &self.answer {
            Ok(repair) => &repair.effect,
            Err(refusal) => refusal,
        }
    }

    /// What is to be said of it by itself, if it is not simply done.
    fn line(&self) -> Option<String> {
        let word = match self.state() {
            RepairState::Done => return None,
            RepairState::Ordered => "ordered",
            RepairState::Failed => "FAILED",
            RepairState::Preview | RepairState::Unspecified => "NOT ORDERED",
        };
        Some(format!(
            "{word}: {} at {}: {}",
            clean(&self.branch.transaction),
            clean(&self.branch.participant),
            clean(self.effect())
        ))
    }

    fn document(&self) -> Value {
        let mut document = row(&self.branch);
        let state = match &self.answer {
            Ok(repair) => full::<RepairState>(repair.state),
            Err(_) => "REFUSED".to_owned(),
        };
        document["state"] = json!(state);
        document["effect"] = json!(self.effect());
        if let Ok(repair) = &self.answer {
            document["present_purchase_ids"] = json!(repair.present_purchase_ids);
        }
        document
    }
}

impl Tally {
    fn add(&mut self, outcome: &Outcome) {
        let count = match outcome.state() {
            RepairState::Done => &mut self.done,
            RepairState::Ordered => &mut self.ordered,
            RepairState::Failed => &mut self.failed,
            RepairState::Preview | RepairState::Unspecified => &mut self.refused,
        };
        *count += 1;
    }

    fn answered(&self) -> usize {
        self.done + self.ordered + self.failed + self.refused
    }

    fn document(&self) -> Value {
        json!({
            "wanted": self.wanted,
            "done": self.done,
            "ordered": self.ordered,
            "failed": self.failed,
            "refused": self.refused,
        })
    }

    /// Whether everything was done.
    fn verdict(&self) -> Result<(), Failure> {
        if self.failed + self.refused > 0 {
            Err(Failure::Negative(
                "not everything could be done: look at what is said above, and at `tandem tx list \
                 --heuristic`"
                    .to_owned(),
            ))
        } else if self.ordered > 0 {
            Err(Failure::Unknown(
                "what is only ordered will be done; `tandem tx list` tells when".to_owned(),
            ))
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} repaired", self.done, self.wanted)?;
        let left = self.wanted.saturating_sub(self.answered());
        for (count, what) in [
            (self.ordered, "ordered and not done yet"),
            (self.failed, "failed"),
            (self.refused, "not ordered"),
            (left, "without an answer"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

fn preview(branches: &[Damaged]) -> String {
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

fn row(branch: &Damaged) -> Value {
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

    use super::super::samples::{NOW, committing, now};
    use super::*;

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

    fn filter(kind: Option<Kind>) -> Filter {
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
        assert_eq!((of(Kind::Rollback), of(Kind::Mixed)), (1, 0));
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

    #[test]
    fn what_was_not_simply_done_is_said_and_decides_the_exit_code() {
        let branch = filter(None)
            .pick(&damaged("HEURISTIC_ROLLBACK"), None)
            .remove(0);
        let mut tally = Tally {
            wanted: 4,
            ..Tally::default()
        };
        let mut add = |answer| {
            let outcome = Outcome {
                branch: branch.clone(),
                answer,
            };
            tally.add(&outcome);
            let line = outcome.line();
            (line, tally.verdict().map_err(|failure| failure.to_string()))
        };
        let state = |state: RepairState| {
            Ok(BranchRepair {
                state: state.into(),
                effect: "the schema\u{1b}".into(),
                ..BranchRepair::default()
            })
        };
        assert_eq!(add(state(RepairState::Done)), (None, Ok(())));
        let (line, verdict) = add(state(RepairState::Ordered));
        assert!(line.is_some_and(|line| line.starts_with("ordered: shop.3.1042 at purchases")));
        assert!(verdict.is_err_and(|text| text.contains("will be done")));
        let (line, _) = add(state(RepairState::Failed));
        assert!(line.is_some_and(|line| line.ends_with("the schema\\u{1b}")));
        let (_, verdict) = add(Err("somebody else has repaired it".into()));
        assert!(verdict.is_err_and(|text| text.contains("not everything")));
        assert_eq!(
            tally.to_string(),
            "1 of 4 repaired, 1 ordered and not done yet, 1 failed, 1 not ordered"
        );
    }
}
