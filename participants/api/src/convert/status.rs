//! Errors as gRPC status with `google.rpc` details and back.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, PreconditionViolation, StatusExt};

use super::truncate;
use crate::error::ErrorKind;
use crate::{Error, Finding};

/// `ErrorInfo.domain` of every failure that tandem names.
pub const ERROR_DOMAIN: &str = "tandem";

/// Longest message of a status, in bytes. Message and details travel as HTTP/2 headers, which
/// h2 limits to 16 KiB in all; the message counts up to three times in its percent encoding and
/// once more, in base64, within the details.
const MESSAGE_BYTES_MAX: usize = 1024;

/// Most findings that an error carries; those that are refused come first.
const FINDINGS_MAX: usize = 16;

/// Longest detail of a finding in an error, in bytes; `Describe` has it whole.
const FINDING_DETAIL_BYTES_MAX: usize = 240;

/// Longest name of a finding in an error, in bytes.
const FINDING_NAME_BYTES_MAX: usize = 64;

const REFUSED: &str = "refused";
const ACCEPTED: &str = "accepted";

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let kind = ErrorKind::from(&error);
        let reason = match &error {
            Error::Heuristic { kind, .. } => kind.as_ref(),
            _ => kind.as_ref(),
        };
        let mut details = ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new());
        let mut message = match error {
            Error::Unavailable { detail }
            | Error::Busy { detail }
            | Error::Stuck { detail }
            | Error::Heuristic { detail, .. }
            | Error::Fenced { detail }
            | Error::NotEnlisted { detail }
            | Error::Invalid { detail } => detail,
            Error::Unsafe { findings } => {
                let message = unsafe_message(&findings);
                details.set_precondition_failure(violations(findings));
                message
            }
        };
        truncate(&mut message, MESSAGE_BYTES_MAX);
        Status::with_error_details(code(kind), message, details)
    }
}

/// The participant's error that a status stands for, if the status says so itself by an
/// `ErrorInfo` of the domain [`ERROR_DOMAIN`] whose reason this version knows.
pub fn error_from_status(status: &Status) -> Option<Error> {
    let details = status.get_error_details();
    let info = details.error_info()?;
    if info.domain != ERROR_DOMAIN {
        return None;
    }
    let detail = status.message().to_owned();
    if let Ok(kind) = info.reason.parse() {
        return Some(Error::Heuristic { kind, detail });
    }
    Some(match info.reason.parse().ok()? {
        ErrorKind::Unavailable => Error::Unavailable { detail },
        ErrorKind::Busy => Error::Busy { detail },
        ErrorKind::Stuck => Error::Stuck { detail },
        ErrorKind::Fenced => Error::Fenced { detail },
        ErrorKind::NotEnlisted => Error::NotEnlisted { detail },
        ErrorKind::Invalid => Error::Invalid { detail },
        ErrorKind::Unsafe => Error::Unsafe {
            findings: findings(&details, detail),
        },
        ErrorKind::Heuristic => return None,
    })
}

fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Busy => Code::Aborted,
        ErrorKind::Stuck
        | ErrorKind::Heuristic
        | ErrorKind::Fenced
        | ErrorKind::NotEnlisted
        | ErrorKind::Unsafe => Code::FailedPrecondition,
        ErrorKind::Invalid => Code::InvalidArgument,
    }
}

fn unsafe_message(findings: &[Finding]) -> String {
    let refused = findings.iter().filter(|finding| !finding.accepted);
    let names: Vec<&str> = refused.map(|finding| finding.name.as_str()).collect();
    format!("unsafe settings, refused: {}", names.join(", "))
}

fn violations(mut findings: Vec<Finding>) -> Vec<PreconditionViolation> {
    findings.sort_by_key(|finding| finding.accepted);
    let violation = |mut finding: Finding| {
        truncate(&mut finding.name, FINDING_NAME_BYTES_MAX);
        truncate(&mut finding.detail, FINDING_DETAIL_BYTES_MAX);
        let subject = if finding.accepted { ACCEPTED } else { REFUSED };
        PreconditionViolation::new(finding.name, subject, finding.detail)
    };
    let findings = findings.into_iter().take(FINDINGS_MAX);
    findings.map(violation).collect()
}

fn findings(details: &ErrorDetails, message: String) -> Vec<Finding> {
    let violations = details
        .precondition_failure()
        .map(|failure| failure.violations.as_slice())
        .unwrap_or_default();
    if violations.is_empty() {
        return vec![Finding {
            name: "UNSAFE".into(),
            detail: message,
            accepted: false,
            told: false,
        }];
    }
    let finding = |violation: &PreconditionViolation| Finding {
        name: violation.r#type.clone(),
        detail: violation.description.clone(),
        accepted: violation.subject == ACCEPTED,
        told: false,
    };
    violations.iter().map(finding).collect()
}
