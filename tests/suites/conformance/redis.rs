//! The Redis participant over a Redis or Valkey.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tandem_participant::Participant;
use tandem_participant::conformance::{Bench, Capability, unique_id};
use tandem_protocol::{Entry, Item, Purchase};
use tandem_redis::{RedisParticipant, Settings};
use tandem_servers::{LaunchOptions, RedisServer, ServerBinary};

use super::Stand;

/// Units that each item wants.
const QUANTITY: u32 = 3;

#[derive(Debug)]
pub(crate) struct RedisBench {
    server: Arc<RedisServer>,
    seeded: Mutex<BTreeMap<String, i64>>,
}

impl Stand for RedisBench {
    type Server = RedisServer;

    fn start(binary: &ServerBinary) -> Result<RedisServer> {
        RedisServer::start(binary, LaunchOptions::default())
    }

    async fn over(server: Arc<RedisServer>) -> Result<Arc<Self>> {
        let seeded = Mutex::default();
        Ok(Arc::new(RedisBench { server, seeded }))
    }
}

impl RedisBench {
    async fn connect(&self) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.server.url())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    async fn entry(&self, number: u32, stock: i64) -> Result<Entry> {
        let mut connection = self.connect().await?;
        let mut items = Vec::new();
        for _ in 0..2 {
            let sku = unique_id("sku-");
            connection
                .set::<_, _, ()>(format!("stock:{sku}"), stock)
                .await?;
            self.seeded.lock().unwrap().insert(sku.clone(), stock);
            items.push(Item {
                sku,
                quantity: QUANTITY,
                unit_price_minor: 1_999,
                ..Default::default()
            });
        }
        Ok(Entry {
            number,
            purchase: Arc::new(Purchase {
                purchase_id: unique_id("p-"),
                customer_id: "ann@example.org".to_owned(),
                currency: "EUR".to_owned(),
                items,
                ..Default::default()
            }),
        })
    }

    async fn effects(&self, entry: &Entry) -> Result<u64> {
        let mut connection = self.connect().await?;
        let mut effects = Vec::new();
        for item in &entry.purchase.items {
            let now: i64 = connection.get(format!("stock:{}", item.sku)).await?;
            let before = self.seeded.lock().unwrap().get(&item.sku).copied();
            let gone = before.context("a sku of another bench")? - now;
            let quantity = i64::from(item.quantity);
            ensure!(
                gone % quantity == 0,
                "{gone} units of {} are gone",
                item.sku
            );
            effects.push(u64::try_from(gone / quantity)?);
        }
        ensure!(
            effects.iter().all(|times| *times == effects[0]),
            "purchase {} is there in part: {effects:?}",
            entry.purchase.purchase_id
        );
        Ok(effects[0])
    }
}

#[async_trait]
impl Bench for RedisBench {
    async fn participant(&self) -> Result<Arc<dyn Participant>, String> {
        let name = "stock".parse().expect("a participant's name");
        let participant = RedisParticipant::new(name, Settings::at(self.server.url()));
        Ok(Arc::new(participant.map_err(|error| error.to_string())?))
    }

    async fn good_entry(&self, number: u32) -> Result<Entry, String> {
        self.entry(number, 1_000 * i64::from(QUANTITY))
            .await
            .map_err(text)
    }

    async fn exclusive_entry(&self, number: u32) -> Result<Entry, String> {
        self.entry(number, QUANTITY.into()).await.map_err(text)
    }

    async fn refusable_entry(&self, number: u32) -> Result<Entry, String> {
        self.entry(number, i64::from(QUANTITY) - 1)
            .await
            .map_err(text)
    }

    async fn effects(&self, entry: &Entry) -> Result<u64, String> {
        self.effects(entry).await.map_err(text)
    }

    fn offers(&self, _capability: Capability) -> bool {
        true
    }

    async fn kill_store(&self) -> Result<(), String> {
        self.server.kill9().map_err(text)
    }

    async fn start_store(&self) -> Result<(), String> {
        tokio::task::block_in_place(|| self.server.restart()).map_err(text)
    }
}

fn text(error: anyhow::Error) -> String {
    format!("{error:#}")
}
