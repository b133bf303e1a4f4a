//! Reads a whole database and checks all of its evidence.

use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use crate::batch::{BATCH_FORMAT, Batch, BatchError, declared_length};
use crate::head::decode_head;
use crate::mark::{MARK_FORMAT, Mark, MarkError, MarkKind, Point};
use crate::refused::Refused;
use crate::store::{Key, Store, read_key};
use crate::{Damage, Position};

/// Values that are read ahead of their check; of up to 64 KiB each.
const READ_AHEAD_VALUES: usize = 64;

/// Where a retained batch begins, and how many cells it has: what releasing it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchPlace {
    pub(crate) first_position: u64,
    pub(crate) cells: u16,
}

/// What a database holds.
#[derive(Debug)]
pub struct Scan {
    /// The last batch before the retained ones, if the database says so.
    pub base: Option<Mark>,
    /// The last batch that is there.
    pub tip: Point,
    /// Records of all batches whose own checksum holds, in order.
    pub records: Vec<(Position, Vec<u8>)>,
    /// The retained batches, in order, without gaps unless there is damage.
    pub(crate) places: VecDeque<BatchPlace>,
    /// Batches (sequence, cells) to remove: from before the base, and a torn last one.
    pub(crate) leftovers: Vec<(u64, u16)>,
    /// Everything that is wrong, in the order of the log. Any of it refuses the log.
    pub damage: Vec<Damage>,
    /// What the system has refused while it was read: then nothing of the above is known.
    pub(crate) refused: Option<(Refused, String)>,
}

/// Refuses a database folder that lacks what even an empty one has. Opening it would make it up.
pub(crate) fn check_files(database: &Path) -> io::Result<Result<(), Damage>> {
    for (name, shown) in [("", "`sled`"), ("db", "`sled/db`"), ("conf", "`sled/conf`")] {
        if !database.join(name).try_exists()? {
            return Ok(Err(Damage::DatabaseMissing {
                missing: shown.to_owned(),
            }));
        }
    }
    Ok(Ok(()))
}

/// Reads everything and compares it with `head`. Goes on past damage, so that an inspection shows
/// what is left; whoever wants to use the log looks at `damage` first.
pub(crate) fn scan(store: &Store, head: Result<Mark, Damage>) -> Scan {
    let mut reader = Reader::new(head.as_ref().ok().cloned());
    reader.scan.damage.extend(head.err());
    // Reading the files and checking what was read take about as long as each other.
    let read = thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(READ_AHEAD_VALUES);
        let reading = scope.spawn(move || {
            store.for_each(|key, name, value| {
                // The receiver takes all that comes.
                let _ = sender.send((key, name, value));
            })
        });
        for (key, name, value) in receiver {
            reader.take(key, &name, &value);
        }
        reading.join().unwrap_or_else(|panic| resume_unwind(panic))
    });
    if let Err(error) = read {
        let reason = error.to_string();
        match error.refused() {
            Some(refused) => reader.scan.refused = Some((refused, reason)),
            None => {
                let damage = Damage::DatabaseUnreadable { reason };
                reader.scan.damage.push(damage);
            }
        }
    }
    reader.finish()
}

/// Checks keys and values that somebody has taken out of a log's database, in the order of the keys, and
/// the content of its file `head`, as an open does.
pub fn scan_values<'a>(
    values: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    head: &[u8],
) -> Scan {
    let head = decode_head(head);
    let mut reader = Reader::new(head.as_ref().ok().cloned());
    reader.scan.damage.extend(head.err());
    for (key, value) in values {
        reader.take(read_key(key), key, value);
    }
    reader.finish()
}

struct Reader {
    scan: Scan,
    head: Option<Mark>,
    /// The batch that is being put together from its cells.
    open: Option<OpenBatch>,
    /// What the next batch must continue; unknown at first and after damage.
    previous: Option<Point>,
    /// Whether the batch that `head` names was met, with the hash that `head` says.
    head_met: bool,
}

struct OpenBatch {
    sequence: u64,
    cells: u16,
    bytes: Vec<u8>,
    cell_missing: bool,
}

impl Reader {
    fn new(head: Option<Mark>) -> Self {
        Self {
            scan: Scan {
                base: None,
                tip: Point {
                    sequence: 0,
                    position: 0,
                    hash: [0; 32],
                },
                records: Vec::new(),
                places: VecDeque::new(),
                leftovers: Vec::new(),
                damage: Vec::new(),
                refused: None,
            },
            head,
            open: None,
            previous: None,
            head_met: false,
        }
    }

    /// The base comes before all cells, since `base` sorts before `r`.
    fn take(&mut self, key: Key, name: &[u8], value: &[u8]) {
        match key {
            Key::Base => self.take_base(value),
            Key::Cell { sequence, cell } => self.take_cell(sequence, cell, value),
            Key::Unknown => self.scan.damage.push(Damage::UnknownKey {
                key: name.iter().map(|byte| format!("{byte:02x}")).collect(),
            }),
        }
    }

