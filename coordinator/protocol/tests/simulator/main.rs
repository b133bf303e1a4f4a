//! The core in a world where everything fails, by seeds.
//!
//! `SEEDS=5000 cargo test -p tandem-protocol --test simulator` plays more of them; `SEED=n` plays
//! one and prints its trace.

#![allow(clippy::unwrap_used)]

mod clients;
mod disk;
mod invariants;
mod network;
#[path = "../notation/mod.rs"]
mod notation;
mod participant;
mod people;
mod process;
mod rng;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use world::{Fault, Outcome, play};

/// Seeds that a plain test run plays: about ten seconds in a debug build.
const SEEDS: u64 = 250;

/// Lines of a failed run's trace that are printed.
const TRACE_LINES: usize = 400;

/// What has to be seen over all seeds, or the runs prove less than they seem to.
const MUST_BE_SEEN: &[&str] = &[
    "aborted",
    "answers lost or not wanted",
    "answers to calls that were given up",
    "branches carried out by hand",
    "branches rolled back by a sweep",
    "branches rolled back by hand",
    "branches settled",
    "branches stuck",
    "calls retried",
    "coordinator crashes",
    "debts",
    "ended",
    "forgotten",
    "groups committed",
    "heuristics",
    "lost branches redone",
    "old logs refused",
    "records released",
    "replies committed, applied",
    "replies committed, not applied yet",
    "replies outcome committed",
    "replies outcome unknown",
    "replies queue full",
    "replies refused",
    "replies refused for now",
    "replies reused",
    "replies unavailable",
    "requests late",
    "requests lost",
    "requests repeated",
    "row store crashes",
    "single purchases committed",
    "starts on an old log",
    "stock store crashes",
    "transactions refused whole",
    "unfinished decisions recovered",
];

#[test]
fn every_seed_keeps_every_invariant() {
    if let Some(seed) = number("SEED") {
        let outcome = play(seed, Fault::None);
        println!("{}", outcome.trace.join("\n"));
        fail_if_violated(seed, &outcome);
        return;
    }
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in 1..=number("SEEDS").unwrap_or(SEEDS) {
        let outcome = play(seed, Fault::None);
        fail_if_violated(seed, &outcome);
        for (what, count) in outcome.counts {
            *counts.entry(what).or_insert(0) += count;
        }
    }
    for (what, count) in &counts {
        println!("{count:>8} {what}");
    }
    let unseen: Vec<_> = MUST_BE_SEEN
        .iter()
        .filter(|what| !counts.contains_key(**what))
        .collect();
    assert!(unseen.is_empty(), "never seen: {unseen:?}");
}

#[test]
fn same_seed_gives_the_same_trace() {
    for seed in 1..=10 {
        assert_eq!(
            play(seed, Fault::None).trace,
            play(seed, Fault::None).trace,
            "seed {seed}"
        );
    }
}

/// A check that nothing can fail proves nothing: each planted fault must be noticed by one of the
/// invariants that speak of it.
#[test]
fn planted_faults_are_noticed() {
    use Fault::*;
    let faults: [(Fault, &[&str]); 9] = [
        (
            CommitsGoOutBeforeTheyAreStored,
            &["invariant_no_commit_without_stored_decision"],
        ),
        (
            ForceIsDropped,
            &["invariant_no_commit_without_stored_decision"],
        ),
        (
            LastRecordsAreNotReplayed,
            &[
                "invariant_newest_log_is_never_refused",
                "invariant_same_answer_for_same_id",
            ],
        ),
        (
            RepeatedCommitDeductsAgain,
            &["invariant_repeated_commit_deducts_once"],
        ),
        (SweepRollsBackWhatLives, &["invariant_no_two_outcomes"]),
        (
            ReleaseGoesTooFar,
            &["invariant_newest_log_is_never_refused"],
        ),
        (StaleLogIsBelieved, &["invariant_no_two_outcomes"]),
        (
            HeldUnitsAreSoldAgain,
            &["invariant_held_never_exceeds_stock_at_prepare"],
        ),
        (RepliesAreLost, &["invariant_every_call_is_answered_once"]),
    ];
    for (fault, invariants) in faults {
        let noticed: BTreeSet<&str> = (1..=80)
            .filter_map(|seed| play(seed, fault).violation)
            .map(|violation| violation.invariant)
            .collect();
        println!("{fault:?} is noticed by {noticed:?}");
        for invariant in invariants {
            assert!(noticed.contains(invariant), "{fault:?}: {noticed:?}");
        }
    }
}

fn fail_if_violated(seed: u64, outcome: &Outcome) {
    let Some(violation) = &outcome.violation else {
        return;
    };
    let from = outcome.trace.len().saturating_sub(TRACE_LINES);
    panic!(
        "{}\n\nseed {seed} breaks {}: {}\nwhole trace: SEED={seed} cargo test -p tandem-protocol \
         --test simulator -- --nocapture",
        outcome.trace[from..].join("\n"),
        violation.invariant,
        violation.detail
    );
}

fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().expect("SEED and SEEDS are numbers"))
}
