//! The log's folder: whether a start finds room in it, and whether the log in it can be read. Nothing in it is
//! changed, and while a coordinator has it nothing is read.

use std::path::{Path, PathBuf};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::{AccessFlags, access};
use tandem_log::{Inspection, OpenError};

use super::{Ailment, Found, Subject};

/// Room that a start needs beside a copy of the log, in bytes: what some hours of purchases take.
const ROOM_BYTES_MIN: u64 = 256 << 20;

/// Looks at it, of the coordinator of this id.
pub(super) fn look(dir: &Path, id: &str, machine: &mut Subject) {
    let there = nearest(dir);
    let is_there = there == dir;
    let needed = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
    if let Err(error) = access(&there, needed) {
        let what = format!("{} can't be written: {}", there.display(), error.desc());
        machine.found.push(Found::of(Ailment::FolderRefused, what));
        return;
    }
    room(dir, &there, machine);
    if !is_there {
        let fact = format!("{} is made by the first start", dir.display());
        machine.facts.push(fact);
        return;
    }
    match tandem_log::inspect(dir) {
        Ok(inspection) => log(dir, id, &inspection, machine),
        Err(OpenError::NoLog { .. } | OpenError::Unfinished { .. }) => {
            let fact = format!("{} has no log yet, the first start makes it", dir.display());
            machine.facts.push(fact);
        }
        Err(OpenError::InUse { .. }) => {
            let fact = format!(
                "the log in {} is in use by a coordinator that runs: `tandem participants` and `tandem audit` ask \
                 that one",
                dir.display()
            );
            machine.facts.push(fact);
        }
        Err(error) => {
            let what = format!("the log can't be read: {error}");
            machine.found.push(Found::of(Ailment::FolderRefused, what));
        }
    }
}

fn log(dir: &Path, id: &str, inspection: &Inspection, machine: &mut Subject) {
    if let Some(damage) = inspection.damage.first() {
        let what = format!("the log in {} is damaged: {damage}", dir.display());
        machine.found.push(Found::of(Ailment::LogDamaged, what));
        return;
    }
    let owner = inspection.identity.as_ref().map(|one| &one.coordinator_id);
    match owner {
        Some(owner) if owner != id => {
            let what = format!(
                "the log in {} belongs to coordinator {owner:?}, not to {id:?}: set coordinator.id to its owner, or \
                 give {id} a data_dir of its own",
                dir.display()
            );
            machine.found.push(Found::of(Ailment::FolderRefused, what));
        }
        _ => machine.facts.push(format!(
            "the log in {} is whole, with {} records",
            dir.display(),
            inspection.records.len()
        )),
    }
}

/// Whether a start finds room, and whether what is written there outlives the machine.
fn room(dir: &Path, there: &Path, machine: &mut Subject) {
    let Ok(disk) = statfs(there) else {
        return;
    };
    if disk.filesystem_type() == TMPFS_MAGIC {
        let what = format!("{} is in the machine's memory (tmpfs)", there.display());
        machine.found.push(Found::of(Ailment::LogInMemory, what));
    }
    let block = u64::try_from(disk.block_size()).unwrap_or_default();
    let free = disk.blocks_available().saturating_mul(block);
    let needed = ROOM_BYTES_MIN + tandem_log::bytes_at(dir);
    let told = format!(
        "{} has {} MiB free, and a start needs {}",
        there.display(),
        free >> 20,
        needed >> 20
    );
    if free < needed {
        machine.found.push(Found::of(Ailment::NoRoom, told));
    } else {
        machine.facts.push(told);
    }
}

/// The folder itself, or the nearest above it that is there.
fn nearest(dir: &Path) -> PathBuf {
    let mut there = dir;
    while !there.exists() {
        match there.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => there = parent,
            _ => return PathBuf::from("."),
        }
    }
    there.to_owned()
}
