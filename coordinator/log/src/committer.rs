//! The one thread that writes.
//!
//! It takes everything that is queued, packs it into batches, forces them together, and only then
//! says so. While it forces, the next records gather: the slower the disk, the larger the groups.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::batch::{Batch, BatchBuilder, declared_previous};
use crate::folder;
use crate::head::HeadFile;
use crate::mark::{Mark, MarkKind, Point};
use crate::panics::caught;
use crate::queue::{Entry, Found, Shared, Stored, Work};
use crate::scan::BatchPlace;
use crate::store::{Store, StoreError};
use crate::{DecisionLog, Handle, LogOptions, LogStats, LogStep, Position};

/// How long a lazy record waits for a force that somebody else needs, in milliseconds.
pub const LAZY_FORCE_MAX_MS: u64 = 1_000;

/// How old the head on the disk may be, in milliseconds, while records are stored. The head that a
/// power cut leaves guards only what is before it.
const HEAD_SYNC_MAX_MS: u64 = 1_000;
/// How many bytes of records one force stores at most, so that a long queue does not make its first
/// records wait for its last.
const FORCE_BYTES_MAX: usize = 1024 * 1024;
/// Releasing costs two forces, so it is done for many batches at once.
const RELEASE_BATCHES_MIN: usize = 128;
/// And for not too many, since an open after a crash removes what was left of them.
const RELEASE_BATCHES_MAX: usize = 1_024;
/// How many cells are removed at a time, at least: few, since records wait meanwhile, and so few
/// that those of the next records fit into the same force.
const REMOVE_CELLS: u16 = 16;

/// What is open of a log.
pub(crate) struct Files {
    pub(crate) store: Store,
    pub(crate) head: HeadFile,
    /// Held for as long as the rest is open; the last field, so that it is dropped last.
    pub(crate) _lock: folder::Lock,
}

/// What a log holds.
pub(crate) struct Retained {
    pub(crate) base: Mark,
    pub(crate) tip: Point,
    pub(crate) places: VecDeque<BatchPlace>,
}

/// Starts the committer of an opened log.
pub(crate) fn spawn(
    options: LogOptions,
    files: Files,
    retained: Retained,
) -> io::Result<DecisionLog> {
    let mut stats = LogStats::default();
    retained.describe(&mut stats);
    let shared = Arc::new(Shared::new(
        options.dir,
        options.queue_records_max,
        options.queue_bytes_max,
        Duration::from_millis(LAZY_FORCE_MAX_MS),
        stats,
    ));
    let mut committer = Committer {
        shared: shared.clone(),
        files,
        retained,
        at_step: options.at_step,
        release_before: Position(0),
        removable: VecDeque::new(),
        cells_stored: 0,
        head_synced: Instant::now(),
    };
    let on_fatal = options.on_fatal;
    thread::Builder::new()
        .name("tandem-log".to_owned())
        .spawn(move || {
            let shared = committer.shared.clone();
            match committer.run() {
                Ok(()) => {
                    // The files are closed before anybody hears that they are.
                    drop(committer);
                    shared.closed();
                }
                Err(error) => {
                    let why = format!(
                        "the decision log failed and this process must end: {error}; what was \
                         acknowledged is safe, what was not is decided by what the disk holds, \
                         which the next start reads"
                    );
                    shared.failed(&why);
                    on_fatal(why);
                }
            }
        })?;
    Ok(DecisionLog {
        handle: Arc::new(Handle { shared }),
    })
}

struct Committer {
    shared: Arc<Shared>,
    files: Files,
    retained: Retained,
    at_step: fn(LogStep),
    release_before: Position,
    /// Batches (sequence, cells) from before the base that are still to be removed.
    removable: VecDeque<(u64, u16)>,
    /// How many cells the last force stored.
    cells_stored: u16,
    head_synced: Instant,
}

