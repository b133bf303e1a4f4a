//! What the tests of the log share.

#![allow(dead_code, unreachable_pub)]

pub mod cuts;
pub mod disk;
pub mod recorder;
pub mod workload;

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use tandem_log::{Damage, DecisionLog, Durability, Identity, LogOptions, OpenError, Position};
use tempfile::TempDir;

/// How long sled's segments are; see `store.rs`.
pub const SEGMENT_BYTES: usize = 4 * 1024 * 1024;

pub const DEADLINE: Duration = Duration::from_secs(30);

/// In memory where there is such a folder: these tests are about content, not about the disk.
pub fn fast_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub fn identity() -> Identity {
    Identity {
        log_id: "log-1".to_owned(),
        coordinator_id: "shop-1".to_owned(),
    }
}

pub fn create(dir: &Path) -> DecisionLog {
    DecisionLog::create(LogOptions::new(dir), &identity())
        .unwrap()
        .0
}

pub fn open(dir: &Path) -> (DecisionLog, Vec<(Position, Vec<u8>)>) {
    let (log, opened) = DecisionLog::open(LogOptions::new(dir)).unwrap();
    assert_eq!(opened.identity, identity());
    (log, opened.records)
}

pub fn close(log: DecisionLog) {
    log.close(DEADLINE).unwrap();
}

/// Appends and waits until the record is durable.
pub fn store(log: &DecisionLog, record: &[u8]) -> Position {
    let (stored, wait) = mpsc::channel();
    log.append(record.to_vec(), Durability::Forced, move |position| {
        let _ = stored.send(position);
    })
    .unwrap();
    wait.recv_timeout(DEADLINE).unwrap()
}

/// A record whose content follows from its number, of a length that varies.
pub fn record(number: u64) -> Vec<u8> {
    let length = 20 + (number * 7919 % 600) as usize;
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((8..length).map(|at| (number as usize * 31 + at) as u8));
    bytes
}

/// Opens a log's database behind the log's back.
pub fn database(dir: &Path) -> sled::Db {
    sled::Config::new()
        .path(dir.join("sled"))
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(None)
        .open()
        .unwrap()
}

/// The files below a folder, in order.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Why a log is refused; panics if it is not.
pub fn refusal(dir: &Path) -> Damage {
    match DecisionLog::open(LogOptions::new(dir)) {
        Err(OpenError::Damaged { damage, .. }) => damage,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("a damaged log was opened"),
    }
}
