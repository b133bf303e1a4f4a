//! What was decided of purchases, with what they hold: from memory while they are in flight, from the decision
//! log afterwards. How long may be waited for the log is the caller's to bound.

use std::collections::HashMap;
use std::time::Duration;

use tandem_participant::convert::content_to_wire;
use tandem_proto::v1;
use tandem_protocol::{
    ContentPlace, PurchaseView, Record, RefusedPurchase, RememberedOutcome, TransactionId,
};
use tonic::Status;

use super::{purchase, status};
use crate::daemon::{Handle, LogReader, Stopped};
use crate::error_reason::ErrorReason;

/// Longest wait for the log to give back what one transaction holds.
pub(super) const READ_BACK_MAX: Duration = Duration::from_secs(5);

/// A purchase, and what it holds if it was not refused.
pub(super) type WithContent = (PurchaseView, Option<v1::PurchaseContent>);

/// What is known of a purchase, with its content; `None` if it is not known.
pub(super) async fn purchase(
    driver: &Handle,
    log: &LogReader,
    purchase_id: &str,
) -> Result<Option<WithContent>, Status> {
    let id = purchase_id.to_owned();
    let known = driver
        .query(move |core| (core.purchase(&id), core.content(&id)))
        .await
        .map_err(|_| status::stopped(purchase_id))?;
    let (Some(view), place) = known else {
        return Ok(None);
    };
    let outcome = match place {
        None => return Ok(Some((view, None))),
        Some(ContentPlace::Here(purchase)) => {
            return Ok(Some((view, Some(content_to_wire(&purchase)))));
        }
        Some(ContentPlace::InLog(outcome)) => outcome,
    };
    // Without a record the purchase was forgotten a moment ago.
    let Some(record) = record(driver, log, &outcome).await? else {
        return Ok(None);
    };
    let mut all = purchases(&outcome, &record).into_iter();
    match all.find(|purchase| purchase.purchase_id == purchase_id) {
        Some(found) => Ok(Some((view, found.content))),
        None => Err(missing(&outcome.transaction)),
    }
}

/// The record with a transaction's outcome; `None` if it was forgotten meanwhile.
pub(super) async fn record(
    driver: &Handle,
    log: &LogReader,
    outcome: &RememberedOutcome,
) -> Result<Option<Record>, Status> {
    let mut position = outcome.position;
    loop {
        let id = outcome.transaction.clone();
        let record = log.record(position).await;
        let record = record.filter(|record| record.transaction() == Some(&id));
        if record.is_some() {
            return Ok(record);
        }
        let known = driver.query(move |core| core.outcome(&id)).await;
        match known.map_err(|stopped: Stopped| Status::unavailable(stopped.to_string()))? {
            None => return Ok(None),
            Some(known) if known.position == position => {
                return Err(missing(&outcome.transaction));
            }
            // It was written again.
            Some(known) => position = known.position,
        }
    }
}

/// The purchases of a transaction, those that it commits first, with what the record of its outcome says.
pub(super) fn purchases(outcome: &RememberedOutcome, record: &Record) -> Vec<v1::Purchase> {
    let refused = |refused: &RefusedPurchase| {
        let view = PurchaseView::Refused {
            transaction: outcome.transaction.clone(),
            decide_time: outcome.decide_time,
            participant: refused.participant.clone(),
            refusal: refused.refusal.clone(),
        };
        purchase::wire(refused.purchase_id.clone(), &view)
    };
    let mut all = Vec::new();
    match record {
        Record::Decided(decision) => {
            let view = PurchaseView::Committed {
                transaction: outcome.transaction.clone(),
                decide_time: outcome.decide_time,
                applied: outcome.has_ended,
            };
            all.extend(decision.entries.iter().map(|entry| v1::Purchase {
                needs_operator: outcome.needs_operator,
                content: Some(content_to_wire(&entry.purchase)),
                ..purchase::wire(entry.purchase.purchase_id.clone(), &view)
            }));
            all.extend(decision.refused.iter().map(refused));
        }
        Record::Refused { refused: some, .. } => all.extend(some.iter().map(refused)),
        _ => {}
    }
    all
}

/// The log remembers a decision and does not give it back.
fn missing(transaction: &TransactionId) -> Status {
    status::error(
        ErrorReason::DecisionMissing,
        format!("the decision of {transaction} can't be read back from the log"),
        status::one("transaction_id", &transaction.to_string()),
        None,
    )
}

/// The log was not read in time: it has much to write, or many ask.
pub(super) fn too_late(metadata: HashMap<String, String>) -> Status {
    status::error(
        ErrorReason::LogNotRead,
        "what the decision log holds could not be read back in time; ask again",
        metadata,
        Some(status::RETRY_AFTER),
    )
}
