//! Purchases that are remembered.

use std::time::{Duration, Instant};

use anyhow::Result;
use sqlx::{Executor, Row};
use tandem_proto::v1::WaitFor;
use tandem_tests::Machine;

use super::prepared::{Transactions, both, lay_foundations};
use super::{Ground, redis_bytes};
use crate::contest::{Load, Turn};
use crate::contestant::through_tandem;
use crate::folder::bytes_in;
use crate::scene::{Place, Scene};
use crate::workload::Workload;

/// Purchases of a transaction.
const GROUP: u64 = 50;

/// Purchases that the coordinator remembers at most: the setting's own limit.
const RETAINED_MAX: u64 = 10_000_000;

/// How long a start may take to be measured at all.
const START_MAX: Duration = Duration::from_secs(600);

pub(crate) async fn answer(
    machine: &Machine,
    ground: &Ground,
    purchases: &[u64],
    clients: usize,
    window: Duration,
) -> Result<()> {
    println!(
        "purchases remembered, in transactions of {GROUP}; throughput with {clients} clients\n\
         {:>10} {:>10} {:>12} {:>12} {:>9} {:>9} {:>12}",
        "purchases", "log B each", "MySQL B each", "Redis B each", "start", "memory", "purchases/s"
    );
    for &purchases in purchases {
        let scene = ground.lay(machine, RETAINED_MAX).await?;
        lay_foundations(&scene).await?;
        let tandem = scene.tandem(Place::Inside);
        let before = Bytes::read(&scene).await?;
        let transactions = Transactions {
            count: purchases.div_ceil(GROUP),
            purchases: GROUP,
            ended: true,
        };
        transactions.to_log(&scene)?;
        both(
            transactions.to_mysql(&scene),
            transactions.to_redis_committed(&scene),
        )
        .await?;
        let bytes = Bytes::read(&scene).await?;
        let begun = Instant::now();
        tandem.coordinator.launch(&tandem.start)?;
        tandem.coordinator.ready_within(START_MAX).await?;
        let start = begun.elapsed();
        let memory_kib = tandem.coordinator.resident_memory_kib()?;
        let turn = Turn {
            name: format!("retained-{purchases}"),
            workload: Workload::Skus,
            load: Load::Closed { clients },
            warm_up: Duration::from_millis(500),
            window,
        };
        let score =
            through_tandem::play(scene.party(Place::Inside), &turn, WaitFor::Applied).await?;
        let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / purchases as f64;
        println!(
            "{purchases:>10} {:>10.1} {:>12.1} {:>12.1} {:>8.2}s {:>5} MiB {:>12.0}",
            each(bytes.log, before.log),
            each(bytes.mysql, before.mysql),
            each(bytes.redis, before.redis),
            start.as_secs_f64(),
            memory_kib / 1024,
            score.per_second()
        );
        tandem.coordinator.stop()?;
    }
    Ok(())
}

/// What tandem's own data take.
struct Bytes {
    log: u64,
    mysql: u64,
    redis: u64,
}

impl Bytes {
    async fn read(scene: &Scene) -> Result<Bytes> {
        let mut sql = scene.stores.sql().await?;
        sql.execute("ANALYZE TABLE tandem_branches").await?;
        let table = "SELECT CAST(DATA_LENGTH + INDEX_LENGTH AS SIGNED) FROM \
                     information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = \
                     'tandem_branches'";
        let mysql: i64 = sql.fetch_one(table).await?.try_get(0)?;
        let dir = scene.tandem(Place::Inside).coordinator.data_dir();
        Ok(Bytes {
            log: bytes_in(&dir)?,
            mysql: mysql.cast_unsigned(),
            redis: redis_bytes(scene).await?,
        })
    }
}
