//! Every run of the core within small bounds: two participants, up to two purchases, crashes of
//! every part, messages lost, repeated and in any order. Explored by stateright, which calls the
//! core itself.
//!
//! `tests/model` goes further.

#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_types,
    reason = "how long a whole exploration takes is printed"
)]

#[path = "../notation/mod.rs"]
mod notation;
mod store;
#[path = "../tampered/mod.rs"]
mod tampered;
mod world;

use std::time::Instant;

use stateright::{Checker, Model};
use tampered::Tampering;
use world::{Bounds, Exhaustive};

/// Seconds each in a debug build.
const SHORT: [Bounds; 4] = [
    Bounds::new(2, 2).locks(2),
    Bounds::new(1, 1).crashes(2),
    Bounds::new(2, 2).crashes(1).repeats(1),
    Bounds::new(2, 1).crashes(1).losses(1),
];

/// Minutes each in a release build.
const LONG: [Bounds; 6] = [
    Bounds::new(2, 2).locks(2).crashes(1),
    Bounds::new(2, 1).crashes(1).losses(1).repeats(1),
    Bounds::new(2, 2).crashes(1).losses(2),
    Bounds::new(2, 2).crashes(2),
    Bounds::new(2, 1).crashes(2).repeats(1),
    Bounds::new(1, 1).crashes(2).losses(1),
];

/// Explores everything within bounds; gives the name of a property that does not hold.
fn explore(bounds: Bounds, tampering: Option<Tampering>) -> Option<(&'static str, String)> {
    let started = Instant::now();
    // One thread finds the shortest way to what is planted.
    let threads = match tampering {
        Some(_) => 1,
        None => std::thread::available_parallelism().map_or(1, |n| n.get()),
    };
    let checker = Exhaustive { bounds, tampering }
        .checker()
        .threads(threads)
        .spawn_bfs()
        .join();
    let (states, generated) = (checker.unique_state_count(), checker.state_count());
    let (depth, seconds) = (checker.max_depth(), started.elapsed().as_secs_f64());
    let found = checker.discoveries().into_iter().next();
    let how = if found.is_some() {
        "until"
    } else {
        "exhausted:"
    };
    println!("{bounds:?}: {how} {states} states, {generated} steps, depth {depth}, {seconds:.1} s");
    found.map(|(name, path)| {
        let name = path.last_state().broken().unwrap_or(name);
        let actions: Vec<String> = path
            .into_actions()
            .iter()
            .map(|a| format!("{a:?}"))
            .collect();
        (name, actions.join("\n"))
    })
}

#[test]
fn no_run_breaks_an_invariant() {
    for bounds in SHORT {
        let found = explore(bounds, None);
        assert!(found.is_none(), "{bounds:?}: {found:?}");
    }
}

#[test]
#[ignore = "takes minutes"]
fn no_long_run_breaks_an_invariant() {
    for bounds in LONG {
        let found = explore(bounds, None);
        assert!(found.is_none(), "{bounds:?}: {found:?}");
    }
}

#[test]
fn planted_mistakes_are_found() {
    let planted = [
        Tampering::CommitBeforeStored,
        Tampering::DecideWithoutSurvivors,
        Tampering::SweepIgnoresLive,
        Tampering::EndAtFirstAcknowledgement,
        Tampering::FailureIsTakenForSuccess,
    ];
    for tampering in planted {
        let found = SHORT
            .into_iter()
            .rev()
            .find_map(|bounds| explore(bounds, Some(tampering)));
        let (property, actions) = found.unwrap_or_else(|| panic!("{tampering:?} is not found"));
        println!("{tampering:?} breaks \"{property}\":\n{actions}\n");
    }
    println!("the model finds {0} of {0} that are planted", planted.len());
}
