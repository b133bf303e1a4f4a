//! What operators ask, as the coordinator and the participants read it.

use tandem::services::{check_listing, page_token, settlement, status, transaction_id, validate};
use tandem_proto::v1;
use tandem_protocol::{CoordinatorId, Record, Timestamp, TransactionId};
use tonic::Status;

use super::clients::{checked, refused};
use super::{bytes, message};
use crate::{Grammar, Target};

pub(super) fn targets() -> Vec<Target> {
    let target = |name, seeds, read| Target {
        name,
        grammar: Grammar::Message,
        seeds,
        read,
    };
    vec![
        target(
            "list_transactions",
            || {
                vec![bytes(&v1::ListTransactionsRequest {
                    in_doubt: true,
                    heuristic: false,
                    page_size: 10,
                    after_transaction_id: "shop.3.1042".into(),
                })]
            },
            |input| {
                message(input, |request: v1::ListTransactionsRequest| {
                    let v1::ListTransactionsRequest {
                        in_doubt,
                        heuristic,
                        ..
                    } = request;
                    format!("{in_doubt} {heuristic}")
                })
            },
        ),
        target(
            "get_transaction",
            || {
                let transaction_id = "shop.3.1042".into();
                vec![bytes(&v1::GetTransactionRequest { transaction_id })]
            },
            |input| {
                message(input, |m: v1::GetTransactionRequest| {
                    named(&m.transaction_id)
                })
            },
        ),
        target(
            "retry_transaction",
            || {
                let transaction_id = "shop.3.1042".into();
                vec![bytes(&v1::RetryTransactionRequest { transaction_id })]
            },
            |input| {
                message(input, |m: v1::RetryTransactionRequest| {
                    named(&m.transaction_id)
                })
            },
        ),
        target(
            "list_purchases",
            || vec![bytes(&list()), bytes(&v1::ListPurchasesRequest::default())],
            |input| {
                message(input, |m: v1::ListPurchasesRequest| {
                    checked(check_listing(&m, &shop()), m.state != 1)
                })
            },
        ),
        target("settle_transaction", || vec![bytes(&settle())], settled),
        target(
            "get_stock",
            || vec![bytes(&v1::GetStockRequest { sku: "lamp".into() })],
            |input| {
                message(input, |m: v1::GetStockRequest| {
                    let plausible = (1..=128).contains(&m.sku.len()) && m.sku.is_ascii();
                    checked(validate::sku(&m.sku).map_err(status::invalid), plausible)
                })
            },
        ),
        Target {
            name: "ids",
            grammar: Grammar::Text(&[".", "shop", "18446744073709551615", "00", "-"]),
            seeds: || vec![b"shop.3.1042".to_vec()],
            read: |input| named(&String::from_utf8_lossy(input)),
        },
    ]
}

fn shop() -> CoordinatorId {
    "shop".parse().expect("well formed")
}

/// The second page of a filter that says all that it can.
fn list() -> v1::ListPurchasesRequest {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 5 });
    let first = v1::ListPurchasesRequest {
        since: at(1),
        until: at(2),
        customer_id: "ann@example".into(),
        sku: "lamp".into(),
        state: v1::PurchaseState::Committed.into(),
        needs_operator: true,
        page_size: 10,
        page_token: String::new(),
        view: v1::PurchaseView::Full.into(),
    };
    let page_token = page_token(&first, &"shop.3.1042".parse().expect("well formed"));
    v1::ListPurchasesRequest {
        page_token,
        ..first
    }
}

fn settle() -> v1::SettleTransactionRequest {
    v1::SettleTransactionRequest {
        transaction_id: "shop.3.1042".into(),
        participant: "purchases".into(),
        settlement: 1,
        reason: "row inserted by hand".into(),
        operator: "ann".into(),
        preview: false,
        force: false,
    }
}

/// A transaction has one text.
fn named(text: &str) -> String {
    let read: Result<TransactionId, Status> = transaction_id(text);
    if let Ok(id) = &read {
        assert_eq!(id.to_string(), text);
        assert!(text.len() <= 64, "it is a gtrid");
    }
    checked(read, true)
}

/// What is accepted is read from the log as it was said.
fn settled(input: &[u8]) -> String {
    message(
        input,
        |request: v1::SettleTransactionRequest| match settlement(&request) {
            Ok(settlement) => {
                assert_eq!(settlement.reason, request.reason);
                let ending = settlement.ending;
                let time = Timestamp(1);
                let record = Record::Settled { settlement, time };
                assert_eq!(Record::decode(&record.encode()), Ok(record));
                format!("{ending:?}")
            }
            Err(status) => refused(&status),
        },
    )
}
