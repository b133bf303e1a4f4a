//! What both contestants do: closed-loop clients for a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;

/// One contestant's turn.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    /// Unique within the run; a part of the purchases' ids.
    pub(crate) name: String,
    pub(crate) clients: usize,
    pub(crate) time: Duration,
}

/// What a turn gave.
#[derive(Debug, Default)]
pub(crate) struct Score {
    pub(crate) took: Duration,
    /// Time of each purchase.
    pub(crate) latencies: Vec<Duration>,
    /// Processor time of each process meanwhile.
    pub(crate) cpu: BTreeMap<&'static str, Duration>,
}

impl Score {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }
}

/// Name of a kind of goods.
pub(crate) fn sku(number: usize) -> String {
    format!("sku-{number}")
}

/// A client of a contestant.
pub(crate) trait Buyer: Send + 'static {
    /// Makes this client's purchase number `number`.
    fn buy(&mut self, number: usize) -> impl Future<Output = Result<()>> + Send;
}

/// Runs each client until the time is over.
pub(crate) async fn closed_loop(turn: &Turn, clients: Vec<impl Buyer>) -> Result<Score> {
    let begun = Instant::now();
    let end = begun + turn.time;
    let tasks = clients.into_iter().map(|mut client| {
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let asked = Instant::now();
                client.buy(latencies.len()).await?;
                latencies.push(asked.elapsed());
            }
            anyhow::Ok(latencies)
        })
    });
    let mut latencies = Vec::new();
    for each in try_join_all(tasks).await? {
        latencies.extend(each?);
    }
    Ok(Score {
        took: begun.elapsed(),
        latencies,
        cpu: BTreeMap::new(),
    })
}
