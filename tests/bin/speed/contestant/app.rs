//! What the app's own code, in each of its forms, does at the stores.

use std::sync::Arc;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use redis::aio::MultiplexedConnection;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection};
use tandem_tests::Stores;

use crate::contest::Turn;
use crate::workload::Cart;

/// Connections that are opened at once.
const CONNECTING_MAX: usize = 16;

/// A client's connections, one to each store, and its statements.
pub(crate) struct App {
    pub(crate) sql: MySqlConnection,
    pub(crate) kv: MultiplexedConnection,
    insert: Arc<str>,
    delete: Arc<str>,
}

impl App {
    /// One for each client of a turn.
    pub(crate) async fn clients(
        stores: &Stores,
        turn: &Turn,
        table: &'static str,
    ) -> Result<Vec<App>> {
        let row = "(?, 'ann@example.org', ?, 1, 1, 'EUR')";
        let rows = vec![row; turn.workload.items()].join(", ");
        let insert: Arc<str> = format!(
            "INSERT INTO {table} (purchase_id, customer_id, sku, quantity, unit_price_minor, \
             currency) VALUES {rows}"
        )
        .into();
        let delete: Arc<str> = format!("DELETE FROM {table} WHERE purchase_id = ?").into();
        stream::iter(0..turn.load.clients())
            .map(async |_| {
                anyhow::Ok(App {
                    sql: stores.sql().await?,
                    kv: stores.kv().await?,
                    insert: insert.clone(),
                    delete: delete.clone(),
                })
            })
            .buffered(CONNECTING_MAX)
            .try_collect()
            .await
    }

    /// Inserts a purchase with a prepared statement.
    pub(crate) async fn insert(&mut self, cart: &Cart) -> Result<()> {
        let mut query = sqlx::query(AssertSqlSafe(self.insert.clone()));
        for sku in &cart.skus {
            query = query.bind(&cart.purchase_id).bind(sku);
        }
        query.execute(&mut self.sql).await?;
        Ok(())
    }

    /// Deletes a purchase with a prepared statement.
    pub(crate) async fn delete(&mut self, cart: &Cart) -> Result<()> {
        let query = sqlx::query(AssertSqlSafe(self.delete.clone()));
        query.bind(&cart.purchase_id).execute(&mut self.sql).await?;
        Ok(())
    }

    /// Takes a unit of each sku, or gives it back. False if there was not enough of one.
    pub(crate) async fn take(&mut self, cart: &Cart, units: i64, atomic: bool) -> Result<bool> {
        let mut pipe = redis::pipe();
        if atomic {
            pipe.atomic();
        }
        for sku in &cart.skus {
            pipe.decr(format!("stock:{sku}"), units);
        }
        let left: Vec<i64> = pipe.query_async(&mut self.kv).await?;
        Ok(left.iter().all(|units| *units >= 0))
    }

    /// Ends the sessions in order.
    pub(crate) async fn leave(self) -> Result<()> {
        Ok(self.sql.close().await?)
    }
}
