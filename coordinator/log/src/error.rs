//! What can go wrong, told so that a person knows what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use crate::refused::Refused;

/// Why a log was not created, opened or inspected.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The folder is missing or empty.
    #[error(
        "there is no decision log in {dir}; if this coordinator had one there before, don't create a \
         new one: find out where the old one went, since what it decided is written nowhere else"
    )]
    NoLog {
        /// The folder that was looked at.
        dir: PathBuf,
    },
    /// The creation of a log was interrupted. Nothing was ever stored in it.
    #[error(
        "the creation of the decision log in {dir} was interrupted before anything was stored in it; \
         create it again"
    )]
    Unfinished {
        /// The log's folder.
        dir: PathBuf,
    },
    /// A log was to be created where something else is already.
    #[error(
        "a decision log needs a folder of its own, and {dir} already holds {found}; \
         give an empty folder, or open the log that is there"
    )]
    NotEmpty {
        /// The folder that was looked at.
        dir: PathBuf,
        /// The name of something that is in it.
        found: String,
    },
    /// Another process has the log open.
    #[error(
        "the decision log in {dir} is in use by another process; \
         only one coordinator may use it at a time"
    )]
    InUse {
        /// The log's folder.
        dir: PathBuf,
    },
    /// An identity that can't be stored was given.
    #[error(
        "the {which} must have 1 to {max} bytes and no control characters, this one is {given:?}"
    )]
    Identity {
        /// Which of the two ids.
        which: &'static str,
        /// What was given.
        given: String,
        /// How many bytes it may have.
        max: usize,
    },
    /// The log lost or changed something.
    #[error(
        "the decision log in {dir} is damaged and tandem refuses to use it: acting on a log that lost \
         a decision could roll back a purchase that was reported as committed. Nothing in the folder \
         was changed; keep it as it is. See what can still be read with `tandem log inspect {dir}`, \
         and find what is prepared at each store before anything else. If the folder was copied, \
         restored or edited, put back all of what this coordinator last ran on; an older copy is not \
         safe, it has forgotten decisions as well"
    )]
    Damaged {
        /// The log's folder.
        dir: PathBuf,
        /// What was found.
        #[source]
        damage: Damage,
    },
    /// The operating system refused something.
    #[error("could not {action} {path}{}", remedy(source))]
    Io {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The operating system refused something to sled while the log was opened or read, which says
    /// nothing about what the log holds.
    #[error(
        "could not {action} the decision log in {dir}: {refused}. That is no damage: it holds what it held. \
         To go on, {} ({reason})",
        refused.remedy()
    )]
    Refused {
        /// What was being done.
        action: &'static str,
        /// The log's folder.
        dir: PathBuf,
        /// What is lacking.
        refused: Refused,
        /// What the system said.
        reason: String,
    },
    /// sled did not open or write a log that is otherwise sound.
    #[error("could not {action} the decision log in {dir}: {reason}")]
    Storage {
        /// What was being done.
        action: &'static str,
        /// The log's folder.
        dir: PathBuf,
        /// What sled, or the system under it, said.
        reason: String,
    },
}

/// What to do about an error of the system, if that is known.
fn remedy(error: &io::Error) -> String {
    match Refused::of(error) {
        Some(refused) => format!(": {refused}; {}", refused.remedy()),
        None => String::new(),
    }
}

/// What is wrong with a damaged log, and where. A *batch* is what one group commit stored.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum Damage {
    /// There is a database and no `head`.
    #[error("the file `head` is missing although the database `sled` is there")]
    HeadMissing,
    /// `head` is not what tandem wrote.
    #[error("the file `head` can't be believed: {reason}")]
    HeadUnreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// There is a `head` and no database.
    #[error("{missing} is missing although the file `head` is there")]
    DatabaseMissing {
        /// The file or folder that is not there.
        missing: String,
    },
    /// sled does not open, or fails while it is read.
    #[error("the database `sled` can't be read: {reason}")]
    DatabaseUnreadable {
        /// What sled said, be it an error or a panic.
        reason: String,
    },
    /// The database has no `base` value: it was emptied, or is not a log.
    #[error(
        "the database `sled` does not say where the log begins: it was emptied or is not tandem's"
    )]
    BaseMissing,
    /// The `base` value is not what tandem wrote.
    #[error("the database's value `base` can't be believed: {reason}")]
    BaseUnreadable {
        /// What is wrong with it.
        reason: String,
    },
    /// `head` and database belong to different logs.
    #[error("the file `head` belongs to log {head} and the database to log {database}")]
    OtherLog {
        /// The log id in `head`.
        head: String,
        /// The log id in the database.
        database: String,
    },
    /// Something was written by a version that this one does not know.
    #[error(
        "{what} has format version {found} and this tandem knows only {known}; \
         it was probably written by a newer version: use that one"
    )]
    UnknownFormat {
        /// What has that version.
        what: String,
        /// The version found.
        found: u32,
        /// The version that this program writes and reads.
        known: u32,
    },
    /// The database holds a key that is not tandem's.
    #[error("the database holds the key {key}, which tandem never writes")]
    UnknownKey {
        /// The key, in hexadecimal.
        key: String,
    },
    /// Batches are missing between others.
    #[error("batch {found} follows batch {after}: those between are gone")]
    Gap {
        /// The last batch before the gap (0: the gap is at the beginning).
        after: u64,
        /// The first batch after it.
        found: u64,
    },
    /// A batch is not what was written.
    #[error("batch {sequence} is not what was written: {reason}")]
    BatchUnreadable {
        /// The batch.
        sequence: u64,
        /// What is wrong with it.
        reason: String,
    },
    /// A batch is whole but does not continue the one before.
    #[error(
        "batch {sequence} does not continue the batch before it: one of them is from elsewhere"
    )]
    ChainBroken {
        /// The later of the two.
        sequence: u64,
    },
    /// The database ends before what was durable.
    #[error(
        "the database ends with batch {last}, but batch {durable} was durable: \
         what was stored after batch {last} (up to record {position}) is gone"
    )]
    TailLost {
        /// The last batch that the database holds.
        last: u64,
        /// The last batch that was durable according to `head`.
        durable: u64,
        /// The last record in it.
        position: u64,
    },
    /// `head` and database are of different ages or origins.
    #[error(
        "the file `head` is about another batch {sequence} than the one in the database, \
         or one from before the database begins: the two were not copied together"
    )]
    HeadMismatch {
        /// The batch that `head` names.
        sequence: u64,
    },
}

/// Why a record was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AppendError {
    /// Too many records or bytes wait already: slow down.
    #[error("the decision log's queue is full")]
    QueueFull,
    /// The record is longer than [`RECORD_BYTES_MAX`](crate::RECORD_BYTES_MAX).
    #[error("a record of {bytes} bytes is too long for the decision log, which takes {max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest allowed.
        max: usize,
    },
    /// The log is closing, closed, or has failed.
    #[error("the decision log is closed")]
    Closed,
}

/// Why a close did not end well.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CloseError {
    /// The committer was still at work.
    #[error("the decision log was not closed within {0:?}; it may still be in use")]
    Deadline(Duration),
    /// A force failed, now or before.
    #[error("the decision log had failed: {0}")]
    Failed(String),
}
