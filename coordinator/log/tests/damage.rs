//! A log that lost or changed anything is refused with an explanation, or nothing was lost.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::*;
use fastrand::Rng;
use tandem_log::{
    Damage, DecisionLog, Durability, Identity, LogOptions, OpenError, Position, inspect,
};
use tempfile::TempDir;

const FLIPS: usize = 1_000;
const SEED: u64 = 7;

/// Damaged copies of all tests: the last line that is printed has the sum.
static REFUSED: AtomicUsize = AtomicUsize::new(0);
static UNHARMED: AtomicUsize = AtomicUsize::new(0);

/// A closed log with some history: released batches, batches of one and of several values.
struct Sample {
    _folder: TempDir,
    dir: PathBuf,
    records: Vec<(Position, Vec<u8>)>,
}

impl Sample {
    /// sled has read all of it and has written a snapshot: damage makes it fail.
    fn opened_again() -> Self {
        let sample = Self::as_written();
        close(open(&sample.dir).0);
        sample
    }

    /// sled has no snapshot of the newest part: damage there makes it forget what follows.
    fn as_written() -> Self {
        let folder = fast_folder();
        let dir = folder.path().join("log");
        let log = create(&dir);
        for number in 1..=1_500 {
            store(&log, &record(number));
        }
        log.release_before(Position(400));
        for number in 1..=10 {
            log.append(vec![number; 9_000], Durability::Lazy, |_| {})
                .unwrap();
        }
        store(&log, b"last of many");
        close(log);
        let copied = folder.path().join("copy");
        copy(&dir, &copied);
        let (log, records) = open(&copied);
        assert!(records.len() < 1_400, "nothing was released");
        close(log);
        Self {
            _folder: folder,
            dir,
            records,
        }
    }
}

/// What happened to a damaged copy.
#[derive(Default)]
struct Outcome {
    unharmed: usize,
    /// How often it was refused, by kind of damage.
    refused: BTreeMap<String, usize>,
}

impl std::fmt::Debug for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let refused = self.refused();
        let (unharmed, by_kind) = (self.unharmed, &self.refused);
        write!(f, "{refused} refused, {unharmed} unharmed {by_kind:?}")?;
        let [refused, unharmed] = [&REFUSED, &UNHARMED].map(|sum| sum.load(Ordering::Relaxed));
        let sum = refused + unharmed;
        write!(
            f,
            "; so far {sum} damages, {refused} refused, {unharmed} harmless, none believed"
        )
    }
}

impl Outcome {
    fn refused(&self) -> usize {
        self.refused.values().sum()
    }

