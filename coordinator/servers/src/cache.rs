use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};

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
