//! Clients that buy without pause, repeat what got no final answer, and remember every answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tandem_proto::v1::SubmitPurchaseRequest;
use tokio::task::JoinSet;

use crate::answer::{Answer, Asked};
use crate::client::{Client, purchase};
use crate::random::Random;
use crate::shop::orders::order;
use crate::wait::until;

/// A client's deadline for one call: short, so that calls which a dead process swallowed are
/// repeated soon.
const CALL_MAX: Duration = Duration::from_secs(3);

/// How long after the end of a load a purchase may be without a final answer. Everything is up
/// again by then, so more would be a transaction that does not end.
const FINAL_MAX: Duration = Duration::from_secs(60);

/// What all purchases of a load were told.
pub type Records = Vec<Asked>;

/// How long a purchase took from its first question to its final answer.
#[derive(Debug, Clone)]
pub(crate) struct Wait {
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    /// What there was to read before the final answer.
    pub(crate) before: Vec<Answer>,
    pub(crate) purchase: SubmitPurchaseRequest,
}

impl Wait {
    /// Whether it was for units of a sku.
    pub(crate) fn wants(&self, sku: &str) -> bool {
        self.purchase.items.iter().any(|item| item.sku == sku)
    }
}

/// What is bought.
#[derive(Debug, Clone)]
pub(crate) enum Goods {
    /// Some units of some of these.
    Skus(Vec<String>),
    /// A shop's own orders, of which some must be refused.
    Orders {
        /// Carts that are ordered so far, by all clients; of each two one stays open.
        begun: Arc<AtomicU64>,
        /// Whether some want the cart or the payment of the same client's order before.
        repeats: bool,
        /// Whether some have its id, in capitals.
        twins: bool,
    },
}

/// Clients under way.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Result<(Records, Vec<Wait>)>>,
    /// When the last purchase was begun that has its answer, of each client.
    served: Arc<[Mutex<Option<Instant>>]>,
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
        let skus = skus.iter().map(|sku| (*sku).to_owned()).collect();
        Load::start_at(&Goods::Skus(skus), connections, clients, prefix, seed)
    }

    /// The same of whatever is bought.
    pub(crate) fn start_at(
        goods: &Goods,
        connections: &[Client],
        clients: usize,
        prefix: &str,
        seed: u64,
    ) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let served: Arc<[Mutex<Option<Instant>>]> =
            (0..clients).map(|_| Mutex::default()).collect();
        for number in 0..clients {
            let buyer = Buyer {
                number,
                goods: goods.clone(),
                served: Arc::clone(&served),
                waits: Vec::new(),
                client: connections[number % connections.len()]
                    .clone()
                    .with_deadline(CALL_MAX),
                prefix: format!("{prefix}-{number}"),
                random: Random::new(seed.wrapping_add(number as u64)),
                before: None,
                stop: Arc::clone(&stop),
            };
            tasks.spawn(buyer.run());
        }
        Load {
            stop,
            clients: tasks,
            served,
        }
    }

    /// Waits until each client has a final answer to a purchase that it began after `since`.
    ///
    /// # Errors
    /// If one has none after a minute.
    pub(crate) async fn all_served_since(&self, since: Instant) -> Result<()> {
        until("every client is served", FINAL_MAX, async || {
            let later =
                |one: &Mutex<Option<Instant>>| one.lock().unwrap().is_some_and(|at| at > since);
            Ok(self.served.iter().all(later))
        })
        .await
    }

    /// Lets each client end its last purchase and gives what all were told.
    ///
    /// # Errors
    /// If a purchase has no final answer by the deadline.
    pub async fn finish(self) -> Result<Records> {
        Ok(self.finish_with_waits().await?.0)
    }

    /// The same, with how long each purchase took.
    ///
    /// # Errors
    /// As of [`finish`](Load::finish).
    pub(crate) async fn finish_with_waits(mut self) -> Result<(Records, Vec<Wait>)> {
        self.stop.store(true, Ordering::Relaxed);
        let (mut records, mut waits) = (Records::new(), Vec::new());
        while let Some(ended) = self.clients.join_next().await {
            let (told, waited) = ended??;
            records.extend(told);
            waits.extend(waited);
        }
        Ok((records, waits))
    }
}

struct Buyer {
    client: Client,
    number: usize,
    goods: Goods,
    served: Arc<[Mutex<Option<Instant>>]>,
    waits: Vec<Wait>,
    prefix: String,
    random: Random,
    before: Option<SubmitPurchaseRequest>,
    stop: Arc<AtomicBool>,
}

impl Buyer {
    async fn run(mut self) -> Result<(Records, Vec<Wait>)> {
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
        Ok((records, self.waits))
    }

    fn choose(&mut self, number: usize) -> SubmitPurchaseRequest {
        let id = format!("{}-{number}", self.prefix);
        match &self.goods {
            Goods::Skus(skus) => some_of(skus, &id, &mut self.random),
            Goods::Orders {
                begun,
                repeats,
                twins,
            } => {
                // An order may want a stranger's cart: the next one, which nobody else wants.
                let cart = begun.fetch_add(2, Ordering::Relaxed);
                let mut chosen = order(cart, false, &mut self.random);
                chosen.purchase_id = id;
                if let Some(before) = &self.before {
                    repeat(&mut chosen, before, (*repeats, *twins), &mut self.random);
                }
                self.before = Some(chosen.clone());
                chosen
            }
        }
    }

    async fn buy(&mut self, purchase: SubmitPurchaseRequest) -> Result<Asked> {
        let begun = Instant::now();
        let mut answers = self.ask_until_final(&purchase).await?;
        self.waits.push(Wait {
            begun,
            ended: Instant::now(),
            before: answers[..answers.len().saturating_sub(1)].to_vec(),
            purchase: purchase.clone(),
        });
        *self.served[self.number].lock().unwrap() = Some(begun);
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
            let is_shop = matches!(self.goods, Goods::Orders { .. });
            let is_final = answer.is_final() || is_shop && answer.is_about_rows();
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

/// Gives an order now and then what the client's order before has, which one of them at most can have: its cart, its
/// payment, its id in capitals where that is the same to the shop.
fn repeat(
    chosen: &mut SubmitPurchaseRequest,
    before: &SubmitPurchaseRequest,
    (repeats, twins): (bool, bool),
    random: &mut Random,
) {
    let mut take = |name: &str| {
        let value = before.attributes.get(name).cloned();
        chosen
            .attributes
            .extend(value.map(|value| (name.to_owned(), value)));
    };
    match random.between(0, 60) {
        // A twin has none.
        0 | 1 if twins && before.purchase_id.starts_with(char::is_lowercase) => {
            chosen.purchase_id = before.purchase_id.to_uppercase()
        }
        2 if repeats => take("payment"),
        3 if repeats => {
            take("cart");
            before.customer_id.clone_into(&mut chosen.customer_id);
        }
        _ => {}
    }
}

/// A few units of a few of these.
fn some_of(skus: &[String], id: &str, random: &mut Random) -> SubmitPurchaseRequest {
    let mut items: Vec<(&str, u32)> = Vec::new();
    for _ in 0..random.between(1, 3) {
        let sku = skus[random.number() as usize % skus.len()].as_str();
        if items.iter().all(|(other, _)| *other != sku) {
            items.push((sku, random.between(1, 3) as u32));
        }
    }
    purchase(id, &items)
}
