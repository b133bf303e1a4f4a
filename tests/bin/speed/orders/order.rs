//! What an order of the shop holds.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::{Result, ensure};
use tandem_proto::v1;
use tandem_tests::shop::fixture::{PRODUCTS, WAREHOUSES, cart, customer};

use crate::workload::Cart;

/// What has no stock, a line each.
const UNTRACKED: [(&str, i64); 2] = [("shipping", 490), ("gift-wrap", 250)];

/// Above it the text has characters of three bytes, so that it is no longer than the shop lets it be.
const PLAIN_BYTES_MAX: usize = 1_000;

/// How large the orders are, all of them alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// Lines with stock, a unit each; from seven on a sku is on several lines.
    pub(crate) tracked: usize,
    /// Lines without.
    pub(crate) untracked: usize,
    /// Names and values of the attributes together, as the limits count them.
    pub(crate) attribute_bytes: usize,
}

impl Size {
    /// All lines.
    pub(crate) fn lines(self) -> usize {
        self.tracked + self.untracked
    }

    /// The order that takes one of these carts.
    ///
    /// # Errors
    /// If more are bought than there are carts.
    pub(crate) fn order(
        self,
        bought: &Cart,
        carts: &Range<u64>,
    ) -> Result<v1::SubmitPurchaseRequest> {
        let number = carts.start + bought.serial;
        ensure!(
            carts.contains(&number),
            "all {} open carts are ordered before the turn is over",
            carts.end - carts.start
        );
        Ok(v1::SubmitPurchaseRequest {
            purchase_id: bought.purchase_id.clone(),
            customer_id: customer(number),
            currency: "EUR".to_owned(),
            wait_for: v1::WaitFor::Applied.into(),
            items: self.items(bought.serial as usize),
            attributes: self.attributes(number),
        })
    }

    fn items(self, number: usize) -> Vec<v1::Item> {
        // Of the last there is not enough.
        let products = &PRODUCTS[..PRODUCTS.len() - 1];
        let tracked = (0..self.tracked).map(|line| {
            let (sku, _, price, _) = products[(number + line) % products.len()];
            let pool = WAREHOUSES[(line / products.len()) % WAREHOUSES.len()];
            (sku, price - line as i64, pool, None)
        });
        let untracked = (0..self.untracked).map(|line| {
            let (sku, price) = UNTRACKED[line % UNTRACKED.len()];
            (sku, price, "", Some(false))
        });
        let all = tracked.chain(untracked).enumerate();
        all.map(|(line, (sku, price, pool, tracked))| v1::Item {
            sku: sku.to_owned(),
            quantity: 1,
            unit_price_minor: price,
            line_id: format!("{line}"),
            tracked,
            pool: pool.to_owned(),
        })
        .collect()
    }

    /// What the shop wants to know of each order, and as long a message as makes the bytes full.
    fn attributes(self, number: u64) -> BTreeMap<String, String> {
        let mut attributes: BTreeMap<String, String> = [
            ("cart", cart(number).to_string()),
            ("email", format!("cleo.{number}@example.org")),
            (
                "address",
                format!("Straße {number}, Hinterhaus, 12345 Köln"),
            ),
            ("payment", format!("card-{number}")),
            ("coupon", "SAVE3".to_owned()),
            ("details", String::new()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let others: usize = attributes.iter().map(|(k, v)| k.len() + v.len()).sum();
        const FRAME: &str = "{\"gift\":true,\"message\":\"\"}";
        let message = text_of(self.attribute_bytes.saturating_sub(others + FRAME.len()));
        let details = format!("{}{message}\"}}", &FRAME[..FRAME.len() - 2]);
        attributes.insert("details".to_owned(), details);
        attributes
    }
}

fn text_of(bytes: usize) -> String {
    if bytes <= PLAIN_BYTES_MAX {
        return "x".repeat(bytes);
    }
    "机".repeat(bytes / 3) + &"x".repeat(bytes % 3)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn order_has_as_many_lines_and_bytes_as_it_says() {
        for (size, skus) in [
            (
                Size {
                    tracked: 2,
                    untracked: 1,
                    attribute_bytes: 300,
                },
                3,
            ),
            (
                Size {
                    tracked: 60,
                    untracked: 40,
                    attribute_bytes: 4_096,
                },
                8,
            ),
        ] {
            let bought = Cart {
                purchase_id: "t-1".to_owned(),
                skus: Vec::new(),
                serial: 3,
            };
            let order = size.order(&bought, &(100..104)).unwrap();
            assert_eq!(order.items.len(), size.lines());
            let attributes = order.attributes.iter();
            let bytes: usize = attributes.map(|(k, v)| k.len() + v.len()).sum();
            assert_eq!(bytes, size.attribute_bytes);
            let mut named: Vec<&str> = order.items.iter().map(|item| item.sku.as_str()).collect();
            named.sort_unstable();
            named.dedup();
            assert_eq!(named.len(), skus);
            assert!(size.order(&bought, &(100..103)).is_err(), "no cart is left");
        }
    }
}
