//! What the recorded child does, and what it tells the recorder about it.
//!
//! For each record that is acknowledged, and before each release, the child writes one line of 17
//! bytes to the file `acknowledged` beside the log: `a` position number, or `r` position 0. The
//! recorder sees these among all else, so it is known what was acknowledged before which write.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use tandem_log::{
    AppendError, CloseError, DecisionLog, Durability, LogOptions, OpenError, Position,
};

use super::disk::Event;
use super::{DEADLINE, identity};

const THREADS: usize = 4;
/// Numbers of lazy records are their neighbour's and this.
const LAZY: u64 = 1 << 32;
/// How far behind a release is.
const KEPT: u64 = 150;

/// How a child ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Kill,
    Close,
}

/// What the environment of a child says.
pub fn variables(
    root: &Path,
    numbers: std::ops::Range<u64>,
    end: End,
) -> Vec<(&'static str, String)> {
    every(1, root, numbers, end)
}

/// As [`variables`], with every `step`th number alone.
pub fn every(
    step: u64,
    root: &Path,
    numbers: std::ops::Range<u64>,
    end: End,
) -> Vec<(&'static str, String)> {
    vec![
        ("WORKLOAD_ROOT", root.to_str().unwrap().to_owned()),
        ("WORKLOAD_FROM", numbers.start.to_string()),
        ("WORKLOAD_TO", numbers.end.to_string()),
        ("WORKLOAD_STEP", step.to_string()),
        ("WORKLOAD_END", format!("{end:?}")),
    ]
}

/// Stores the numbers that the environment names, from several threads, in `root/log`.
pub fn run() {
    let variable = |name: &str| std::env::var(name).unwrap();
    let root = PathBuf::from(variable("WORKLOAD_ROOT"));
    let to: u64 = variable("WORKLOAD_TO").parse().unwrap();
    let step: u64 = variable("WORKLOAD_STEP").parse().unwrap();
    let next = AtomicU64::new(variable("WORKLOAD_FROM").parse().unwrap());

    let options = || LogOptions::new(root.join("log"));
    let log = match DecisionLog::open(options()) {
        Ok((log, _)) => log,
        Err(OpenError::NoLog { .. } | OpenError::Unfinished { .. }) => {
            DecisionLog::create(options(), &identity()).unwrap().0
        }
        Err(error) => panic!("{error}"),
    };
    let told = File::options()
        .append(true)
        .create(true)
        .open(root.join("acknowledged"))
        .unwrap();
    let told = Arc::new(Mutex::new(told));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(step, Ordering::SeqCst);
                    if number >= to {
                        break;
                    }
                    one(&log, &told, number);
                }
            });
        }
    });
    if std::env::var("WORKLOAD_END").unwrap() == format!("{:?}", End::Kill) {
        // The recorder knows this name.
        let _ = std::fs::create_dir(root.join("kill"));
        unreachable!("the recorder kills the process");
    }
    if let Err(CloseError::Failed(_)) = log.close(DEADLINE) {
        wait_for_the_end();
    }
}

/// After a failed force the committer ends the process.
fn wait_for_the_end() -> ! {
    std::thread::sleep(DEADLINE);
    panic!("a failed force did not end the process");
}

fn one(log: &DecisionLog, told: &Arc<Mutex<File>>, number: u64) {
    if number % 10 == 3 {
        let told = told.clone();
        let appended = log.append(content(number + LAZY), Durability::Lazy, move |position| {
            tell(&told, b'a', position, number + LAZY);
        });
        if appended == Err(AppendError::Closed) {
            wait_for_the_end();
        }
    }
    let (stored, wait) = mpsc::channel();
    let acknowledge = told.clone();
    let appended = log.append(content(number), Durability::Forced, move |position| {
        tell(&acknowledge, b'a', position, number);
        let _ = stored.send(position);
    });
    if appended == Err(AppendError::Closed) {
        wait_for_the_end();
    }
    let Ok(position) = wait.recv_timeout(DEADLINE) else {
        wait_for_the_end();
    };
    if position.0.is_multiple_of(20) && position.0 > KEPT {
        let before = Position(position.0 - KEPT);
        tell(told, b'r', before, 0);
        log.release_before(before);
    }
}

fn tell(told: &Mutex<File>, kind: u8, position: Position, number: u64) {
    let mut line = vec![kind];
    line.extend(position.0.to_le_bytes());
    line.extend(number.to_le_bytes());
    told.lock().unwrap().write_all(&line).unwrap();
}

/// Numbers of records that take several of the log's values each: this one, and each fifth after.
pub const LARGE: (u64, u64) = (2, 5);

/// The record of a number; one in five takes several of the log's values.
pub fn content(number: u64) -> Vec<u8> {
    let mut bytes = super::record(number);
    if number % LARGE.1 == LARGE.0 {
        let length = 20_000 + (number * 977 % 40_000) as usize;
        bytes = bytes.repeat(length.div_ceil(bytes.len()));
        bytes.truncate(length);
    }
    bytes
}

/// What was acknowledged, as the trace tells.
#[derive(Debug, Clone, Default)]
pub struct Acknowledged {
    /// By position: the number of the record there.
    pub records: BTreeMap<u64, u64>,
    /// Records before this position need not be there.
    pub released: u64,
    descriptor: Option<u32>,
}

impl Acknowledged {
    pub fn apply(&mut self, event: &Event) {
        match event.kind {
            b'P' => self.descriptor = None,
            b'O' if event.path().ends_with("acknowledged") => {
                self.descriptor = Some(event.descriptor);
            }
            b'O' if self.descriptor == Some(event.descriptor) => self.descriptor = None,
            b'W' if self.descriptor == Some(event.descriptor) => {
                let number =
                    |at: usize| u64::from_le_bytes(event.bytes[at..at + 8].try_into().unwrap());
                match event.bytes[0] {
                    b'a' => assert_eq!(self.records.insert(number(1), number(9)), None),
                    b'r' => self.released = self.released.max(number(1)),
                    other => panic!("{other}"),
                }
            }
            _ => {}
        }
    }

    /// Every acknowledged record that was not released is there, and each that is there is whole.
    pub fn check(&self, records: &[(Position, Vec<u8>)]) -> Result<(), String> {
        for pair in records.windows(2) {
            if pair[0].0.0 + 1 != pair[1].0.0 {
                return Err(format!("position {} follows {}", pair[1].0, pair[0].0));
            }
        }
        for (position, bytes) in records {
            let number = u64::from_be_bytes(bytes[..8].try_into().unwrap());
            if *bytes != content(number) {
                return Err(format!("record {position} is not what was appended"));
            }
            if self.records.get(&position.0).is_some_and(|n| *n != number) {
                return Err(format!("record {position} is another one"));
            }
        }
        let first = records.first().map_or(u64::MAX, |(position, _)| position.0);
        let last = records.last().map_or(0, |(position, _)| position.0);
        for position in self.records.range(self.released..).map(|(p, _)| *p) {
            if position < first || position > last {
                return Err(format!(
                    "acknowledged record {position} is gone: {first} to {last} are there"
                ));
            }
        }
        Ok(())
    }
}
