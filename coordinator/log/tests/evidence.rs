//! What the log checks of its own database, found by changing it behind the log's back.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::fs;
use std::path::Path;
use std::time::Instant;

use common::*;
use tandem_log::{Damage, Position, inspect};

/// The database's key of a batch's cell.
fn key(sequence: u64, cell: u16) -> Vec<u8> {
    let mut key = vec![b'r'];
    key.extend(sequence.to_be_bytes());
    key.extend(cell.to_be_bytes());
    key
}

/// What a log of ten records, the last of several cells, is refused for after the change.
fn changed(change: &dyn Fn(&sled::Db)) -> Damage {
    let folder = fast_folder();
    let log = create(folder.path());
    for number in 1..=9 {
        store(&log, &record(number));
    }
    store(&log, &[1; 20_000]);
    close(log);
    edit(folder.path(), change);
    let damage = refusal(folder.path());
    // Inspection shows what is left, whatever is wrong with the rest.
    let seen = inspect(folder.path()).unwrap();
    assert!(seen.records.len() >= 8, "{damage}: {}", seen.records.len());
    assert_eq!(seen.damage.first(), Some(&damage));
    damage
}

#[test]
fn each_kind_of_damage_within_the_database_has_its_name() {
    let gap = changed(&|db| {
        db.remove(key(4, 0)).unwrap();
    });
    assert_eq!(gap, Damage::Gap { after: 3, found: 5 });
    let first = changed(&|db| {
        db.remove(key(1, 0)).unwrap();
    });
    assert_eq!(first, Damage::Gap { after: 0, found: 2 });
    let tail = changed(&|db| {
        for cell in 0..4 {
            db.remove(key(10, cell)).unwrap();
        }
    });
    assert!(matches!(
        tail,
        Damage::TailLost {
            last: 9,
            durable: 10,
            ..
        }
    ));
    let part = changed(&|db| {
        db.remove(key(10, 1)).unwrap();
    });
    assert!(matches!(part, Damage::BatchUnreadable { sequence: 10, .. }));
    let torn_though_durable = changed(&|db| {
        db.remove(key(10, 3)).unwrap();
    });
    assert!(matches!(
        torn_though_durable,
        Damage::BatchUnreadable { sequence: 10, .. }
    ));
    let byte = changed(&|db| {
        let mut bytes = db.get(key(5, 0)).unwrap().unwrap().to_vec();
        bytes[60] ^= 1;
        db.insert(key(5, 0), bytes).unwrap();
    });
    assert!(matches!(byte, Damage::BatchUnreadable { sequence: 5, .. }));
    let moved = changed(&|db| {
        let bytes = db.get(key(6, 0)).unwrap().unwrap();
        db.insert(key(5, 0), bytes).unwrap();
    });
    assert!(matches!(moved, Damage::BatchUnreadable { sequence: 5, .. }));
    let newer = changed(&|db| {
        let mut bytes = db.get(key(5, 0)).unwrap().unwrap().to_vec();
        bytes[0] = 2;
        db.insert(key(5, 0), bytes).unwrap();
    });
    assert!(matches!(newer, Damage::UnknownFormat { found: 2, .. }));
    let stranger = changed(&|db| {
        db.insert("stranger", "x").unwrap();
    });
    assert!(matches!(stranger, Damage::UnknownKey { .. }));
    let no_base = changed(&|db| {
        db.remove("base").unwrap();
    });
    assert_eq!(no_base, Damage::BaseMissing);
    let bad_base = changed(&|db| {
        db.insert("base", vec![0; 512]).unwrap();
    });
    assert!(matches!(bad_base, Damage::BaseUnreadable { .. }));
}

#[test]
fn batch_of_another_history_breaks_the_chain() {
    let folder = fast_folder();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    for (dir, content) in [(&one, b"mine"), (&two, b"else")] {
        let log = create(dir);
        for _ in 0..5 {
            store(&log, content);
        }
        close(log);
    }
    let mut key = vec![b'r'];
    key.extend(3_u64.to_be_bytes());
    key.extend(0_u16.to_be_bytes());
    let mut foreign = None;
    edit(&two, |db| foreign = db.get(&key).unwrap());
    edit(&one, |db| {
        db.insert(&key, foreign.unwrap()).unwrap();
    });
    assert_eq!(refusal(&one), Damage::ChainBroken { sequence: 3 });
}

/// A power cut within a force can leave the first values of a batch that nobody was told of.
#[test]
fn torn_unacknowledged_batch_is_dropped_and_its_number_used_again() {
    let folder = fast_folder();
    let dir = folder.path().join("log");
    let log = create(&dir);
    store(&log, &record(1));
    let head = fs::read(dir.join("head")).unwrap();
    store(&log, &[2; 30_000]);
    close(log);
    let mut last = vec![b'r'];
    last.extend(2_u64.to_be_bytes());
    last.extend(4_u16.to_be_bytes());
    edit(&dir, |db| {
        db.remove(&last).unwrap().unwrap();
    });
    fs::write(dir.join("head"), head).unwrap();
    let (log, records) = open(&dir);
    assert_eq!(records, [(Position(1), record(1))]);
    assert_eq!(store(&log, b"shorter"), Position(2));
    close(log);
    let (log, records) = open(&dir);
    assert_eq!(records.last(), Some(&(Position(2), b"shorter".to_vec())));
    close(log);
}

#[test]
fn leftovers_of_interrupted_opens_do_no_harm() {
    let folder = fast_folder();
    let dir = folder.path().join("log");
    let log = create(&dir);
    store(&log, &record(1));
    close(log);
    fs::write(dir.join("sled/snap.0000000000001234.generating"), "half").unwrap();
    fs::create_dir(dir.join("checking")).unwrap();
    fs::write(dir.join("checking/db"), "half a copy").unwrap();
    let (log, records) = open(&dir);
    assert_eq!(records.len(), 1);
    close(log);
    assert!(!dir.join("checking").exists());
}

/// Changes the database of a closed log behind its back.
fn edit(dir: &Path, change: impl FnOnce(&sled::Db)) {
    let db = database(dir);
    change(&db);
    db.flush().unwrap();
    drop(db);
    // sled's threads keep the file for a moment longer.
    let data = fs::File::open(dir.join("sled/db")).unwrap();
    let deadline = Instant::now() + DEADLINE;
    while data.try_lock().is_err() {
        assert!(Instant::now() < deadline, "sled does not let go");
        std::thread::yield_now();
    }
}
