//! Records go in, stay, come back, and leave when they are released.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use common::*;
use tandem_log::{
    AppendError, DecisionLog, Durability, LAZY_FORCE_MAX_MS, LogOptions, OpenError, Position,
    RECORD_BYTES_MAX, inspect,
};

#[test]
fn stored_records_come_back_in_order_with_gap_free_positions() {
    let folder = fast_folder();
    let dir = folder.path().join("a/b/log");
    let log = create(&dir);
    for number in 1..=300 {
        assert_eq!(store(&log, &record(number)), Position(number));
    }
    close(log);
    for _ in 0..3 {
        let (log, records) = open(&dir);
        let expected: Vec<_> = (1..=300).map(|n| (Position(n), record(n))).collect();
        assert_eq!(records, expected);
        close(log);
    }
    let (log, _) = open(&dir);
    assert_eq!(store(&log, b"next"), Position(301));
    close(log);
}

#[test]
fn stored_records_are_read_back_by_their_position() {
    let folder = fast_folder();
    let dir = folder.path().join("log");
    let log = create(&dir);
    for number in 1..=500 {
        store(&log, &record(number));
    }
    for position in [1, 2, 250, 499, 500] {
        assert_eq!(read(&log, position), Some(record(position)));
    }
    assert_eq!((read(&log, 0), read(&log, 501)), (None, None));
    log.release_before(Position(400));
    store(&log, &record(501));
    close(log);
    // What was released may be gone or not; what was not is where it was.
    let (log, records) = open(&dir);
    let (first, _) = records[0];
    for position in [first.0, 400, 450, 501] {
        assert_eq!(read(&log, position), Some(record(position)));
    }
    assert_eq!(read(&log, first.0 - 1), None);
    close(log);
}

fn read(log: &DecisionLog, position: u64) -> Option<Vec<u8>> {
    let (found, wait) = mpsc::channel();
    log.read(Position(position), move |record| {
        let _ = found.send(record);
    });
    wait.recv_timeout(DEADLINE).unwrap()
}

#[test]
fn largest_records_fill_batches_without_a_file_of_their_own() {
    let folder = fast_folder();
    let dir = folder.path().join("log");
    let log = create(&dir);
    let content = |n: u64| vec![n as u8; RECORD_BYTES_MAX - (n % 3) as usize];
    for number in 1..=300 {
        store(&log, &content(number));
        // sled never forces such a file, so it must not come to be.
        assert_eq!(files(&dir.join("sled/blobs")).len(), 0, "record {number}");
        if number > 100 {
            log.release_before(Position(number - 100));
        }
    }
    close(log);
    assert_eq!(files(&dir.join("sled/blobs")).len(), 0);
    let (log, records) = open(&dir);
    assert_eq!(records.last(), Some(&(Position(300), content(300))));
    for (position, bytes) in records {
        assert_eq!(bytes, content(position.0));
    }
    close(log);
}

#[test]
fn record_that_is_too_long_is_refused() {
    let folder = fast_folder();
    let log = create(folder.path());
    let refused = log.append(vec![0; RECORD_BYTES_MAX + 1], Durability::Forced, |_| {});
    assert!(matches!(refused, Err(AppendError::TooLong { .. })));
    store(&log, &[0; RECORD_BYTES_MAX]);
    store(&log, &[]);
    close(log);
    assert_eq!(open(folder.path()).1.len(), 2);
}

#[test]
fn lazy_record_rides_with_the_next_force_and_keeps_its_place() {
    let folder = fast_folder();
    let log = create(folder.path());
    let (stored, wait) = mpsc::channel();
    let lazy = stored.clone();
    log.append(b"lazy".to_vec(), Durability::Lazy, move |p| {
        lazy.send(("lazy", p)).unwrap();
    })
    .unwrap();
    log.append(b"forced".to_vec(), Durability::Forced, move |p| {
        stored.send(("forced", p)).unwrap();
    })
    .unwrap();
    assert_eq!(wait.recv_timeout(DEADLINE).unwrap(), ("lazy", Position(1)));
    assert_eq!(
        wait.recv_timeout(DEADLINE).unwrap(),
        ("forced", Position(2))
    );
    assert_eq!(log.stats().forces.count, 1);
    close(log);
}

