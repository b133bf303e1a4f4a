//! Many seeds, on all processors, for as long as is wanted: `tests/soak`.

#![allow(
    clippy::disallowed_types,
    reason = "a soak ends by the clock; the runs know none"
)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};
use std::{env, fmt, thread};

use crate::plan::{Plan, Planted};
use crate::world::{Outcome, play};

/// Lines of a failed run's trace that are printed.
const TRACE_LINES: usize = 400;

/// What has to be seen over all calm seeds.
pub(crate) const SEEN_IN_CALM: &[&str] = &[
    "aborted",
    "calm: purchases hit by a fault",
    "calm: purchases not hit by a fault",
    "coordinator crashes",
    "groups committed",
    "links half open",
    "prepares that waited for a lock",
    "purchases asked for again after a lock",
    "purchases that waited apart",
    "replies unavailable",
    "row store crashes",
    "stock store crashes",
];

/// What has to be seen over all rough seeds, or the runs prove less than they seem to.
pub(crate) const SEEN_IN_ROUGH: &[&str] = &[
    "aborted",
    "acknowledgements of another life",
    "answers late",
    "answers lost or not wanted",
    "answers to calls that were given up",
    "branches carried out by hand",
    "branches committed by hand",
    "branches released by hand",
    "branches rolled back by a sweep",
    "branches rolled back by hand",
    "branches repaired",
    "branches settled",
    "ended branches to be redone",
    "repairs ordered",
    "branches stuck",
    "calls retried",
    "clients that hung up",
    "commits undone by hand",
    "coordinator crashes",
    "debts",
    "ended",
    "ended transactions redone",
    "ended transactions still there",
    "forces failed",
    "forces on a full disk",
    "forgotten",
    "groups committed",
    "heuristics",
    "links half open",
    "prepares that waited for a lock",
    "purchases asked for again after a lock",
    "purchases that waited apart",
    "memories deleted",
    "lost branches redone",
    "old logs refused",
    "purchases committed",
    "purchases refused",
    "purchases submitted again",
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
    "requests late by minutes",
    "requests lost",
    "requests repeated",
    "row store crashes",
    "single purchases committed",
    "starts on a full disk",
    "starts on a log from within the last epoch",
    "starts on a log of an earlier epoch",
    "starts refused for a commit by hand",
    "stock store crashes",
    "stores flushed",
    "row stores put back without a sign",
    "row stores restored from an old copy",
    "starts refused before anything was written",
    "stock stores put back without a sign",
    "stock stores restored from an old copy",
    "stores that forgot",
    "stores that remember again",
    "stores back without their holds",
    "stores that died after the work",
    "stores that a sweep has found to be other ones",
    "torn records dropped",
    "totals written again",
    "transactions closed",
    "transactions refused whole",
    "unfinished decisions recovered",
];

/// What many runs did.
#[derive(Default)]
pub(crate) struct Totals {
    runs: u64,
    purchases: u64,
    events: u64,
    counts: BTreeMap<&'static str, u64>,
}

impl Totals {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        self.runs += 1;
        self.purchases += outcome.purchases;
        self.events += outcome.events;
        for (what, count) in &outcome.counts {
            *self.counts.entry(what).or_insert(0) += count;
        }
    }

    pub(crate) fn fail_if_unseen(&self, must_be_seen: &[&str]) {
        let unseen: Vec<_> = must_be_seen
            .iter()
            .filter(|what| !self.counts.contains_key(**what))
            .collect();
        assert!(unseen.is_empty(), "never seen: {unseen:?}");
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, count) in &self.counts {
            writeln!(f, "{count:>12} {what}")?;
        }
        let (runs, purchases, events) = (self.runs, self.purchases, self.events);
        write!(
            f,
            "{runs} runs, {purchases} purchases, {events} events, 0 violations"
        )
    }
}

/// Plays a seed; one that breaks an invariant is made smaller and printed.
pub(crate) fn play_or_fail(plan: &Plan) -> Outcome {
    let outcome = play(plan, false);
    let Some(violation) = &outcome.violation else {
        return outcome;
    };
    let breaks = |plan: &Plan| {
        let found = play(plan, false).violation;
        found.is_some_and(|found| found.invariant == violation.invariant)
    };
    let small = plan.shrink(breaks);
    let again = play(&small, true);
    let from = again.trace.len().saturating_sub(TRACE_LINES);
    panic!(
        "{}\n\n{plan} breaks {}: {}\nThe end of the smallest run that breaks it is above. All \
         of it:\n  {small} cargo test -p tandem-protocol-tests --test simulator every_seed -- --nocapture",
        again.trace[from..].join("\n"),
        violation.invariant,
        violation.detail
    );
}

/// Plays seeds from `SEED` on (1 without it) for `MINUTES` on `THREADS` (all) processors.
#[test]
#[ignore = "as long as is wanted; run by tests/soak"]
fn soak() {
    let minutes = number("MINUTES").expect("MINUTES says how long");
    let processors = thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let threads = number("THREADS").unwrap_or(processors);
    let next = AtomicU64::new(number("SEED").unwrap_or(1));
    let failed = AtomicBool::new(false);
    let totals = Mutex::new(Totals::default());
    let started = Instant::now();
    let end = started + Duration::from_secs(60 * minutes);
    thread::scope(|scope| {
        let (ended, ends) = mpsc::channel::<()>();
        for _ in 0..threads {
            let ended = ended.clone();
            scope.spawn(|| {
                let _ended = ended;
                let _guard = FailsOnPanic(&failed);
                while Instant::now() < end && !failed.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    for plan in [Plan::new, Plan::calm] {
                        let outcome = play_or_fail(&plan(seed, Planted::Nothing));
                        totals.lock().unwrap().add(&outcome);
                    }
                }
            });
        }
        drop(ended);
        while ends.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let totals = totals.lock().unwrap();
            let minutes = started.elapsed().as_secs() / 60;
            let (runs, purchases) = (totals.runs, totals.purchases);
            println!("{minutes} min: {runs} runs, {purchases} purchases");
        }
    });
    let totals = totals.into_inner().unwrap();
    println!("{totals}");
    let seconds = started.elapsed().as_secs_f64();
    let rate = totals.events as f64 / seconds / threads as f64;
    println!("{rate:.0} events per second and thread, {threads} threads, {seconds:.0} s");
    totals.fail_if_unseen(SEEN_IN_ROUGH);
    totals.fail_if_unseen(SEEN_IN_CALM);
}

/// Tells the other threads that one has panicked.
struct FailsOnPanic<'a>(&'a AtomicBool);

impl Drop for FailsOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

pub(crate) fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().expect("it is a number"))
}
