//! The file `head`: up to where the log is durable.
//!
//! A database that lost its newest part still opens, and so does one whose files were emptied. The
//! head remembers what must be there. It is written over in place after each force, and without a
//! force of its own: it can be old after a power cut but never ahead of the database, and it is
//! exact after anything less, since what a killed process has written stays with the system.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use crate::folder::{HEAD_FILE, failed};
use crate::mark::{MARK_FORMAT, Mark, MarkError, MarkKind};
use crate::{Damage, OpenError};

/// The open head file.
pub(crate) struct HeadFile {
    file: File,
}

impl HeadFile {
    /// Writes the first head of a log, durably. The folder's entry is the caller's to sync.
    pub(crate) fn create(dir: &Path, mark: &Mark) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(dir.join(HEAD_FILE))?;
        let head = Self { file };
        head.write(mark)?;
        head.sync()?;
        Ok(head)
    }

    /// Opens the head of a log for writing.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(dir.join(HEAD_FILE))?;
        Ok(Self { file })
    }

    /// Replaces the head. Call it only for what is durable: a head that is ahead of the database
    /// would have a sound log refused after a power cut.
    pub(crate) fn write(&self, mark: &Mark) -> io::Result<()> {
        self.file.write_all_at(&mark.encode(MarkKind::Head), 0)
    }

    /// Makes the head durable. Without it a power cut may leave an older head.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Reads the head of a log. The outer error is the system's.
pub(crate) fn read_head(dir: &Path) -> Result<Result<Mark, Damage>, OpenError> {
    let path = dir.join(HEAD_FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Err(Damage::HeadMissing));
        }
        Err(error) => return Err(failed("read", &path)(error)),
    };
    Ok(decode_head(&bytes))
}

/// Reads the content of a head.
pub(crate) fn decode_head(bytes: &[u8]) -> Result<Mark, Damage> {
    Mark::decode(bytes, MarkKind::Head).map_err(|error| match error {
        MarkError::UnknownFormat(found) => Damage::UnknownFormat {
            what: "the file `head`".to_owned(),
            found: found.into(),
            known: MARK_FORMAT.into(),
        },
        other => Damage::HeadUnreadable {
            reason: other.to_string(),
        },
    })
}
