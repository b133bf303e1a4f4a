//! What an order takes in the decision log.

use anyhow::Result;
use sqlx::{Executor, Row};

use crate::folder::bytes_in;
use crate::scene::Party;

/// Bytes for each purchase that was made through the coordinator, on the average.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InLog {
    /// Of all records that it is a part of: the decision, and that it has ended.
    pub(crate) record_bytes: f64,
    /// Of the log's files, in which there is room for more.
    pub(crate) file_bytes: f64,
}

impl InLog {
    /// Stops the coordinator and looks; none where nothing was bought through it.
    pub(crate) async fn look(party: Party<'_>) -> Result<Option<InLog>> {
        // The shop's own code knows of no `ref`.
        let made = "SELECT COUNT(ref) FROM orders";
        let made: i64 = party
            .stores
            .sql()
            .await?
            .fetch_one(made)
            .await?
            .try_get(0)?;
        if made == 0 {
            return Ok(None);
        }
        let coordinator = &party.tandem.coordinator;
        coordinator.stop()?;
        let folder = coordinator.data_dir();
        let records = tandem_log::inspect(&folder)?.records;
        let bytes: usize = records.iter().map(|(_, record)| record.len()).sum();
        Ok(Some(InLog {
            record_bytes: bytes as f64 / made as f64,
            file_bytes: bytes_in(&folder)? as f64 / made as f64,
        }))
    }
}
