//! What stands between those who append and the committer: a bounded queue and a few wishes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::batch::RECORD_BYTES_MAX;
use crate::{AppendError, CloseError, Durability, LogStats, Position, folder};

/// Records that are read between two forces, at most, while there is always something to store.
const READS_BETWEEN_FORCES_MAX: usize = 16;

/// Called with the record's position once it is durable.
pub(crate) type Stored = Box<dyn FnOnce(Position) + Send>;

/// Called with a record, if it is there.
pub(crate) type Found = Box<dyn FnOnce(Option<Vec<u8>>) + Send>;

/// A record that waits to be stored.
pub(crate) struct Entry {
    pub(crate) record: Vec<u8>,
    pub(crate) stored: Stored,
    durability: Durability,
    queued: Instant,
}

impl Entry {
    pub(crate) fn new(record: Vec<u8>, durability: Durability, stored: Stored) -> Self {
        Self {
            record,
            stored,
            durability,
            queued: Instant::now(),
        }
    }
}

/// How far the log's life has come.
enum Phase {
    Running,
    /// What is queued is still stored, nothing new is taken.
    Closing,
    Closed,
    /// A force failed. Nothing is stored or acknowledged any more.
    Failed(String),
}

/// What the committer is to do next.
pub(crate) enum Work {
    /// Store these, in this order; never empty.
    Store(Vec<Entry>),
    /// These are to be read; never empty. Nothing is to be stored, or something was while they waited.
    Read(Vec<(Position, Found)>),
    /// Nothing to store, but records before this position may go.
    Release(Position),
    /// Everything is stored: close.
    Close,
}

struct Queue {
    entries: VecDeque<Entry>,
    bytes: usize,
    /// How many of the entries somebody waits for.
    forced: usize,
    /// Records that somebody wants to read.
    reads: VecDeque<(Position, Found)>,
    /// Whether something was stored while they waited.
    reads_passed: bool,
    /// Records before it may go.
    release_before: Position,
    /// Whether it changed since the committer last looked.
    release_news: bool,
    phase: Phase,
    stats: LogStats,
}

/// Shared by the handles of a log and its committer.
pub(crate) struct Shared {
    queue: Mutex<Queue>,
    /// The committer waits on it for work.
    work: Condvar,
    /// Closers wait on it for the end.
    ended: Condvar,
    dir: PathBuf,
    records_max: usize,
    bytes_max: usize,
    lazy_max: Duration,
}

impl Shared {
    pub(crate) fn new(
        dir: PathBuf,
        records_max: usize,
        bytes_max: usize,
        lazy_max: Duration,
        stats: LogStats,
    ) -> Self {
        Self {
            queue: Mutex::new(Queue {
                entries: VecDeque::new(),
                bytes: 0,
                forced: 0,
                reads: VecDeque::new(),
                reads_passed: false,
                release_before: Position(0),
                release_news: false,
                phase: Phase::Running,
                stats,
            }),
            work: Condvar::new(),
            ended: Condvar::new(),
            dir,
            records_max,
            bytes_max,
            lazy_max,
        }
    }

    pub(crate) fn append(&self, entry: Entry) -> Result<(), AppendError> {
        let bytes = entry.record.len();
        if bytes > RECORD_BYTES_MAX {
            return Err(AppendError::TooLong {
                bytes,
                max: RECORD_BYTES_MAX,
            });
        }
        let mut queue = self.lock();
        if !matches!(queue.phase, Phase::Running) {
            return Err(AppendError::Closed);
        }
        if queue.entries.len() >= self.records_max || queue.bytes + bytes > self.bytes_max {
            return Err(AppendError::QueueFull);
        }
        let forced = entry.durability == Durability::Forced;
        queue.bytes += bytes;
        queue.forced += usize::from(forced);
        queue.entries.push_back(entry);
        // A lazy entry wakes nobody: the committer never sleeps for longer than one may wait.
        let wake = forced || self.is_filling_up(&queue);
        drop(queue);
        if wake {
            self.work.notify_one();
        }
        Ok(())
    }

    pub(crate) fn read(&self, position: Position, found: Found) {
        let mut queue = self.lock();
        if !matches!(queue.phase, Phase::Running) {
            return;
        }
        queue.reads.push_back((position, found));
        drop(queue);
        self.work.notify_one();
    }

    pub(crate) fn release_before(&self, position: Position) {
        let mut queue = self.lock();
        if position > queue.release_before {
            queue.release_before = position;
            queue.release_news = true;
            drop(queue);
            self.work.notify_one();
        }
    }

    pub(crate) fn stats(&self) -> LogStats {
        let mut stats = {
            let queue = self.lock();
            LogStats {
                queue_records: queue.entries.len(),
                queue_bytes: queue.bytes,
                ..queue.stats.clone()
            }
        };
        stats.disk_bytes = folder::size(&self.dir);
        stats
    }

    pub(crate) fn update_stats(&self, update: impl FnOnce(&mut LogStats)) {
        update(&mut self.lock().stats);
    }