    fn take_base(&mut self, value: &[u8]) {
        match Mark::decode(value, MarkKind::Base) {
            Ok(base) => {
                if let Some(head) = &self.head
                    && head.identity != base.identity
                {
                    self.scan.damage.push(Damage::OtherLog {
                        head: head.identity.log_id.clone(),
                        database: base.identity.log_id.clone(),
                    });
                }
                self.previous = Some(base.point);
                self.scan.tip = base.point;
                self.compare_with_head(base.point);
                self.scan.base = Some(base);
            }
            Err(error) => self.scan.damage.push(match error {
                MarkError::UnknownFormat(found) => Damage::UnknownFormat {
                    what: "the database's value `base`".to_owned(),
                    found: found.into(),
                    known: MARK_FORMAT.into(),
                },
                other => Damage::BaseUnreadable {
                    reason: other.to_string(),
                },
            }),
        }
    }

    fn take_cell(&mut self, sequence: u64, cell: u16, value: &[u8]) {
        if self
            .open
            .as_ref()
            .is_none_or(|open| open.sequence != sequence)
        {
            self.end_batch(false);
            self.open = Some(OpenBatch {
                sequence,
                cells: 0,
                bytes: Vec::new(),
                cell_missing: false,
            });
        }
        if let Some(open) = &mut self.open {
            open.cell_missing |= cell != open.cells;
            // One more than the highest number, so that a removal covers all of them.
            open.cells = cell.saturating_add(1);
            open.bytes.extend(value);
        }
    }

    /// Checks the batch that was put together. `last`: there is none after it.
    fn end_batch(&mut self, last: bool) {
        let Some(open) = self.open.take() else { return };
        let OpenBatch {
            sequence, cells, ..
        } = open;
        let base = self
            .scan
            .base
            .as_ref()
            .map_or(0, |base| base.point.sequence);
        if sequence <= base {
            // The base was moved past it; the removal did not become durable.
            self.scan.leftovers.push((sequence, cells));
            return;
        }
        let durable = self.head.as_ref().map_or(0, |head| head.point.sequence);
        if last && sequence > durable && is_torn(&open) {
            // The force that would have stored its other cells never ended, so nothing of it was
            // acknowledged.
            self.scan.leftovers.push((sequence, cells));
            return;
        }
        let unreadable = |reason: String| Damage::BatchUnreadable { sequence, reason };
        let decoded = if open.cell_missing {
            Err(unreadable("a part of it is missing".to_owned()))
        } else {
            Batch::decode(&open.bytes).map_err(|error| match error {
                BatchError::UnknownFormat(found) => Damage::UnknownFormat {
                    what: format!("batch {sequence}"),
                    found: found.into(),
                    known: BATCH_FORMAT.into(),
                },
                other => unreadable(other.to_string()),
            })
        };
        match decoded {
            Ok(batch) if batch.sequence != sequence => {
                self.previous = None;
                self.scan.damage.push(unreadable(format!(
                    "it says that it is batch {}",
                    batch.sequence
                )));
            }
            Ok(batch) => self.take_batch(batch, cells),
            Err(damage) => {
                self.previous = None;
                self.scan.tip.sequence = sequence;
                self.scan.damage.push(damage);
            }
        }
    }

    fn take_batch(&mut self, batch: Batch, cells: u16) {
        let sequence = batch.sequence;
        if let Some(previous) = self.previous {
            if previous.sequence.checked_add(1) != Some(sequence) {
                self.scan.damage.push(Damage::Gap {
                    after: previous.sequence,
                    found: sequence,
                });
            } else if previous.hash != batch.previous
                || previous.position.checked_add(1) != Some(batch.first_position)
            {
                self.scan.damage.push(Damage::ChainBroken { sequence });
            }
        }
        self.scan.places.push_back(BatchPlace {
            first_position: batch.first_position,
            cells,
        });
        let mut position = batch.first_position.saturating_sub(1);
        for record in batch.records {
            position = position.saturating_add(1);
            self.scan.records.push((Position(position), record));
        }
        let point = Point {
            sequence,
            position,
            hash: batch.hash,
        };
        self.compare_with_head(point);
        self.scan.tip = point;
        self.previous = Some(point);
    }

    fn compare_with_head(&mut self, point: Point) {
        self.head_met |= self.head.as_ref().is_some_and(|head| head.point == point);
    }

    fn finish(mut self) -> Scan {
        self.end_batch(true);
        if self.scan.base.is_none() {
            self.scan.damage.push(Damage::BaseMissing);
        }
        let last = self.scan.tip.sequence;
        match self.head {
            Some(head) if head.point.sequence > last => self.scan.damage.push(Damage::TailLost {
                last,
                durable: head.point.sequence,
                position: head.point.position,
            }),
            Some(head) if !self.head_met => self.scan.damage.push(Damage::HeadMismatch {
                sequence: head.point.sequence,
            }),
            _ => {}
        }
        self.scan
    }
}

/// Whether only the first cells of a batch are there.
fn is_torn(open: &OpenBatch) -> bool {
    !open.cell_missing
        && open.bytes.first() == Some(&BATCH_FORMAT)
        && declared_length(&open.bytes).is_some_and(|length| length > open.bytes.len())
}
