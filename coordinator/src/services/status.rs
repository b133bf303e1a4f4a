//! Replies as gRPC statuses with `google.rpc` details.

use std::collections::HashMap;
use std::time::Duration;

use tandem_participant::convert::{ERROR_DOMAIN, truncate};
use tandem_protocol::{ParticipantName, Refusal, Reply, Timestamp, TransactionId};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::error_reason::{ErrorReason, Meaning};

/// Pause that a client is told where nothing better is known.
pub(super) const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Most violations that a status names. Message and details travel as HTTP/2 headers, which h2
/// limits to 16 KiB in all: a client would see a broken stream instead of longer ones.
const VIOLATIONS_MAX: usize = 16;
/// Longest rule of a violation, in bytes; it may quote what was sent.
const RULE_BYTES_MAX: usize = 120;
/// Longest message of any other status, and longest value of its metadata, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;
const METADATA_BYTES_MAX: usize = 512;

/// A request that breaks rules: `INVALID_ARGUMENT` with as many of them as headers have room for.
pub fn invalid(mut violations: Vec<FieldViolation>) -> Status {
    let more = violations.len().saturating_sub(VIOLATIONS_MAX);
    violations.truncate(VIOLATIONS_MAX);
    for violation in &mut violations {
        truncate(&mut violation.description, RULE_BYTES_MAX);
    }
    let mut rules: Vec<String> = violations
        .iter()
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect();
    if more > 0 {
        rules.push(format!("and {more} more"));
    }
    let message = format!("nothing was written: {}", rules.join("; "));
    let details = ErrorDetails::with_bad_request(violations);
    Status::with_error_details(Code::InvalidArgument, message, details)
}

/// An error with a reason that a program can branch on.
pub(crate) fn error(
    reason: ErrorReason,
    message: impl Into<String>,
    metadata: HashMap<String, String>,
    retry_after: Option<Duration>,
) -> Status {
    let (code, name) = (reason.meaning().code, reason.as_ref());
    detailed(code, name, message.into(), metadata, retry_after)
}

fn detailed(
    code: Code,
    reason: &str,
    mut message: String,
    mut metadata: HashMap<String, String>,
    retry_after: Option<Duration>,
) -> Status {
    truncate(&mut message, MESSAGE_BYTES_MAX);
    for value in metadata.values_mut() {
        truncate(value, METADATA_BYTES_MAX);
    }
    let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, metadata);
    if let Some(pause) = retry_after {
        details.set_retry_info(Some(pause));
    }
    Status::with_error_details(code, message, details)
}

/// The process has stopped before an answer was known; what becomes of a purchase that was in
/// flight is in the log, so nothing may be promised here.
pub(super) fn stopped(purchase_id: &str) -> Status {
    error(
        ErrorReason::StoppedBefore,
        format!(
            "the coordinator is stopping; ask again with purchase_id {purchase_id} to learn what \
             became of the purchase"
        ),
        one("purchase_id", purchase_id),
        Some(RETRY_AFTER),
    )
}

/// A purchase that is not known, with how far back the log remembers: it `has_forgotten` what was before
/// `since`, if anything.
pub(super) fn purchase_not_found(
    purchase_id: &str,
    has_forgotten: bool,
    since: Option<Timestamp>,
) -> Status {
    let mut metadata = one("purchase_id", purchase_id);
    let since = since.and_then(rfc3339);
    let why = match (has_forgotten, &since) {
        (false, _) => "never committed: the log has forgotten nothing yet".to_owned(),
        (true, Some(since)) => {
            format!("never committed, or before {since}, as far as the log goes back")
        }
        (true, None) => "never committed, or so long ago that the log has forgotten it".to_owned(),
    };
    metadata.extend(since.map(|since| ("remembers_since".to_owned(), since)));
    error(
        ErrorReason::PurchaseNotFound,
        format!(
            "purchase {purchase_id} is neither in flight nor in the retained log: it was {why}"
        ),
        metadata,
        None,
    )
}

fn rfc3339(time: Timestamp) -> Option<String> {
    let millis = i64::try_from(time.0).ok()?;
    let moment = jiff::Timestamp::from_millisecond(millis).ok()?;
    Some(format!("{moment:.3}"))
}

