//! `tandem log inspect` on folders of a decision log, and on what is none.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tandem_log::{DecisionLog, Durability, Identity, LogOptions};
use tandem_protocol::{Epoch, Record, Timestamp};

use super::{assert_exit, stderr, stdout, tandem};

const DEADLINE: Duration = Duration::from_secs(30);

fn inspect(dir: &Path, more: &[&str]) -> std::process::Output {
    let args = ["log", "inspect", dir.to_str().unwrap()];
    // It asks no server.
    tandem("http://127.0.0.1:9", &[&args[..], more].concat())
}

/// A log with one epoch in it, still open.
fn log(dir: &Path) -> DecisionLog {
    let identity = Identity {
        log_id: "log-1".into(),
        coordinator_id: "shop".into(),
    };
    let (log, _) = DecisionLog::create(LogOptions::new(dir), &identity).unwrap();
    let record = Record::EpochStarted {
        epoch: Epoch(1),
        instance_id: "one".into(),
        time: Timestamp(1_772_366_400_000),
    };
    let (stored, wait) = mpsc::channel();
    log.append(record.encode(), Durability::Forced, move |position| {
        stored.send(position).unwrap();
    })
    .unwrap();
    wait.recv_timeout(DEADLINE).unwrap();
    log
}

#[test]
fn closed_log_is_read_and_one_in_use_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    let open = log(&dir);
    let refused = inspect(&dir, &[]);
    assert_exit(&refused, 1);
    assert!(
        stderr(&refused).contains("is in use by another process"),
        "{refused:?}"
    );
    assert_eq!(stdout(&refused), "");

    open.close(DEADLINE).unwrap();
    let read = inspect(&dir, &["--records"]);
    assert_exit(&read, 0);
    let page = stdout(&read);
    assert!(page.starts_with("coordinator  shop\nlog          log-1\n"));
    assert!(
        page.contains("2026-03-01T12:00:00.000Z  epoch 1 begun by process one"),
        "{page}"
    );

    let read = inspect(&dir, &["--records", "--output", "json"]);
    assert_exit(&read, 0);
    let document: Value = serde_json::from_str(stdout(&read)).unwrap();
    assert_eq!(document["log_id"], "log-1");
    assert_eq!(document["records"][0]["record"]["kind"], "epoch_started");
}

#[test]
fn damaged_log_prints_what_can_be_read_and_exits_1() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("log");
    log(&dir).close(DEADLINE).unwrap();
    std::fs::remove_file(dir.join("head")).unwrap();
    let read = inspect(&dir, &["--records"]);
    assert_exit(&read, 1);
    let page = stdout(&read);
    for part in [
        "DAMAGED      the file `head` is missing",
        "epoch 1 begun by process one",
        "Roll nothing back",
    ] {
        assert!(page.contains(part), "{part:?} is missing in {page}");
    }
    assert!(stderr(&read).contains("no coordinator will start on it"));
}

#[test]
fn folder_without_a_log_says_so() {
    let folder = tempfile::tempdir().unwrap();
    for dir in [folder.path(), &folder.path().join("nowhere")] {
        let read = inspect(dir, &[]);
        assert_exit(&read, 1);
        assert!(
            stderr(&read).contains("there is no decision log in"),
            "{read:?}"
        );
        assert_eq!(stdout(&read), "");
    }
}
