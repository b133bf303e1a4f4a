//! A shop's side of the rounds: its carts and products, and what its clients were told, for the checker that knows
//! the shop only.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::answer::{Answer, Asked};
use crate::load::Wait;
use crate::personal::PERSONAL;
use crate::shop::checker::Checker;
use crate::shop::fixture::{PRODUCTS, WAREHOUSES, before, fill, open_carts};
use crate::shop::orders::as_json;
use crate::stores::Stores;
use crate::world::World;

/// Open carts at the beginning of a round; a purchase that finds none any more is refused.
const CARTS: u64 = 10_000;

/// What there is of the product that is sold out in each round, in each warehouse.
const SCARCE_UNITS: i64 = 60;

/// The last of the products.
const SCARCE: usize = PRODUCTS.len() - 1;

/// What a world's shop has gone through.
#[derive(Debug, Default)]
pub(super) struct Shop {
    /// Carts that somebody has wanted to order.
    pub(super) begun: Arc<AtomicU64>,
    opened: AtomicU64,
    /// Units of the scarce product, by warehouse, that were there at first or put there since.
    delivered: Mutex<BTreeMap<&'static str, i64>>,
    told: Mutex<Vec<Value>>,
}

impl Shop {
    /// Fills the tables and the products.
    pub(super) async fn open(stores: &Stores) -> Result<Shop> {
        fill(stores, 0).await?;
        let shop = Shop::default();
        for (number, (sku, _, _, units)) in PRODUCTS.into_iter().enumerate() {
            for warehouse in WAREHOUSES {
                stores.seed(&stock(sku, warehouse), units).await?;
                if number == SCARCE {
                    shop.delivered.lock().unwrap().insert(warehouse, units);
                }
            }
        }
        Ok(shop)
    }

    /// Opens carts, and fills up what was sold out in the round before.
    pub(super) async fn begin_round(&self, stores: &Stores) -> Result<()> {
        let opened = self.opened.load(Ordering::Relaxed);
        let wanted = self.begun.load(Ordering::Relaxed) + CARTS;
        if wanted > opened {
            open_carts(stores, opened..wanted).await?;
            self.opened.store(wanted, Ordering::Relaxed);
        }
        for warehouse in WAREHOUSES {
            let scarce = stock(PRODUCTS[SCARCE].0, warehouse);
            let left = stores.stock(&scarce).await?.unwrap_or_default();
            stores.seed(&scarce, SCARCE_UNITS).await?;
            *self.delivered.lock().unwrap().entry(warehouse).or_default() += SCARCE_UNITS - left;
        }
        Ok(())
    }

    /// Remembers what a round's purchases were told. Where rows may have been written again, the trigger may have
    /// noted them at any time until now.
    pub(super) fn note(&self, asked: &[Asked], waits: &[Wait], rows_are_redone: bool) {
        let now = Instant::now();
        let waits: BTreeMap<&str, &Wait> = waits
            .iter()
            .map(|wait| (wait.purchase.purchase_id.as_str(), wait))
            .collect();
        let told = asked.iter().map(|one| {
            let wait = waits[one.purchase.purchase_id.as_str()];
            let committed = |answer: &Answer| matches!(answer, Answer::Committed { .. });
            let outcome = match one.answers.iter().any(committed) {
                true => "committed",
                false => "refused",
            };
            let noted = if rows_are_redone { now } else { wait.ended };
            json!({
                "order": as_json(&one.purchase), "outcome": outcome, "asked": since_1970(wait.begun),
                "answered": since_1970(wait.ended), "noted": since_1970(noted),
            })
        });
        self.told.lock().unwrap().extend(told);
    }

    /// Compares every cell and unit with what was told since the world's beginning, and looks for personal values
    /// in what tandem has logged.
    ///
    /// # Errors
    /// The differences; the line.
    pub(super) fn check(&self, world: &World) -> Result<()> {
        let mut before = before(self.opened.load(Ordering::Relaxed));
        for (warehouse, units) in &*self.delivered.lock().unwrap() {
            before["products"][SCARCE]["stock"][*warehouse] = json!(units);
        }
        let told = self.told.lock().unwrap().clone();
        let differences = Checker::new(world, &before, &told)?.differences()?;
        ensure!(
            differences.is_empty(),
            "invariant_shop_has_what_was_told: {}",
            differences.join("\n")
        );
        for text in world.all_logs() {
            let line = text.lines().find(|line| line.contains(PERSONAL));
            ensure!(line.is_none(), "invariant_personal_is_not_logged: {line:?}");
        }
        Ok(())
    }
}

/// What the scarce product is called.
pub(super) fn scarce_sku() -> &'static str {
    PRODUCTS[SCARCE].0
}

fn stock(sku: &str, warehouse: &str) -> String {
    format!("{sku}{{{warehouse}}}")
}

/// In seconds.
fn since_1970(moment: Instant) -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default()
        .saturating_sub(moment.elapsed())
        .as_secs_f64()
}
