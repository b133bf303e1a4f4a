//! Reading records of the log back, beside what is being written.

use std::sync::Arc;

use tandem_log::DecisionLog;
use tandem_protocol::{Decision, Position, Record};
use tokio::sync::{Semaphore, oneshot};

/// Records that are being read at once, at most: the log's own thread reads them between its forces.
pub const READS_MAX: usize = 16;

/// Reads records of the log back for whoever asks; the driver does not wait for it. Clones share the
/// places of those that read at once.
#[derive(Debug, Clone)]
pub struct LogReader {
    log: DecisionLog,
    places: Arc<Semaphore>,
}

impl LogReader {
    /// A reader of this log, of so many records at once.
    pub fn new(log: DecisionLog, reads_max: usize) -> LogReader {
        LogReader {
            log,
            places: Arc::new(Semaphore::new(reads_max)),
        }
    }

    /// The decision at a position; `None` if there is none, or the log is being closed. How long may be
    /// waited for it is the caller's to bound.
    pub async fn decision(&self, position: Position) -> Option<Decision> {
        match self.record(position).await? {
            Record::Decided(decision) => Some(decision),
            _ => None,
        }
    }

    /// The record at a position, likewise.
    pub async fn record(&self, position: Position) -> Option<Record> {
        // Nobody closes it.
        let _place = self.places.acquire().await.ok()?;
        let (sender, receiver) = oneshot::channel();
        self.log
            .read(tandem_log::Position(position), move |record| {
                // Who asked may have gone away.
                let _ = sender.send(record);
            });
        let record = receiver.await.ok().flatten()?;
        Record::decode(&record).ok()
    }
}
