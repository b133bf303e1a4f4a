//! The core in a world where everything fails, by seeds.
//!
//! `SEEDS=5000 cargo test -p tandem-protocol-tests --test simulator` plays more of them, `tests/soak`
//! many more; `SEED=n` plays one and prints its trace.

#![allow(clippy::unwrap_used)]

mod acknowledged;
mod availability;
mod clients;
mod disk;
mod invariants;
mod locks;
mod loss;
mod network;
#[path = "../notation/mod.rs"]
mod notation;
mod participant;
mod people;
mod plan;
mod process;
mod refusals;
mod rng;
mod schedule;
mod seam;
mod soak;
#[path = "../tampered/mod.rs"]
mod tampered;
mod totals;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use plan::{Mistake, Plan, Planted, Shell, Trouble, Weather};
use soak::Totals;
use tampered::Tampering;
use world::play;

/// Seeds that a plain test run plays: about twenty seconds in a debug build.
const SEEDS: u64 = 250;

/// Seeds in which each planted mistake must be found; most are within ten, the rarest within eight hundred.
const SEEDS_PER_MISTAKE: u64 = 2_000;

#[test]
fn every_seed_keeps_every_invariant() {
    if env::var("SEED").is_ok() {
        return replay();
    }
    if let Ok(invariants) = env::var("BREAKS") {
        return look_for(&invariants.split(' ').collect::<Vec<_>>());
    }
    let mut totals = Totals::default();
    for seed in 1..=soak::number("SEEDS").unwrap_or(SEEDS) {
        totals.add(&soak::play_or_fail(&Plan::new(seed, Planted::Nothing)));
    }
    println!("{totals}");
    totals.fail_if_unseen(soak::SEEN_IN_ROUGH);
}

/// What is planted, and found in calm weather by the invariants of availability.
#[test]
fn mistakes_that_harm_others_are_found() {
    let availability = [
        "invariant_outage_ends_with_its_cause",
        "invariant_who_is_not_hit_is_served",
    ];
    let planted = [
        Shell::LinkStaysDown,
        Shell::RefusalTakesNeighbours,
        Shell::LockHoldsOthersUp,
    ];
    for shell in planted {
        let found = (1..=SEEDS_PER_MISTAKE).find_map(|seed| {
            let violation = play(&Plan::calm(seed, Planted::Shell(shell)), false).violation?;
            let is_spoken_of = availability.contains(&violation.invariant);
            is_spoken_of.then_some((seed, violation.invariant))
        });
        let (seed, invariant) = found.unwrap_or_else(|| panic!("{shell:?} is not found"));
        println!("{:<44} {seed:>5}  {invariant}", format!("{shell:?}"));
    }
    println!("{0} of {0} planted mistakes are found", planted.len());
}

/// Who is not hit by a fault notices none, and an outage ends with its cause.
#[test]
fn every_calm_seed_serves_whom_no_fault_hits() {
    let mut totals = Totals::default();
    for seed in 1..=soak::number("SEEDS").unwrap_or(SEEDS) {
        totals.add(&soak::play_or_fail(&Plan::calm(seed, Planted::Nothing)));
    }
    println!("{totals}");
    totals.fail_if_unseen(soak::SEEN_IN_CALM);
}

#[test]
fn same_seed_gives_the_same_trace() {
    for seed in 1..=10 {
        let plan = Plan::new(seed, Planted::Nothing);
        assert_eq!(play(&plan, true).trace, play(&plan, true).trace, "{plan}");
    }
}

