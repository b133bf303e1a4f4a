//! Decisions that are unfinished at a start: MySQL has committed them, Redis holds the units and
//! has not deducted them, and the log does not know that MySQL has.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_tests::{Machine, purchase, until};
use tokio::time::sleep;

use super::Ground;
use super::prepared::{Transactions, both, lay_foundations};
use crate::books::Books;
use crate::scene::{Place, Scene};
use crate::workload;

/// The coordinator's own default.
const RETAINED_MAX: u64 = 250_000;

const SERVING_MAX: Duration = Duration::from_secs(120);
const DRAINED_MAX: Duration = Duration::from_secs(600);

pub(crate) async fn answer(machine: &Machine, ground: &Ground, decisions: &[u64]) -> Result<()> {
    println!(
        "decisions unfinished at the start, of one purchase each\n{:>10} {:>12} {:>18} {:>10} {:>9}",
        "decisions", "listening", "a purchase made", "drained", "memory"
    );
    for &decisions in decisions {
        let scene = ground.lay(machine, RETAINED_MAX).await?;
        lay_foundations(&scene).await?;
        let transactions = Transactions {
            count: decisions,
            purchases: 1,
            ended: false,
        };
        transactions.to_log(&scene)?;
        both(
            transactions.to_mysql(&scene),
            transactions.to_redis_prepared(&scene),
        )
        .await?;
        start(&scene, decisions).await?;
    }
    Ok(())
}

async fn start(scene: &Scene, decisions: u64) -> Result<()> {
    let tandem = scene.tandem(Place::Inside);
    let coordinator = &tandem.coordinator;
    let books = Books::open(&scene.stores, "tandem_purchases").await?;
    let begun = Instant::now();
    coordinator.launch(&tandem.start)?;
    let (client, operator) = (coordinator.client(), coordinator.operator());
    until("it listens", SERVING_MAX, async || {
        ensure!(coordinator.ended()?.is_none(), "{}", coordinator.log_tail());
        Ok(operator.participants().await.is_ok())
    })
    .await?;
    let listening = begun.elapsed();
    let first = purchase("first", &[(&workload::sku(0), 1)]);
    until("a purchase is made", SERVING_MAX, async || {
        Ok(client.submit(&first).await.is_ok())
    })
    .await?;
    let made = begun.elapsed();
    while !operator.unfinished().await?.is_empty() {
        ensure!(begun.elapsed() < DRAINED_MAX, "it does not drain");
        // An answer costs the coordinator time by the number of transactions: not asked too often.
        sleep(begun.elapsed() / 20).await;
    }
    let drained = begun.elapsed();
    scene.party(Place::Inside).quiet().await?;
    books.close(&scene.stores, 1, decisions + 1).await?;
    println!(
        "{decisions:>10} {:>11.2}s {:>17.2}s {:>9.2}s {:>5} MiB",
        listening.as_secs_f64(),
        made.as_secs_f64(),
        drained.as_secs_f64(),
        coordinator.peak_memory_kib()? / 1024
    );
    coordinator.stop()
}
