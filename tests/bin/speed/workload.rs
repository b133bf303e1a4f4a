//! What the clients buy.

use clap::ValueEnum;

/// Kinds of goods that are in stock.
pub(crate) const SKUS: usize = 100;

/// Units of each: more than any run sells.
pub(crate) const UNITS: i64 = 1_000_000_000;

/// What is never in stock.
pub(crate) const SOLD_OUT: &str = "sold-out";

/// Items of a large cart.
const CART_ITEMS: usize = 5;

/// Every so many purchases one can't be made.
const REFUSED_ONE_IN: usize = 10;

/// What the clients of a turn buy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Workload {
    /// One unit of one of 100 skus
    Skus,
    /// One unit of the same sku, all of them
    Hot,
    /// One unit each of five of 100 skus
    Carts,
    /// As `skus`, but a tenth of the purchases are of something sold out
    Refusals,
}

/// A purchase, one unit of each sku.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cart {
    pub(crate) purchase_id: String,
    pub(crate) skus: Vec<String>,
}

/// What became of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Bought,
    Refused,
}

impl Workload {
    /// Purchase number `number` of client number `client`, in a turn of this name.
    pub(crate) fn cart(self, turn: &str, client: usize, number: usize) -> Cart {
        let first = client + number;
        let skus = match self {
            Workload::Hot => vec![sku(0)],
            Workload::Carts => (0..CART_ITEMS)
                .map(|item| sku((first * CART_ITEMS + item) % SKUS))
                .collect(),
            Workload::Refusals if first.is_multiple_of(REFUSED_ONE_IN) => {
                vec![SOLD_OUT.to_owned()]
            }
            Workload::Skus | Workload::Refusals => vec![sku(first % SKUS)],
        };
        Cart {
            purchase_id: format!("{turn}-{client}-{number}"),
            skus,
        }
    }

    /// Items of each purchase.
    pub(crate) fn items(self) -> usize {
        match self {
            Workload::Carts => CART_ITEMS,
            Workload::Skus | Workload::Hot | Workload::Refusals => 1,
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Workload::Skus => "100 skus",
            Workload::Hot => "one sku",
            Workload::Carts => "carts of 5 items",
            Workload::Refusals => "a tenth refused",
        }
    }
}

impl Cart {
    /// What it must be answered.
    pub(crate) fn due(&self) -> Answer {
        if self.skus.iter().any(|sku| sku == SOLD_OUT) {
            Answer::Refused
        } else {
            Answer::Bought
        }
    }
}

/// Name of a kind of goods.
pub(crate) fn sku(number: usize) -> String {
    format!("sku-{number}")
}