/// A check that nothing can fail proves nothing: each planted mistake must be noticed by an invariant
/// that speaks of it.
#[test]
fn planted_mistakes_are_found() {
    let mut missed = Vec::new();
    println!("{:<44} {:>5}  broken", "planted", "seed");
    let all = planted_mistakes();
    let planted_in_all = all.len();
    for (planted, invariants) in all {
        let found = (1..=SEEDS_PER_MISTAKE).find_map(|seed| {
            let violation = play(&without_locks(seed, planted), false).violation?;
            invariants
                .contains(&violation.invariant)
                .then_some((seed, violation.invariant))
        });
        let planted = format!("{planted:?}");
        match found {
            Some((seed, invariant)) => println!("{planted:<44} {seed:>5}  {invariant}"),
            None => missed.push(planted),
        }
    }
    let found = planted_in_all - missed.len();
    println!("{found} of {planted_in_all} planted mistakes are found");
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// A purchase that waits for a lock is one that meets no planted mistake meanwhile.
fn without_locks(seed: u64, planted: Planted) -> Plan {
    Plan {
        without: BTreeSet::from([Trouble::Locks]),
        ..Plan::new(seed, planted)
    }
}

/// Fails with the first seed that breaks one of these invariants, which speak of a mistake that a patch has
/// planted (`tests/mutants` names them); others are not looked for.
fn look_for(invariants: &[&str]) {
    for seed in 1..=soak::number("SEEDS").unwrap_or(SEEDS_PER_MISTAKE) {
        let plan = without_locks(seed, Planted::Nothing);
        let violation = play(&plan, false).violation;
        if violation.is_some_and(|found| invariants.contains(&found.invariant)) {
            soak::play_or_fail(&plan);
        }
    }
}

/// A planted mistake's run is made smaller, and still breaks the same invariant.
#[test]
fn failing_run_shrinks() {
    let planted = Planted::Core(Tampering::HeuristicIsTakenForSuccess);
    let breaks = |plan: &Plan| play(plan, false).violation.map(|v| v.invariant);
    let (plan, invariant) = (1..=SEEDS_PER_MISTAKE)
        .map(|seed| Plan::new(seed, planted))
        .find_map(|plan| breaks(&plan).map(|invariant| (plan, invariant)))
        .expect("it is found");
    let small = plan.shrink(|plan| breaks(plan) == Some(invariant));
    println!("{plan} becomes {small}");
    assert_eq!(breaks(&small), Some(invariant));
    let (long, short) = (play(&plan, true).trace, play(&small, true).trace);
    assert!(short.len() < long.len(), "{} lines", short.len());
    // Only what somebody has ended, or a store has forgotten, can be ended against the decision.
    let causes = [Trouble::Hands, Trouble::Forgetting];
    let is_needed = |trouble| !small.without.contains(trouble);
    assert!(causes.iter().any(is_needed), "{small}");
}

/// Plays one plan, named by variables, and prints everything that happens.
fn replay() {
    let seed = soak::number("SEED").expect("it is set");
    let without = env::var("WITHOUT").unwrap_or_default();
    let without = without.split(',').filter(|name| !name.is_empty());
    let known: BTreeMap<String, Trouble> = Trouble::ALL
        .map(|t| (format!("{t:?}"), t))
        .into_iter()
        .collect();
    let plan = Plan {
        without: without.map(|name| known[name]).collect(),
        purchases: soak::number("PURCHASES"),
        weather: match env::var("WEATHER").as_deref() {
            Ok("calm") => Weather::Calm,
            _ => Weather::Rough,
        },
        ..Plan::new(seed, Planted::Nothing)
    };
    let outcome = play(&plan, true);
    println!("{}", outcome.trace.join("\n"));
    assert_eq!(outcome.violation, None, "{plan}");
}

/// What is planted, and the invariants that speak of it. What can't be said in the shell or at its
/// seam with the core is a patch in `tests/patches`.
fn planted_mistakes() -> Vec<(Planted, &'static [&'static str])> {
    use Planted::{Core, Shell as Sh, Store};
    vec![
        (
            Core(Tampering::CommitBeforeStored),
            &["invariant_no_commit_without_stored_decision"],
        ),
        (
            Core(Tampering::UnknownIsTakenForAborted),
            &["invariant_reply_never_contradicts_outcome"],
        ),
        (
            Core(Tampering::DecideWithoutSurvivors),
            &[
                "invariant_row_if_and_only_if_deduction",
                "invariant_one_commit_per_purchase",
                "invariant_branch_commits_whole",
            ],
        ),
        (
            Core(Tampering::SweepIgnoresLive),
            &["invariant_no_two_outcomes"],
        ),
        (
            Core(Tampering::StaleLogIsBelieved),
            &[
                "invariant_no_two_outcomes",
                "invariant_stale_log_decides_nothing",
            ],
        ),
        (
            Core(Tampering::EndAtFirstAcknowledgement),
            &[
                "invariant_no_two_outcomes",
                "invariant_no_branch_and_no_hold_left",
            ],
        ),
        (
            Core(Tampering::FailureIsTakenForSuccess),
            &[
                "invariant_no_two_outcomes",
                "invariant_no_branch_and_no_hold_left",
            ],
        ),
        (
            Core(Tampering::HeuristicIsTakenForSuccess),
            &[
                "invariant_no_two_outcomes",
                "invariant_row_if_and_only_if_deduction",
            ],
        ),
        (
            Core(Tampering::RepairBeforeStored),
            &["invariant_no_repair_without_stored_order"],
        ),
        (
            Core(Tampering::ReleaseTooFar),
            &["invariant_newest_log_is_never_refused"],
        ),
        (
            Core(Tampering::RedoIsSkipped),
            &[
                "invariant_no_two_outcomes",
                "invariant_row_if_and_only_if_deduction",
            ],
        ),
        (
            Sh(Shell::AnswersOutliveTheirStore),
            &["invariant_no_two_outcomes"],
        ),
        (
            Sh(Shell::AcknowledgedIsNotTold),
            &[
                "invariant_row_if_and_only_if_deduction",
                "invariant_nothing_is_sold_twice",
                "invariant_reply_never_contradicts_outcome",
            ],
        ),
        (
            Store(Mistake::OnlyMemoryIsAsked),
            &["invariant_repeated_commit_deducts_once"],
        ),
        (
            Sh(Shell::ForceIsDropped),
            &["invariant_no_commit_without_stored_decision"],
        ),
        (
            Sh(Shell::LastRecordsAreNotReplayed),
            &[
                "invariant_newest_log_is_never_refused",
                "invariant_same_answer_for_same_id",
            ],
        ),
        (
            Sh(Shell::TornRecordIsBelieved),
            &[
                "invariant_log_is_readable",
                "invariant_no_commit_without_stored_decision",
            ],
        ),
        (
            Sh(Shell::TotalsAreDropped),
            &["invariant_totals_are_what_was_decided"],
        ),
        (
            Sh(Shell::RepliesAreLost),
            &["invariant_every_call_is_answered_once"],
        ),
        (
            Store(Mistake::RepeatedCommitDeductsAgain),
            &["invariant_repeated_commit_deducts_once"],
        ),
        (
            Store(Mistake::HeldUnitsAreSoldAgain),
            &["invariant_held_never_exceeds_stock_at_prepare"],
        ),
        (
            Store(Mistake::LastUnitIsNotSold),
            &["invariant_refusal_was_true"],
        ),
        (
            Store(Mistake::MemoryIsCheckedAfterStock),
            &[
                "invariant_no_two_outcomes",
                "invariant_row_if_and_only_if_deduction",
                "invariant_vote_is_repeated",
            ],
        ),
        (
            Store(Mistake::UnknownBranchCountsAsCommitted),
            &["invariant_no_two_outcomes"],
        ),
        (
            Store(Mistake::EpochIsNotKept),
            &["invariant_stale_log_decides_nothing"],
        ),
        (
            Store(Mistake::RollBackIsNotRemembered),
            &["invariant_no_branch_and_no_hold_left"],
        ),
        (
            Store(Mistake::DebtIsTakenFromStock),
            &["invariant_stock_never_below_zero"],
        ),
        (
            Store(Mistake::RepeatedRepairDeductsAgain),
            &["invariant_repeated_commit_deducts_once"],
        ),
    ]
}
