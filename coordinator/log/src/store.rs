//! The only file that knows sled, and how sled 0.34.7 is made to keep its promises.
//!
//! The database holds the key `base` (a mark, see `mark.rs`) and the batches, each cut into *cells*:
//! key `r` + batch sequence (u64) + cell number (u16), big-endian; value at most [`CELL_BYTES_MAX`].
//!
//! What was measured about sled 0.34.7, and rules this file:
//! - `flush` writes but never forces, so a power cut takes what it wrote. An own descriptor on the
//!   file `db` and `sync_data` after each flush make it durable; `db` is never renamed.
//! - What the open creates is not forced either: files, `blobs/`, the folder.
//! - An open that was interrupted leaves `snap.*.generating`, on which every later open fails.
//! - A message of more than 128 KB goes to a file of its own in `blobs/` that is never forced. A
//!   message is not only a value: after ten changes sled rewrites a whole leaf, which has up to 20
//!   values. Values of 16 KB and more did produce such files, 6 KB ones never.
//! - The background flusher swallows I/O errors, so it is off.
//! - A segment's header says up to where the log is stable, and sled takes for stable what it has
//!   written. If two segments are begun between two forces, a power cut can leave the second one
//!   without the first; the next open then believes the header, finds nothing where it points and
//!   gives up everything since its last snapshot. So segments are long, and the store forces before
//!   so much is changed that a second one could begin ([`CHANGES_PER_FORCE`]). It also keeps sled
//!   from writing over a segment whose content is not yet durable elsewhere: it does that only two
//!   segments later.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::folder;
use crate::panics::caught;
use crate::refused::Refused;

/// A key or a value as it was read: a share of what is in the cache.
pub(crate) type Bytes = sled::IVec;

/// The longest value: 20 of them, the most that sled merges into one leaf, stay below the size from
/// which on sled writes a blob.
pub const CELL_BYTES_MAX: usize = 6 * 1024;
/// How long a segment of sled's file is; a power of two.
const SEGMENT_BYTES: usize = 4 * 1024 * 1024;
/// How many cells are written or removed between two forces, at most. With them sled writes no more
/// than 3 MB, so no more than one segment begins. For 32 cells of 6 KB at the end of the key space
/// that is: 0.2 MB for the cells themselves; 4 leaves of up to 20 cells written anew after ten
/// changes each, and 4 that are split, 1.1 MB; and for each of these 12 rewritings one more leaf
/// that is moved out of a segment half empty, 1.5 MB. Removals write less.
const CHANGES_PER_FORCE: u16 = 32;
/// How long a close waits until sled's threads have let go of the database.
const SLED_CLOSE_MAX: Duration = Duration::from_secs(5);
const SLED_CLOSE_POLL: Duration = Duration::from_millis(1);

const BASE_KEY: &[u8] = b"base";
const BATCH_PREFIX: u8 = b'r';
const BATCH_KEY_BYTES: usize = 11;

/// Why sled, or the system under it, did not do what it was told.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("sled: {0}")]
    Sled(#[from] sled::Error),
    #[error("sled: {0}")]
    Panic(String),
    /// Somebody has the database open who does not know the folder's lock.
    #[error("another process has the database open")]
    InUse,
    #[error("{action} {path}: {source}", path = path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
}

impl StoreError {
    /// What the system has refused, if that is why.
    pub(crate) fn refused(&self) -> Option<Refused> {
        match self {
            StoreError::Sled(sled::Error::Io(error)) => Refused::of(error),
            StoreError::Sled(other) => Refused::in_text(&other.to_string()),
            StoreError::Panic(text) => Refused::in_text(text),
            StoreError::InUse => None,
            StoreError::Io { source, .. } => Refused::of(source),
        }
    }
}

/// What a key is for.
pub(crate) enum Key {
    Base,
    Cell { sequence: u64, cell: u16 },
    Unknown,
}

/// An open database.
pub(crate) struct Store {
    /// There until the store is dropped.
    db: Option<sled::Db>,
    /// The own descriptor on `db` that makes a flush durable.
    data: File,
    data_path: PathBuf,
    /// How many cells were written or removed since the last force.
    changes: u16,
}

impl Store {
    /// Opens or creates the database in `dir`; what the open wrote is durable afterwards if
    /// `durable` says so. `dir` must be locked by this process.
    pub(crate) fn open(dir: &Path, cache_bytes: u64, durable: bool) -> Result<Self, StoreError> {
        remove_unfinished_snapshots(dir).map_err(io_error("clean up", dir))?;
        let db = open_sled(dir, cache_bytes)?;
        let data_path = dir.join("db");
        // Opened right after sled did, and kept for life: a write error is reported to a
        // descriptor only if it was open when the write failed.
        let data = File::options()
            .read(true)
            .write(true)
            .open(&data_path)
            .map_err(io_error("open", &data_path))?;
        let store = Self {
            db: Some(db),
            data,
            data_path,
            changes: 0,
        };
        if durable {
            // Without the file contents a later open fails on half a `conf`; without the folders'
            // entries a power cut leaves a database without files. sled forces neither.
            folder::sync_tree(dir).map_err(io_error("sync", dir))?;
            for above in [folder::parent(dir), folder::parent(&folder::parent(dir))] {
                folder::sync(&above).map_err(io_error("sync", &above))?;
            }
        }
        Ok(store)
    }

    /// Hands every key and value to `visit`, in order of the keys; cells in their batches' order.
    pub(crate) fn for_each(
        &self,
        mut visit: impl FnMut(Key, Bytes, Bytes),
    ) -> Result<(), StoreError> {
        guarded(|| {
            for item in self.db().iter() {
                let (key, value) = item?;
                visit(read_key(&key), key, value);
            }
            Ok(())
        })
    }