    /// Opens a damaged copy: it is refused, says why and stays as it is, or nothing was lost.
    fn expect_refused_or_same(&mut self, sample: &Sample, dir: &Path, what: &str) {
        let before = content(dir);
        match DecisionLog::open(LogOptions::new(dir)) {
            Ok((log, opened)) => {
                // Damage to what came after the last record can undo a release.
                assert!(opened.records.ends_with(&sample.records), "{what}");
                let back = opened.records.len() - sample.records.len();
                for (position, bytes) in &opened.records[..back] {
                    assert_eq!(*bytes, record(position.0), "{what}");
                }
                assert_eq!(opened.identity, identity(), "{what}");
                close(log);
                self.unharmed += 1;
                UNHARMED.fetch_add(1, Ordering::Relaxed);
            }
            Err(OpenError::Damaged { damage, .. }) => {
                assert!(content(dir) == before, "{what}: refused and changed");
                let kind = format!("{damage:?}");
                let kind = kind.split([' ', '{']).next().unwrap_or_default().to_owned();
                *self.refused.entry(kind).or_default() += 1;
                REFUSED.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => panic!("{what}: {error}"),
        }
    }
}

fn content(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let read = |path: PathBuf| (path.clone(), fs::read(&path).unwrap());
    files(dir).into_iter().map(read).collect()
}

/// Copies the sample, lets `harm` at the copy, and opens it.
fn harmed(sample: &Sample, outcome: &mut Outcome, what: &str, harm: impl FnOnce(&Path)) {
    let folder = fast_folder();
    let dir = folder.path().join("log");
    copy(&sample.dir, &dir);
    harm(&dir);
    outcome.expect_refused_or_same(sample, &dir, what);
}

#[test]
fn undamaged_copy_is_unharmed() {
    for sample in [Sample::as_written(), Sample::opened_again()] {
        let mut outcome = Outcome::default();
        harmed(&sample, &mut outcome, "nothing", |_| {});
        assert_eq!(outcome.unharmed, 1);
    }
}

#[test]
fn flipped_byte_is_refused_or_was_in_unused_space() {
    flip_bytes(&Sample::as_written());
}

#[test]
fn flipped_byte_of_a_log_with_a_snapshot_is_refused_or_was_in_unused_space() {
    flip_bytes(&Sample::opened_again());
}

fn flip_bytes(sample: &Sample) {
    let mut numbers = Rng::with_seed(SEED);
    let mut outcome = Outcome::default();
    let all = content(&sample.dir);
    let everywhere: usize = all.iter().map(|(_, bytes)| bytes.len()).sum();
    for flip in 0..FLIPS {
        // Each byte of the folder is as likely as any other, but every fifth flip aims at the small
        // files.
        let mut at = numbers.usize(..everywhere);
        let (file, bytes) = if flip % 5 == 0 {
            let (file, bytes) = &all[numbers.usize(..all.len())];
            at %= bytes.len();
            (file, bytes)
        } else {
            all.iter()
                .map(|(file, bytes)| (file, bytes))
                .find(|(_, bytes)| {
                    let here = at < bytes.len();
                    at -= if here { 0 } else { bytes.len() };
                    here
                })
                .unwrap()
        };
        let bit = 1 << numbers.usize(..8);
        let name = file.strip_prefix(&sample.dir).unwrap();
        let what = format!("seed {SEED}, flip {flip}: bit {bit:#x} of byte {at} of {name:?}");
        harmed(sample, &mut outcome, &what, |dir| {
            let mut bytes = bytes.clone();
            bytes[at] ^= bit;
            fs::write(dir.join(name), bytes).unwrap();
        });
    }
    println!("{FLIPS} flipped bytes of {everywhere}: {outcome:?}");
    assert!(outcome.refused() > FLIPS / 10, "{outcome:?}");
}

#[test]
fn every_flipped_byte_of_head_and_conf_is_refused_or_harmless() {
    let sample = Sample::as_written();
    for name in ["head", "sled/conf"] {
        let bytes = fs::read(sample.dir.join(name)).unwrap();
        let mut outcome = Outcome::default();
        for at in 0..bytes.len() {
            harmed(&sample, &mut outcome, &format!("{name} byte {at}"), |dir| {
                let mut bytes = bytes.clone();
                bytes[at] ^= 0x11;
                fs::write(dir.join(name), bytes).unwrap();
            });
        }
        println!("{name}: {outcome:?}");
        assert!(name != "head" || outcome.unharmed == 0, "{outcome:?}");
    }
}

#[test]
fn zeroed_blocks_and_cut_tails_are_refused_or_harmless() {
    let sample = Sample::as_written();
    let mut numbers = Rng::with_seed(SEED);
    let mut outcome = Outcome::default();
    for round in 0..150 {
        for name in ["sled/db", "head"] {
            let bytes = fs::read(sample.dir.join(name)).unwrap();
            let block = if name == "head" { 64 } else { 4_096 };
            let at = numbers.usize(..bytes.len() / block) * block;
            harmed(
                &sample,
                &mut outcome,
                &format!("zeroed {name} at {at}"),
                |dir| {
                    let mut bytes = bytes.clone();
                    bytes[at..at + block].fill(0);
                    fs::write(dir.join(name), bytes).unwrap();
                },
            );
            let at = numbers.usize(..bytes.len());
            let what = format!("round {round}: cut {name} at {at}");
            harmed(&sample, &mut outcome, &what, |dir| {
                fs::write(dir.join(name), &bytes[..at]).unwrap();
            });
        }
    }
    println!("{outcome:?}");
    assert!(outcome.refused() > 200, "{outcome:?}");
}

#[test]
fn emptied_and_missing_files_are_refused_or_harmless() {
    let sample = Sample::as_written();
    let mut outcome = Outcome::default();
    for file in files(&sample.dir) {
        let name = file.strip_prefix(&sample.dir).unwrap();
        harmed(&sample, &mut outcome, &format!("{name:?} emptied"), |dir| {
            fs::write(dir.join(name), "").unwrap();
        });
        harmed(&sample, &mut outcome, &format!("{name:?} missing"), |dir| {
            fs::remove_file(dir.join(name)).unwrap();
        });
    }
    harmed(&sample, &mut outcome, "all of sled emptied", |dir| {
        for file in files(&dir.join("sled")) {
            fs::write(file, "").unwrap();
        }
    });
    harmed(&sample, &mut outcome, "sled missing", |dir| {
        fs::remove_dir_all(dir.join("sled")).unwrap();
    });
    println!("{outcome:?}");
    for (name, expected) in [
        ("head", "`head` is missing"),
        ("sled/db", "`sled/db` is missing"),
        ("sled/conf", "`sled/conf` is missing"),
    ] {
        let folder = fast_folder();
        copy(&sample.dir, folder.path());
        fs::remove_file(folder.path().join(name)).unwrap();
        let damage = refusal(folder.path());
        assert!(damage.to_string().contains(expected), "{damage}");
    }
}

#[test]
fn newer_head_than_database_names_what_is_gone() {
    let folder = fast_folder();
    let (dir, old) = (folder.path().join("log"), folder.path().join("old"));
    let log = create(&dir);
    for number in 1..=20 {
        store(&log, &record(number));
    }
    close(log);
    copy(&dir, &old);
    let (log, _) = open(&dir);
    for number in 21..=25 {
        store(&log, &record(number));
    }
    close(log);
    fs::copy(dir.join("head"), old.join("head")).unwrap();
    assert_eq!(
        refusal(&old),
        Damage::TailLost {
            last: 20,
            durable: 25,
            position: 25
        }
    );
    let seen = inspect(&old).unwrap();
    assert_eq!(seen.records.len(), 20);
    assert_eq!(seen.damage, [refusal(&old)]);
}

#[test]
fn older_head_than_database_is_what_a_power_cut_leaves() {
    let folder = fast_folder();
    let dir = folder.path().join("log");
    let log = create(&dir);
    let head = fs::read(dir.join("head")).unwrap();
    for number in 1..=20 {
        store(&log, &record(number));
    }
    close(log);
    fs::write(dir.join("head"), head).unwrap();
    let (log, records) = open(&dir);
    assert_eq!(records.len(), 20);
    close(log);
}

/// The log can't tell that all of it is old. Participants can: they know a newer epoch or decision.
#[test]
fn whole_old_copy_opens_since_only_participants_can_tell() {
    let folder = fast_folder();
    let (dir, old) = (folder.path().join("log"), folder.path().join("old"));
    let log = create(&dir);
    store(&log, &record(1));
    close(log);
    copy(&dir, &old);
    let (log, _) = open(&dir);
    store(&log, &record(2));
    close(log);
    let (log, records) = open(&old);
    assert_eq!(records, [(Position(1), record(1))]);
    close(log);
}

#[test]
fn hot_copy_is_refused_or_holds_a_beginning() {
    let folder = fast_folder();
    let dir = folder.path().join("log");
    let log = create(&dir);
    let (mut refused, mut opened) = (0, 0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 1..=3_000 {
                store(&log, &record(number));
            }
        });
        let mut round = 0;
        while !writer.is_finished() {
            round += 1;
            let hot = folder.path().join(format!("hot-{round}"));
            copy(&dir, &hot);
            match DecisionLog::open(LogOptions::new(&hot)) {
                Err(OpenError::Damaged { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
                Ok((copied, found)) => {
                    for (number, (position, bytes)) in (1..).zip(found.records) {
                        assert_eq!((position, bytes), (Position(number), record(number)));
                    }
                    close(copied);
                    opened += 1;
                }
            }
        }
    });
    close(log);
    println!("hot copies: {refused} refused, {opened} opened with a beginning");
    assert!(refused + opened > 0);
}

#[test]
fn head_of_another_log_is_refused() {
    let folder = fast_folder();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    close(create(&one));
    let other = Identity {
        log_id: "log-2".to_owned(),
        ..identity()
    };
    let (log, _) = DecisionLog::create(LogOptions::new(&two), &other).unwrap();
    close(log);
    fs::copy(two.join("head"), one.join("head")).unwrap();
    assert!(matches!(refusal(&one), Damage::OtherLog { .. }));
}
