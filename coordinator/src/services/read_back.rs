//! A purchase with what it holds: from memory while it is in flight, from the decision log afterwards.

use std::collections::HashMap;

use tandem_participant::convert::content_to_wire;
use tandem_proto::v1;
use tandem_protocol::{ContentPlace, Position, PurchaseView, TransactionId};
use tonic::Status;

use super::status;
use crate::daemon::{Handle, LogReader};
use crate::error_reason::ErrorReason;

/// A purchase, and what it holds if it was not refused.
pub(super) type WithContent = (PurchaseView, Option<v1::PurchaseContent>);

/// What is known of a purchase, with its content; `None` if it is not known. How long may be waited for
/// the log is the caller's to bound.
pub(super) async fn purchase(
    driver: &Handle,
    log: &LogReader,
    purchase_id: &str,
) -> Result<Option<WithContent>, Status> {
    let mut tried = None;
    loop {
        let id = purchase_id.to_owned();
        let known = driver
            .query(move |core| (core.purchase(&id), core.content(&id)))
            .await
            .map_err(|_| status::stopped(purchase_id))?;
        let (Some(view), place) = known else {
            return Ok(None);
        };
        let (transaction, position) = match place {
            None => return Ok(Some((view, None))),
            Some(ContentPlace::Here(purchase)) => {
                return Ok(Some((view, Some(content_to_wire(&purchase)))));
            }
            Some(ContentPlace::InLog(transaction, position)) => (transaction, position),
        };
        if tried == Some(position) {
            return Err(missing(&transaction));
        }
        if let Some(content) = decided(log, &transaction, position, purchase_id).await {
            return Ok(Some((view, Some(content))));
        }
        // It may have been forgotten meanwhile, or written again elsewhere.
        tried = Some(position);
    }
}

/// The content of a purchase in the decision that commits it.
async fn decided(
    log: &LogReader,
    transaction: &TransactionId,
    position: Option<Position>,
    purchase_id: &str,
) -> Option<v1::PurchaseContent> {
    let decision = log.decision(position?).await?;
    let is_wanted = decision.transaction == *transaction;
    let mut entries = decision.entries.iter().filter(|_| is_wanted);
    let entry = entries.find(|entry| entry.purchase.purchase_id == purchase_id)?;
    Some(content_to_wire(&entry.purchase))
}

/// The log remembers a decision and does not give it back.
pub(super) fn missing(transaction: &TransactionId) -> Status {
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