/// Why the committer can't go on. Never retried: after a failed force the system may have dropped
/// the very bytes that a second one would then report as durable.
#[derive(Debug, Error)]
enum Fatal {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not write the file `head`: {0}")]
    Head(io::Error),
    #[error("batch {0} can no longer be read")]
    BatchGone(u64),
    #[error("what was to run after a record was stored failed: {0}")]
    Callback(String),
}

impl Committer {
    fn run(&mut self) -> Result<(), Fatal> {
        // What was found at open is durable by now, so the head may say so.
        self.write_head()?;
        self.sync_head()?;
        let mut releasing = false;
        loop {
            match self.shared.take(FORCE_BYTES_MAX, releasing) {
                Work::Store(entries) => self.store(entries)?,
                Work::Read(wanted) => self.read(wanted)?,
                Work::Release(position) => self.release_before = position,
                Work::Close => break,
            }
            releasing = self.release()?;
            if self.head_synced.elapsed() >= Duration::from_millis(HEAD_SYNC_MAX_MS) {
                self.sync_head()?;
            }
        }
        // Without this a power cut after a clean stop could leave an old head, which would not
        // notice a lost tail.
        self.sync_head()
    }

    fn store(&mut self, entries: Vec<Entry>) -> Result<(), Fatal> {
        (self.at_step)(LogStep::Storing);
        let started = Instant::now();
        let mut record_bytes = 0;
        let mut stored: Vec<Stored> = Vec::with_capacity(entries.len());
        self.cells_stored = 0;
        let first_position = self.retained.tip.position + 1;
        let mut builder = self.retained.next_batch();
        for entry in entries {
            if !builder.has_room_for(&entry.record) {
                self.put(builder)?;
                builder = self.retained.next_batch();
            }
            builder.push(&entry.record);
            record_bytes += entry.record.len() as u64;
            stored.push(entry.stored);
        }
        self.put(builder)?;
        (self.at_step)(LogStep::Written);
        self.files.store.force()?;
        (self.at_step)(LogStep::Forced);
        self.write_head()?;
        (self.at_step)(LogStep::Marked);
        let took = started.elapsed();
        let retained = &self.retained;
        self.shared.update_stats(|stats| {
            stats.records_stored += stored.len() as u64;
            stats.bytes_stored += record_bytes;
            stats.forces.record(took);
            retained.describe(stats);
        });
        caught(|| {
            for (stored, position) in stored.into_iter().zip(first_position..) {
                stored(Position(position));
            }
        })
        .map_err(Fatal::Callback)
    }

    /// Reads stored records back. Those of one batch that are wanted one after another cost one
    /// reading.
    fn read(&mut self, wanted: Vec<(Position, Found)>) -> Result<(), Fatal> {
        let mut last: Option<Batch> = None;
        for (position, found) in wanted {
            let is_in_last = last.as_ref().is_some_and(|batch| batch.holds(position));
            if !is_in_last {
                last = self.batch_with(position)?;
            }
            let record = last.as_ref().and_then(|batch| batch.record(position));
            let record = record.map(<[u8]>::to_vec);
            caught(|| found(record)).map_err(Fatal::Callback)?;
        }
        Ok(())
    }

    /// The batch in which a record is, if it is there and whole.
    fn batch_with(&self, position: Position) -> Result<Option<Batch>, Fatal> {
        let places = &self.retained.places;
        let number = places.partition_point(|place| place.first_position <= position.0);
        let Some(index) = number.checked_sub(1) else {
            return Ok(None);
        };
        let sequence = self.retained.base.point.sequence + number as u64;
        let bytes = self.files.store.batch(sequence, places[index].cells)?;
        // Its checksum was right when the log was opened. If it is not now, what was asked for is
        // not there; what is damaged is for the next open to say.
        Ok(bytes.and_then(|bytes| Batch::decode(&bytes).ok()))
    }

