//! The same purchases through the coordinator, answered when they are applied.

use anyhow::{Result, ensure};
use sqlx::{Executor, Row};
use tandem_tests::{Judge, Stores, World, purchase};

use crate::SKUS;
use crate::contest::{self, Buyer, Score, Turn};
use crate::naive::stock;

/// Connections that the clients share, as the processes of an app would.
const CHANNELS: usize = 4;

struct Client {
    name: String,
    sku: String,
    client: tandem_tests::Client,
}

/// Participants that write the row which naive writes.
pub(crate) fn participants(stores: &Stores) -> String {
    format!(
        "[participants.purchases.mysql]\n{}\n[[participants.purchases.mysql.statements]]\nper = \
         \"item\"\nsql = \"INSERT INTO tandem_purchases (purchase_id, customer_id, sku, quantity, \
         unit_price_minor, currency) VALUES (:purchase_id, :customer_id, :sku, :quantity, \
         :unit_price_minor, :currency)\"\n[participants.stock.redis]\n{}",
        stores.mysql_settings(),
        stores.redis_settings()
    )
}

pub(crate) async fn play(world: &World, turn: &Turn) -> Result<Score> {
    let stores = &world.stores;
    let (rows_before, stock_before) = (rows(stores).await?, stock(stores).await?);
    let channels: Vec<_> = (0..CHANNELS).map(|_| world.coordinator.client()).collect();
    let clients = (0..turn.clients)
        .map(|number| Client {
            name: format!("tandem-{}-{number}", turn.name),
            sku: contest::sku(number % SKUS),
            client: channels[number % CHANNELS].clone(),
        })
        .collect();
    let score = contest::closed_loop(turn, clients).await?;
    Judge(stores).quiet(&world.coordinator.operator()).await?;
    let sold = i64::try_from(score.latencies.len())?;
    let (new_rows, lost) = (
        rows(stores).await? - rows_before,
        stock_before - stock(stores).await?,
    );
    ensure!(
        new_rows == sold && lost == sold,
        "tandem sold {sold}, but there are {new_rows} new rows and {lost} units less: no figure"
    );
    Ok(score)
}

impl Buyer for Client {
    async fn buy(&mut self, number: usize) -> Result<()> {
        let id = format!("{}-{number}", self.name);
        let bought = self
            .client
            .submit(&purchase(&id, &[(&self.sku, 1)]))
            .await?;
        ensure!(bought.applied, "{id} was answered before it was applied");
        Ok(())
    }
}

async fn rows(stores: &Stores) -> Result<i64> {
    let count = "SELECT COUNT(*) FROM tandem_purchases";
    Ok(stores.sql().await?.fetch_one(count).await?.try_get(0)?)
}
