//! The trait's shapes as messages of `tandem.v1` and back.
//!
//! To the wire every conversion is total. From the wire each is checked: what breaks the contract
//! is [`Error::Invalid`] with the field's path and its rule, so that a participant never sees a
//! half-read request and a coordinator never a half-read answer.

mod answer;
mod audit_question;
mod purchase;
mod request;
mod status;

use std::fmt::Display;

use tandem_protocol::{Timestamp, TransactionId};

use crate::Error;

pub(crate) use answer::repaired_from_wire;
pub use answer::{
    branch_to_wire, branches_from_wire, branches_to_wire, repaired_to_wire, voted_from_wire,
    voted_to_wire,
};
pub use purchase::{content_to_wire, entry_from_wire, entry_to_wire, purchase_from_wire};
pub use status::{ERROR_DOMAIN, error_from_status};

/// Most purchases of one transaction that messages are sized for.
pub const ENTRIES_MAX: usize = 128;

/// Longest message of the participant's service, in bytes: room for four times the longest
/// commit, [`ENTRIES_MAX`] purchases of 100 items each, or for the list of 90,000 prepared
/// branches.
pub const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Longest detail of a refusal, in bytes.
pub const REFUSAL_DETAIL_BYTES_MAX: usize = 300;

/// Longest log id and instance id, in bytes.
const IDENTITY_BYTES_MAX: usize = 64;

/// A time as the wire has it.
pub fn timestamp_to_wire(time: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp {
        // A u64 of milliseconds is at most 2^54 seconds.
        seconds: i64::try_from(time.0 / 1000).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.0 % 1000 * 1_000_000).unwrap_or_default(),
    }
}

/// A time from the wire, cut to the millisecond; `field` names it in the error.
///
/// # Errors
/// [`Error::Invalid`] when it lies before 1970 or its nanoseconds are not 0 to 999,999,999.
pub fn timestamp_from_wire(field: &str, time: prost_types::Timestamp) -> Result<Timestamp, Error> {
    let millis = u64::try_from(time.seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(1000));
    let nanos = u64::try_from(time.nanos)
        .ok()
        .filter(|&nanos| nanos < 1_000_000_000);
    match (millis, nanos) {
        (Some(millis), Some(nanos)) => Ok(Timestamp(millis.saturating_add(nanos / 1_000_000))),
        _ => Err(invalid(field, "must be a time since 1970")),
    }
}

/// Cuts a text to at most `bytes_max` bytes without cutting a character.
pub fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
    }
}

fn invalid(field: impl Display, rule: impl Display) -> Error {
    Error::Invalid {
        detail: format!("{field}: {rule}"),
    }
}

/// Prefixes the path of a part's field with where the part is.
fn within<T>(path: impl Display, part: Result<T, Error>) -> Result<T, Error> {
    part.map_err(|error| match error {
        Error::Invalid { detail } => Error::Invalid {
            detail: format!("{path}.{detail}"),
        },
        other => other,
    })
}

fn required<T>(field: &str, value: Option<T>) -> Result<T, Error> {
    value.ok_or_else(|| invalid(field, "must be set"))
}

fn transaction(field: impl Display, text: &str) -> Result<TransactionId, Error> {
    text.parse().map_err(|error| invalid(field, error))
}

fn identity(field: &str, text: String) -> Result<String, Error> {
    if (1..=IDENTITY_BYTES_MAX).contains(&text.len()) {
        Ok(text)
    } else {
        Err(invalid(field, "must be 1 to 64 bytes"))
    }
}

#[cfg(test)]
mod tests;
