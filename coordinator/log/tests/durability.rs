//! What was acknowledged is there after a power cut, a killed process, a failed write.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use common::cuts::{Seen, check_after_cut, cut_power};
use common::disk::{Disk, Event, Survives, read_trace};
use common::recorder::{Recorder, was_killed};
use common::workload::{Acknowledged, End, LARGE, content, every, variables};
use common::*;
use fastrand::Rng;

/// `TANDEM_CUTS=N` and `TANDEM_SEED=N` in the environment make it other ones.
const CUTS: usize = 400;
const DECISIONS: usize = 1_000;
const AGAIN: usize = 10;
const CUTS_AGAIN: usize = 10;
/// Of several cells each, and cuts while they are stored.
const LARGE_DECISIONS: u64 = 600;
const LARGE_CUTS: usize = 60;
const SEED: u64 = 20_240_607;

/// The calls that are made to fail one by one, all that the log makes; see `recorder.c`.
const CALLS: [&str; 7] = [
    "open",
    "pwrite",
    "fsync",
    "fdatasync",
    "mkdir",
    "unlink",
    "rename",
];
const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const SIGABRT: i32 = 6;

#[test]
#[ignore = "runs as a child of the tests below"]
fn workload() {
    common::workload::run();
}

#[test]
fn every_acknowledged_record_survives_power_cuts() {
    let folder = fast_folder();
    let recorder = Recorder::build(folder.path());
    let seed = variable("TANDEM_SEED").unwrap_or(SEED);
    let number_of_cuts = variable("TANDEM_CUTS").map_or(CUTS, |cuts| cuts as usize);
    println!("seed {seed}");
    let mut numbers = Rng::with_seed(seed);
    let mut seen = Seen::default();

    let root = new_root(folder.path(), "first");
    let before = Disk::holding(&root);
    let trace = folder.path().join("first.trace");
    for (range, end) in [
        (0..400, End::Kill),
        (400..700, End::Kill),
        (700..1_000, End::Close),
    ] {
        let status = recorder.run(
            "workload",
            &slash(&root),
            &trace,
            &variables(&root, range, end),
        );
        assert_eq!(was_killed(status), end == End::Kill, "{status:?}");
    }
    let events = read_trace(&trace);
    nothing_went_unrecorded(&root, &events, &mut numbers);
    let acknowledged = all_acknowledged(&events);
    let forced = acknowledged
        .records
        .values()
        .filter(|n| **n < DECISIONS as u64);
    assert_eq!(forced.count(), DECISIONS);
    assert!(acknowledged.released > 1);

    let cuts = draw_cuts(number_of_cuts, 10, &events, &mut numbers);
    let saved = cut_power(
        Acknowledged::default(),
        folder.path(),
        before,
        &events,
        &cuts,
        &mut numbers,
        &mut seen,
    );
    assert_eq!(seen.cuts, number_of_cuts);

    for round in 0..AGAIN {
        let left = &saved[round * saved.len() / AGAIN];
        cut_again(
            &recorder,
            folder.path(),
            round,
            left,
            &mut numbers,
            &mut seen,
        );
    }
    println!(
        "{} power cuts in {} recorded events, {} of them torn and reordered; {} records that had been \
         acknowledged were looked for, none was lost; {seen:?}",
        seen.cuts,
        events.len(),
        seen.torn,
        seen.acknowledged_checked
    );
    assert!(
        seen.never_created > 0 && seen.opened > number_of_cuts / 2,
        "{seen:?}"
    );
    assert!(seen.acknowledged_checked > 50_000, "{seen:?}");
}

/// So many places of a cut, in order, one of `of` within the creation: a small part of the trace, and the
/// one with most names in it.
fn draw_cuts(number: usize, of: usize, events: &[Event], numbers: &mut Rng) -> Vec<usize> {
    let mut cuts: Vec<usize> = (0..number)
        .map(|cut| match cut % of {
            0 => numbers.usize(..first_acknowledgement(events)),
            _ => numbers.usize(..events.len()),
        })
        .collect();
    cuts.sort_unstable();
    cuts
}