#[test]
fn lazy_record_is_stored_by_itself_after_a_while_or_by_the_close() {
    let folder = fast_folder();
    let log = create(folder.path());
    let (stored, wait) = mpsc::channel();
    let begun = Instant::now();
    log.append(b"alone".to_vec(), Durability::Lazy, move |_| {
        stored.send(()).unwrap();
    })
    .unwrap();
    wait.recv_timeout(DEADLINE).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(LAZY_FORCE_MAX_MS));
    log.append(b"at the close".to_vec(), Durability::Lazy, |_| {})
        .unwrap();
    close(log);
    assert_eq!(open(folder.path()).1.len(), 2);
}

#[test]
fn full_queue_refuses_and_recovers() {
    let folder = fast_folder();
    let mut options = LogOptions::new(folder.path());
    options.queue_records_max = 4;
    let (log, _) = DecisionLog::create(options, &identity()).unwrap();
    // The first callback holds the committer until the queue is full.
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let entered = Arc::new(AtomicBool::new(false));
    let (held, inside) = (gate.clone(), entered.clone());
    log.append(b"holds".to_vec(), Durability::Forced, move |_| {
        inside.store(true, Ordering::SeqCst);
        let open = held.0.lock().unwrap();
        drop(held.1.wait_while(open, |open| !*open).unwrap());
    })
    .unwrap();
    let deadline = Instant::now() + DEADLINE;
    while !entered.load(Ordering::SeqCst) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    for _ in 0..4 {
        log.append(b"waits".to_vec(), Durability::Forced, |_| {})
            .unwrap();
    }
    assert_eq!(
        log.append(b"too many".to_vec(), Durability::Forced, |_| {}),
        Err(AppendError::QueueFull)
    );
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    close(log);
    assert_eq!(open(folder.path()).1.len(), 5);
}

#[test]
fn closed_log_refuses_and_its_folder_can_be_opened_again() {
    let folder = fast_folder();
    let log = create(folder.path());
    close(log.clone());
    let refused = log.append(vec![1], Durability::Forced, |_| {});
    assert_eq!(refused, Err(AppendError::Closed));
    close(open(folder.path()).0);
}

#[test]
fn log_in_use_is_refused_by_name() {
    let folder = fast_folder();
    let log = create(folder.path());
    store(&log, b"one");
    for refused in [
        DecisionLog::open(LogOptions::new(folder.path())).err(),
        DecisionLog::create(LogOptions::new(folder.path()), &identity()).err(),
        inspect(folder.path()).err(),
    ] {
        let refused = refused.unwrap();
        assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
        assert!(
            refused
                .to_string()
                .contains(folder.path().to_str().unwrap())
        );
    }
    store(&log, b"two");
    close(log);
    assert_eq!(open(folder.path()).1.len(), 2);
}

#[test]
fn database_that_a_stranger_has_open_is_refused() {
    let folder = fast_folder();
    close(create(folder.path()));
    let stranger = database(folder.path());
    let refused = DecisionLog::open(LogOptions::new(folder.path())).err();
    assert!(matches!(refused, Some(OpenError::InUse { .. })));
    drop(stranger);
}

#[test]
fn creation_needs_a_folder_of_its_own() {
    let folder = fast_folder();
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("notes.txt"), "mine").unwrap();
    let create_in =
        |dir: &std::path::Path| DecisionLog::create(LogOptions::new(dir), &identity()).map(|_| ());
    assert!(matches!(create_in(&other), Err(OpenError::NotEmpty { .. })));
    assert_eq!(files(&other).len(), 1);

    let existing = folder.path().join("log");
    close(create(&existing));
    assert!(matches!(
        create_in(&existing),
        Err(OpenError::NotEmpty { .. })
    ));
    let nothing = folder.path().join("nothing");
    assert!(matches!(
        DecisionLog::open(LogOptions::new(&nothing)),
        Err(OpenError::NoLog { .. })
    ));
    assert!(!nothing.exists());
}

