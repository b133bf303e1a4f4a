//! The same purchases through the coordinator, answered when they are applied.

use anyhow::{Result, ensure};
use tandem_tests::{Judge, Stores, World, purchase};

use crate::SKUS;
use crate::books::Books;
use crate::contest::{self, Buyer, Score, Turn};

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
    let books = Books::open(stores, "tandem_purchases").await?;
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
    books.close(stores, score.latencies.len()).await?;
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