/// A power cut soon after a power cut: the log is opened, and used, on what the first one left.
fn cut_again(
    recorder: &Recorder,
    folder: &Path,
    round: usize,
    (from, had): &(PathBuf, Acknowledged),
    numbers: &mut Rng,
    seen: &mut Seen,
) {
    let root = new_root(folder, &format!("again-{round}"));
    copy(from, &root);
    let before = Disk::holding(&root);
    let trace = folder.join(format!("again-{round}.trace"));
    let first = 100_000 * (round as u64 + 1);
    let variables = variables(&root, first..first + 40, End::Kill);
    let status = recorder.run("workload", &slash(&root), &trace, &variables);
    assert!(was_killed(status), "{status:?}");
    let events = read_trace(&trace);
    let cuts = draw_cuts(CUTS_AGAIN, 2, &events, numbers);
    cut_power(had.clone(), folder, before, &events, &cuts, numbers, seen);
}

/// sled takes for stable what it has written, which a power cut can take back: a segment that was
/// begun must be durable before the next one is.
#[test]
fn large_records_survive_power_cuts_while_segments_are_begun() {
    let folder = fast_folder();
    let recorder = Recorder::build(folder.path());
    let root = new_root(folder.path(), "large");
    let before = || Disk::empty(&root);
    let trace = folder.path().join("large.trace");
    let (first, step) = LARGE;
    let range = first..first + LARGE_DECISIONS * step;
    let variables = every(step, &root, range, End::Close);
    assert!(
        recorder
            .run("workload", &slash(&root), &trace, &variables)
            .success()
    );
    let events = read_trace(&trace);

    let mut disk = before();
    let first = first_acknowledgement(&events);
    let begun: Vec<usize> = (0..events.len())
        .filter(|at| {
            disk.apply(&events[*at]);
            *at >= first && disk.segments_begun() > 0
        })
        .collect();
    assert!(begun.len() > 10, "{}", begun.len());
    let mut numbers = Rng::with_seed(SEED);
    let mut cuts: Vec<usize> = (0..LARGE_CUTS)
        // The power goes before the event, so this is what has begun.
        .map(|_| begun[numbers.usize(..begun.len())] + 1)
        .collect();
    cuts.sort_unstable();
    let mut seen = Seen::default();
    let nothing = Acknowledged::default();
    cut_power(
        nothing,
        folder.path(),
        before(),
        &events,
        &cuts,
        &mut numbers,
        &mut seen,
    );
    println!(
        "{} events with a segment begun and not forced; {seen:?}",
        begun.len()
    );
    assert_eq!(seen.opened, LARGE_CUTS);
}

#[test]
fn failed_force_ends_the_process_and_acknowledges_nothing_more() {
    let folder = fast_folder();
    let recorder = Recorder::build(folder.path());
    for (name, fail, call, errno) in [
        ("sync-once", "fdatasync:30:1", 30, EIO),
        // The first two are those of the creation.
        ("sync-at-first", "fdatasync:3:1", 3, EIO),
        ("write-once", "pwrite:80:1", 80, EIO),
        ("disk-full", "pwrite:90:1000000", 90, ENOSPC),
    ] {
        let root = new_root(folder.path(), name);
        let trace = folder.path().join(format!("{name}.trace"));
        let mut variables = variables(&root, 0..400, End::Close);
        variables.push(("RECORDER_FAIL", format!("{fail}:{errno}")));
        let status = recorder.run("workload", &slash(&root), &trace, &variables);
        assert_eq!(status.signal(), Some(SIGABRT), "{name}: {status:?}");

        let acknowledged = all_acknowledged(&read_trace(&trace));
        let count = acknowledged.records.len();
        assert!(count < 400, "{name}, call {call}: {count} acknowledged");
        let (log, records) = open(&root.join("log"));
        acknowledged.check(&records).unwrap();
        store(&log, &content(5_000));
        close(log);
        println!("{name}: {count} acknowledged, all there");
    }
}

#[test]
fn each_call_may_fail_and_nothing_acknowledged_is_lost() {
    let folder = fast_folder();
    let recorder = Recorder::build(folder.path());
    // A log that is opened again, beside one that is created.
    let older = new_root(folder.path(), "older");
    let trace = folder.path().join("older.trace");
    let (first, again) = (0..12, 12..24);
    let told = variables(&older, first, End::Close);
    assert!(
        recorder
            .run("workload", &slash(&older), &trace, &told)
            .success()
    );
    let had = all_acknowledged(&read_trace(&trace));
    let new = new_root(folder.path(), "new");

    let (created, opened) = std::thread::scope(|scope| {
        let had = &had;
        let opened = scope.spawn(|| fail_each_call(&recorder, &older, had, again.clone()));
        let nothing = Acknowledged::default();
        let created = fail_each_call(&recorder, &new, &nothing, again.clone());
        (created, opened.join().unwrap())
    });
    for (what, failed) in [("created", &created), ("opened", &opened)] {
        println!(
            "a log is {what}, {} calls failed: {failed:?}",
            failed.calls()
        );
    }
    for call in CALLS {
        let times = created.by_call.get(call).max(opened.by_call.get(call));
        assert!(times.is_some(), "{call} never failed");
    }
    assert!(created.ended + opened.ended > 100);
    assert!(created.seen.never_created > 0 && opened.seen.opened > 100);
}