#[test]
fn interrupted_creation_is_told_apart_and_done_again() {
    let folder = fast_folder();
    let dir = folder.path().join("log");
    close(create(&dir));
    std::fs::remove_file(dir.join("head")).unwrap();
    std::fs::write(dir.join("creating"), "").unwrap();
    assert!(matches!(
        DecisionLog::open(LogOptions::new(&dir)),
        Err(OpenError::Unfinished { .. })
    ));
    let log = create(&dir);
    store(&log, &record(1));
    close(log);
    assert_eq!(open(&dir).1.len(), 1);
}

#[test]
fn log_with_records_is_never_taken_for_an_interrupted_creation() {
    let folder = fast_folder();
    let log = create(folder.path());
    store(&log, &record(1));
    close(log);
    std::fs::write(folder.path().join("creating"), "").unwrap();
    let refused = DecisionLog::create(LogOptions::new(folder.path()), &identity()).err();
    assert!(matches!(refused, Some(OpenError::NotEmpty { .. })));
    std::fs::remove_file(folder.path().join("creating")).unwrap();
    assert_eq!(open(folder.path()).1.len(), 1);
}

#[test]
fn released_records_leave_and_the_space_stays_bounded() {
    let folder = fast_folder();
    let log = create(folder.path());
    let (keep, total) = (10_000, 200_000);
    let mut most = 0;
    for number in 1..=total {
        let mut bytes = record(number);
        bytes.resize(300, 0);
        loop {
            match log.append(bytes.clone(), Durability::Forced, |_| {}) {
                Ok(()) => break,
                Err(AppendError::QueueFull) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
        if number > keep {
            log.release_before(Position(number - keep));
        }
        if number % 1_000 == 0 {
            most = most.max(log.stats().disk_bytes);
        }
    }
    close(log);
    println!("{total} records of 300 bytes, {keep} kept: at most {most} bytes on the disk");
    assert!(most < 64 * 1024 * 1024, "{most}");
    let (log, records) = open(folder.path());
    assert_eq!(records.last().unwrap().0, Position(total));
    assert!(records.len() as u64 >= keep);
    assert!((records.len() as u64) < total / 2, "{}", records.len());
    assert!(
        records
            .windows(2)
            .all(|pair| pair[0].0.0 + 1 == pair[1].0.0)
    );
    close(log);
}

#[test]
fn records_in_batches_of_one_are_released_while_idle() {
    let folder = fast_folder();
    let log = create(folder.path());
    for number in 1..=3_000 {
        store(&log, &record(number));
    }
    log.release_before(Position(2_900));
    let deadline = Instant::now() + DEADLINE;
    while log.stats().records > 300 {
        assert!(Instant::now() < deadline, "{:?}", log.stats());
        std::thread::sleep(Duration::from_millis(5));
    }
    let first = log.stats().first_position.unwrap();
    assert!(first <= Position(2_900));
    close(log);
    let (log, records) = open(folder.path());
    assert_eq!(records.first().unwrap().0, first);
    assert_eq!(log.stats().records, records.len() as u64);
    close(log);
}

#[test]
fn inspection_reads_everything_and_changes_nothing() {
    let folder = fast_folder();
    let log = create(folder.path());
    for number in 1..=50 {
        store(&log, &record(number));
    }
    close(log);
    let state = || -> Vec<_> {
        let mut all = files(folder.path());
        all.push(folder.path().to_owned());
        all.into_iter()
            .map(|path| {
                let meta = path.metadata().unwrap();
                (meta.modified().unwrap(), std::fs::read(&path).ok(), path)
            })
            .collect()
    };
    let before = state();
    let seen = inspect(folder.path()).unwrap();
    assert_eq!(seen.identity, Some(identity()));
    assert_eq!(seen.records.len(), 50);
    assert_eq!(seen.damage, []);
    assert_eq!(state(), before);
}