    /// Waits for work and takes it: entries up to `bytes_max` bytes (but at least one), or else
    /// what is to be read, or the position to release up to, if it is news or the committer is still
    /// `releasing`. Some reads come between two forces: under load there is always something to store.
    pub(crate) fn take(&self, bytes_max: usize, releasing: bool) -> Work {
        let mut queue = self.lock();
        queue.release_news |= releasing;
        loop {
            let closing = matches!(queue.phase, Phase::Closing);
            let oldest = queue.entries.front().map(|oldest| oldest.queued.elapsed());
            let lazy_left = self.lazy_max.saturating_sub(oldest.unwrap_or_default());
            let wanted = queue.forced > 0 || closing || self.is_filling_up(&queue);
            if !std::mem::take(&mut queue.reads_passed)
                && oldest.is_some()
                && (wanted || lazy_left.is_zero())
            {
                queue.reads_passed = !queue.reads.is_empty();
                return Work::Store(queue.take(bytes_max));
            }
            if !queue.reads.is_empty() {
                let number = queue.reads.len().min(READS_BETWEEN_FORCES_MAX);
                return Work::Read(queue.reads.drain(..number).collect());
            }
            if queue.release_news {
                return Work::Release(queue.take_release());
            }
            if closing {
                return Work::Close;
            }
            queue = self
                .work
                .wait_timeout(queue, lazy_left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Takes nothing new from here on.
    pub(crate) fn begin_close(&self) {
        let mut queue = self.lock();
        if matches!(queue.phase, Phase::Running) {
            queue.phase = Phase::Closing;
        }
        drop(queue);
        self.work.notify_one();
    }

    pub(crate) fn close(&self, deadline: Duration) -> Result<(), CloseError> {
        self.begin_close();
        let (queue, _) = self
            .ended
            .wait_timeout_while(self.lock(), deadline, |queue| {
                matches!(queue.phase, Phase::Running | Phase::Closing)
            })
            .unwrap_or_else(PoisonError::into_inner);
        match &queue.phase {
            Phase::Closed => Ok(()),
            Phase::Failed(why) => Err(CloseError::Failed(why.clone())),
            Phase::Running | Phase::Closing => Err(CloseError::Deadline(deadline)),
        }
    }

    /// The committer's last word after all went well.
    pub(crate) fn closed(&self) {
        self.lock().phase = Phase::Closed;
        self.ended.notify_all();
    }

    /// The committer's last word after a failure; what is queued is dropped, unacknowledged.
    pub(crate) fn failed(&self, why: &str) {
        let mut queue = self.lock();
        queue.phase = Phase::Failed(why.to_owned());
        queue.forced = 0;
        queue.bytes = 0;
        let dropped = std::mem::take(&mut queue.entries);
        let unread = std::mem::take(&mut queue.reads);
        drop(queue);
        drop(dropped);
        drop(unread);
        self.ended.notify_all();
    }

    /// Lazy entries alone must not fill the queue while the committer waits for a forced one.
    fn is_filling_up(&self, queue: &Queue) -> bool {
        queue.entries.len() >= self.records_max / 2 || queue.bytes >= self.bytes_max / 2
    }

    /// Nothing that holds this lock can leave it half changed, so a panic elsewhere is no reason to
    /// refuse.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self, bytes_max: usize) -> Vec<Entry> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some(entry) = self.entries.pop_front() {
            bytes += entry.record.len();
            self.bytes -= entry.record.len();
            self.forced -= usize::from(entry.durability == Durability::Forced);
            taken.push(entry);
            let next = self.entries.front().map_or(0, |next| next.record.len());
            if bytes + next > bytes_max {
                break;
            }
        }
        taken
    }

    fn take_release(&mut self) -> Position {
        self.release_news = false;
        self.release_before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next thing to do, by its name and how much of it.
    fn next(shared: &Shared) -> (&'static str, usize) {
        match shared.take(1 << 20, false) {
            Work::Store(entries) => ("store", entries.len()),
            Work::Read(wanted) => ("read", wanted.len()),
            Work::Release(_) => ("release", 0),
            Work::Close => ("close", 0),
        }
    }

    #[test]
    fn reads_wait_for_one_force_although_there_is_always_something_to_store() {
        let second = Duration::from_secs(1);
        let shared = Shared::new(PathBuf::new(), 100, 1 << 20, second, LogStats::default());
        let append = || {
            let entry = Entry::new(vec![1], Durability::Forced, Box::new(|_| {}));
            assert!(shared.append(entry).is_ok());
        };
        append();
        for _ in 0..READS_BETWEEN_FORCES_MAX + 4 {
            shared.read(Position(1), Box::new(|_| {}));
        }
        assert_eq!(next(&shared), ("store", 1));
        append();
        assert_eq!(next(&shared), ("read", READS_BETWEEN_FORCES_MAX));
        assert_eq!(next(&shared), ("store", 1));
        append();
        assert_eq!(next(&shared), ("read", 4));
        assert_eq!(next(&shared), ("store", 1));
        append();
        assert_eq!(next(&shared), ("store", 1), "nobody reads any more");
    }
}
