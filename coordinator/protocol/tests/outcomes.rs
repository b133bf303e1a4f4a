//! What a log remembers of purchases, listed newest first.

#![allow(clippy::unwrap_used)]

mod notation;

use std::sync::Arc;

use notation::{id, name, settings};
use tandem_protocol::{
    Coordinator, CoordinatorId, Decision, Entry, HeuristicKind, OutcomesOf, OutcomesPage,
    OutcomesWanted, Position, Purchase, Reason, Record, Recovered, Refusal, RefusedPurchase,
    Timestamp, TransactionId,
};

const ALL: OutcomesWanted = OutcomesWanted {
    since: Timestamp(0),
    until: Timestamp(u64::MAX),
    of: OutcomesOf::All,
};

/// A decision of one purchase, made in the minute that its number says.
fn decided(sequence: u64) -> Record {
    let purchase = Purchase {
        purchase_id: format!("p-{sequence}"),
        ..Purchase::default()
    };
    Record::Decided(Decision {
        transaction: transaction(sequence),
        begin_time: minute(sequence),
        decide_time: minute(sequence),
        participants: vec![name("ledger")],
        entries: vec![Entry {
            number: 0,
            purchase: Arc::new(purchase),
        }],
        refused: Vec::new(),
        counts: true,
    })
}

fn ended(sequence: u64) -> Record {
    Record::Ended {
        transaction: transaction(sequence),
        counted: true,
    }
}

fn refused(sequence: u64, purchases: &[&str]) -> Record {
    let refused = |purchase_id: &&str| RefusedPurchase {
        purchase_id: (*purchase_id).into(),
        fingerprint: [0; 16],
        participant: name("ledger"),
        refusal: Refusal {
            reason: Reason::InsufficientStock,
            detail: String::new(),
        },
    };
    Record::Refused {
        transaction: transaction(sequence),
        time: minute(sequence),
        refused: purchases.iter().map(refused).collect(),
    }
}

fn transaction(sequence: u64) -> TransactionId {
    id(&format!("shop.1.{sequence}"))
}

fn minute(number: u64) -> Timestamp {
    Timestamp(number * 60_000)
}

/// A coordinator that was started on a log of these records, the first at position 1.
fn started(records: &[Record]) -> Coordinator {
    let shop: CoordinatorId = "shop".parse().unwrap();
    let records: Vec<Vec<u8>> = records.iter().map(Record::encode).collect();
    let numbered = (1..).zip(records.iter().map(Vec::as_slice));
    let recovered = Recovered::replay(&shop, numbered).unwrap();
    let epoch = recovered.next_epoch();
    Coordinator::new(
        settings(),
        shop,
        epoch,
        [name("ledger")],
        recovered,
        minute(10_000),
    )
}

/// Sequence and position of each.
fn found(page: &OutcomesPage) -> Vec<(u64, Position)> {
    let each = page.outcomes.iter();
    each.map(|outcome| (outcome.transaction.sequence, outcome.position))
        .collect()
}

#[test]
fn pages_lead_through_all_newest_first() {
    let records = (1..=2_500).flat_map(|n| [decided(n), ended(n)]);
    let core = started(&records.collect::<Vec<_>>());
    let (mut seen, mut pages, mut place) = (Vec::new(), 0, None);
    loop {
        let page = core.outcomes(&ALL, place.as_ref());
        assert!(page.outcomes.len() <= 1_000);
        seen.extend(found(&page));
        pages += 1;
        place = page.next;
        if place.is_none() {
            break;
        }
    }
    assert_eq!(pages, 3);
    let all = (1..=2_500).rev().map(|n| (n, 2 * n - 1));
    assert!(seen.iter().copied().eq(all));
}

#[test]
fn what_was_decided_before_is_not_looked_for() {
    let records = (1..=200).flat_map(|n| [decided(n), ended(n)]);
    let core = started(&records.collect::<Vec<_>>());
    let wanted = OutcomesWanted {
        since: minute(150),
        until: minute(152),
        ..ALL
    };
    let page = core.outcomes(&wanted, None);
    let sequences: Vec<u64> = found(&page).iter().map(|found| found.0).collect();
    assert_eq!(sequences, [152, 151, 150]);
    assert_eq!(page.next, None);
}

#[test]
fn outcomes_are_told_apart() {
    let heuristic = Record::Heuristic {
        transaction: transaction(3),
        participant: name("ledger"),
        kind: HeuristicKind::RolledBack,
        detail: "no marker row".into(),
        time: minute(3),
    };
    let core = started(&[
        decided(1),
        ended(1),
        refused(2, &["p-2"]),
        decided(3),
        heuristic,
        // Of an abort that is in the log there is nothing to list.
        refused(4, &[]),
    ]);
    let of = |of| found(&core.outcomes(&OutcomesWanted { of, ..ALL }, None));
    assert_eq!(of(OutcomesOf::All), [(3, 4), (2, 3), (1, 1)]);
    assert_eq!(of(OutcomesOf::Committed), [(3, 4), (1, 1)]);
    assert_eq!(of(OutcomesOf::NeedingOperator), [(3, 4)]);
    let one = core.outcome(&transaction(3)).unwrap();
    assert_eq!((one.has_ended, one.needs_operator), (false, true));
}
