//! What clients send, and what they get.

use std::time::Duration;

use tandem::services::{grpc_timeout, status, validate};
use tandem_participant::convert::{entry_from_wire, entry_to_wire};
use tandem_proto::v1;
use tandem_protocol::{Decision, Entry, Record, Refusal, Reply, Timestamp, entry_bytes};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{bytes, few, fields, message, shape};
use crate::{Grammar, Target};

/// HTTP/2's limit of all headers as h2 has it; a status travels as headers.
const HEADER_BYTES_MAX: usize = 16 * 1024;

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "submit_purchase",
            grammar: Grammar::Message,
            seeds: || {
                vec![
                    bytes(&purchase()),
                    bytes(&v1::SubmitPurchaseRequest::default()),
                ]
            },
            read: submit,
        },
        Target {
            name: "get_purchase",
            grammar: Grammar::Message,
            seeds: || {
                vec![bytes(&v1::GetPurchaseRequest {
                    purchase_id: "p-1".into(),
                    view: v1::PurchaseView::Full.into(),
                })]
            },
            read: |input| {
                message(input, |request: v1::GetPurchaseRequest| {
                    let id = request.purchase_id;
                    let read = validate::purchase_id(&id).map_err(status::invalid);
                    checked(read, (1..=64).contains(&id.len()))
                })
            },
        },
        Target {
            name: "replies",
            grammar: Grammar::Message,
            seeds: || {
                let refusal = v1::Refusal {
                    reason: "INSUFFICIENT_STOCK".into(),
                    participant: "stock".into(),
                    detail: "sku lamp: 2 wanted, 1 available".into(),
                };
                vec![bytes(&v1::Purchase {
                    purchase_id: "p-1".into(),
                    state: 1,
                    transaction_id: "shop.1.2".into(),
                    decide_time: None,
                    applied: true,
                    refusal: Some(refusal),
                    ..Default::default()
                })]
            },
            read: reply,
        },
        Target {
            name: "grpc_timeout",
            grammar: Grammar::Text(&["S", "m", "u", "n", "H", "M", "99999999"]),
            seeds: || ["2S", "1500m", "99999999H"].map(|text| text.into()).into(),
            read: timeout,
        },
    ]
}

pub(super) fn purchase() -> v1::SubmitPurchaseRequest {
    let item = |sku: &str, quantity| v1::Item {
        sku: sku.into(),
        quantity,
        unit_price_minor: 999,
        ..Default::default()
    };
    v1::SubmitPurchaseRequest {
        purchase_id: "p-1".into(),
        customer_id: "ann@example".into(),
        items: vec![item("lamp", 2), item("chair", 1)],
        currency: "EUR".into(),
        wait_for: 1,
        ..Default::default()
    }
}

/// What is accepted keeps its content through the participants' wire and the log.
fn submit(input: &[u8]) -> String {
    message(input, |request: v1::SubmitPurchaseRequest| {
        let items = request.items.len();
        let purchase = match validate::purchase(request, &validate::Carried::default())
            .map_err(status::invalid)
        {
            Ok(purchase) => purchase,
            Err(status) => return refused(&status),
        };
        assert_eq!(purchase.items.len(), items);
        let entry = Entry {
            number: 0,
            purchase,
        };
        let back = entry_from_wire(entry_to_wire(&entry));
        assert_eq!(back.as_ref().ok(), Some(&entry), "{back:?}");
        let room = entry_bytes(&entry.purchase);
        let decision = |entries| {
            Record::Decided(Decision {
                transaction: "shop.1.2".parse().expect("well formed"),
                begin_time: Timestamp(1),
                decide_time: Timestamp(1),
                participants: Vec::new(),
                entries,
                refused: Vec::new(),
                counts: true,
            })
        };
        let (empty, record) = (decision(Vec::new()), decision(vec![entry]));
        let encoded = record.encode();
        assert!(encoded.len() <= empty.encode().len() + room + 8);
        assert_eq!(Record::decode(&encoded), Ok(record));
        format!("accepted with {} items", few(items))
    })
}

/// A request that was checked: refused with its fields, or `plausible`.
pub(super) fn checked<T>(result: Result<T, Status>, plausible: bool) -> String {
    match result {
        Ok(_) => {
            assert!(plausible);
            "accepted".to_owned()
        }
        Err(status) => refused(&status),
    }
}

/// A refused request names what breaks which rule, and fits into headers.
pub(super) fn refused(status: &Status) -> String {
    assert_eq!(status.code(), Code::InvalidArgument);
    let details = status.get_error_details();
    let violations = &details
        .bad_request()
        .expect("it names fields")
        .field_violations;
    assert!(!violations.is_empty());
    assert!(
        violations
            .iter()
            .all(|v| !v.field.is_empty() && !v.description.is_empty())
    );
    fits(status);
    let said = status.message();
    fields(said.strip_prefix("nothing was written: ").unwrap_or(said))
}

/// Status and details, percent-encoded and in base64, leave room for the other headers.
pub(super) fn fits(status: &Status) {
    let message: usize = status
        .message()
        .bytes()
        .map(|byte| {
            if (0x20..0x7f).contains(&byte) && byte != b'%' {
                1
            } else {
                3
            }
        })
        .sum();
    let size = message + status.details().len().div_ceil(3) * 4;
    assert!(size < HEADER_BYTES_MAX - 1024, "{size} bytes of headers");
}

/// A reply that is no success, whatever a participant's words are.
fn reply(input: &[u8]) -> String {
    message(input, |told: v1::Purchase| {
        let Ok(transaction) = told.transaction_id.parse() else {
            return "no transaction".to_owned();
        };
        let words = told.refusal.unwrap_or_default();
        let (Ok(reason), Ok(participant)) = (words.reason.parse(), words.participant.parse())
        else {
            return "no reason".to_owned();
        };
        let detail = words.detail;
        let retry_after = Duration::from_millis(told.purchase_id.len() as u64);
        let reply = match told.state {
            0 => Reply::Unavailable {
                detail,
                retry_after,
            },
            1 => Reply::Refused {
                transaction,
                participant,
                refusal: Refusal { reason, detail },
            },
            2 => Reply::OutcomeUnknown,
            3 => Reply::Reused,
            4 => Reply::QueueFull { retry_after },
            5 => Reply::Crowded { retry_after },
            _ => Reply::ShuttingDown,
        };
        let id = &told.purchase_id[..told.purchase_id.floor_char_boundary(64)];
        let status = status::reply(id, reply);
        let details = status.get_error_details();
        let info = details.error_info().expect("it gives a reason");
        assert_eq!(info.domain, "tandem");
        fits(&status);
        format!("{:?} {}", status.code(), shape(&info.reason))
    })
}

/// At most 8 digits and a unit; the longest is 99,999,999 hours.
fn timeout(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    match grpc_timeout(&text) {
        Some(timeout) => {
            assert!(timeout <= Duration::from_secs(99_999_999 * 3_600));
            assert!((2..=9).contains(&text.len()));
            text.chars().last().into_iter().collect()
        }
        None => "none".to_owned(),
    }
}
