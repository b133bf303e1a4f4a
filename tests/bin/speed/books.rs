//! What the stores say about a contestant's turn.

use anyhow::{Result, ensure};
use redis::AsyncCommands;
use sqlx::{AssertSqlSafe, Executor, Row};
use tandem_tests::Stores;

use crate::SKUS;
use crate::contest;

/// Rows in a contestant's table, and all units in stock.
pub(crate) struct Books {
    table: &'static str,
    rows: i64,
    stock: i64,
}

impl Books {
    pub(crate) async fn open(stores: &Stores, table: &'static str) -> Result<Books> {
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        let rows = stores.sql().await?.fetch_one(count).await?.try_get(0)?;
        let keys: Vec<String> = (0..SKUS)
            .map(|number| format!("stock:{}", contest::sku(number)))
            .collect();
        let units: Vec<i64> = stores.kv().await?.mget(keys).await?;
        let stock = units.into_iter().sum();
        Ok(Books { table, rows, stock })
    }

    /// An error unless as many rows came and units went since then as were sold.
    pub(crate) async fn close(self, stores: &Stores, sold: usize) -> Result<()> {
        let sold = i64::try_from(sold)?;
        let now = Books::open(stores, self.table).await?;
        let (rows, units) = (now.rows - self.rows, self.stock - now.stock);
        ensure!(
            rows == sold && units == sold,
            "{sold} were sold, but {} has {rows} new rows and there are {units} units less: no \
             figure",
            self.table
        );
        Ok(())
    }
}
