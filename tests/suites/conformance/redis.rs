//! The Redis participant over a Redis or Valkey.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
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

/// A bench over a Redis whose stock is in one of the places.
#[derive(Debug)]
pub(crate) struct RedisBench<P> {
    server: Arc<RedisServer>,
    seeded: Mutex<BTreeMap<String, i64>>,
    place: PhantomData<P>,
}

/// Where the app keeps its stock.
pub(crate) trait Place: fmt::Debug + Send + Sync + 'static {
    /// What is behind the server's name in a test's.
    const WAY: &'static str;

    fn say(settings: &mut Settings);

    /// The key, and the field if there is one.
    fn of(sku: &str) -> (String, Option<String>);
}

/// `stock:{sku}`
#[derive(Debug)]
pub(crate) struct Keys;

impl Place for Keys {
    const WAY: &'static str = "";

    fn say(_: &mut Settings) {}

    fn of(sku: &str) -> (String, Option<String>) {
        (format!("stock:{sku}"), None)
    }
}

/// The fields of one hash.
#[derive(Debug)]
pub(crate) struct Hash;

impl Place for Hash {
    const WAY: &'static str = "+hash";

    fn say(settings: &mut Settings) {
        settings.stock_hash = Some("stock".to_owned());
    }

    fn of(sku: &str) -> (String, Option<String>) {
        ("stock".to_owned(), Some(sku.to_owned()))
    }
}

/// The field `stock` of `product:{sku}`.
#[derive(Debug)]
pub(crate) struct Products;

impl Place for Products {
    const WAY: &'static str = "+products";

    fn say(settings: &mut Settings) {
        settings.stock_key = Some("product:{sku}".to_owned());
        settings.stock_field = Some("stock".to_owned());
    }

    fn of(sku: &str) -> (String, Option<String>) {
        (format!("product:{sku}"), Some("stock".to_owned()))
    }
}

impl<P: Place> Stand for RedisBench<P> {
    const WAY: &'static str = P::WAY;

    type Server = RedisServer;

    fn start(binary: &ServerBinary) -> Result<RedisServer> {
        RedisServer::start(binary, LaunchOptions::default())
    }

    async fn over(server: Arc<RedisServer>) -> Result<Arc<Self>> {
        let seeded = Mutex::default();
        Ok(Arc::new(RedisBench {
            server,
            seeded,
            place: PhantomData,
        }))
    }
}

impl<P: Place> RedisBench<P> {
    async fn connect(&self) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.server.url())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    async fn entry(&self, number: u32, stock: i64) -> Result<Entry> {
        let mut connection = self.connect().await?;
        let mut items = Vec::new();
        for _ in 0..2 {
            let sku = unique_id("sku-");
            match P::of(&sku) {
                (key, None) => connection.set::<_, _, ()>(key, stock).await?,
                (key, Some(field)) => connection.hset::<_, _, _, ()>(key, field, stock).await?,
            }
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
            let before = self.seeded.lock().unwrap().get(&item.sku).copied();
            let Some(before) = before else {
                ensure!(item.untracked, "a sku of another bench");
                continue;
            };
            let now: i64 = match P::of(&item.sku) {
                (key, None) => connection.get(key).await?,
                (key, Some(field)) => connection.hget(key, field).await?,
            };
            let gone = before - now;
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
impl<P: Place> Bench for RedisBench<P> {
    async fn participant(&self) -> Result<Arc<dyn Participant>, String> {
        let name = "stock".parse().expect("a participant's name");
        let mut settings = Settings::at(self.server.url());
        P::say(&mut settings);
        let participant = RedisParticipant::new(name, settings);
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
