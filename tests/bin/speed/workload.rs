//! What the clients buy.

use clap::ValueEnum;

use crate::orders::Size;

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
    /// A shop's own orders (tests/shop): two lines with stock and shipping, 300 bytes of attributes
    Orders,
    /// The same with 4 KiB of attributes
    LargeOrders,
    /// The same with 100 lines too: 60 with stock, of few skus, and 40 without
    LongOrders,
}

/// A purchase, one unit of each sku.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cart {
    pub(crate) purchase_id: String,
    /// None of a shop's own order, whose lines follow from its size.
    pub(crate) skus: Vec<String>,
    /// The how many-th of its turn, from 0.
    pub(crate) serial: u64,
}

/// What became of a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Bought,
    Refused,
}

impl Workload {
    /// Purchase number `number` of client number `client`, in a turn of this name, in which as many as `serial`
    /// were begun before.
    pub(crate) fn cart(self, turn: &str, client: usize, number: usize, serial: u64) -> Cart {
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
            Workload::Orders | Workload::LargeOrders | Workload::LongOrders => Vec::new(),
        };
        Cart {
            purchase_id: format!("{turn}-{client}-{number}"),
            skus,
            serial,
        }
    }

    /// How large the orders are, where they are a shop's own.
    pub(crate) fn order(self) -> Option<Size> {
        let (tracked, untracked, attribute_bytes) = match self {
            Workload::Skus | Workload::Hot | Workload::Carts | Workload::Refusals => return None,
            Workload::Orders => (2, 1, 300),
            Workload::LargeOrders => (2, 1, 4_096),
            Workload::LongOrders => (60, 40, 4_096),
        };
        Some(Size {
            tracked,
            untracked,
            attribute_bytes,
        })
    }

    /// Items of each purchase.
    pub(crate) fn items(self) -> usize {
        match self {
            Workload::Carts => CART_ITEMS,
            Workload::Skus | Workload::Hot | Workload::Refusals => 1,
            Workload::Orders | Workload::LargeOrders | Workload::LongOrders => {
                self.order().map_or(0, Size::lines)
            }
        }
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Workload::Skus => "100 skus",
            Workload::Hot => "one sku",
            Workload::Carts => "carts of 5 items",
            Workload::Refusals => "a tenth refused",
            Workload::Orders => "a shop's own orders of 3 lines, 300 bytes of attributes",
            Workload::LargeOrders => "a shop's own orders of 3 lines, 4 KiB of attributes",
            Workload::LongOrders => "a shop's own orders of 100 lines, 4 KiB of attributes",
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
