//! People at the stores: a DBA who ends prepared branches by hand, and the operator who puts right
//! what came of it.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::mysql::MySqlDatabaseError;
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection, Row};
use tandem_proto::v1;
use tandem_protocol::HeuristicKind;
use tandem_servers::Flavor;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::arena::Arena;
use super::kind::Fault;
use super::mistake::Mistake;
use super::tally::Tally;
use crate::parts::Part;
use crate::schema::Schema;
use crate::stores::APP_USER;

/// The pause between two looks of the operator.
const LOOK: Duration = Duration::from_millis(30);

/// How long a branch may be stuck before the operator restarts the server, as it is told to.
const STUCK_MAX: Duration = Duration::from_secs(1);

/// How long killed sessions may take to go.
const GONE_MAX: Duration = Duration::from_secs(2);

/// The participant at MySQL.
const PURCHASES: &str = "purchases";

/// How a DBA ends a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Commit,
    RollBack,
}

/// A branch that a DBA has ended.
#[derive(Debug, Clone)]
pub(super) struct ByHand {
    pub(super) transaction: String,
    pub(super) verb: Verb,
}

impl Arena {
    /// Ends a prepared branch, as soon as there is one. The coordinator is paused meanwhile, so
    /// that nobody else ends it; whether it goes on or dies afterwards is the fault's coin.
    pub(super) async fn end_by_hand(
        &self,
        verb: Verb,
        fault: &Fault,
        limit: Duration,
    ) -> Result<bool> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let paused = self.world.pause(Part::Coordinator).is_ok();
            // What was on its way arrives.
            sleep(Duration::from_millis(5)).await;
            let ended = self.end_one(verb).await;
            if paused && matches!(ended, Ok(true)) && fault.coin {
                self.world.kill(Part::Coordinator)?;
                self.world.revive(Part::Coordinator, None)?;
            } else if paused {
                // It may have been killed meanwhile.
                let _ = self.world.resume(Part::Coordinator);
            }
            if ended? {
                return Ok(true);
            }
            sleep(Duration::from_millis(7)).await;
        }
        Ok(false)
    }

    async fn end_one(&self, verb: Verb) -> Result<bool> {
        let mut root = self.sql().await?;
        let Some((xid, transaction)) = prepared(&mut root).await? else {
            return Ok(false);
        };
        if self.world.stores.mysql.binary().flavor == Flavor::MariaDb {
            // There a branch belongs to its session. While that goes down another's XA COMMIT may
            // be answered with an OK that is none, so a DBA who knows waits.
            self.kill_sessions().await?;
            let deadline = Instant::now() + GONE_MAX;
            while sessions(&mut root).await? > 0 {
                ensure!(Instant::now() < deadline, "the sessions do not go");
                sleep(Duration::from_millis(2)).await;
            }
        }
        let words = match verb {
            Verb::Commit => "COMMIT",
            Verb::RollBack => "ROLLBACK",
        };
        let ended = root
            .execute(AssertSqlSafe(format!("XA {words} {xid}")))
            .await;
        // Remembered also when the answer is lost: it may have taken effect.
        let lost = matches!(&ended, Err(error) if error.as_database_error().is_none());
        if ended.is_ok() || lost {
            let done = ByHand { transaction, verb };
            self.by_hand.lock().unwrap().push(done);
        }
        root.close().await?;
        Ok(ended.is_ok())
    }

    /// What an operator does as long as it is awaited: puts right and settles what a DBA has ended
    /// against its decision, and restarts MySQL where it is told that nothing else helps. Ends when
    /// nothing is unfinished.
    pub(super) async fn operate(&self, tally: &mut Tally) -> Result<()> {
        let operator = self.world.coordinator.operator();
        let mut stuck_since = None;
        loop {
            sleep(LOOK).await;
            let Ok(unfinished) = operator.unfinished().await else {
                continue;
            };
            if unfinished.is_empty() {
                return Ok(());
            }
            let (mut stuck, mut lost) = (false, false);
            for transaction in &unfinished {
                for branch in &transaction.branches {
                    match branch.progress() {
                        v1::BranchProgress::Heuristic
                            if self.mistake == Some(Mistake::SettledUnmended) =>
                        {
                            let id = &transaction.transaction_id;
                            self.settle_unmended(id, branch).await?;
                        }
                        v1::BranchProgress::Heuristic if self.rows_lost.load(Ordering::Relaxed) => {
                            lost = true;
                        }
                        v1::BranchProgress::Heuristic => {
                            let id = &transaction.transaction_id;
                            tally.heuristics += u32::from(self.put_right(id, branch).await?);
                        }
                        v1::BranchProgress::Stuck => {
                            stuck |= branch.detail.contains("restart the server");
                        }
                        _ => {}
                    }
                }
            }
            if lost {
                tally.repaired += block_in_place(|| self.repair_what_is_lost())?;
            }
            if !stuck {
                stuck_since = None;
            } else if stuck_since.get_or_insert_with(Instant::now).elapsed() > STUCK_MAX {
                let _trouble = self.troubles.begin();
                self.world.kill(Part::Mysql)?;
                self.world.revive(Part::Mysql, None)?;
                tally.zombies += 1;
                stuck_since = None;
            }
        }
    }

    /// Gives whether it could be put right now.
    async fn put_right(&self, id: &str, branch: &v1::BranchSummary) -> Result<bool> {
        let ended = self.by_hand.lock().unwrap().clone();
        let said = &branch.detail;
        let (verb, settlement) = match branch.heuristic.parse()? {
            HeuristicKind::RolledBack => (Verb::RollBack, v1::Settlement::Committed),
            HeuristicKind::Committed | HeuristicKind::Mixed => {
                (Verb::Commit, v1::Settlement::RolledBack)
            }
        };
        ensure!(
            branch.participant == PURCHASES
                && ended
                    .iter()
                    .any(|one| one.transaction == id && one.verb == verb),
            "invariant_heuristic_has_a_cause: {id} at {} is said to be {said:?}, and by hand were \
             ended {ended:?}",
            branch.participant
        );
        // By turns the coordinator does it, or the operator himself, who says so then.
        let schema = self.world.stores.schema;
        let by_turns = schema == Schema::Shop || id.ends_with(['0', '2', '4', '6', '8']);
        if verb == Verb::RollBack && by_turns {
            return self.have_repaired(id).await;
        }
        let operator = self.world.coordinator.operator();
        let mut root = self.world.stores.sql().await?;
        match verb {
            Verb::Commit => delete_rows(&mut root, schema, id).await?,
            Verb::RollBack => {
                let entries = operator.show(id).await?.entries;
                ensure!(!entries.is_empty(), "{id} is shown without entries");
                match insert_rows(&mut root, id, &entries).await {
                    Ok(()) => {}
                    // The server was killed before the roll back was on its disk: the branch is
                    // back, and committed as soon as the coordinator hears of it.
                    Err(error) if is_locked(&error) => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
            }
        }
        let settle = v1::SettleTransactionRequest {
            transaction_id: id.to_owned(),
            participant: PURCHASES.to_owned(),
            settlement: settlement.into(),
            reason: "the rows were put right by hand".to_owned(),
            operator: "ann".to_owned(),
            preview: false,
            force: false,
        };
        operator.settle(settle).await.context("settle")?;
        Ok(true)
    }

    async fn have_repaired(&self, id: &str) -> Result<bool> {
        let order = v1::RepairTransactionRequest {
            transaction_id: id.to_owned(),
            participant: PURCHASES.to_owned(),
            reason: "somebody rolled it back".to_owned(),
            operator: "ann".to_owned(),
            preview: false,
        };
        let operator = self.world.coordinator.operator();
        let repaired = operator.repair(order).await.context("repair")?;
        Ok(repaired
            .repairs
            .iter()
            .all(|one| one.state() == v1::RepairState::Done))
    }

    /// Has everything repaired that MySQL has lost of what it had acknowledged. Gives how many
    /// transactions that were; what can't be repaired yet is named again.
    fn repair_what_is_lost(&self) -> Result<u32> {
        let named = self.named_as_lost()?;
        let mut words = vec!["tx", "repair", "--all", "--participant", PURCHASES, "--yes"];
        words.extend([
            "--operator",
            "ann",
            "--reason",
            "MySQL is older than it was",
        ]);
        self.world.tandem(&words)?;
        Ok(named.saturating_sub(self.named_as_lost()?))
    }

    fn named_as_lost(&self) -> Result<u32> {
        let words = ["tx", "list", "--heuristic", "--output", "json"];
        let listed = self.world.tandem(&words)?;
        let said = || String::from_utf8_lossy(&listed.stderr).into_owned();
        let document: Value = serde_json::from_slice(&listed.stdout).with_context(said)?;
        let transactions = document["transactions"].as_array().with_context(said)?;
        Ok(u32::try_from(transactions.len())?)
    }

    /// What the manual tells who is refused a start for a transaction that was committed by hand
    /// and that the log does not know: take its rows and the store's memory of it away. Gives
    /// whether that was what the coordinator said.
    pub(super) async fn take_back_commits(&self) -> Result<bool> {
        let said = self.world.coordinator.log_tail();
        let ended = self.by_hand.lock().unwrap().clone();
        let refused = ended.iter().find(|one| {
            let names_it = format!("has committed transaction {},", one.transaction);
            one.verb == Verb::Commit && said.contains(&names_it)
        });
        let Some(refused) = refused else {
            return Ok(false);
        };
        let mut root = self.world.stores.sql().await?;
        delete_rows(&mut root, self.world.stores.schema, &refused.transaction).await?;
        let mut numbers = refused.transaction.rsplit('.');
        let (sequence, epoch) = (numbers.next(), numbers.next());
        let forget = format!(
            "DELETE FROM tandem_branches WHERE participant = '{PURCHASES}' AND coordinator = 'shop' \
             AND epoch = {} AND sequence = {}",
            epoch.context("no epoch")?,
            sequence.context("no sequence")?
        );
        root.execute(AssertSqlSafe(forget)).await?;
        Ok(true)
    }
}

