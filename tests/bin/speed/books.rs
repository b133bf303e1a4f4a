//! What the stores say about a contestant's turn.

use anyhow::{Result, ensure};
use redis::AsyncCommands;
use sqlx::{AssertSqlSafe, Executor, Row};
use tandem_tests::Stores;

use crate::workload::{self, SKUS, SOLD_OUT};

/// Rows in a contestant's table, and all units in stock.
pub(crate) struct Books {
    table: &'static str,
    rows: i64,
    stock: i64,
    sold_out: i64,
}

impl Books {
    pub(crate) async fn open(stores: &Stores, table: &'static str) -> Result<Books> {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let rows = stores.sql().await?.fetch_one(count).await?.try_get(0)?;
        let keys: Vec<String> = (0..SKUS)
            .map(|number| format!("stock:{}", workload::sku(number)))
            .collect();
        let mut kv = stores.kv().await?;
        let units: Vec<i64> = kv.mget(keys).await?;
        Ok(Books {
            table,
            rows,
            stock: units.into_iter().sum(),
            sold_out: kv.get(format!("stock:{SOLD_OUT}")).await?,
        })
    }

    /// An error unless as many rows came and units went since then as are said here, and nothing
    /// was taken of what is sold out.
    pub(crate) async fn close(self, stores: &Stores, rows: u64, units: u64) -> Result<()> {
        let (due_rows, due_units) = (i64::try_from(rows)?, i64::try_from(units)?);
        let now = Books::open(stores, self.table).await?;
        let (rows, units) = (now.rows - self.rows, self.stock - now.stock);
        ensure!(
            (rows, units) == (due_rows, due_units) && now.sold_out == self.sold_out,
            "by the answers {} should have {due_rows} new rows and the stock {due_units} units \
             less; there are {rows} rows and {units} units less, and of what is sold out there are \
             {} instead of {}: no figure",
            self.table,
            now.sold_out,
            self.sold_out
        );
        Ok(())
    }
}
