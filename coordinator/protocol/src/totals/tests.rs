//! What a replay needs of the totals, and what is written again.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::id::TransactionId;
use crate::purchase::{Item, Purchase};
use crate::record::{Decision, Record};
use crate::recovery::Recovered;
use crate::time::Timestamp;

fn name(text: &str) -> ParticipantName {
    text.parse().unwrap()
}

fn entry(sku: &str, quantity: u32) -> Entry {
    let item = Item {
        sku: sku.into(),
        quantity,
        unit_price_minor: 5,
        ..Default::default()
    };
    let purchase = Purchase {
        items: vec![item],
        ..Purchase::default()
    };
    Entry {
        number: 0,
        purchase: purchase.into(),
    }
}

fn deduct(totals: &mut Totals, sku: &str, quantity: u32, position: Position) {
    let stock = name("stock");
    let branches = [(&stock, Counts::Deducted)];
    totals.add(branches, &[entry(sku, quantity)], position);
}

fn deducted(totals: &Totals, sku: &str) -> u64 {
    totals.of(&name("stock"), sku).0.deducted
}

fn skus(rewrites: &[Rewrite]) -> Vec<(&str, u64)> {
    let skus = rewrites.iter().flat_map(|rewrite| &rewrite.record.skus);
    skus.map(|total| (total.sku.as_str(), total.deducted))
        .collect()
}

#[test]
fn only_totals_whose_evidence_leaves_are_written_again() {
    let mut totals = Totals::default();
    deduct(&mut totals, "lamp", 2, 10);
    deduct(&mut totals, "chair", 1, 20);
    deduct(&mut totals, "lamp", 3, 30);
    assert_eq!(totals.first_position(), Some(10));
    let rewrites = totals.rewrite(20, 100);
    assert_eq!(skus(&rewrites), [("lamp", 5)]);
    // What is on its way needs nothing that is there.
    assert_eq!(totals.first_position(), Some(20));
    assert_eq!(totals.rewrite(20, 100), []);
    totals.stored(&rewrites[0].stocks, 40);
    assert_eq!(skus(&totals.rewrite(40, 100)), [("chair", 1)]);
    assert_eq!(totals.first_position(), Some(40));
}

#[test]
fn end_of_an_older_decision_needs_the_decision_although_the_total_is_younger() {
    let mut totals = Totals::default();
    deduct(&mut totals, "lamp", 2, 10);
    let rewrites = totals.rewrite(20, 100);
    // Its decision stands before the record that is on its way, its end behind it.
    deduct(&mut totals, "lamp", 3, 15);
    totals.stored(&rewrites[0].stocks, 40);
    assert_eq!(totals.first_position(), Some(15));
    deduct(&mut totals, "lamp", 1, 12);
    assert_eq!(totals.first_position(), Some(12));
    assert_eq!(skus(&totals.rewrite(13, 100)), [("lamp", 6)]);
}

#[test]
fn a_round_writes_no_more_than_it_may_and_goes_on_where_it_stopped() {
    let mut totals = Totals::default();
    for number in 0..10 {
        deduct(&mut totals, &format!("sku-{number}"), 1, number / 5);
    }
    assert_eq!(skus(&totals.rewrite(2, 3)).len(), 3);
    assert_eq!(totals.first_position(), Some(0));
    assert_eq!(skus(&totals.rewrite(2, 4)).len(), 4);
    assert_eq!(totals.first_position(), Some(1));
    assert_eq!(skus(&totals.rewrite(2, 100)).len(), 3);
    assert_eq!(totals.first_position(), None);
}

#[test]
fn no_record_is_larger_than_the_log_takes() {
    let mut totals = Totals::default();
    for number in 0..5_000 {
        let sku = format!("{number:0>128}");
        deduct(&mut totals, &sku, u32::MAX, number);
    }
    let rewrites = totals.rewrite(Position::MAX, 5_000);
    assert_eq!(skus(&rewrites).len(), 5_000);
    for rewrite in rewrites {
        let bytes = Record::Totals(rewrite.record).encode();
        assert!(bytes.len() < 64_000, "{} bytes", bytes.len());
    }
}

