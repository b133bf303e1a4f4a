//! The app's own code: INSERT the purchase, then DECRBY the stock; a connection each per client,
//! prepared statements, no transaction around the two.

use anyhow::{Result, ensure};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use sqlx::{AssertSqlSafe, Executor, MySqlConnection, Row};
use tandem_tests::Stores;

use crate::SKUS;
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
    let (rows_before, stock_before) = (rows(stores).await?, stock(stores).await?);
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
    let sold = i64::try_from(score.latencies.len())?;
    let (new_rows, lost) = (
        rows(stores).await? - rows_before,
        stock_before - stock(stores).await?,
    );
    ensure!(
        new_rows == sold && lost == sold,
        "naive sold {sold}, but there are {new_rows} new rows and {lost} units less: no figure"
    );
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

async fn rows(stores: &Stores) -> Result<i64> {
    let count = "SELECT COUNT(*) FROM naive_purchases";
    Ok(stores.sql().await?.fetch_one(count).await?.try_get(0)?)
}

/// All units in stock.
pub(crate) async fn stock(stores: &Stores) -> Result<i64> {
    let keys: Vec<String> = (0..SKUS)
        .map(|number| format!("stock:{}", contest::sku(number)))
        .collect();
    let units: Vec<i64> = stores.kv().await?.mget(keys).await?;
    Ok(units.into_iter().sum())
}
