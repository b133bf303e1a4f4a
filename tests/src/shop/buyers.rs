//! Clients that buy a number of purchases between them and write down what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tandem_proto::v1;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::client::Client;
use crate::random::Random;
use crate::shop::orders::{as_json, order};
use crate::world::World;

/// Short, so that a call which a dead process swallowed is repeated soon.
const CALL_MAX: Duration = Duration::from_secs(3);

/// Longer would be a purchase that does not end, all being up again after each death.
const FINAL_MAX: Duration = Duration::from_secs(90);

/// Clients of one connection.
const SHARERS: u64 = 8;

/// Of so many purchases without a clear answer one is given up.
const GIVEN_UP_OF: u64 = 40;

/// Clients under way.
#[derive(Debug)]
pub(super) struct Buyers {
    begun: Arc<AtomicU64>,
    clients: JoinSet<Result<Vec<Told>>>,
}

/// What became of a purchase, as its client knows it.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) order: v1::SubmitPurchaseRequest,
    pub(super) outcome: Outcome,
    asked: f64,
    answered: f64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// By this transaction.
    Committed(String),
    /// With the reason.
    Refused(String),
    /// Nobody asked again.
    Unknown,
}

impl Outcome {
    /// Which transaction has made it.
    pub(super) fn transaction(&self) -> Option<&str> {
        match self {
            Outcome::Committed(transaction) => Some(transaction),
            Outcome::Refused(_) | Outcome::Unknown => None,
        }
    }
}

impl Told {
    /// As the checker reads it: times in seconds since 1970.
    pub(super) fn as_json(&self) -> Value {
        let outcome = match &self.outcome {
            Outcome::Committed(_) => "committed",
            Outcome::Refused(_) => "refused",
            Outcome::Unknown => "unknown",
        };
        json!({
            "order": as_json(&self.order), "outcome": outcome, "asked": self.asked, "answered": self.answered,
        })
    }
}

impl Buyers {
    /// Starts `clients` that buy `purchases` between them.
    pub(super) fn start(world: &World, clients: u64, purchases: u64, seed: u64) -> Buyers {
        let begun = Arc::new(AtomicU64::new(0));
        let mut tasks = JoinSet::new();
        let connections: Vec<Client> = (0..clients.div_ceil(SHARERS))
            .map(|_| world.coordinator.client().with_deadline(CALL_MAX))
            .collect();
        for number in 0..clients {
            let client = connections[(number / SHARERS) as usize].clone();
            let begun = Arc::clone(&begun);
            let mut random = Random::new(seed.wrapping_add(number));
            tasks.spawn(async move {
                let mut told = Vec::new();
                loop {
                    let number = begun.fetch_add(1, Ordering::Relaxed);
                    if number >= purchases {
                        return Ok(told);
                    }
                    told.push(buy(&client, order(number, true, &mut random), &mut random).await?);
                }
            });
        }
        Buyers {
            begun,
            clients: tasks,
        }
    }

    /// How many purchases have been begun.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// Waits for the last one.
    ///
    /// # Errors
    /// If a purchase does not end.
    pub(super) async fn finish(mut self) -> Result<Vec<Told>> {
        let mut told = Vec::new();
        while let Some(ended) = self.clients.join_next().await {
            told.extend(ended??);
        }
        Ok(told)
    }
}

/// Asks until there is an answer, with the same id.
async fn buy(
    client: &Client,
    order: v1::SubmitPurchaseRequest,
    random: &mut Random,
) -> Result<Told> {
    let (asked, since) = (now(), Instant::now());
    loop {
        let answer = Answer::of(&client.submit(&order).await);
        let outcome = match answer {
            Answer::Committed { transaction } => Some(Outcome::Committed(transaction)),
            Answer::Refused { reason } => Some(Outcome::Refused(reason)),
            Answer::NotMade { ref reason } if answer.is_about_rows() => {
                Some(Outcome::Refused(reason.clone()))
            }
            Answer::NotMade { .. } => None,
            Answer::Unknown { .. } => {
                (random.between(1, GIVEN_UP_OF) == 1).then_some(Outcome::Unknown)
            }
        };
        if let Some(outcome) = outcome {
            return Ok(Told {
                order,
                outcome,
                asked,
                answered: now(),
            });
        }
        ensure!(
            since.elapsed() < FINAL_MAX,
            "{} has no answer after {FINAL_MAX:?}",
            order.purchase_id
        );
        tokio::time::sleep(random.millis(10, 60)).await;
    }
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
