//! How many durable records a second the log takes, beside the physical limit of the same disk: a
//! plain file with appends and group `fdatasync`.
//!
//! ```text
//! cargo run --release -p tandem-log --example force_rate -- [FOLDER [SECONDS]]
//! ```
//! Each committer appends one record of 300 bytes and waits until it is durable before the next. The
//! two are measured in alternation, since a disk's speed drifts; FOLDER must be on the disk that is
//! asked about, so not in memory.

use std::error::Error;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tandem_log::{DecisionLog, Durability, Identity, LogOptions, LogStats, Position};

const RECORD_BYTES: usize = 300;
const COMMITTERS: [usize; 4] = [1, 8, 64, 256];
const ROUNDS: u32 = 3;
/// Records that the log keeps, so that releasing is part of the measure.
const KEPT: u64 = 20_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = arguments.next().map_or(Ok(2.0), |text| text.parse())?;
    let lasts = Duration::from_secs_f64(seconds);
    let folder = folder.join(format!("tandem-force-rate-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    println!("{RECORD_BYTES} bytes a record, durable records/s, {ROUNDS} rounds of {lasts:?} each");
    println!(
        "{:>10} {:>12} {:>12} {:>6} {:>14} {:>12}",
        "committers", "log", "plain file", "ratio", "force mean", "log on disk"
    );
    let measured = COMMITTERS.map(|committers| row(&folder, committers, lasts));
    std::fs::remove_dir_all(&folder)?;
    measured.into_iter().collect()
}

fn row(folder: &Path, committers: usize, lasts: Duration) -> Outcome<()> {
    let (mut log, mut plain) = (0.0, 0.0);
    let mut stats = LogStats::default();
    for round in 0..ROUNDS {
        let dir = folder.join(format!("log-{committers}-{round}"));
        let (rate, last) = log_rate(&dir, committers, lasts)?;
        stats = last;
        log += rate / f64::from(ROUNDS);
        std::fs::remove_dir_all(&dir)?;
        plain += plain_rate(&folder.join("plain"), committers, lasts)? / f64::from(ROUNDS);
    }
    println!(
        "{committers:>10} {log:>12.0} {plain:>12.0} {:>6.2} {:>14} {:>12}",
        log / plain,
        format!(
            "{:.2?}",
            stats.forces.total / stats.forces.count.max(1) as u32
        ),
        format!("{} kB", stats.disk_bytes / 1024),
    );
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

fn log_rate(dir: &Path, committers: usize, lasts: Duration) -> Outcome<(f64, LogStats)> {
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
    let stats = log.stats();
    log.close(Duration::from_secs(60))?;
    Ok((rate, stats))
}

/// The same group commit without a database: one thread writes what is queued and forces it.
fn plain_rate(path: &Path, committers: usize, lasts: Duration) -> Outcome<f64> {
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
    let rate = thread::scope(|scope| -> Outcome<f64> {
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
            Err(_) => return Err("the writer of the plain file panicked".into()),
        }
        Ok(rate)
    })?;
    std::fs::remove_file(path)?;
    Ok(rate)
}