/// A reply that is not a success, as a client gets it.
pub fn reply(purchase_id: &str, reply: Reply) -> Status {
    let mut metadata = one("purchase_id", purchase_id);
    match reply {
        Reply::Committed { .. } => Status::internal("a success is not an error"),
        Reply::Refused {
            transaction,
            participant,
            refusal,
        } => refused(purchase_id, &transaction, &participant, &refusal),
        Reply::Reused => error(
            ErrorReason::PurchaseIdReused,
            format!(
                "purchase_id {purchase_id} is known with another content; nothing was written: \
                 use a new purchase_id for a new purchase"
            ),
            metadata,
            None,
        ),
        Reply::Unavailable {
            detail,
            retry_after,
        } => {
            metadata.insert("detail".into(), detail.clone());
            error(
                ErrorReason::ParticipantUnavailable,
                format!(
                    "purchase {purchase_id} was not made and nothing of it will be kept: {detail}; \
                     try again with the same purchase_id"
                ),
                metadata,
                Some(retry_after),
            )
        }
        Reply::QueueFull { retry_after } => error(
            ErrorReason::QueueFull,
            format!("purchase {purchase_id} was not accepted: the queue is full; try again later"),
            metadata,
            Some(retry_after),
        ),
        Reply::Crowded { retry_after } => error(
            ErrorReason::Crowded,
            format!(
                "purchase {purchase_id} is under way, and too many calls wait for its outcome; ask \
                 again with the same purchase_id"
            ),
            metadata,
            Some(retry_after),
        ),
        Reply::ShuttingDown => error(
            ErrorReason::ShuttingDown,
            format!("purchase {purchase_id} was not accepted: the coordinator is stopping"),
            metadata,
            Some(RETRY_AFTER),
        ),
        Reply::OutcomeUnknown => error(
            ErrorReason::NotDecided,
            format!(
                "purchase {purchase_id} is not decided yet; ask again with the same purchase_id"
            ),
            metadata,
            None,
        ),
        Reply::OutcomeCommitted { transaction, .. } => {
            metadata.insert("transaction_id".into(), transaction.to_string());
            error(
                ErrorReason::OutcomeCommitted,
                format!(
                    "purchase {purchase_id} is committed by {transaction} and will be applied; \
                     ask again with the same purchase_id to see when it is"
                ),
                metadata,
                None,
            )
        }
    }
}

fn refused(
    purchase_id: &str,
    transaction: &TransactionId,
    participant: &ParticipantName,
    refusal: &Refusal,
) -> Status {
    let Refusal { reason, detail } = refusal;
    let mut metadata = one("purchase_id", purchase_id);
    metadata.insert("transaction_id".into(), transaction.to_string());
    metadata.insert("participant".into(), participant.to_string());
    metadata.insert("detail".into(), detail.clone());
    let message = format!(
        "purchase {purchase_id} was refused by {participant}: {reason}: {detail}; nothing of it is kept"
    );
    let code = Meaning::of_refusal(*reason).code;
    let retry_after = (code == Code::Aborted).then_some(RETRY_AFTER);
    detailed(code, reason.as_ref(), message, metadata, retry_after)
}

/// A deadline that has passed while a decided purchase waits for a person.
pub(super) fn needs_operator(purchase_id: &str, transaction: &TransactionId) -> Status {
    let mut metadata = one("purchase_id", purchase_id);
    metadata.insert("transaction_id".into(), transaction.to_string());
    metadata.insert("needs_operator".into(), "true".into());
    error(
        ErrorReason::OutcomeCommitted,
        format!(
            "purchase {purchase_id} is committed by {transaction} and is not applied everywhere: a store \
             has ended its part against the decision, or can't end it. It will not be until an operator \
             has mended that: `tandem tx show {transaction}`"
        ),
        metadata,
        None,
    )
}

pub(super) fn one(key: &str, value: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), value.to_owned())])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that a status takes in the headers, its message percent-encoded as a whole.
    fn header_bytes(status: &Status) -> usize {
        status.message().len() * 3 + status.details().len().div_ceil(3) * 4
    }

    #[test]
    fn status_fits_into_headers_whatever_was_sent() {
        let violation = |n| FieldViolation::new(format!("items[{n}].sku"), "é".repeat(5_000));
        let status = invalid((0..400).map(violation).collect());
        assert!(header_bytes(&status) < 15_000, "{}", header_bytes(&status));
        assert!(status.message().ends_with("; and 384 more"));
        let long = "é".repeat(10_000);
        let status = error(ErrorReason::NoStockKeeper, &long, one("sku", &long), None);
        assert!(header_bytes(&status) < 15_000, "{}", header_bytes(&status));
    }
}
