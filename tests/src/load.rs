//! Clients that buy without pause, repeat what got no final answer, and remember every answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_proto::v1::SubmitPurchaseRequest;
use tokio::task::JoinSet;

use crate::answer::{Answer, Asked};
use crate::client::{Client, purchase};
use crate::random::Random;

/// A client's deadline for one call: short, so that calls which a dead process swallowed are
/// repeated soon.
const CALL_MAX: Duration = Duration::from_secs(3);

/// How long after the end of a load a purchase may be without a final answer. Everything is up
/// again by then, so more would be a transaction that does not end.
const FINAL_MAX: Duration = Duration::from_secs(60);

/// What all purchases of a load were told.
pub type Records = Vec<Asked>;

/// Clients under way.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<Records>>,
}

impl Load {
    /// Starts `clients` of them. Purchase ids start with `prefix`; what they buy follows from
    /// `seed`.
    pub fn start(client: &Client, clients: usize, prefix: &str, seed: u64, skus: &[&str]) -> Load {
        Load::start_over(std::slice::from_ref(client), clients, prefix, seed, skus)
    }

    /// The same over several connections in turn.
    pub fn start_over(
        connections: &[Client],
        clients: usize,
        prefix: &str,
        seed: u64,
        skus: &[&str],
    ) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let buyer = Buyer {
                client: connections[number % connections.len()]
                    .clone()
                    .with_deadline(CALL_MAX),
                prefix: format!("{prefix}-{number}"),
                random: Random::new(seed.wrapping_add(number as u64)),
                skus: skus.iter().map(|sku| (*sku).to_owned()).collect(),
                stop: Arc::clone(&stop),
            };
            tasks.spawn(buyer.run());
        }
        Load {
            stop,
            clients: tasks,
        }
    }

    /// Lets each client end its last purchase and gives what all were told.
    ///
    /// # Errors
    /// If a purchase has no final answer by the deadline.
    pub async fn finish(mut self) -> Result<Records> {
        self.stop.store(true, Ordering::Relaxed);
        let mut records = Records::new();
        while let Some(ended) = self.clients.join_next().await {
            records.extend(ended??);
        }
        Ok(records)
    }
}

struct Buyer {
    client: Client,
    prefix: String,
    random: Random,
    skus: Vec<String>,
    stop: Arc<AtomicBool>,
}

impl Buyer {
    async fn run(mut self) -> Result<Records> {
        let mut records = Records::new();
        while !self.stop.load(Ordering::Relaxed) {
            let purchase = self.choose(records.len());
            records.push(self.buy(purchase).await?);
        }
        // What was answered before the last death is still true after it.
        for record in records.iter_mut().rev().take(4) {
            let again = self.ask_until_final(&record.purchase).await?;
            record.answers.extend(again);
        }
        Ok(records)
    }

    fn choose(&mut self, number: usize) -> SubmitPurchaseRequest {
        let mut items: Vec<(&str, u32)> = Vec::new();
        for _ in 0..self.random.between(1, 3) {
            let sku = self.skus[self.random.number() as usize % self.skus.len()].as_str();
            if items.iter().all(|(other, _)| *other != sku) {
                items.push((sku, self.random.between(1, 3) as u32));
            }
        }
        purchase(&format!("{}-{number}", self.prefix), &items)
    }

    async fn buy(&mut self, purchase: SubmitPurchaseRequest) -> Result<Asked> {
        let mut answers = self.ask_until_final(&purchase).await?;
        if self.random.between(1, 8) == 1 {
            answers.extend(self.ask_until_final(&purchase).await?);
        }
        Ok(Asked { purchase, answers })
    }

    async fn ask_until_final(&mut self, purchase: &SubmitPurchaseRequest) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        let mut stopped_since = None;
        loop {
            let answer = Answer::of(&self.client.submit(purchase).await);
            let is_final = answer.is_final();
            // The same answer many times is one thing to remember.
            if answers.last() != Some(&answer) {
                answers.push(answer);
            }
            if is_final {
                return Ok(answers);
            }
            if self.stop.load(Ordering::Relaxed) {
                let since = *stopped_since.get_or_insert_with(Instant::now);
                ensure!(
                    since.elapsed() < FINAL_MAX,
                    "{} has no final answer after {FINAL_MAX:?}; it was told {answers:?}",
                    purchase.purchase_id
                );
            }
            let pause = self.random.millis(10, 60);
            tokio::time::sleep(pause).await;
        }
    }
}
