//! How many durable records a second the decision log takes, beside the physical limit of the same
//! disk: a plain file with appends and group `fdatasync`.
//!
//! Each committer appends one record and waits until it is durable before the next. The two are
//! measured in alternation, since a disk's speed drifts. It runs in a process of its own, which loads
//! the library that counts forces.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use serde_json::{Value, json};
use tandem_log::{DecisionLog, Durability, Identity, LogOptions, Position};

use crate::forces::Forces;

/// The verb of this program that measures.
pub(crate) const VERB: &str = "force-rate";

const RECORD_BYTES: usize = 300;
const COMMITTERS: [usize; 4] = [1, 8, 64, 256];
/// Records that the log keeps, so that releasing is part of the measure.
const KEPT: u64 = 20_000;

/// Durable records a second, from so many committers at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) committers: u64,
    pub(crate) log: f64,
    pub(crate) plain: f64,
}

/// Measures in a process of its own, whose forces cost what `forces` says.
pub(crate) fn ask(forces: &Forces, window: Duration, rounds: u32) -> Result<Vec<Rate>> {
    let mut command = Command::new(std::env::current_exe()?);
    let millis = window.as_millis().to_string();
    let output = command
        .args([VERB, &millis, &rounds.to_string()])
        .envs(forces.env())
        .output()?;
    ensure!(
        output.status.success(),
        "the measurement of the log failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    lines
        .map(|line| read(&serde_json::from_slice(line)?))
        .collect()
}

fn read(line: &Value) -> Result<Rate> {
    let figure = |name: &str| {
        line[name]
            .as_f64()
            .ok_or_else(|| anyhow!("no {name}: {line}"))
    };
    Ok(Rate {
        committers: figure("committers")? as u64,
        log: figure("log")?,
        plain: figure("plain")?,
    })
}

/// Measures here, and says so on stdout.
pub(crate) fn measure(window: Duration, rounds: u32) -> Result<()> {
    let folder = tempfile::Builder::new()
        .prefix("tandem-force-rate-")
        .tempdir()?;
    for committers in COMMITTERS {
        let (mut log, mut plain) = (0.0, 0.0);
        for round in 0..rounds {
            let dir = folder.path().join(format!("log-{committers}-{round}"));
            log += log_rate(&dir, committers, window)? / f64::from(rounds);
            fs::remove_dir_all(&dir)?;
            let file = folder.path().join("plain");
            plain += plain_rate(&file, committers, window)? / f64::from(rounds);
        }
        let line = json!({"committers": committers, "log": log, "plain": plain});
        println!("{line}");
    }
    Ok(())
}

/// Runs `one` in a loop on as many threads as there are committers; returns how often a second.
fn rate(committers: usize, lasts: Duration, one: impl Fn() + Sync) -> f64 {
    let (over, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..committers {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    one();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(lasts);
        over.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

fn log_rate(dir: &Path, committers: usize, lasts: Duration) -> Result<f64> {
    let identity = Identity {
        log_id: "bench".to_owned(),
        coordinator_id: "bench".to_owned(),
    };
    let (log, _) = DecisionLog::create(LogOptions::new(dir), &identity)?;
    let rate = rate(committers, lasts, || {
        let (stored, wait) = mpsc::channel();
        let appended = log.append(vec![7; RECORD_BYTES], Durability::Forced, move |position| {
            let _ = stored.send(position);
        });
        // The queue holds far more than there are committers.
        if appended.is_ok()
            && let Ok(position) = wait.recv()
            && position.0 % 1_000 == 0
        {
            log.release_before(Position(position.0.saturating_sub(KEPT)));
        }
    });
    log.close(Duration::from_secs(60))?;
    Ok(rate)
}

/// The same group commit without a database: one thread writes what is queued and forces it.
fn plain_rate(path: &Path, committers: usize, lasts: Duration) -> Result<f64> {
    struct Queue {
        bytes: Vec<u8>,
        queued: u64,
        durable: u64,
    }
    let queue = Mutex::new(Queue {
        bytes: Vec::new(),
        queued: 0,
        durable: 0,
    });
    let (work, durable) = (Condvar::new(), Condvar::new());
    let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    let mut file = File::create(path)?;
    let ended = AtomicBool::new(false);
    let rate = thread::scope(|scope| -> Result<f64> {
        let writer = scope.spawn(|| -> std::io::Result<()> {
            loop {
                let mut queue = lock();
                while queue.bytes.is_empty() {
                    if ended.load(Ordering::Relaxed) {
                        return Ok(());
                    }
                    queue = work.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                let (bytes, upto) = (std::mem::take(&mut queue.bytes), queue.queued);
                drop(queue);
                file.write_all(&bytes)?;
                file.sync_data()?;
                lock().durable = upto;
                durable.notify_all();
            }
        });
        let rate = rate(committers, lasts, || {
            let mut queue = lock();
            queue.bytes.extend([7; RECORD_BYTES]);
            queue.queued += 1;
            let mine = queue.queued;
            work.notify_one();
            let waited = durable.wait_while(queue, |queue| queue.durable < mine);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        });
        {
            let _queue = lock();
            ended.store(true, Ordering::Relaxed);
        }
        work.notify_one();
        match writer.join() {
            Ok(written) => written?,
            Err(_) => return Err(anyhow!("the writer of the plain file panicked")),
        }
        Ok(rate)
    })?;
    fs::remove_file(path)?;
    Ok(rate)
}
