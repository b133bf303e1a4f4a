//! The app's own code: INSERT the purchase, then DECRBY the stock; a connection each per client,
//! prepared statements, no transaction around the two.

use anyhow::Result;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Executor, MySqlConnection};
use tandem_tests::Stores;

use crate::SKUS;
use crate::books::Books;
use crate::contest::{self, Buyer, Score, Turn};

const INSERT: &str = "INSERT INTO naive_purchases (purchase_id, customer_id, sku, quantity, \
                      unit_price_minor, currency) VALUES (?, 'ann@example.org', ?, 1, 1, 'EUR')";

struct Client {
    name: String,
    sku: String,
    sql: MySqlConnection,
    kv: MultiplexedConnection,
}

/// Both contestants write the same row, each to a table of its own.
pub(crate) async fn create_tables(stores: &Stores) -> Result<()> {
    for name in ["naive_purchases", "tandem_purchases"] {
        let create = format!(
            "CREATE TABLE {name} (purchase_id VARCHAR(64) CHARACTER SET ascii PRIMARY KEY, \
             customer_id VARCHAR(64) NOT NULL, sku VARCHAR(128) CHARACTER SET ascii NOT NULL, \
             quantity INT UNSIGNED NOT NULL, unit_price_minor BIGINT NOT NULL, currency CHAR(3) \
             CHARACTER SET ascii NOT NULL) ENGINE=InnoDB"
        );
        stores.sql().await?.execute(AssertSqlSafe(create)).await?;
    }
    Ok(())
}

pub(crate) async fn play(stores: &Stores, turn: &Turn) -> Result<Score> {
    let books = Books::open(stores, "naive_purchases").await?;
    let mut clients = Vec::new();
    for number in 0..turn.clients {
        clients.push(Client {
            name: format!("naive-{}-{number}", turn.name),
            sku: contest::sku(number % SKUS),
            sql: stores.sql().await?,
            kv: stores.kv().await?,
        });
    }
    let score = contest::closed_loop(turn, clients).await?;
    books.close(stores, score.latencies.len()).await?;
    Ok(score)
}

impl Buyer for Client {
    async fn buy(&mut self, number: usize) -> Result<()> {
        sqlx::query(INSERT)
            .bind(format!("{}-{number}", self.name))
            .bind(&self.sku)
            .execute(&mut self.sql)
            .await?;
        let key = format!("stock:{}", self.sku);
        self.kv.decr::<_, _, i64>(key, 1).await?;
        Ok(())
    }
}