/// What the failed calls met.
#[derive(Debug, Default)]
struct Failed {
    by_call: BTreeMap<&'static str, usize>,
    /// Processes that ended, and that went on.
    ended: usize,
    went_on: usize,
    seen: Seen,
}

impl Failed {
    fn calls(&self) -> usize {
        self.by_call.values().sum()
    }
}

/// Lets a process work on a copy of `root` again and again, and each time another of its calls
/// fails: once with EIO, or from then on since the disk is full. Then there is room again.
fn fail_each_call(
    recorder: &Recorder,
    root: &Path,
    had: &Acknowledged,
    numbers: std::ops::Range<u64>,
) -> Failed {
    let mut failed = Failed::default();
    for call in CALLS {
        for (errno, times) in [(EIO, 1), (ENOSPC, 1_000_000)] {
            for number in 1.. {
                let tried = root.with_extension("tried");
                copy(root, &tried);
                let trace = root.with_extension("tried-trace");
                let mut variables = variables(&tried, numbers.clone(), End::Close);
                let fail = format!("{call}:{number}:{times}:{errno}");
                variables.push(("RECORDER_FAIL", fail.clone()));
                let status = recorder.run("workload", &slash(&tried), &trace, &variables);

                let events = read_trace(&trace);
                let mut acknowledged = had.clone();
                events.iter().for_each(|event| acknowledged.apply(event));
                check_after_cut(&tried.join("log"), &acknowledged, &mut failed.seen)
                    .unwrap_or_else(|why| panic!("{fail}, {root:?}, {status:?}: {why}"));
                std::fs::remove_dir_all(&tried).unwrap();
                std::fs::remove_file(&trace).unwrap();
                if !events.iter().any(|event| event.kind == b'F') {
                    assert!(status.success(), "{fail}: {status:?}");
                    break;
                }
                *failed.by_call.entry(call).or_default() += 1;
                match status.success() {
                    true => failed.went_on += 1,
                    false => failed.ended += 1,
                }
            }
        }
    }
    failed
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name}: {value}")))
}

/// The model of the disk, with everything written, is what the processes left.
fn nothing_went_unrecorded(root: &Path, events: &[Event], numbers: &mut Rng) {
    let model = root.with_extension("model");
    let mut disk = Disk::empty(root);
    events.iter().for_each(|event| disk.apply(event));
    disk.write_to(&model, Survives::Everything, numbers);
    let content = |dir: &Path| -> Vec<_> {
        files(dir)
            .into_iter()
            .map(|file| {
                let name = file.strip_prefix(dir).unwrap().to_owned();
                (name, std::fs::read(&file).unwrap())
            })
            .filter(|(name, _)| !name.ends_with("acknowledged"))
            .collect()
    };
    let (real, model) = (content(root), content(&model));
    let names = |all: &[(PathBuf, Vec<u8>)]| -> Vec<_> {
        all.iter()
            .map(|(name, bytes)| (name.clone(), bytes.len()))
            .collect()
    };
    assert_eq!(names(&real), names(&model));
    assert!(real == model, "a write went unrecorded");
}

fn all_acknowledged(events: &[Event]) -> Acknowledged {
    let mut acknowledged = Acknowledged::default();
    events.iter().for_each(|event| acknowledged.apply(event));
    acknowledged
}

fn first_acknowledgement(events: &[Event]) -> usize {
    let mut acknowledged = Acknowledged::default();
    events
        .iter()
        .position(|event| {
            acknowledged.apply(event);
            !acknowledged.records.is_empty()
        })
        .unwrap()
}

fn new_root(folder: &Path, name: &str) -> PathBuf {
    let root = folder.join(name);
    std::fs::create_dir(&root).unwrap();
    root
}

fn slash(root: &Path) -> PathBuf {
    root.join("")
}
