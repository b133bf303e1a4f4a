//! What the decision log holds: single records, and all of a log's in their order.

use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tandem_protocol::{
    Coordinator, Decision, Ending, Entry, Epoch, Event, HeuristicKind, Item, ParticipantName,
    ParticipantTotals, Purchase, Reason, Record, RecordError, Recovered, Refusal, RefusedPurchase,
    ReplayError, Settings, Settlement, SkuTotal, Timestamp, TransactionId,
};

use super::{few, message, shape};
use crate::{Grammar, Target};

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "record",
            grammar: Grammar::Message,
            seeds: || story().iter().map(Record::encode).collect(),
            read: record,
        },
        Target {
            name: "log_of_records",
            grammar: Grammar::Message,
            seeds: || {
                let records = story().iter().map(Record::encode).collect();
                vec![Log { records }.encode_to_vec()]
            },
            read: replay,
        },
    ]
}

/// Records, one after the other, so that they are changed as the messages that they are.
#[derive(Clone, PartialEq, Message)]
struct Log {
    #[prost(bytes = "vec", repeated, tag = "1")]
    records: Vec<Vec<u8>>,
}

/// What is read is written and read again as the same.
fn record(input: &[u8]) -> String {
    match Record::decode(input) {
        Ok(record) => {
            let bytes = record.encode();
            assert_eq!(Record::decode(&bytes).as_ref(), Ok(&record));
            let kind = format!("{record:?}");
            let kind = kind.split([' ', '(', '{']).next().unwrap_or_default();
            match &record {
                Record::Decided(decision) => {
                    let (kept, refused) = (decision.entries.len(), decision.refused.len());
                    format!("{kind} {} {}", few(kept), few(refused))
                }
                _ => kind.to_owned(),
            }
        }
        Err(RecordError::Encoding(_)) => "no message".to_owned(),
        Err(error) => shape(&error.to_string()),
    }
}

/// A log that is believed is one that a coordinator starts on, and its next records are read
/// again: retention rewrites what it found.
fn replay(input: &[u8]) -> String {
    message(input, |log: Log| {
        let id = "shop".parse().expect("well formed");
        let bytes: Vec<&[u8]> = log.records.iter().map(Vec::as_slice).collect();
        let records = (1..).zip(bytes.iter().copied());
        let recovered = match Recovered::replay(&id, records) {
            Ok(recovered) => recovered,
            Err(ReplayError::Record { .. }) => return "unreadable".to_owned(),
            Err(error) => return shape(&error.to_string()),
        };
        let unfinished = recovered.unfinished().len();
        let purchases = recovered.purchases();
        let epoch = recovered.next_epoch();
        let names = || {
            ["purchases", "stock"]
                .map(|name| -> ParticipantName { name.parse().expect("well formed") })
        };
        let mut core =
            Coordinator::new(settings(), id, epoch, names(), recovered, Timestamp(1_000));
        let mut actions = core.handle(Timestamp(1_000), Event::Tick);
        for participant in names() {
            let up = Event::ParticipantUp {
                participant,
                incarnation: "life-1".into(),
                newest_committed: Vec::new(),
                refuses_singly: true,
            };
            actions.extend(core.handle(Timestamp(2_000), up));
        }
        actions.extend(core.handle(Timestamp(200_000_000), Event::Tick));
        let deadline = core.next_deadline();
        format!(
            "{} unfinished, {} purchases, {} actions, {}",
            few(unfinished),
            few(purchases),
            few(actions.len()),
            deadline == Timestamp(u64::MAX)
        )
    })
}

fn settings() -> Settings {
    Settings {
        queue_purchases_max: 10,
        transaction_purchases_max: 4,
        transaction_bytes_max: 10_000,
        pipeline_transactions_max: 2,
        unfinished_transactions_max: 100,
        cautious_transactions: 4,
        prepare_timeout: Duration::from_secs(5),
        unavailable_grace: Duration::from_secs(1),
        retry_base: Duration::from_millis(50),
        retry_cap: Duration::from_secs(5),
        retries_in_flight_max: 8,
        retention_age: Duration::from_secs(86_400),
        retention_purchases_max: 10,
        retention_age_min: Duration::ZERO,
        closing_age: Duration::from_secs(60),
    }
}

fn tx(sequence: u64) -> TransactionId {
    format!("shop.1.{sequence}").parse().expect("well formed")
}

/// A log in which every kind of record occurs.
fn story() -> Vec<Record> {
    let name = |text: &str| -> ParticipantName { text.parse().expect("well formed") };
    let time = Timestamp(1_000);
    let refused = |id: &str| RefusedPurchase {
        purchase_id: id.into(),
        fingerprint: [7; 16],
        participant: name("stock"),
        refusal: Refusal {
            reason: Reason::InsufficientStock,
            detail: "2 wanted, 1 available".into(),
        },
    };
    let entry = |number, id: &str| Entry {
        number,
        purchase: Arc::new(Purchase {
            purchase_id: id.into(),
            customer_id: "ann".into(),
            currency: "EUR".into(),
            items: vec![Item {
                sku: "lamp".into(),
                quantity: 2,
                unit_price_minor: 1_999,
                ..Default::default()
            }],
            ..Default::default()
        }),
    };
    let decided = |sequence, id: &str| {
        Record::Decided(Decision {
            transaction: tx(sequence),
            begin_time: time,
            decide_time: time,
            participants: vec![name("purchases"), name("stock")],
            entries: vec![entry(0, id)],
            refused: vec![refused(&format!("{id}-refused"))],
            counts: true,
        })
    };
    vec![
        Record::EpochStarted {
            epoch: Epoch(1),
            instance_id: "instance-1".into(),
            time,
        },
        decided(1, "p-1"),
        Record::Refused {
            transaction: tx(2),
            time,
            refused: vec![refused("p-2")],
        },
        Record::Ended {
            transaction: tx(1),
            counted: true,
        },
        decided(3, "p-3"),
        Record::Heuristic {
            transaction: tx(3),
            participant: name("purchases"),
            kind: HeuristicKind::RolledBack,
            detail: "its marker row is gone".into(),
            time,
        },
        Record::Settled {
            settlement: Settlement {
                transaction: tx(3),
                participant: name("purchases"),
                ending: Ending::Commit,
                reason: "inserted by hand".into(),
                operator: "ann".into(),
            },
            time,
        },
        Record::Forgotten {
            epoch: Epoch(1),
            before: tx(2),
        },
        Record::Totals(ParticipantTotals {
            participant: name("stock"),
            skus: vec![SkuTotal {
                sku: "lamp".into(),
                deducted: 2,
                unsure: 1,
            }],
        }),
    ]
}
