//! Where programs are looked for.

use std::env;
use std::path::PathBuf;

/// Folders that hold servers on most systems but are not in every user's PATH.
const SYSTEM_FOLDERS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/usr/libexec",
    "/opt/mysql/bin",
];

/// The path of a helper program such as `setpriv`, if the machine has it.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    search_folders()
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Absolute folders only, those of PATH first.
pub(crate) fn search_folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .chain(SYSTEM_FOLDERS.into_iter().map(PathBuf::from))
        .collect()
}
