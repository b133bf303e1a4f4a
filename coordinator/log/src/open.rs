//! Creates and opens logs.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::committer::{self, Files};
use crate::folder::{
    self, CHECKING_FOLDER, CREATING_FILE, DATABASE_FOLDER, Found, HEAD_FILE, failed,
};
use crate::head::{HeadFile, read_head};
use crate::mark::{Mark, MarkKind, Point, check_identity};
use crate::refused::Refused;
use crate::scan::{Scan, check_files, scan};
use crate::store::{Store, StoreError};
use crate::{Damage, DecisionLog, Identity, LogOptions, OpenError, Opened};

pub(crate) fn create(
    options: LogOptions,
    identity: &Identity,
) -> Result<(DecisionLog, Opened), OpenError> {
    let dir = options.dir.clone();
    check_identity(identity)?;
    folder::make(&dir)?;
    let lock = folder::lock(&dir, false)?;
    match folder::look(&dir)? {
        Found::Nothing => {}
        // What is about to be removed must be worth nothing.
        Found::Unfinished if read_head(&dir)?.is_ok_and(|head| head.point.sequence > 0) => {
            return Err(not_empty(dir, "a decision log that has records"));
        }
        Found::Unfinished => {}
        Found::Log => return Err(not_empty(dir, "a decision log")),
        Found::Other(name) => return Err(not_empty(dir, &name)),
    }
    // While this file is there the folder is no log yet. It must be durable before anything else
    // is: otherwise a power cut could leave a part of a new log that looks like a damaged one.
    let creating = dir.join(CREATING_FILE);
    File::create(&creating).map_err(failed("create", &creating))?;
    sync_folder(&dir)?;
    for name in [DATABASE_FOLDER, HEAD_FILE, CHECKING_FOLDER] {
        let path = dir.join(name);
        folder::remove(&path).map_err(failed("remove", &path))?;
    }

    let base = Mark {
        identity: identity.clone(),
        point: Point::genesis(identity),
    };
    let mut store = Store::open(&dir.join(DATABASE_FOLDER), options.cache_bytes, true)
        .map_err(storage("create", &dir))?;
    store
        .put_base(&base.encode(MarkKind::Base))
        .and_then(|()| store.force())
        .map_err(storage("create", &dir))?;
    let head_path = dir.join(HEAD_FILE);
    let head = HeadFile::create(&dir, &base).map_err(failed("create", &head_path))?;
    // The head's name must be durable before the mark of an unfinished creation goes: a log without
    // its head is refused.
    sync_folder(&dir)?;
    folder::remove(&creating).map_err(failed("remove", &creating))?;
    // Without this a power cut could bring the mark back, and the next start would take a log with
    // acknowledged records for one that was never finished.
    sync_folder(&dir)?;

    let scan = scan(&store, Ok(base));
    start(
        options,
        Files {
            store,
            head,
            _lock: lock,
        },
        scan,
    )
}

pub(crate) fn open(options: LogOptions) -> Result<(DecisionLog, Opened), OpenError> {
    let dir = options.dir.clone();
    check_is_log(&dir)?;
    let lock = folder::lock(&dir, false)?;
    check_is_log(&dir)?;
    let database = dir.join(DATABASE_FOLDER);

    let checking = dir.join(CHECKING_FOLDER);
    folder::remove(&checking).map_err(failed("remove", &checking))?;
    let checked = check_copy(&dir, &checking, options.cache_bytes);
    folder::remove(&checking).map_err(failed("remove", &checking))?;
    refuse_damage(&dir, checked?.damage)?;

    let mut store =
        Store::open(&database, options.cache_bytes, true).map_err(storage("open", &dir))?;
    let found = read(&dir, &store)?;
    refuse_damage(&dir, found.damage.clone())?;
    for (sequence, cells) in &found.leftovers {
        store
            .remove_batch(*sequence, *cells)
            .map_err(storage("clean up", &dir))?;
    }
    // A torn batch's number is given to the next batch, whose cells must never be mixed with what
    // was left of it. And what the open found becomes durable before anybody acts on it: a record
    // of a force that was cut short could otherwise be read now and be gone at the next start.
    store.force().map_err(storage("clean up", &dir))?;
    let head_path = dir.join(HEAD_FILE);
    let head = HeadFile::open(&dir).map_err(failed("open", &head_path))?;
    start(
        options,
        Files {
            store,
            head,
            _lock: lock,
        },
        found,
    )
}

