//! Random runs against a model that is nothing but arithmetic.

use std::collections::BTreeMap;

use fastrand::Rng;
use tandem_participant::CommitEvidence;

use crate::stage::{Stage, on_each_server, refused};

const SKUS: [&str; 4] = ["a", "b", "c", "d"];
const STEPS: usize = 600;

type Cart = Vec<(&'static str, u32)>;

#[derive(Clone, Copy, PartialEq)]
enum State {
    Prepared,
    Committed,
    Ended,
}

#[derive(Default)]
struct Model {
    stock: BTreeMap<&'static str, i64>,
    held: BTreeMap<&'static str, i64>,
    transactions: Vec<(Vec<Cart>, Vec<u32>, State)>,
}

impl Model {
    fn prepare(&mut self, carts: Vec<Cart>) -> Vec<u32> {
        let mut refused = Vec::new();
        for (number, cart) in carts.iter().enumerate() {
            let fits = |(sku, units): &(&str, u32)| {
                self.stock[sku] - self.held.get(sku).unwrap_or(&0) >= i64::from(*units)
            };
            if cart.iter().all(fits) {
                for (sku, units) in cart {
                    *self.held.entry(sku).or_default() += i64::from(*units);
                }
            } else {
                refused.push(number as u32);
            }
        }
        let state = match refused.len() == carts.len() {
            true => State::Ended,
            false => State::Prepared,
        };
        self.transactions.push((carts, refused.clone(), state));
        refused
    }

    fn release(&mut self, number: usize, state: State) {
        let (carts, refused, old) = &mut self.transactions[number];
        if *old == State::Prepared {
            for (number, cart) in carts.iter().enumerate() {
                for (sku, units) in cart {
                    if !refused.contains(&(number as u32)) {
                        *self.held.entry(sku).or_default() -= i64::from(*units);
                    }
                }
            }
        }
        *old = state;
    }
}

fn slices(carts: &[Cart]) -> Vec<&[(&str, u32)]> {
    carts.iter().map(Vec::as_slice).collect()
}

/// What was seen: a run that never saw one of these proves little.
#[derive(Debug, Default)]
struct Seen {
    held: usize,
    refused: usize,
    committed: usize,
    repeated: usize,
    rolled_back: usize,
}

/// A run of the store and its model side by side.
struct Run<'a> {
    stage: &'a Stage,
    seed: u64,
    dice: Rng,
    model: Model,
    seen: Seen,
}

async fn run(stage: &Stage, seed: u64) -> Seen {
    let mut run = Run {
        stage,
        seed,
        dice: Rng::with_seed(seed),
        model: Model::default(),
        seen: Seen::default(),
    };
    for sku in SKUS {
        let () = stage.cli(&format!("SET stock:{sku} 200")).await;
        run.model.stock.insert(sku, 200);
    }
    for step in 0..STEPS {
        let note = format!("seed {seed}, step {step}");
        let known = run.model.transactions.len() as u64;
        let choice = if known == 0 { 0 } else { run.dice.u64(..10) };
        match choice {
            0..=3 => run.prepare(&note).await,
            4..=6 => run.commit(&note).await,
            7 => run.roll_back().await,
            _ => run.restock().await,
        }
        run.compare(&note).await;
    }
    for number in 0..run.model.transactions.len() {
        if run.model.transactions[number].2 == State::Prepared {
            stage.roll_back(&run.id(number)).await;
        }
    }
    stage.assert_quiet().await;
    run.seen
}