/// A prepared branch: its xid as a literal, and its transaction.
async fn prepared(root: &mut MySqlConnection) -> Result<Option<(String, String)>> {
    let rows = sqlx::raw_sql("XA RECOVER").fetch_all(&mut *root).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let format: i64 = row.try_get_unchecked("formatID")?;
    let length: i64 = row.try_get_unchecked("gtrid_length")?;
    let data: Vec<u8> = row.try_get_unchecked("data")?;
    let (gtrid, bqual) = data
        .split_at_checked(usize::try_from(length)?)
        .context("a short xid")?;
    let (gtrid, bqual) = (std::str::from_utf8(gtrid)?, std::str::from_utf8(bqual)?);
    let xid = format!("'{gtrid}','{bqual}',{format}");
    Ok(Some((xid, gtrid.to_owned())))
}

async fn sessions(root: &mut MySqlConnection) -> Result<i64> {
    let count =
        format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = '{APP_USER}'");
    let row = root.fetch_one(AssertSqlSafe(count)).await?;
    Ok(row.try_get_unchecked(0)?)
}

/// Row by row, by the primary key: a scan would wait for every branch that is prepared meanwhile.
async fn delete_rows(root: &mut MySqlConnection, schema: Schema, transaction: &str) -> Result<()> {
    let ids: Vec<String> = sqlx::query_scalar(schema.ids_of_transaction())
        .bind(transaction)
        .fetch_all(&mut *root)
        .await?;
    for id in ids {
        for delete in schema.deletes() {
            sqlx::query(*delete).bind(&id).execute(&mut *root).await?;
        }
    }
    Ok(())
}

