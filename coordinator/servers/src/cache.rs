use std::env;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

const LOCK_POLL: Duration = Duration::from_millis(50);

/// Where fetched servers and templates of data folders are kept:
/// `$TANDEM_SERVERS_CACHE`, else `$XDG_CACHE_HOME/tandem-servers`, else
/// `~/.cache/tandem-servers`. All of it can be removed at any time that no
/// server of it runs; it is made again when needed.
///
/// # Errors
///
/// If none of the three variables (the last is `HOME`) is set.
pub fn cache_folder() -> Result<PathBuf> {
    let variable = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("TANDEM_SERVERS_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|path| path.join("tandem-servers")))
        .or_else(|| variable("HOME").map(|path| path.join(".cache/tandem-servers")))
        .context("no place for a cache: set TANDEM_SERVERS_CACHE (or HOME) to an absolute path")
}

/// Waits for an exclusive lock on `path`, which is created if need be. The
/// lock ends with the returned file, at the latest with the process.
pub(crate) fn lock_file(path: &Path, timeout: Duration) -> Result<File> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("create the folder {}", parent.display()))?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("open the lock file {}", path.display()))?;
    let deadline = Instant::now() + timeout;
    while file.try_lock().is_err() {
        if Instant::now() >= deadline {
            bail!(
                "another process has held {} for {} s",
                path.display(),
                timeout.as_secs()
            );
        }
        thread::sleep(LOCK_POLL);
    }
    Ok(file)
}
