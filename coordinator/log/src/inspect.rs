//! Looks at a log that nobody uses, without changing anything in its folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::folder::{self, failed};
use crate::open::{check_copy, check_is_log};
use crate::{CACHE_BYTES, Damage, Identity, OpenError, Position};

/// What a log folder holds, damaged or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// Who the log belongs to, if that can still be read.
    pub identity: Option<Identity>,
    /// The records that can be read, in order. With damage there may be gaps, and single records
    /// are what was written while the whole is not.
    pub records: Vec<(Position, Vec<u8>)>,
    /// Everything that is wrong, in the order of the log; the first of it is what an open reports.
    pub damage: Vec<Damage>,
}

/// Reads the log in `dir` as far as it can be read. The folder must not be in use.
///
/// Nothing in `dir` is written: the database is copied to the system's folder for temporary files,
/// readable by this user only, read there, and removed. A database that can't be opened at all
/// gives no records, and a [`Damage`] that says so.
pub fn inspect(dir: &Path) -> Result<Inspection, OpenError> {
    check_is_log(dir)?;
    let _lock = folder::lock(dir, true)?;
    let copy = TemporaryFolder::create()?;
    match check_copy(dir, &copy.path.join(folder::DATABASE_FOLDER), CACHE_BYTES) {
        Ok(scan) => Ok(Inspection {
            identity: scan.base.map(|base| base.identity),
            records: scan.records,
            damage: scan.damage,
        }),
        Err(OpenError::Damaged { damage, .. }) => Ok(Inspection {
            identity: crate::head::read_head(dir)?.ok().map(|head| head.identity),
            records: Vec::new(),
            damage: vec![damage],
        }),
        Err(other) => Err(other),
    }
}

struct TemporaryFolder {
    path: PathBuf,
}

static NEXT: AtomicU64 = AtomicU64::new(0);

impl TemporaryFolder {
    fn create() -> Result<Self, OpenError> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tandem-log-inspect-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Not `recursive`: a folder that somebody else made under this name is refused.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(failed("create the folder", &path))?;
        Ok(Self { path })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = folder::remove(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "a copy of the log was left behind");
        }
    }
}
