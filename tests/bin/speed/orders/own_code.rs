//! The shop's own code, as fast as it can be written: prepared statements, all lines in one, a transaction around
//! what it inserts; then the decrements in one pipeline. Nothing is around both.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use redis::aio::MultiplexedConnection;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, SqlSafeStr};
use tandem_proto::v1;
use tandem_tests::Stores;
use tandem_tests::shop::fixture::WAREHOUSES;

use super::Size;
use crate::contest::{Buyer, Turn};
use crate::workload::{Answer, Cart};

const ORDER: &str = "INSERT INTO orders (customer_id, cart_id, email, address, details, total, currency, coupon) \
     VALUES ((SELECT id FROM customers WHERE ref = ?), ?, ?, ?, ?, ?, ?, ?)";
const LINES: &str =
    "INSERT INTO order_lines (order_id, position, sku, warehouse, quantity, price) VALUES ";
const CART: &str = "UPDATE carts SET state = 'ordered' WHERE id = ?";
const PAYMENT: &str =
    "INSERT INTO authorized_payments (order_id, reference, amount) VALUES (?, ?, ?)";

/// Connections that are opened at once.
const CONNECTING_MAX: usize = 16;

/// A client's connections, one to each store.
pub(super) struct OwnCode {
    sql: MySqlConnection,
    kv: MultiplexedConnection,
    size: Size,
    carts: Range<u64>,
}

/// One for each client of a turn.
pub(super) async fn clients(
    stores: &Stores,
    turn: &Turn,
    size: Size,
    carts: &Range<u64>,
) -> Result<Vec<OwnCode>> {
    stream::iter(0..turn.load.clients())
        .map(async |_| {
            let mut sql = stores.sql().await?;
            sql.execute("SET autocommit = 0").await?;
            // A thousand clients that prepare their statements all at once would be busy with it for seconds.
            for statement in [ORDER, CART, PAYMENT] {
                sql.prepare(statement.into_sql_str()).await?;
            }
            sql.prepare(AssertSqlSafe(insert_lines(size.lines())).into_sql_str())
                .await?;
            anyhow::Ok(OwnCode {
                sql,
                kv: stores.kv().await?,
                size,
                carts: carts.clone(),
            })
        })
        .buffered(CONNECTING_MAX)
        .try_collect()
        .await
}

impl Buyer for OwnCode {
    async fn buy(&mut self, cart: &Cart) -> Result<Answer> {
        let order = self.size.order(cart, &self.carts)?;
        self.insert(&order).await?;
        self.take(&order).await?;
        Ok(Answer::Bought)
    }

    async fn leave(self) -> Result<()> {
        Ok(self.sql.close().await?)
    }
}

impl OwnCode {
    async fn insert(&mut self, order: &v1::SubmitPurchaseRequest) -> Result<()> {
        let attribute = |name: &str| order.attributes.get(name).map(String::as_str);
        let cart: u64 = attribute("cart").context("no cart")?.parse()?;
        let items = order.items.iter();
        let total: i64 = items
            .map(|item| i64::from(item.quantity) * item.unit_price_minor)
            .sum();
        let inserted = sqlx::query(ORDER)
            .bind(&order.customer_id)
            .bind(cart)
            .bind(attribute("email"))
            .bind(attribute("address"))
            .bind(attribute("details"))
            .bind(money(total))
            .bind(&order.currency)
            .bind(attribute("coupon"))
            .execute(&mut self.sql)
            .await?;
        let number = inserted.last_insert_id();
        let mut query = sqlx::query(AssertSqlSafe(insert_lines(order.items.len())));
        for (line, item) in order.items.iter().enumerate() {
            query = query
                .bind(number)
                .bind(line as u64 + 1)
                .bind(&item.sku)
                .bind(Some(&item.pool).filter(|pool| !pool.is_empty()))
                .bind(item.quantity)
                .bind(money(item.unit_price_minor));
        }
        query.execute(&mut self.sql).await?;
        let ordered = sqlx::query(CART).bind(cart).execute(&mut self.sql).await?;
        ensure!(ordered.rows_affected() == 1, "cart {cart} is not open");
        sqlx::query(PAYMENT)
            .bind(number)
            .bind(attribute("payment"))
            .bind(money(total))
            .execute(&mut self.sql)
            .await?;
        self.sql.execute("COMMIT").await?;
        Ok(())
    }

    async fn take(&mut self, order: &v1::SubmitPurchaseRequest) -> Result<()> {
        let mut pipe = redis::pipe();
        for item in order
            .items
            .iter()
            .filter(|item| item.tracked != Some(false))
        {
            let warehouse = match item.pool.as_str() {
                "" => WAREHOUSES[0],
                named => named,
            };
            pipe.hincr(
                format!("product:{}", item.sku),
                format!("stock-{warehouse}"),
                -i64::from(item.quantity),
            );
        }
        let left: Vec<i64> = pipe.query_async(&mut self.kv).await?;
        ensure!(
            left.iter().all(|units| *units >= 0),
            "a product is sold out, which none is meant to be"
        );
        Ok(())
    }
}

fn insert_lines(number: usize) -> String {
    LINES.to_owned() + &vec!["(?, ?, ?, ?, ?, ?)"; number].join(", ")
}

/// Euros, as a DECIMAL is written.
fn money(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}