/// A lock wait that timed out: another session, or a prepared branch, has the row.
fn is_locked(error: &sqlx::Error) -> bool {
    const LOCK_WAIT_TIMEOUT: u16 = 1205;
    let error = error.as_database_error();
    let error = error.and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>());
    error.is_some_and(|error| error.number() == LOCK_WAIT_TIMEOUT)
}

/// All of them or none, and none that are there.
async fn insert_rows(
    root: &mut MySqlConnection,
    id: &str,
    entries: &[v1::Entry],
) -> Result<(), sqlx::Error> {
    let mut branch = root.begin().await?;
    let root = &mut *branch;
    for entry in entries {
        let total: u64 = entry
            .items
            .iter()
            .map(|item| {
                u64::from(item.quantity) * u64::try_from(item.unit_price_minor).unwrap_or(0)
            })
            .sum();
        sqlx::query("INSERT IGNORE INTO purchases VALUES (?, ?, ?, ?, ?, NOW(3))")
            .bind(&entry.purchase_id)
            .bind(&entry.customer_id)
            .bind(&entry.currency)
            .bind(total)
            .bind(id)
            .execute(&mut *root)
            .await?;
        for item in &entry.items {
            sqlx::query("INSERT IGNORE INTO purchase_items VALUES (?, ?, ?, ?)")
                .bind(&entry.purchase_id)
                .bind(&item.sku)
                .bind(item.quantity)
                .bind(item.unit_price_minor)
                .execute(&mut *root)
                .await?;
        }
    }
    branch.commit().await
}
