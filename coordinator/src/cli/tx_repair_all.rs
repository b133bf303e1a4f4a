//! `tandem tx repair --all`: one preview, one question, and an order in the log for each branch.

mod outcome;
mod pick;

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use serde_json::json;
use tandem_proto::v1::RepairTransactionRequest;
use tandem_protocol::ParticipantName;

use super::connection::{Admin, Connected};
use super::output::{self, Output};
use super::{VerbFailure, person};
use outcome::{Outcome, Tally};
pub(super) use pick::Filter;
use pick::{Damaged, preview, row};

/// Orders under way at once; they share the log's forced writes.
const IN_FLIGHT_MAX: usize = 16;

/// Between two words on how far it is.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(2);

/// Who orders it, and why.
pub(super) struct Order<'a> {
    pub(super) participant: Option<&'a ParticipantName>,
    pub(super) reason: &'a str,
    pub(super) operator: &'a str,
    pub(super) yes: bool,
}

/// Previews all that the filter picks, asks, and orders what was previewed and nothing else.
pub(super) async fn run(
    filter: &Filter,
    order: &Order<'_>,
    admin: &Admin,
) -> Result<(), VerbFailure> {
    let is_json = admin.common.output == Output::Json;
    let connected = admin.connect().await?;
    let branches = filter.find(&connected, order.participant).await?;
    if branches.is_empty() {
        return Err(VerbFailure::Negative(
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

async fn carry_out(
    connected: &Connected<'_>,
    order: &Order<'_>,
    branches: Vec<Damaged>,
    is_json: bool,
) -> Result<(), VerbFailure> {
    let mut tally = Tally::of(branches.len());
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
                tally.wanted()
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
) -> Result<Outcome, VerbFailure> {
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
        Err(failure @ VerbFailure::Refused(_)) => Err(failure.to_string()),
        Err(failure) => return Err(failure),
    };
    Ok(Outcome { branch, answer })
}
