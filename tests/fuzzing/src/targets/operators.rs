//! What operators ask, as the coordinator and the participants read it.

use tandem::services::{settlement, status, transaction_id, validate};
use tandem_proto::v1;
use tandem_protocol::{Record, Timestamp, TransactionId};
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
