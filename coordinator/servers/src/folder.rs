use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::binary::ServerBinary;
use crate::lock::FileLock;

const PREFIX: &str = "tandem-server-";
const LOCK: &str = "lock";

/// A folder whose owner has not locked it after so long will never do so.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// Where a server keeps its data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Folder {
    /// A new folder below the system's temporary folder, removed on drop.
    #[default]
    Temporary,
    /// A new folder below this one (a tmpfs, say), removed on drop.
    TemporaryIn(PathBuf),
    /// This folder, made if it does not exist and never removed. Data that it
    /// holds are used as they are.
    Kept(PathBuf),
}

/// The folder of one server: `data/` (the server's own), `server.log`,
/// `flavor` (which server the data belong to) and `lock`, held locked for as
/// long as the folder is in use.
#[derive(Debug)]
pub(crate) struct ServerFolder {
    base: PathBuf,
    _lock: FileLock,
    /// Removes the folder when dropped.
    _temporary: Option<TempDir>,
}

impl ServerFolder {
    /// Opens the folder for a server, making it if it does not exist.
    pub(crate) fn open(folder: &Folder, binary: &ServerBinary) -> Result<Self> {
        let (base, temporary) = match folder {
            Folder::Temporary => temporary_in(&env::temp_dir())?,
            Folder::TemporaryIn(parent) => temporary_in(parent)?,
            Folder::Kept(path) => {
                fs::create_dir_all(path)
                    .with_context(|| format!("create the folder {}", path.display()))?;
                (fs::canonicalize(path)?, None)
            }
        };
        let Some(lock) = FileLock::try_take(&base.join(LOCK))? else {
            bail!(
                "another process runs a server in {}; stop it, or use another folder",
                base.display()
            );
        };
        claim(&base, binary)?;
        Ok(Self {
            base,
            _lock: lock,
            _temporary: temporary,
        })
    }

    pub(crate) fn base(&self) -> &Path {
        &self.base
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.base.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.base.join("server.log")
    }
}

fn temporary_in(parent: &Path) -> Result<(PathBuf, Option<TempDir>)> {
    sweep(parent);
    let temporary = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempdir_in(parent)
        .with_context(|| format!("create a folder in {}", parent.display()))?;
    Ok((temporary.path().to_owned(), Some(temporary)))
}

/// MySQL on MariaDB's files, or the reverse, damages them; so a kept folder
/// stays with the server that it was made for.
fn claim(base: &Path, binary: &ServerBinary) -> Result<()> {
    let path = base.join("flavor");
    let mine = binary.flavor.to_string();
    match fs::read_to_string(&path) {
        Ok(owner) if owner == mine => Ok(()),
        Ok(owner) => bail!(
            "{} holds data of {owner}, which {binary} can't use; choose another folder",
            base.display()
        ),
        Err(_) => fs::write(&path, mine).with_context(|| format!("write {}", path.display())),
    }
}

/// Removes what processes left that were killed before they could clean up:
/// folders of ours whose lock nobody holds.
fn sweep(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let base = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if ours && is_abandoned(&base) {
            tracing::debug!(folder = %base.display(), "removing what a killed process left");
            let _ = fs::remove_dir_all(&base);
        }
    }
}

fn is_abandoned(base: &Path) -> bool {
    let old = fs::metadata(base)
        .and_then(|metadata| metadata.created().or_else(|_| metadata.modified()))
        .ok()
        .and_then(|made| made.elapsed().ok())
        .is_some_and(|age| age > ABANDONED_AFTER);
    old && matches!(FileLock::try_take(&base.join(LOCK)), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::binary::Flavor;

    fn binary(flavor: Flavor) -> ServerBinary {
        ServerBinary {
            flavor,
            version: "1.2.3".to_owned(),
            program: PathBuf::from("/bin/true"),
            library_root: None,
        }
    }

    #[test]
    fn a_kept_folder_is_refused_to_a_second_owner_and_to_another_server() {
        let parent = tempfile::tempdir().unwrap();
        let kept = Folder::Kept(parent.path().join("kept"));
        let open = ServerFolder::open(&kept, &binary(Flavor::MariaDb)).unwrap();
        let error = ServerFolder::open(&kept, &binary(Flavor::MariaDb)).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
        drop(open);
        let error = ServerFolder::open(&kept, &binary(Flavor::MySql)).unwrap_err();
        assert!(error.to_string().contains("data of MariaDB"), "{error}");
        ServerFolder::open(&kept, &binary(Flavor::MariaDb)).unwrap();
    }

    #[test]
    fn a_temporary_folder_goes_with_its_owner_and_a_young_one_is_not_swept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::TemporaryIn(parent.path().to_owned());
        let open = ServerFolder::open(&folder, &binary(Flavor::Redis)).unwrap();
        let base = open.base().to_owned();
        assert!(!is_abandoned(&base));
        sweep(parent.path());
        assert!(base.exists());
        drop(open);
        assert!(!base.exists());
    }
}
