//! What a client is told whose call never reached a service: the RPC library could not read its message,
//! or knows no such method.
//!
//! The library has words for that, and codes that mean something else here: INTERNAL and OUT_OF_RANGE,
//! without a reason that a program can branch on. Every status of tandem's own has one, so that those
//! without are the library's.

use std::collections::HashMap;

use tandem_participant::convert::ERROR_DOMAIN;
use tonic::body::Body;
use tonic::codegen::http::{HeaderName, Response};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::status;
use crate::error_reason::ErrorReason;

/// What a service refuses has its details beside the status, which are in the headers where there is
/// nothing else to say ("gRPC over HTTP2", Trailers-Only).
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const ACCEPTED_ENCODINGS: HeaderName = HeaderName::from_static("grpc-accept-encoding");

/// What the library says of a message that is too long (tonic 0.14, `codec/decode.rs`).
const TOO_LONG: &str = "Error, decoded message length too large: ";

/// How it says that fields can't be read (prost 0.14, `DecodeError`); which they are follows, the
/// innermost first, each with its message: `Item.sku: SubmitPurchaseRequest.items: …`.
const FIELDS: &str = "failed to decode Protobuf message: ";

/// How it says that there is no message that it could read (tonic 0.14, `codec/decode.rs`, `server/grpc.rs`).
const NO_MESSAGE: [&str; 3] = [
    "Missing request message.",
    "Unexpected EOF decoding stream.",
    "protocol error: received message with ",
];

/// What it says of a compressed message, of which it takes none (tonic 0.14, `codec/compression.rs`).
const COMPRESSED: &str = "Content is compressed with ";

/// The answer to a call of `method`, a path, with a status of tandem's where the library made one.
pub fn named(method: &str, answer: Response<Body>) -> Response<Body> {
    let headers = answer.headers();
    if !headers.contains_key(STATUS) || headers.contains_key(DETAILS) {
        return answer;
    }
    let said = Status::from_header_map(headers);
    let Some(status) = said.and_then(|said| renamed(method, &said)) else {
        return answer;
    };
    let mut renamed = status.into_http();
    if let Some(encodings) = answer.headers().get(ACCEPTED_ENCODINGS) {
        let encodings = encodings.clone();
        renamed.headers_mut().insert(ACCEPTED_ENCODINGS, encodings);
    }
    renamed
}

/// `None` if it says what it means already.
fn renamed(method: &str, said: &Status) -> Option<Status> {
    let words = said.message();
    match said.code() {
        Code::OutOfRange => {
            let sizes = words.strip_prefix(TOO_LONG)?;
            let message = format!("nothing was written: the message is too long: {sizes}");
            Some(invalid(ErrorReason::MessageTooLong, message, None))
        }
        Code::Internal => {
            if let Some(what) = words.strip_prefix(FIELDS) {
                return Some(malformed(what));
            }
            let is_meant = NO_MESSAGE.iter().any(|start| words.starts_with(start));
            let message = format!("nothing was written: the message can't be read: {words}");
            is_meant.then(|| invalid(ErrorReason::MalformedMessage, message, None))
        }
        Code::Unimplemented if words.starts_with(COMPRESSED) => Some(status::error(
            ErrorReason::Compressed,
            format!("nothing was written: {words}: send messages as they are"),
            HashMap::new(),
            None,
        )),
        Code::Unimplemented if words.is_empty() => Some(status::error(
            ErrorReason::UnknownMethod,
            format!("nothing was done: {method} is not served here, or not by this version"),
            HashMap::new(),
            None,
        )),
        _ => None,
    }
}

/// A message whose fields can't be read: `Item.sku: SubmitPurchaseRequest.items: invalid string …`.
fn malformed(what: &str) -> Status {
    let mut fields = Vec::new();
    let mut rest = what;
    while let Some((place, after)) = rest.split_once(": ")
        && let Some((_, field)) = place
            .split_once('.')
            .filter(|(message, field)| [message, field].iter().all(|name| is_name(name)))
    {
        fields.push(field);
        rest = after;
    }
    fields.reverse();
    let path = fields.join(".");
    if path.is_empty() {
        let message = format!("nothing was written: the message can't be read: {rest}");
        return invalid(ErrorReason::MalformedMessage, message, None);
    }
    let message = format!("nothing was written: {path}: {rest}");
    let violation = FieldViolation::new(path, rest);
    invalid(ErrorReason::MalformedMessage, message, Some(violation))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn invalid(reason: ErrorReason, message: String, violation: Option<FieldViolation>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason.as_ref(), ERROR_DOMAIN, HashMap::new());
    if let Some(violation) = violation {
        details.set_bad_request(vec![violation]);
    }
    Status::with_error_details(reason.meaning().code, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_is_named_from_the_outside_in() {
        let status = malformed("Item.sku: SubmitPurchaseRequest.items: invalid string value: x: y");
        let named = status.get_details_bad_request().map(|bad| {
            let violation = bad.field_violations.into_iter().next();
            violation.map(|violation| (violation.field, violation.description))
        });
        let expected = ("items.sku".into(), "invalid string value: x: y".into());
        assert_eq!(named.flatten(), Some(expected));
        let status = malformed("invalid key value: 3");
        assert!(status.get_details_bad_request().is_none());
        assert!(status.message().ends_with("invalid key value: 3"));
    }

    #[test]
    fn what_a_service_says_itself_is_left_as_it_is() {
        for said in [
            Status::internal("a fault"),
            Status::unimplemented("this store keeps no stock"),
            Status::out_of_range("a page beyond the last"),
            Status::not_found(""),
        ] {
            assert!(renamed("/x/y", &said).is_none(), "{said}");
        }
        let own = status::error(ErrorReason::NoStockKeeper, "", HashMap::new(), None);
        let answer = named("/x/y", own.clone().into_http());
        let kept = Status::from_header_map(answer.headers()).map(|kept| kept.details().to_vec());
        assert_eq!(kept.as_deref(), Some(own.details()));
    }
}
