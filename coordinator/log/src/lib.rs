//! The durable, append-only log under tandem's decisions.
//!
//! It knows nothing of transactions: a record is bytes, and the log promises three things about it.
//! A record whose `stored` callback has run survives a killed process and a power cut. Records come
//! back in the order of their [`Position`]s, without gaps. And a log that lost or changed anything
//! is refused at open with an explanation, never used: acting on such a log could roll back
//! purchases that were decided and reported.
//!
//! What it cannot tell is that the *whole* folder is an old copy of itself. An old copy, hot or
//! cold, that is consistent opens cleanly; only the participants, which remember the newest epoch
//! and decision that they have seen, can refuse it.
//!
//! # On disk
//!
//! | path | holds |
//! |---|---|
//! | `DIR/sled/` | a sled 0.34 database: the `base` value and the batches, see `store.rs` |
//! | `DIR/head` | 512 bytes: how far the log is durable, written after each force; see `head.rs` |
//! | `DIR/creating` | only while the log is being created: nothing in it was ever acknowledged |
//! | `DIR/checking/` | only while the log is being opened: a copy of `sled/` that is verified first |
//!
//! sled's own open changes its files (it cuts a torn tail off, and zeroes what it takes for torn),
//! so it would destroy the evidence of damage. A log is therefore verified in a copy before its own
//! files are opened; a refused log is left exactly as it was found.

mod batch;
mod committer;
mod error;
mod folder;
mod head;
mod inspect;
mod mark;
mod open;
mod panics;
mod queue;
mod refused;
mod scan;
mod stats;
mod store;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use batch::{BATCH_BYTES_MAX, RECORD_BYTES_MAX};
pub use committer::LAZY_FORCE_MAX_MS;
pub use error::{AppendError, CloseError, Damage, OpenError};
pub use folder::size as bytes_at;
pub use inspect::{Inspection, inspect};
pub use mark::IDENTITY_BYTES_MAX;
pub use refused::Refused;
pub use stats::{FORCE_TIME_BUCKETS_US, ForceTimes, LogStats};

use queue::{Entry, Shared};

/// A log's bytes, apart from the database that holds them: for whoever reads a log that does not open.
pub mod format {
    pub use crate::batch::{Batch, BatchBuilder, BatchError, Hash};
    pub use crate::mark::{MARK_BYTES, Mark, MarkError, MarkKind, Point};
    pub use crate::scan::{Scan, scan_values};
    pub use crate::store::CELL_BYTES_MAX;
}

/// How many records may wait for the committer if the caller doesn't say otherwise.
pub const QUEUE_RECORDS_MAX: usize = 16 * 1024;
/// How many bytes of records may wait for the committer if the caller doesn't say otherwise.
pub const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// sled's page cache if the caller doesn't say otherwise; sled's own default is 1 GiB.
pub const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// What a log needs to know to be created or opened.
pub struct LogOptions {
    /// The folder of the log. It belongs to the log alone.
    pub dir: PathBuf,
    /// How many records may wait for the committer before [`DecisionLog::append`] refuses.
    pub queue_records_max: usize,
    /// How many bytes of records may wait for the committer before `append` refuses.
    pub queue_bytes_max: usize,
    /// The size of sled's page cache.
    pub cache_bytes: u64,
    /// Told of each step of the committer, on its thread; for tests that end the process there.
    pub at_step: fn(LogStep),
    /// Called once, on the committer thread, when a force has failed. By then the log refuses
    /// appends, and nothing that was not acknowledged yet ever will be. The process must end: what
    /// the disk holds is known only after a restart.
    pub on_fatal: Box<dyn Fn(String) + Send>,
}

impl LogOptions {
    /// The defaults for a log in `dir`: a failed force prints why and aborts the process.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            queue_records_max: QUEUE_RECORDS_MAX,
            queue_bytes_max: QUEUE_BYTES_MAX,
            cache_bytes: CACHE_BYTES,
            at_step: |_| {},
            on_fatal: Box::new(|why| {
                // Where nobody reads it the process ends all the same, and not by a panic.
                let _ = writeln!(std::io::stderr(), "{why}");
                std::process::abort();
            }),
        }
    }
}

impl fmt::Debug for LogOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogOptions")
            .field("dir", &self.dir)
            .field("queue_records_max", &self.queue_records_max)
            .field("queue_bytes_max", &self.queue_bytes_max)
            .field("cache_bytes", &self.cache_bytes)
            .finish_non_exhaustive()
    }
}

