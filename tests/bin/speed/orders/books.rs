//! What the shop's tables and products say about a turn.

use anyhow::{Result, ensure};
use sqlx::{AssertSqlSafe, Executor, Row};
use tandem_tests::Stores;
use tandem_tests::shop::fixture::{PRODUCTS, WAREHOUSES};

use super::Size;

/// What an order leaves, each with how it is counted.
const COUNTS: [(&str, &str); 6] = [
    ("orders", "SELECT COUNT(*) FROM orders"),
    ("lines", "SELECT COUNT(*) FROM order_lines"),
    ("payments", "SELECT COUNT(*) FROM payments"),
    ("notes of the trigger", "SELECT COUNT(*) FROM order_audit"),
    (
        "ordered carts",
        "SELECT COUNT(*) FROM carts WHERE state = 'ordered'",
    ),
    (
        "carts with an order",
        "SELECT COUNT(DISTINCT cart_id) FROM orders",
    ),
];

/// Rows of each kind, and all units in stock.
pub(super) struct Books {
    counts: Vec<i64>,
    stock: i64,
}

impl Books {
    pub(super) async fn open(stores: &Stores) -> Result<Books> {
        let mut session = stores.sql().await?;
        let mut counts = Vec::new();
        for (_, count) in COUNTS {
            let row = session.fetch_one(AssertSqlSafe(count.to_owned())).await?;
            counts.push(row.try_get(0)?);
        }
        let mut kv = stores.kv().await?;
        let mut pipe = redis::pipe();
        for (sku, ..) in PRODUCTS {
            for warehouse in WAREHOUSES {
                pipe.hget(format!("product:{sku}"), format!("stock-{warehouse}"));
            }
        }
        let units: Vec<i64> = pipe.query_async(&mut kv).await?;
        let stock = units.into_iter().sum();
        Ok(Books { counts, stock })
    }

    /// An error unless what came and went since then is what so many orders leave.
    pub(super) async fn close(self, stores: &Stores, size: Size, orders: u64) -> Result<()> {
        let now = Books::open(stores).await?;
        let orders = i64::try_from(orders)?;
        let lines = orders * i64::try_from(size.lines())?;
        for (((name, _), now), before) in COUNTS.iter().zip(&now.counts).zip(&self.counts) {
            let due = if *name == "lines" { lines } else { orders };
            let came = now - before;
            ensure!(
                came == due,
                "by the answers there should be {due} more {name}, and there are {came}: no figure"
            );
        }
        let due = orders * i64::try_from(size.tracked)?;
        let went = self.stock - now.stock;
        ensure!(
            went == due,
            "by the answers the stock should have {due} units less, and has {went} less: no figure"
        );
        Ok(())
    }
}
