//! The suite against a participant in memory, and against bugs planted in it.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use memory_participant::{Bug, MemoryBench};
use tandem_participant::Timeouts;
use tandem_participant::conformance::{Bench, Outcome, OverGrpc, cases};

/// Every case's name with what it failed with.
async fn failures(bench: Arc<dyn Bench>) -> Vec<String> {
    let mut failures = Vec::new();
    for case in cases() {
        match case.check(bench.clone()).await {
            Outcome::Passed => {}
            other => failures.push(format!("{}: {other:?}", case.name)),
        }
    }
    failures
}

#[tokio::test]
async fn reference_passes_every_case_in_process() {
    let failures = failures(MemoryBench::new(None)).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reference_passes_every_case_over_grpc() {
    let bench = OverGrpc::new(MemoryBench::new(None), Timeouts::default());
    let failures = failures(bench).await;
    assert!(failures.is_empty(), "{failures:#?}");
}

#[tokio::test]
async fn every_planted_bug_is_caught_by_the_case_that_names_it() {
    // All at once: a bug that makes a call hang is only known by its deadline.
    let checks = Bug::ALL.map(|bug| async move {
        let case = cases()
            .into_iter()
            .find(|case| case.name == bug.caught_by())
            .unwrap_or_else(|| panic!("{bug:?}: there is no case {}", bug.caught_by()));
        let outcome = case.check(MemoryBench::new(Some(bug))).await;
        (bug, case.name, outcome)
    });
    for (bug, case, outcome) in join_all(checks).await {
        println!("{bug:?}: {case}: {outcome:?}");
        assert!(
            matches!(outcome, Outcome::Failed(_)),
            "{bug:?}: {case} answered {outcome:?}"
        );
    }
}

#[test]
fn names_of_cases_are_unique() {
    let names: BTreeSet<&str> = cases().iter().map(|case| case.name).collect();
    assert_eq!(names.len(), cases().len());
}
