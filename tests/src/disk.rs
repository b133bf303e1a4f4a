//! Small file systems in memory, which can be filled up.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// Set in a process that has a mount namespace of its own.
const OWN_MOUNTS: &str = "TANDEM_OWN_MOUNTS";

const FILLER: &str = "filler";

/// Runs this program again in a mount namespace of its own, so that what is mounted goes with it
/// however it ends; does nothing where that is not permitted. To be called first in `main`.
pub fn enter_own_mounts() {
    const PRIVATE: [&str; 3] = ["--mount", "--propagation", "private"];
    if std::env::var_os(OWN_MOUNTS).is_some() {
        return;
    }
    let mut probe = Command::new("unshare");
    probe.args(PRIVATE).arg("true").stderr(Stdio::null());
    if probe.status().is_ok_and(|status| status.success())
        && let Ok(own) = std::env::current_exe()
    {
        // It returns only when it fails; then disks are skipped, visibly.
        let _ = Command::new("unshare")
            .args(PRIVATE)
            .arg(own)
            .args(std::env::args_os().skip(1))
            .env(OWN_MOUNTS, "1")
            .exec();
    }
}

/// A mounted file system of its own.
#[derive(Debug)]
pub struct Disk(PathBuf);

impl Disk {
    /// Whether one can be mounted.
    ///
    /// # Errors
    /// Why not.
    pub fn permitted() -> Result<()> {
        ensure!(
            std::env::var_os(OWN_MOUNTS).is_some(),
            "only root may mount file systems here"
        );
        Ok(())
    }

    /// Mounts one of `mebibytes` at a new folder.
    ///
    /// # Errors
    /// If it can't be mounted.
    pub fn mount(place: PathBuf, mebibytes: u32) -> Result<Disk> {
        Disk::permitted()?;
        fs::create_dir_all(&place)?;
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&place)
            .status()
            .context("run mount")?;
        ensure!(status.success(), "mount failed: {status}");
        Ok(Disk(place))
    }

    /// Its root.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Leaves no room.
    ///
    /// # Errors
    /// If it fails for another reason than that it is full.
    pub fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.0.join(FILLER))?;
        for chunk in [vec![0_u8; 1024 * 1024], vec![0_u8; 1024]] {
            loop {
                match filler.write_all(&chunk) {
                    Ok(()) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => return Err(error).context("fill the disk"),
                }
            }
        }
        Ok(())
    }

    /// Leaves so many bytes of room.
    ///
    /// # Errors
    /// If it fails for another reason than that it is full.
    pub fn fill_but(&self, room: u64) -> Result<()> {
        self.fill()?;
        let filler = File::options().write(true).open(self.0.join(FILLER))?;
        let length = filler.metadata()?.len();
        filler.set_len(length.saturating_sub(room))?;
        Ok(())
    }

    /// Makes room again.
    ///
    /// # Errors
    /// If it can't.
    pub fn empty(&self) -> Result<()> {
        match fs::remove_file(self.0.join(FILLER)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What fails here goes with the namespace.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