    fn put(&mut self, builder: BatchBuilder) -> Result<(), Fatal> {
        let sequence = builder.sequence();
        let first_position = self.retained.tip.position + 1;
        let position = self.retained.tip.position + u64::from(builder.count());
        let (bytes, hash) = builder.finish();
        let cells = self.files.store.put_batch(sequence, &bytes)?;
        self.cells_stored += cells;
        self.retained.places.push_back(BatchPlace {
            first_position,
            cells,
        });
        self.retained.tip = Point {
            sequence,
            position,
            hash,
        };
        Ok(())
    }

    /// Writes how far the log is durable. Called only after a force.
    fn write_head(&self) -> Result<(), Fatal> {
        let head = Mark {
            identity: self.retained.base.identity.clone(),
            point: self.retained.tip,
        };
        self.files.head.write(&head).map_err(Fatal::Head)
    }

    /// Without it a power cut leaves an older head, and one that is older than the damage of the
    /// same accident would not notice it.
    fn sync_head(&mut self) -> Result<(), Fatal> {
        self.head_synced = Instant::now();
        self.files.head.sync().map_err(Fatal::Head)
    }

    /// Drops batches that hold only released records, if there are many; the newest always stays.
    /// Answers whether there is more to do at once.
    fn release(&mut self) -> Result<bool, Fatal> {
        let removing = !self.removable.is_empty();
        if removing {
            self.remove_some()?;
        } else {
            self.move_base()?;
        }
        Ok(removing || !self.removable.is_empty())
    }

    /// Lets the log begin after the batches that hold only released records.
    fn move_base(&mut self) -> Result<(), Fatal> {
        let places = &self.retained.places;
        let releasable = places
            .partition_point(|place| place.first_position <= self.release_before.0)
            .saturating_sub(1);
        if releasable < RELEASE_BATCHES_MIN {
            return Ok(());
        }
        let first_kept = releasable.min(RELEASE_BATCHES_MAX);
        let first_sequence = self.retained.base.point.sequence + 1;
        let kept_sequence = first_sequence + first_kept as u64;
        let kept = self.files.store.first_cell(kept_sequence)?;
        let hash = kept
            .as_deref()
            .and_then(declared_previous)
            .ok_or(Fatal::BatchGone(kept_sequence))?;
        self.retained.base.point = Point {
            sequence: kept_sequence - 1,
            position: places[first_kept].first_position - 1,
            hash,
        };
        (self.at_step)(LogStep::Releasing);
        // A head from before the base could not be compared with anything. Without this a power
        // cut could leave one, and a sound log would be refused.
        self.sync_head()?;
        self.files
            .store
            .put_base(&self.retained.base.encode(MarkKind::Base))?;
        // The base must be durable before the first batch goes: the other way round a power cut
        // could leave a log that begins with a gap.
        self.files.store.force()?;
        (self.at_step)(LogStep::Rebased);
        let dropped = self.retained.places.drain(..first_kept);
        self.removable
            .extend((first_sequence..).zip(dropped.map(|place| place.cells)));
        let retained = &self.retained;
        self.shared.update_stats(|stats| retained.describe(stats));
        Ok(())
    }

    /// Removes a few of the batches that the log begins after: at least as much as was stored, or
    /// they would become ever more.
    fn remove_some(&mut self) -> Result<(), Fatal> {
        let mut left = REMOVE_CELLS.max(self.cells_stored);
        while let Some((sequence, cells)) = self.removable.pop_front() {
            self.files.store.remove_batch(sequence, cells)?;
            left = left.saturating_sub(cells);
            if left == 0 {
                break;
            }
        }
        if self.removable.is_empty() {
            (self.at_step)(LogStep::Released);
        }
        Ok(())
    }
}

impl Retained {
    fn next_batch(&self) -> BatchBuilder {
        BatchBuilder::new(self.tip.sequence + 1, self.tip.position + 1, &self.tip.hash)
    }

    fn describe(&self, stats: &mut LogStats) {
        stats.records = self.tip.position - self.base.point.position;
        stats.batches = self.places.len() as u64;
        stats.first_position = self
            .places
            .front()
            .map(|place| Position(place.first_position));
        stats.last_position = Some(Position(self.tip.position)).filter(|last| last.0 > 0);
    }
}