    /// Writes the base. Durable after the next [`force`](Self::force).
    pub(crate) fn put_base(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.change(1)?;
        guarded(|| {
            self.db().insert(BASE_KEY, bytes)?;
            Ok(())
        })
    }

    /// Writes a batch, cell by cell; returns how many cells. Durable after the next force.
    pub(crate) fn put_batch(&mut self, sequence: u64, bytes: &[u8]) -> Result<u16, StoreError> {
        let cells = bytes.len().div_ceil(CELL_BYTES_MAX) as u16;
        self.change(cells)?;
        guarded(|| {
            for (cell, bytes) in (0..cells).zip(bytes.chunks(CELL_BYTES_MAX)) {
                self.db().insert(cell_key(sequence, cell), bytes)?;
            }
            Ok(cells)
        })
    }

    /// The first cell of a batch: its fixed fields are in it.
    pub(crate) fn first_cell(&self, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| {
            Ok(self
                .db()
                .get(cell_key(sequence, 0))?
                .map(|cell| cell.to_vec()))
        })
    }

    /// All cells of a batch, if they are there.
    pub(crate) fn batch(&self, sequence: u64, cells: u16) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| {
            let mut bytes = Vec::new();
            for cell in 0..cells {
                match self.db().get(cell_key(sequence, cell))? {
                    Some(cell) => bytes.extend(cell.iter()),
                    None => return Ok(None),
                }
            }
            Ok(Some(bytes))
        })
    }

    /// Removes the cells of a batch, the last one first: a power cut leaves some of the first, as
    /// it does of a batch that is being written, and such a batch is known as torn.
    pub(crate) fn remove_batch(&mut self, sequence: u64, cells: u16) -> Result<(), StoreError> {
        self.change(cells)?;
        guarded(|| {
            for cell in (0..cells).rev() {
                self.db().remove(cell_key(sequence, cell))?;
            }
            Ok(())
        })
    }

    /// Makes everything written so far durable. After an error nothing is known about what the disk
    /// holds, and a second try could succeed without having written: never try again.
    pub(crate) fn force(&mut self) -> Result<(), StoreError> {
        guarded(|| {
            self.db().flush()?;
            Ok(())
        })?;
        // sled's flush ends with a write that a power cut takes back. Without this every record of
        // the last seconds could be lost after it was acknowledged.
        self.data
            .sync_data()
            .map_err(io_error("sync", &self.data_path))?;
        self.changes = 0;
        Ok(())
    }

    /// Forces what was changed before if together with `cells` more it would be too much.
    fn change(&mut self, cells: u16) -> Result<(), StoreError> {
        if self.changes.saturating_add(cells) > CHANGES_PER_FORCE {
            self.force()?;
        }
        self.changes = self.changes.saturating_add(cells);
        Ok(())
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("it is taken by drop only")
    }
}

impl Drop for Store {
    /// sled flushes and syncs when it is dropped, and panics if that fails. Nobody relies on it:
    /// what matters was forced before.
    fn drop(&mut self) {
        let path = self.data_path.display();
        if let Some(db) = self.db.take()
            && let Err(panic) = caught(|| drop(db))
        {
            tracing::warn!(%panic, %path, "sled did not close cleanly");
        }
        // sled's own threads keep the file for a moment longer, and so does a process that is being
        // started. Whoever opens the folder next must not meet them, nor the lock that tells.
        let deadline = Instant::now() + SLED_CLOSE_MAX;
        while self.data.try_lock().is_err() {
            if Instant::now() > deadline {
                tracing::warn!(%path, "sled still has the database open");
                return;
            }
            thread::sleep(SLED_CLOSE_POLL);
        }
        if let Err(error) = self.data.unlock() {
            tracing::warn!(%error, %path, "the database stays locked until this process ends");
        }
    }
}

fn open_sled(dir: &Path, cache_bytes: u64) -> Result<sled::Db, StoreError> {
    let opened = guarded(|| {
        Ok(sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            .use_compression(false)
            .flush_every_ms(None)
            .open()?)
    });
    opened.map_err(|error| match error {
        StoreError::Sled(sled::Error::Io(error))
            if error.to_string().contains("could not acquire lock") =>
        {
            StoreError::InUse
        }
        other => other,
    })
}

/// Without this, one interrupted open would make every later one fail.
fn remove_unfinished_snapshots(dir: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn guarded<T>(work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    caught(work).unwrap_or_else(|panic| Err(StoreError::Panic(panic)))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io {
        action,
        path,
        source,
    }
}

fn cell_key(sequence: u64, cell: u16) -> [u8; BATCH_KEY_BYTES] {
    let mut key = [0; BATCH_KEY_BYTES];
    key[0] = BATCH_PREFIX;
    key[1..9].copy_from_slice(&sequence.to_be_bytes());
    key[9..].copy_from_slice(&cell.to_be_bytes());
    key
}

pub(crate) fn read_key(key: &[u8]) -> Key {
    match *key {
        [b'b', b'a', b's', b'e'] => Key::Base,
        [BATCH_PREFIX, s0, s1, s2, s3, s4, s5, s6, s7, c0, c1] => Key::Cell {
            sequence: u64::from_be_bytes([s0, s1, s2, s3, s4, s5, s6, s7]),
            cell: u16::from_be_bytes([c0, c1]),
        },
        _ => Key::Unknown,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_closed_database_opens_although_a_process_that_is_being_started_has_copies_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("log/sled");
        let store = Store::open(&dir, 1 << 20, false).unwrap();
        let copy = store.data.try_clone().unwrap();
        drop(store);
        Store::open(&dir, 1 << 20, false).unwrap();
        drop(copy);
    }
}
