//! Whether the coordinator says all the while that it is well, and how much memory it has in use.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_tests::{Coordinator, World};
use tokio::task::JoinHandle;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(200);

/// Longest that an answer on its health may take.
const ANSWER_MAX: Duration = Duration::from_secs(1);

pub(super) struct Watch<'a> {
    coordinator: &'a Coordinator,
    before_kib: u64,
    stop: Arc<AtomicBool>,
    asking: JoinHandle<Health>,
}

#[derive(Debug, Default)]
struct Health {
    asked: usize,
    slowest: Duration,
    failures: Vec<String>,
}

/// What was seen.
pub(super) struct Seen {
    health: Health,
    before_kib: u64,
    peak_kib: u64,
}

impl Watch<'_> {
    pub(super) fn begin(world: &World) -> Result<Watch<'_>> {
        let coordinator = &world.coordinator;
        let stop = Arc::new(AtomicBool::new(false));
        let (client, operator) = (coordinator.client(), coordinator.operator());
        let asking = tokio::spawn({
            let stop = Arc::clone(&stop);
            async move {
                let mut health = Health::default();
                while !stop.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    let both =
                        async { tokio::try_join!(client.is_serving(), operator.participants()) };
                    match tokio::time::timeout(ANSWER_MAX, both).await {
                        Ok(Ok((is_serving, _))) if is_serving => {}
                        Ok(Ok(_)) => health.failures.push("not serving".to_owned()),
                        Ok(Err(status)) => health.failures.push(status.to_string()),
                        Err(_) => health.failures.push("no answer".to_owned()),
                    }
                    health.asked += 1;
                    health.slowest = health.slowest.max(begun.elapsed());
                    tokio::time::sleep(EVERY).await;
                }
                health
            }
        });
        Ok(Watch {
            coordinator,
            before_kib: coordinator.resident_memory_kib()?,
            stop,
            asking,
        })
    }

    pub(super) async fn end(self) -> Result<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(Seen {
            health: self.asking.await?,
            before_kib: self.before_kib,
            peak_kib: self.coordinator.peak_memory_kib()?,
        })
    }
}

impl Seen {
    /// An error if the coordinator was not well, or took too much memory.
    pub(super) fn check(&self, memory_max_mib: u64) -> Result<()> {
        ensure!(
            self.health.failures.is_empty() && self.health.asked > 0,
            "health and operator were not answered: {:?}",
            self.health.failures
        );
        let grown_mib = self.peak_kib.saturating_sub(self.before_kib) / 1024;
        ensure!(
            grown_mib <= memory_max_mib,
            "the coordinator took {grown_mib} MiB more"
        );
        Ok(())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "health and operator asked {} times, {} failures, slowest {} ms; memory {} MiB before, at most {} MiB",
            self.health.asked,
            self.health.failures.len(),
            self.health.slowest.as_millis(),
            self.before_kib / 1024,
            self.peak_kib / 1024
        )
    }
}
