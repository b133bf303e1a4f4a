//! The folder of a log: its lock, its syncs, its copies.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::OpenError;

pub(crate) const HEAD_FILE: &str = "head";
pub(crate) const DATABASE_FOLDER: &str = "sled";
pub(crate) const CREATING_FILE: &str = "creating";
pub(crate) const CHECKING_FOLDER: &str = "checking";
/// What the root of a mounted file system holds by itself.
const LOST_AND_FOUND: &str = "lost+found";

/// What a folder is, as far as a log goes.
pub(crate) enum Found {
    /// Missing or empty.
    Nothing,
    /// A creation that did not finish.
    Unfinished,
    /// At least one part of a log.
    Log,
    /// Something else; its name.
    Other(String),
}

/// Looks at a folder without changing it.
pub(crate) fn look(dir: &Path) -> Result<Found, OpenError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(failed("read the folder", dir)(error)),
    };
    let mut found = Found::Nothing;
    for entry in entries {
        let name = entry.map_err(failed("read the folder", dir))?.file_name();
        let name = name.to_string_lossy().into_owned();
        found = match (name.as_str(), found) {
            (CREATING_FILE, _) => return Ok(Found::Unfinished),
            (_, Found::Log) | (HEAD_FILE | DATABASE_FOLDER, _) => Found::Log,
            (LOST_AND_FOUND | CHECKING_FOLDER, found) => found,
            _ => Found::Other(name),
        };
    }
    Ok(found)
}

/// Makes a folder and those above it, readable by its owner only since purchases are in it, and
/// durable: without that a power cut could take the whole log with its name.
pub(crate) fn make(dir: &Path) -> Result<(), OpenError> {
    // A relative path's last ancestor is empty: the working folder, which exists.
    let missing: Vec<&Path> = dir
        .ancestors()
        .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
        .collect();
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed("create the folder", dir))?;
    for made in missing {
        let above = parent(made);
        sync(&above).map_err(failed("sync the folder", &above))?;
    }
    Ok(())
}

/// A lock on a folder, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Drop for Lock {
    /// Closing the file is not enough: a process that another thread is just starting has a copy of
    /// the descriptor until it executes its program, and the lock with it (flock(2), fork(2)).
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the log's folder stays locked until this process ends");
        }
    }
}

/// Locks a folder. It is the folder itself that is locked, so an inspection leaves no trace.
pub(crate) fn lock(dir: &Path, shared: bool) -> Result<Lock, OpenError> {
    let file = File::open(dir).map_err(failed("open the folder", dir))?;
    let locked = if shared {
        file.try_lock_shared()
    } else {
        file.try_lock()
    };
    match locked {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            dir: dir.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("lock the folder", dir)(error)),
    }
}

/// Forces a file or folder to the disk.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Forces every file and folder at and below `path`.
pub(crate) fn sync_tree(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            sync_tree(&entry?.path())?;
        }
    }
    sync(path)
}

/// Copies a folder of files and folders; what else is in it is left out.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Removes a file or folder, if there is one.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The bytes of all files at and below `path`, as far as they can be read.
pub fn size(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |file| file.len());
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

/// The folder that a path is in; the working folder for a bare name.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

/// Turns an I/O error into one that says what was being done to what.
pub(crate) fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io {
        action,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_lock_ends_although_a_process_that_is_being_started_has_a_copy_of_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path(), false).unwrap();
        let copy = held.0.try_clone().unwrap();
        assert!(matches!(
            lock(dir.path(), false),
            Err(OpenError::InUse { .. })
        ));
        drop(held);
        lock(dir.path(), false).unwrap();
        drop(copy);
    }
}
