//! What the system refuses while a log is opened, read or inspected is no damage, and is gone with its
//! cause.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use common::disk::read_trace;
use common::recorder::Recorder;
use common::{close, copy, create, fast_folder, open, record, store};
use tandem_log::{DecisionLog, LogOptions, OpenError, Refused, inspect};

/// Where a child puts what came of it, and which log it opens.
const SAID: &str = "REFUSED_SAID";
const DIR: &str = "REFUSED_DIR";

/// errno(3): what is lacking, and what a message about it names.
const ERRORS: [(i32, Refused, &str); 5] = [
    (28, Refused::Room, "make room"),
    (122, Refused::Room, "make room"),
    (24, Refused::Descriptors, "ulimit -n"),
    (13, Refused::Right, "let this user read and write"),
    (5, Refused::Disk, "look at the disk"),
];

const CALLS: [&str; 8] = [
    "open",
    "pwrite",
    "ftruncate",
    "fsync",
    "fdatasync",
    "mkdir",
    "unlink",
    "rename",
];

/// Records of the log: more than sled keeps in one leaf.
const RECORDS: u64 = 60;

/// A child of the test below: opens a log, and writes down why it could not.
#[test]
#[ignore = "run by the test below, with calls that fail"]
fn open_and_say() {
    let dir = std::env::var(DIR).unwrap();
    let said = match DecisionLog::open(LogOptions::new(Path::new(&dir))) {
        Ok((log, _)) => {
            // A close may fail too; what was refused then is told by the committer.
            let _ = log.close(common::DEADLINE);
            "opened".to_owned()
        }
        Err(error) => {
            let kind = match &error {
                OpenError::Damaged { .. } => "DAMAGED",
                OpenError::Refused { .. } | OpenError::Io { .. } => "refused",
                _ => "OTHER",
            };
            format!("{kind}: {error}")
        }
    };
    std::fs::write(std::env::var(SAID).unwrap(), said).unwrap();
}

#[test]
fn calls_that_fail_at_the_open_are_no_damage() {
    let folder = fast_folder();
    let recorder = Recorder::build(folder.path());
    let root = folder.path().join("whole");
    std::fs::create_dir(&root).unwrap();
    let log = create(&root.join("log"));
    for number in 0..RECORDS {
        store(&log, &record(number));
    }
    close(log);
    let mut refused = BTreeMap::new();
    for (errno, what, names) in ERRORS {
        for call in CALLS {
            // Each of the first calls, and every third of the others.
            for number in (1..6).chain((6..).step_by(3)) {
                let tried = root.with_extension("tried");
                copy(&root, &tried);
                let trace = root.with_extension("trace");
                let said = root.with_extension("said");
                let fail = format!("{call}:{number}:1000000:{errno}");
                let variables = [
                    ("RECORDER_FAIL", fail.clone()),
                    (DIR, tried.join("log").display().to_string()),
                    (SAID, said.display().to_string()),
                ];
                let status = recorder.run("open_and_say", &slash(&tried), &trace, &variables);
                let failed = read_trace(&trace).iter().any(|event| event.kind == b'F');
                let text = std::fs::read_to_string(&said).unwrap_or_default();
                std::fs::remove_file(&trace).unwrap();
                let _ = std::fs::remove_file(&said);
                if status.success() && text.starts_with("refused") {
                    assert!(text.contains(names), "{fail}: {text}");
                    *refused.entry((call, what.to_string())).or_insert(0) += 1;
                } else {
                    // What fails after the open ends the process.
                    let ended = !status.success() && text.is_empty();
                    assert!(text == "opened" || ended, "{fail}: {status:?} {text}");
                }
                let (log, records) = open(&tried.join("log"));
                assert_eq!(records.len() as u64, RECORDS, "{fail}");
                close(log);
                std::fs::remove_dir_all(&tried).unwrap();
                if !failed {
                    assert_eq!(text, "opened", "{fail}");
                    break;
                }
            }
        }
    }
    println!("{refused:?}");
    assert!(refused.len() > 8, "{refused:?}");
}

#[test]
fn folder_without_a_right_is_told_as_such_to_who_is_not_root() {
    use std::os::unix::fs::PermissionsExt;
    let folder = fast_folder();
    let dir = folder.path().join("log");
    let log = create(&dir);
    store(&log, &record(1));
    close(log);
    let head = dir.join("head");
    let rights = std::fs::metadata(&head).unwrap().permissions();
    std::fs::set_permissions(&head, std::fs::Permissions::from_mode(0o0)).unwrap();
    // Root may all the same.
    if let Err(error) = inspect(&dir) {
        assert!(matches!(error, OpenError::Io { .. }), "{error}");
        assert!(error.to_string().contains("let this user read"), "{error}");
    }
    std::fs::set_permissions(&head, rights).unwrap();
    assert_eq!(inspect(&dir).unwrap().records.len(), 1);
}

/// The recorder wants its root with a slash at its end.
fn slash(path: &Path) -> PathBuf {
    path.join("")
}
