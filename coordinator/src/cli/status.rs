//! A gRPC status in a person's words.

use std::fmt::Write;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::{FieldViolation, StatusExt};

use super::output::clean;
use super::time;
use crate::error_reason::Meaning;

/// Whether the status was made on the way and not by the server: all that tandem answers on
/// purpose has an ErrorInfo or a BadRequest, or a code that no broken connection gives.
pub(super) fn is_lost(status: &Status) -> bool {
    let on_the_way = match status.code() {
        Code::Cancelled
        | Code::DeadlineExceeded
        | Code::Unavailable
        | Code::Unknown
        | Code::Internal => true,
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    };
    on_the_way && status.get_details_error_info().is_none()
}

/// Whether the server says that the outcome is not final yet.
pub(super) fn is_open(status: &Status) -> bool {
    Meaning::of_name(&reason(status)).is_some_and(|meaning| meaning.is_open)
}

/// The status with all its details and what to do next.
pub(super) fn explain(status: &Status) -> String {
    let details = status.get_error_details();
    let reason = reason(status);
    let verdict = if is_open(status) {
        "no final answer yet"
    } else {
        "refused"
    };
    let names = [code_name(status.code()), &reason].join(" ");
    let mut text = format!(
        "{verdict}: {} [{}]",
        clean(status.message()),
        names.trim_end()
    );
    if let Some(info) = details.error_info() {
        let mut facts: Vec<_> = info.metadata.iter().collect();
        facts.sort();
        for (key, value) in facts {
            // The detail is what the message already says.
            if value != status.message() {
                line(&mut text, &format!("{key}: {value}"));
            }
        }
    }
    if let Some(request) = details.bad_request() {
        for violation in &request.field_violations {
            line(
                &mut text,
                &format!("field {}: {}", violation.field, violation.description),
            );
        }
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        line(&mut text, &format!("try again in {}", time::span(delay)));
    }
    if let Some(next) = next_step(status.code(), &reason) {
        let _ = write!(text, "\n{next}");
    }
    text
}

/// The status for a program, with all its details.
pub(super) fn document(status: &Status) -> Value {
    let details = status.get_error_details();
    let violation =
        |one: &FieldViolation| json!({"field": one.field, "description": one.description});
    let violations = details
        .bad_request()
        .map(|request| &request.field_violations);
    let violations: Vec<Value> = violations.into_iter().flatten().map(violation).collect();
    let delay = details.retry_info().and_then(|retry| retry.retry_delay);
    json!({
        "code": code_name(status.code()),
        "reason": details.error_info().map(|info| &info.reason),
        "detail": status.message(),
        "metadata": details.error_info().map(|info| &info.metadata),
        "field_violations": violations,
        "retry_delay_ms": delay.map(|delay| delay.as_millis()),
    })
}

/// What is known of an answer that did not come.
pub(super) fn lost(status: &Status) -> String {
    let code = code_name(status.code());
    match std::error::Error::source(status) {
        Some(cause) => format!("{code}: {}", clean(&causes(cause))),
        None => format!("{code}: {}", clean(status.message())),
    }
}

/// The causes of an error in one line, each said once.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut said: Vec<String> = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.iter().any(|earlier| earlier.contains(&text)) {
            said.push(text);
        }
        next = cause.source();
    }
    said.join(": ")
}

fn line(text: &mut String, fact: &str) {
    let _ = write!(text, "\n  {}", clean(fact));
}

fn reason(status: &Status) -> String {
    status
        .get_details_error_info()
        .map(|info| info.reason)
        .unwrap_or_default()
}

fn next_step(code: Code, reason: &str) -> Option<&'static str> {
    let told = Meaning::of_name(reason).and_then(|meaning| meaning.next_step);
    told.or(match code {
        Code::InvalidArgument => Some("Nothing was done. Mend what is named and ask again."),
        Code::Unimplemented => Some(
            "The server does not know this call: is it the right listener (--server is the \
             clients', --admin the operators'), and of this version?",
        ),
        _ => None,
    })
}