/// A step of the committer: between any two of them a killed process leaves something else behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStep {
    /// Records are about to be written.
    Storing,
    /// They are written, not forced.
    Written,
    /// They are durable; the head does not say so.
    Forced,
    /// The head says so; who appended them has not heard it.
    Marked,
    /// Batches that are no longer needed are about to go.
    Releasing,
    /// The log durably begins after them; they are still there.
    Rebased,
    /// They are removed, which is not forced.
    Released,
}

/// Who a log belongs to; given at creation, kept for the log's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Tells this log from every other, also from a later one of the same coordinator.
    /// 1 to [`IDENTITY_BYTES_MAX`] bytes.
    pub log_id: String,
    /// The coordinator whose decisions these are. 1 to [`IDENTITY_BYTES_MAX`] bytes.
    pub coordinator_id: String,
}

/// When a record must be durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// As soon as the disk can: somebody waits for it.
    Forced,
    /// With the next force, with the close, or after [`LAZY_FORCE_MAX_MS`], whichever is first.
    Lazy,
}

/// The number of a record: the first is 1, and there are no gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What an opened log held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Who the log belongs to.
    pub identity: Identity,
    /// All retained records, in order.
    pub records: Vec<(Position, Vec<u8>)>,
}

/// An open log. Clones are handles on the same log.
///
/// Dropping the last handle lets the committer finish what is queued and end by itself;
/// [`close`](Self::close) also waits for that.
#[derive(Clone)]
pub struct DecisionLog {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.begin_close();
    }
}

impl DecisionLog {
    /// Creates a new log in a missing or empty folder, durably.
    ///
    /// A folder in which an earlier creation was interrupted ([`OpenError::Unfinished`]) counts as
    /// empty: nothing in it was ever acknowledged.
    pub fn create(
        options: LogOptions,
        identity: &Identity,
    ) -> Result<(DecisionLog, Opened), OpenError> {
        open::create(options, identity)
    }

    /// Opens an existing log, verifying all of it. A folder without a log is
    /// [`OpenError::NoLog`], one in which creation was interrupted is [`OpenError::Unfinished`];
    /// any damage is refused and the folder left as it was found.
    pub fn open(options: LogOptions) -> Result<(DecisionLog, Opened), OpenError> {
        open::open(options)
    }

    /// Queues a record of at most [`RECORD_BYTES_MAX`] bytes; never blocks.
    ///
    /// `stored` runs on the committer thread once the record is durable, also for
    /// [`Durability::Lazy`]. It must be quick, since the next force waits for it, and is dropped
    /// without being called if the force fails. Records are stored in the order of their appends.
    pub fn append(
        &self,
        record: Vec<u8>,
        durability: Durability,
        stored: impl FnOnce(Position) + Send + 'static,
    ) -> Result<(), AppendError> {
        self.handle
            .shared
            .append(Entry::new(record, durability, Box::new(stored)))
    }

    /// Reads a stored record back. `found` runs on the committer thread, with nothing if no such
    /// record is retained; it is dropped without being called if the log fails or is being closed.
    /// What is to be stored comes first, up to one force. How many reads wait is the caller's to bound.
    pub fn read(&self, position: Position, found: impl FnOnce(Option<Vec<u8>>) + Send + 'static) {
        self.handle.shared.read(position, Box::new(found));
    }

    /// Says that every record before `position` is no longer needed. The committer drops them in
    /// whole batches, many at a time, so some of them come back at the next open. What is still
    /// needed from before must be appended again, and be stored, first.
    pub fn release_before(&self, position: Position) {
        self.handle.shared.release_before(position);
    }

    /// What the log holds and how long its forces take. Reads the sizes of its files.
    pub fn stats(&self) -> LogStats {
        self.handle.shared.stats()
    }

    /// Stores what is queued, forces it, and closes the files, so that the folder may be opened
    /// again. Appends are refused from here on. After `deadline` it gives up waiting; the committer
    /// goes on by itself.
    pub fn close(&self, deadline: Duration) -> Result<(), CloseError> {
        self.handle.shared.close(deadline)
    }
}

impl fmt::Debug for DecisionLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionLog").finish_non_exhaustive()
    }
}
