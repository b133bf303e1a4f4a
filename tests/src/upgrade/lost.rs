//! Branches that MySQL itself has lost.
//!
//! MySQL 9.7.4 that is killed again while prepared branches that it has just recovered are being committed
//! says at its next start that it has found them, and has them no more: about once in fifty rounds, and with
//! nobody else's doing, since its binary log has no end of them. That is named, and repaired by an operator.

use anyhow::{Context, Result, bail, ensure};
use sqlx::{AssertSqlSafe, Row};
use tandem_proto::v1::{BranchProgress, TransactionSummary};
use tandem_servers::Flavor;

use super::Upgrade;
use super::seen::Seen;
use crate::wait::until_some;

/// As [`Judge::quiet`](crate::Judge::quiet) waits.
const QUIET_MAX: std::time::Duration = std::time::Duration::from_secs(60);

impl Upgrade<'_> {
    /// Waits until nothing is under way but what needs a person. That is allowed only where the server has
    /// lost it by itself, and repaired.
    pub(super) async fn repair_what_mysql_lost(&self, seen: &mut Seen) -> Result<()> {
        let operator = self.world.coordinator.operator();
        let waits = until_some("only a person is waited for", QUIET_MAX, async || {
            let Ok(unfinished) = operator.unfinished().await else {
                return Ok(None);
            };
            Ok(unfinished.iter().all(needs_a_person).then_some(unfinished))
        })
        .await?;
        if waits.is_empty() {
            return Ok(());
        }
        for transaction in &waits {
            self.has_no_end(&transaction.transaction_id).await?;
        }
        let mut words = vec![
            "tx",
            "repair",
            "--all",
            "--participant",
            "purchases",
            "--yes",
        ];
        words.extend(["--operator", "ann", "--reason", "the server has lost it"]);
        let repaired = self.world.tandem(&words)?;
        let said = String::from_utf8_lossy(&repaired.stderr);
        ensure!(repaired.status.success(), "tx repair --all: {said}");
        seen.lost_by_mysql += waits.len();
        Ok(())
    }

    /// That nobody has ended a transaction's branch at MySQL, by its binary log.
    async fn has_no_end(&self, id: &str) -> Result<()> {
        let mysql = &self.world.stores.mysql;
        if mysql.binary().flavor != Flavor::MySql {
            bail!("{id} is lost at {}", mysql.binary());
        }
        let hex: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut session = self.world.stores.sql().await?;
        let files = sqlx::raw_sql("SHOW BINARY LOGS")
            .fetch_all(&mut session)
            .await?;
        let mut was_prepared = false;
        for file in files {
            let file: String = file.try_get_unchecked(0)?;
            let events = AssertSqlSafe(format!("SHOW BINLOG EVENTS IN '{file}'"));
            for event in sqlx::raw_sql(events).fetch_all(&mut session).await? {
                let info: String = event.try_get_unchecked("Info").context("an event")?;
                if !info.contains(&format!("X'{hex}',")) {
                    continue;
                }
                was_prepared |= info.starts_with("XA PREPARE");
                let is_end = info.starts_with("XA COMMIT") || info.starts_with("XA ROLLBACK");
                ensure!(!is_end, "{id} was not lost: {file} has {info}");
            }
        }
        ensure!(was_prepared, "the binary log does not know {id}");
        Ok(())
    }
}

fn needs_a_person(transaction: &TransactionSummary) -> bool {
    let mut branches = transaction.branches.iter();
    branches.any(|branch| branch.progress() == BranchProgress::Heuristic)
}