/// The code's name in the specification of gRPC.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic_types::ErrorDetails;

    use super::*;

    fn with_reason(code: Code, message: &str, reason: &str, facts: &[(&str, &str)]) -> Status {
        let facts: Vec<(String, String)> = facts
            .iter()
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let facts: std::collections::HashMap<_, _> = facts.into_iter().collect();
        Status::with_error_details(
            code,
            message,
            ErrorDetails::with_error_info(reason, "tandem", facts),
        )
    }

    #[test]
    fn refusal_names_its_reason_and_the_next_step() {
        let status = with_reason(
            Code::FailedPrecondition,
            "3 available, 5 wanted",
            "INSUFFICIENT_STOCK",
            &[
                ("sku", "lamp"),
                ("participant", "stock"),
                ("detail", "3 available, 5 wanted"),
            ],
        );
        assert_eq!(
            explain(&status),
            "refused: 3 available, 5 wanted [FAILED_PRECONDITION INSUFFICIENT_STOCK]\n  \
             participant: stock\n  \
             sku: lamp\n\
             Nothing of it was kept in either store. This is final for the purchase id: mend the \
             cause and submit under a new --id."
        );
    }

    #[test]
    fn every_field_violation_is_named() {
        let violations = [
            ("items[0].quantity", "must be 1 to 1,000,000"),
            ("currency", "is unknown"),
        ];
        let violations = violations.map(|(field, rule)| FieldViolation::new(field, rule));
        let status = Status::with_error_details(
            Code::InvalidArgument,
            "2 fields break a rule",
            ErrorDetails::with_bad_request(violations),
        );
        assert_eq!(
            explain(&status),
            "refused: 2 fields break a rule [INVALID_ARGUMENT]\n  \
             field items[0].quantity: must be 1 to 1,000,000\n  \
             field currency: is unknown\n\
             Nothing was done. Mend what is named and ask again."
        );
    }

    #[test]
    fn retry_info_is_told() {
        let mut details = ErrorDetails::with_error_info(
            "QUEUE_FULL",
            "tandem",
            std::collections::HashMap::<String, String>::new(),
        );
        details.set_retry_info(Some(Duration::from_millis(1200)));
        let status =
            Status::with_error_details(Code::ResourceExhausted, "10000 purchases wait", details);
        assert_eq!(
            explain(&status),
            "refused: 10000 purchases wait [RESOURCE_EXHAUSTED QUEUE_FULL]\n  \
             try again in 1s 200ms\n\
             Nothing was written. Submit it again with the same --id."
        );
    }

    #[test]
    fn program_is_told_the_reason_and_when_to_try_again() {
        let mut details = ErrorDetails::with_error_info(
            "LOCKED",
            "tandem",
            std::collections::HashMap::from([("sku".to_owned(), "lamp".to_owned())]),
        );
        details.set_retry_info(Some(Duration::from_millis(1200)));
        let status = Status::with_error_details(Code::Aborted, "row is held", details);
        assert_eq!(
            document(&status),
            json!({
                "code": "ABORTED",
                "reason": "LOCKED",
                "detail": "row is held",
                "metadata": {"sku": "lamp"},
                "field_violations": [],
                "retry_delay_ms": 1200,
            })
        );
    }

    #[test]
    fn unknown_outcome_is_neither_refused_nor_lost() {
        let status = with_reason(
            Code::DeadlineExceeded,
            "not decided",
            "OUTCOME_UNKNOWN",
            &[],
        );
        assert!(is_open(&status) && !is_lost(&status));
        assert!(explain(&status).starts_with("no final answer yet: not decided"));
    }

    #[test]
    fn server_that_is_down_for_a_purchase_is_an_answer() {
        let answer = with_reason(
            Code::Unavailable,
            "stock is down",
            "PARTICIPANT_UNAVAILABLE",
            &[],
        );
        assert!(!is_lost(&answer));
        assert!(is_lost(&Status::unavailable("connection reset")));
        assert!(is_lost(&Status::cancelled("Timeout expired")));
        assert!(!is_lost(&Status::not_found("no such transaction")));
    }
}
