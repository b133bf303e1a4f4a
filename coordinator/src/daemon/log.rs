//! The decision log as the daemon uses it: opened and replayed; then, if no store knows better,
//! created if there is none, and its epoch begun.

use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tandem_log::{DecisionLog, Durability, Identity, LogOptions, OpenError, Position};
use tandem_protocol::{CoordinatorId, Epoch, LogRecord, Record, Recovered, ReplayError, Timestamp};
use uuid::Uuid;

use super::crash_point::{self, CrashPoint};
use crate::logging;

/// How long the first force of a start may take.
const FIRST_FORCE_MAX: Duration = Duration::from_secs(30);

/// Records that are read at a time, and how often that many are read ahead of the replay.
const READ_AHEAD_RECORDS: usize = 256;
const READ_AHEAD_PARTS: usize = 16;

/// A log that was read, in which nothing was written.
#[derive(Debug)]
pub(super) struct Found {
    /// The log; `None` where there is none yet.
    log: Option<DecisionLog>,
    identity: Identity,
    /// What the log holds.
    pub recovered: Recovered,
}

/// A log in which this process's epoch has begun, durably.
#[derive(Debug)]
pub(super) struct Begun {
    /// The log.
    pub log: DecisionLog,
    /// Its identity, fixed at its creation.
    pub log_id: String,
    /// Identity of this process.
    pub instance_id: String,
    /// This process's epoch.
    pub epoch: Epoch,
    /// What the log held.
    pub recovered: Recovered,
}

impl Found {
    /// The log's identity: of one that is not there yet, that with which it would be created.
    pub(super) fn log_id(&self) -> &str {
        &self.identity.log_id
    }

    /// Begins the next epoch in the log, which is created in `dir` if there is none.
    pub(super) fn begin(self, dir: &Path, now: Timestamp) -> anyhow::Result<Begun> {
        let log = match self.log {
            Some(log) => log,
            None => create(dir, &self.identity)?,
        };
        let epoch = self.recovered.next_epoch();
        let instance_id = Uuid::now_v7().to_string();
        // Without this force a crash could give the same epoch to two processes, and with it the
        // same transaction ids.
        force(
            &log,
            &Record::EpochStarted {
                epoch,
                instance_id: instance_id.clone(),
                time: now,
            },
        )?;
        crash_point::reach(CrashPoint::EpochBegun);
        Ok(Begun {
            log,
            log_id: self.identity.log_id,
            instance_id,
            epoch,
            recovered: self.recovered,
        })
    }
}

/// Opens the log in `dir`, if there is one, and reads it.
///
/// `tandem_log` forces every file at open, so whatever was read here is durable before anything
/// acts on it, also a decision whose own force was cut short.
pub(super) fn find(dir: &Path, coordinator: &CoordinatorId) -> anyhow::Result<Found> {
    let (log, opened) = match DecisionLog::open(options(dir)) {
        Err(OpenError::NoLog { .. } | OpenError::Unfinished { .. }) => {
            let identity = Identity {
                log_id: Uuid::now_v7().to_string(),
                coordinator_id: coordinator.to_string(),
            };
            return Ok(Found {
                log: None,
                identity,
                recovered: Recovered::default(),
            });
        }
        opened => {
            opened.with_context(|| format!("can't use the decision log {}", dir.display()))?
        }
    };
    crash_point::reach(CrashPoint::LogOpened);
    let found = &opened.identity.coordinator_id;
    if found != coordinator.as_str() {
        bail!(
            "the decision log in {} belongs to coordinator {found:?}, not to {coordinator:?}: set \
             coordinator.id to its owner, or give {coordinator} a data_dir of its own",
            dir.display()
        );
    }
    Ok(Found {
        log: Some(log),
        identity: opened.identity,
        recovered: replay(coordinator, opened.records)?,
    })
}

fn create(dir: &Path, identity: &Identity) -> anyhow::Result<DecisionLog> {
    tracing::info!(dir = %dir.display(), log_id = identity.log_id, "a new decision log");
    let (log, _) = DecisionLog::create(options(dir), identity)
        .with_context(|| format!("can't create a decision log in {}", dir.display()))?;
    crash_point::reach(CrashPoint::LogOpened);
    Ok(log)
}

/// Replays the records, while a thread of its own reads them ahead: with ten million purchases
/// that is half of a start's time.
fn replay(
    coordinator: &CoordinatorId,
    records: Vec<(Position, Vec<u8>)>,
) -> Result<Recovered, ReplayError> {
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(READ_AHEAD_PARTS);
        scope.spawn(move || {
            let mut records = records
                .into_iter()
                .map(|(position, bytes)| LogRecord::read(position.0, &bytes));
            loop {
                let part: Vec<_> = records.by_ref().take(READ_AHEAD_RECORDS).collect();
                // Nobody receives once a record is refused.
                if part.is_empty() || sender.send(part).is_err() {
                    return;
                }
            }
        });
        Recovered::replay_read(coordinator, receiver.into_iter().flatten())
    })
}

fn options(dir: &Path) -> LogOptions {
    LogOptions {
        at_step: |step| crash_point::reach(CrashPoint::Log(step)),
        on_fatal: Box::new(|why| {
            tracing::error!("{why}; the process ends, since what the disk holds is unknown now");
            logging::flush();
            std::process::abort();
        }),
        ..LogOptions::new(dir)
    }
}

fn force(log: &DecisionLog, record: &Record) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel();
    log.append(record.encode(), Durability::Forced, move |position| {
        // The receiver is gone only after its deadline, when nobody waits any more.
        let _ = sender.send(position);
    })
    .map_err(|error| anyhow!("can't append to the decision log: {error}"))?;
    receiver
        .recv_timeout(FIRST_FORCE_MAX)
        .context("the decision log could not force its first record in time")?;
    Ok(())
}