#[test]
fn record_stands_for_what_came_before_it() {
    let mut totals = Totals::default();
    deduct(&mut totals, "lamp", 2, 10);
    let record = ParticipantTotals {
        participant: name("stock"),
        skus: vec![SkuTotal {
            sku: "lamp".into(),
            deducted: 50,
            unsure: 7,
        }],
    };
    totals.read(&record, 11);
    deduct(&mut totals, "lamp", 1, 12);
    assert_eq!(deducted(&totals, "lamp"), 51);
    assert_eq!(totals.of(&name("stock"), "lamp").0.unsure, 7);
    assert_eq!(totals.first_position(), Some(11));
}

#[test]
fn what_is_carried_out_once_more_counts_once() {
    let mut totals = Totals::default();
    let (stock, ledger) = (name("stock"), name("ledger"));
    let lamp = [entry("lamp", 2)];
    let counts = [(&stock, Counts::Deducted), (&ledger, Counts::Unsure)];
    totals.begin([&stock, &ledger], &lamp);
    assert_eq!(totals.of(&stock, "lamp").1, 2);
    totals.leave([&stock, &ledger], &lamp);
    totals.add(counts, &lamp, 10);
    totals.take_back(counts, &lamp, 10);
    assert_eq!(totals.page(&stock, 0, 100), (Vec::new(), None));
    totals.add(
        [(&stock, Counts::Deducted), (&ledger, Counts::Deducted)],
        &lamp,
        10,
    );
    assert_eq!(deducted(&totals, "lamp"), 2);
    assert_eq!(totals.of(&ledger, "lamp").0.unsure, 0);
}

#[test]
fn pages_hold_every_sku_once() {
    let mut totals = Totals::default();
    for number in 0..25 {
        deduct(&mut totals, &format!("sku-{number}"), 1, 1);
    }
    let (mut seen, mut next) = (Vec::new(), Some(0));
    while let Some(begin) = next {
        let (page, after) = totals.page(&name("stock"), begin, 10);
        seen.extend(page.into_iter().map(|(total, _)| total.sku));
        next = after;
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 25);
    assert_eq!(totals.page(&name("nobody"), 0, 10), (Vec::new(), None));
}

fn replayed(records: &[Record]) -> Totals {
    let coordinator = "shop".parse().unwrap();
    let records: Vec<Vec<u8>> = records.iter().map(Record::encode).collect();
    let numbered = (1..).zip(records.iter().map(Vec::as_slice));
    Recovered::replay(&coordinator, numbered).unwrap().totals
}

fn decided(sequence: u64, counts: bool) -> Record {
    Record::Decided(Decision {
        transaction: transaction(sequence),
        begin_time: Timestamp(1),
        decide_time: Timestamp(1),
        participants: vec![name("stock")],
        entries: vec![entry("lamp", 2)],
        refused: Vec::new(),
        counts,
    })
}

fn ended(sequence: u64, counted: bool) -> Record {
    Record::Ended {
        transaction: transaction(sequence),
        counted,
    }
}

fn transaction(sequence: u64) -> TransactionId {
    format!("shop.1.{sequence}").parse().unwrap()
}

#[test]
fn what_was_decided_before_totals_were_kept_does_not_count() {
    let totals = replayed(&[
        decided(1, false),
        ended(1, false),
        decided(2, true),
        ended(2, true),
    ]);
    let (lamp, _) = totals.of(&name("stock"), "lamp");
    assert_eq!((lamp.deducted, lamp.unsure), (2, 0));
}

#[test]
fn what_was_under_way_when_totals_began_to_be_kept_may_have_been_counted() {
    let totals = replayed(&[
        decided(1, false),
        decided(2, true),
        ended(1, true),
        ended(2, true),
    ]);
    let (lamp, _) = totals.of(&name("stock"), "lamp");
    assert_eq!((lamp.deducted, lamp.unsure), (2, 2));
}

#[test]
fn end_counts_once_wherever_a_record_of_the_total_stands() {
    let record = |deducted| {
        Record::Totals(ParticipantTotals {
            participant: name("stock"),
            skus: vec![SkuTotal {
                sku: "lamp".into(),
                deducted,
                unsure: 0,
            }],
        })
    };
    let (first, end) = (decided(1, true), ended(1, true));
    for log in [
        vec![first.clone(), record(10), end.clone()],
        vec![first.clone(), end.clone(), record(12)],
        vec![record(10), first.clone(), end.clone()],
        // Its decision has left the log, after the total that has it was written.
        vec![end.clone(), record(12)],
        // It is carried out once more, for a store that lost it.
        vec![first.clone(), end.clone(), record(12), first, end],
    ] {
        assert_eq!(deducted(&replayed(&log), "lamp"), 12, "{log:?}");
    }
}
