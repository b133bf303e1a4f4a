//! Data of transactions that never ran, written through the log's and the core's own libraries and
//! to the stores directly, so that millions of them take seconds.

use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use futures::future;
use sqlx::{AssertSqlSafe, Executor};
use tandem_log::{DecisionLog, Durability, LogOptions};
use tandem_protocol::{
    Decision, Entry, Epoch, Item, Purchase, Record, Recovered, Timestamp, TransactionId,
};
use tandem_tests::redis_member;

use crate::scene::{INSIDE, Place, Scene};
use crate::workload;

/// The name of the participant that keeps the stock.
const STOCK: &str = "stock";

/// Records between two forces.
const RECORDS_A_FORCE: u64 = 500;

/// Rows or commands in one packet.
const PACKET: u64 = 1_000;

const CLOSE_MAX: Duration = Duration::from_secs(600);

/// The epoch of the coordinator's first start, which these transactions seem to be of.
const EPOCH: Epoch = Epoch(1);

/// Transactions of the first epoch, of one size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Transactions {
    pub(crate) count: u64,
    /// Purchases of each.
    pub(crate) purchases: u64,
    /// Whether the log knows that they have ended.
    pub(crate) ended: bool,
}

/// Starts a coordinator once, so that its log and its tables are there, and stops it.
pub(crate) async fn lay_foundations(scene: &Scene) -> Result<()> {
    let tandem = scene.tandem(Place::Inside);
    tandem.coordinator.start(&tandem.start).await?;
    tandem.coordinator.stop()
}

impl Transactions {
    /// Appends them to the coordinator's log.
    pub(crate) fn to_log(self, scene: &Scene) -> Result<()> {
        let dir = scene.tandem(Place::Inside).coordinator.data_dir();
        let (log, opened) = DecisionLog::open(LogOptions::new(dir))?;
        let records = opened.records.iter();
        let recovered = Recovered::replay(
            &INSIDE.parse()?,
            records.map(|(position, bytes)| (position.0, bytes.as_slice())),
        )?;
        ensure!(
            recovered.next_epoch() == Epoch(EPOCH.0 + 1),
            "the coordinator was started more than once"
        );
        let (stored, wait) = mpsc::channel();
        let mut appended = 0;
        for sequence in 1..=self.count {
            let transaction = id(sequence)?;
            let mut records = vec![self.decision(transaction.clone())?];
            if self.ended {
                records.push(Record::Ended {
                    transaction,
                    counted: true,
                });
            }
            let last = sequence == self.count;
            for record in records {
                appended += 1;
                let forced = appended % RECORDS_A_FORCE == 0 || last;
                let durability = if forced {
                    Durability::Forced
                } else {
                    Durability::Lazy
                };
                let stored = stored.clone();
                log.append(record.encode(), durability, move |position| {
                    if forced {
                        let _ = stored.send(position);
                    }
                })?;
                if forced {
                    // The queue is bounded.
                    wait.recv().context("the log failed")?;
                }
            }
        }
        Ok(log.close(CLOSE_MAX)?)
    }

    /// Writes their marker rows: MySQL has committed them.
    pub(crate) async fn to_mysql(self, scene: &Scene) -> Result<()> {
        let mut sql = scene.stores.sql().await?;
        let now = now()?.0;
        for sequences in self.packets() {
            let rows: Vec<String> = sequences
                .map(|sequence| format!("('purchases','{INSIDE}',{EPOCH},{sequence},1,1,1,{now})"))
                .collect();
            let insert = format!(
                "INSERT INTO tandem_branches (participant, coordinator, epoch, `sequence`, state, \
                 connection_id, server_start, prepare_time_ms) VALUES {}",
                rows.join(",")
            );
            sql.execute(AssertSqlSafe(insert)).await?;
        }
        Ok(())
    }

    /// Writes what Redis remembers of transactions that it has committed.
    pub(crate) async fn to_redis_committed(self, scene: &Scene) -> Result<()> {
        let mut kv = scene.stores.kv().await?;
        for sequences in self.packets() {
            let mut pipe = redis::pipe();
            for sequence in sequences {
                pipe.zadd(
                    format!("tandem:committed:{INSIDE}:{STOCK}"),
                    redis_member(EPOCH.0, sequence),
                    0,
                )
                .ignore();
            }
            let _: () = pipe.query_async(&mut kv).await?;
        }
        Ok(())
    }

    /// Writes what Redis holds for transactions that it has prepared, one purchase each.
    pub(crate) async fn to_redis_prepared(self, scene: &Scene) -> Result<()> {
        let mut kv = scene.stores.kv().await?;
        let now_us = now()?.0 * 1_000;
        for sequences in self.packets() {
            let mut pipe = redis::pipe();
            for sequence in sequences {
                let transaction = id(sequence)?;
                let stock = format!("stock:{}", sku(sequence));
                let branch = format!("{transaction}/{STOCK}");
                let held = format!("{{\"{stock}\":1}}");
                pipe.hset(format!("tandem:tx:{branch}"), "held", held)
                    .ignore()
                    .hincr("tandem:held", &stock, 1)
                    .ignore()
                    .zadd("tandem:prepared", branch, now_us)
                    .ignore();
            }
            let _: () = pipe.query_async(&mut kv).await?;
        }
        Ok(())
    }

    fn packets(self) -> impl Iterator<Item = std::ops::RangeInclusive<u64>> {
        let first = (0..self.count.div_ceil(PACKET)).map(|packet| packet * PACKET);
        first.map(move |first| first + 1..=(first + PACKET).min(self.count))
    }

    fn decision(self, transaction: TransactionId) -> Result<Record> {
        let sequence = transaction.sequence;
        let entries = (0..self.purchases).map(|number| Entry {
            number: number as u32,
            purchase: Purchase {
                purchase_id: format!("order-{sequence:010}-{number:02}"),
                customer_id: "ann@example.org".to_owned(),
                currency: "EUR".to_owned(),
                items: vec![Item {
                    sku: sku(sequence + number),
                    quantity: 1,
                    unit_price_minor: 1_999,
                    ..Default::default()
                }],
                ..Default::default()
            }
            .into(),
        });
        Ok(Record::Decided(Decision {
            transaction,
            begin_time: now()?,
            decide_time: now()?,
            participants: vec!["purchases".parse()?, "stock".parse()?],
            entries: entries.collect(),
            refused: Vec::new(),
            counts: true,
        }))
    }
}

fn id(sequence: u64) -> Result<TransactionId> {
    Ok(TransactionId {
        coordinator: INSIDE.parse()?,
        epoch: EPOCH,
        sequence,
    })
}

fn sku(number: u64) -> String {
    workload::sku(number as usize % workload::SKUS)
}

fn now() -> Result<Timestamp> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(Timestamp(u64::try_from(since.as_millis())?))
}

/// Waits for the stores' parts side by side.
pub(crate) async fn both(
    left: impl Future<Output = Result<()>>,
    right: impl Future<Output = Result<()>>,
) -> Result<()> {
    future::try_join(left, right).await.map(|_| ())
}