/// Copies the database to `copy` and reads it there, since reading it changes its files.
pub(crate) fn check_copy(dir: &Path, copy: &Path, cache_bytes: u64) -> Result<Scan, OpenError> {
    let database = dir.join(DATABASE_FOLDER);
    let damaged = |damage| OpenError::Damaged {
        dir: dir.to_owned(),
        damage,
    };
    check_files(&database)
        .map_err(failed("look into", &database))?
        .map_err(damaged)?;
    folder::copy_tree(&database, copy).map_err(failed("copy the database to", copy))?;
    let store = Store::open(copy, cache_bytes, false).map_err(|error| {
        let reason = error.to_string();
        match error.refused() {
            Some(refused) => not_read(dir, refused, reason),
            None => damaged(Damage::DatabaseUnreadable { reason }),
        }
    })?;
    read(dir, &store)
}

/// Reads a database, and the head beside the log. What the system refuses is no damage.
fn read(dir: &Path, store: &Store) -> Result<Scan, OpenError> {
    let mut scan = scan(store, read_head(dir)?);
    match scan.refused.take() {
        None => Ok(scan),
        Some((refused, reason)) => Err(not_read(dir, refused, reason)),
    }
}

fn not_read(dir: &Path, refused: Refused, reason: String) -> OpenError {
    OpenError::Refused {
        action: "read",
        dir: dir.to_owned(),
        refused,
        reason,
    }
}

/// Refuses a folder without a log in it.
pub(crate) fn check_is_log(dir: &Path) -> Result<(), OpenError> {
    let dir = dir.to_owned();
    match folder::look(&dir)? {
        Found::Nothing => Err(OpenError::NoLog { dir }),
        Found::Unfinished => Err(OpenError::Unfinished { dir }),
        Found::Other(_) => Err(OpenError::NoLog { dir }),
        Found::Log => Ok(()),
    }
}

fn start(
    options: LogOptions,
    files: Files,
    scan: Scan,
) -> Result<(DecisionLog, Opened), OpenError> {
    let dir = options.dir.clone();
    let Some(base) = &scan.base else {
        return Err(OpenError::Damaged {
            dir,
            damage: Damage::BaseMissing,
        });
    };
    let opened = Opened {
        identity: base.identity.clone(),
        records: scan.records,
    };
    tracing::info!(
        dir = %dir.display(),
        log_id = opened.identity.log_id,
        records = opened.records.len(),
        batches = scan.places.len(),
        last_position = scan.tip.position,
        "decision log opened"
    );
    let retained = committer::Retained {
        base: base.clone(),
        tip: scan.tip,
        places: scan.places,
    };
    let log = committer::spawn(options, files, retained)
        .map_err(failed("start the committer thread for", &dir))?;
    Ok((log, opened))
}

fn refuse_damage(dir: &Path, damage: Vec<Damage>) -> Result<(), OpenError> {
    match damage.into_iter().next() {
        None => Ok(()),
        Some(damage) => Err(OpenError::Damaged {
            dir: dir.to_owned(),
            damage,
        }),
    }
}

fn not_empty(dir: PathBuf, found: &str) -> OpenError {
    OpenError::NotEmpty {
        dir,
        found: found.to_owned(),
    }
}

fn sync_folder(dir: &Path) -> Result<(), OpenError> {
    folder::sync(dir).map_err(failed("sync the folder", dir))
}

fn storage(action: &'static str, dir: &Path) -> impl FnOnce(StoreError) -> OpenError {
    let dir = dir.to_owned();
    move |error| match error {
        StoreError::InUse => OpenError::InUse { dir },
        other => match other.refused() {
            Some(refused) => OpenError::Refused {
                action,
                dir,
                refused,
                reason: other.to_string(),
            },
            None => OpenError::Storage {
                action,
                dir,
                reason: other.to_string(),
            },
        },
    }
}