impl Run<'_> {
    fn id(&self, number: usize) -> String {
        format!("shop.{}.{number}", 1 + self.seed)
    }

    fn any_known(&mut self) -> usize {
        self.dice.u64(..self.model.transactions.len() as u64) as usize
    }

    async fn prepare(&mut self, note: &str) {
        let dice = &mut self.dice;
        let carts: Vec<Cart> = (0..1 + dice.u64(..6))
            .map(|_| {
                let mut skus = SKUS.to_vec();
                (0..1 + dice.u64(..3))
                    .map(|_| {
                        let sku = skus.remove(dice.u64(..skus.len() as u64) as usize);
                        (sku, 1 + dice.u64(..9) as u32)
                    })
                    .collect()
            })
            .collect();
        let id = self.id(self.model.transactions.len());
        let vote = self.stage.prepare(&id, &slices(&carts)).await;
        let got: Vec<u32> = refused(&vote).into_iter().map(|(n, _)| n).collect();
        self.seen.held += carts.len() - got.len();
        self.seen.refused += got.len();
        assert_eq!(got, self.model.prepare(carts), "{note}");
    }

    async fn commit(&mut self, note: &str) {
        let number = self.any_known();
        let (carts, refused, state) = self.model.transactions[number].clone();
        if state == State::Ended {
            return;
        }
        // MySQL may refuse more than we did; the choice is fixed for the transaction.
        let survives = |n: usize| !refused.contains(&(n as u32)) && !(n + number).is_multiple_of(5);
        let survivors = carts.iter().enumerate().filter(|(n, _)| survives(*n));
        let survivors: Vec<Cart> = survivors.map(|(_, cart)| cart.clone()).collect();
        let committed = self
            .stage
            .commit(&self.id(number), &slices(&survivors))
            .await;
        assert_eq!(committed.debts, [], "{note}");
        if state == State::Committed {
            assert_eq!(committed.evidence, CommitEvidence::AlreadyApplied, "{note}");
            self.seen.repeated += 1;
            return;
        }
        assert_eq!(committed.evidence, CommitEvidence::Applied, "{note}");
        for (sku, units) in survivors.iter().flatten() {
            *self.model.stock.get_mut(sku).unwrap() -= i64::from(*units);
        }
        self.model.release(number, State::Committed);
        self.seen.committed += 1;
    }

    async fn roll_back(&mut self) {
        let number = self.any_known();
        if self.model.transactions[number].2 == State::Committed {
            return;
        }
        self.stage.roll_back(&self.id(number)).await;
        self.model.release(number, State::Ended);
        self.seen.rolled_back += 1;
    }

    async fn restock(&mut self) {
        let sku = SKUS[self.dice.u64(..4) as usize];
        let more = self.dice.u64(..20) as i64;
        let () = self.stage.cli(&format!("INCRBY stock:{sku} {more}")).await;
        *self.model.stock.get_mut(sku).unwrap() += more;
    }

    async fn compare(&self, note: &str) {
        for sku in SKUS {
            let stock: i64 = self.stage.cli(&format!("GET stock:{sku}")).await;
            let held = format!("HGET tandem:held stock:{sku}");
            let held: Option<i64> = self.stage.cli(&held).await;
            let held = held.unwrap_or(0);
            assert_eq!(stock, self.model.stock[sku], "{note}");
            assert_eq!(held, *self.model.held.get(sku).unwrap_or(&0), "{note}");
            assert!(held <= stock, "{note}: invariant_held_never_exceeds_stock");
        }
    }
}

#[tokio::test]
async fn random_runs_agree_with_arithmetic() {
    on_each_server(async |stage| {
        for seed in 0..3 {
            let seen = run(stage, seed).await;
            let Seen {
                held,
                refused,
                committed,
                repeated,
                rolled_back,
            } = seen;
            for count in [held, refused, committed, repeated, rolled_back] {
                assert!(count > 0, "seed {seed}: {seen:?}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn held_never_exceeds_stock_under_concurrent_callers() {
    on_each_server(async |stage| {
        let () = stage.cli("SET stock:a 300").await;
        let mut callers = tokio::task::JoinSet::new();
        for caller in 0..16 {
            let participant = stage.participant.clone();
            callers.spawn(async move {
                use tandem_participant::Participant;
                let enlist = crate::stage::enlist(&format!("shop{caller}"), "log-a", 1, "i");
                participant.enlist(&enlist).await.unwrap();
                let mut dice = Rng::with_seed(caller);
                let mut sold = 0;
                for n in 0..40 {
                    let id = format!("shop{caller}.1.{n}");
                    let units = 1 + dice.u64(..4) as u32;
                    let cart: &[&[(&str, u32)]] = &[&[("a", units)]];
                    let vote = participant
                        .prepare(&crate::stage::prepare(&id, cart))
                        .await
                        .map(|voted| voted.vote);
                    let is_held = refused(&vote.unwrap()).is_empty();
                    if is_held && dice.u64(..3) > 0 {
                        let decision = crate::stage::commit(&id, cart);
                        let committed = participant.commit(&decision).await.unwrap();
                        assert_eq!(committed.debts, []);
                        sold += i64::from(units);
                    } else {
                        let abort = crate::stage::roll_back(&id);
                        participant.roll_back(&abort).await.unwrap();
                    }
                }
                sold
            });
        }
        let sold: i64 = callers.join_all().await.into_iter().sum();
        assert_eq!(stage.value_and_held("a").await, (300 - sold, 0));
        assert!(sold > 290, "the stock was never short: {sold}");
        stage.assert_quiet().await;
    })
    .await;
}
