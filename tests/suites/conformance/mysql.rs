//! The MySQL participant over a MariaDB or MySQL.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use sqlx::{Connection, MySqlConnection};
use tandem_mysql::{MysqlParticipant, Settings};
use tandem_participant::conformance::{Bench, Capability, unique_id};
use tandem_participant::{Acknowledged, Enlist, Participant};
use tandem_protocol::{Entry, Epoch, Item, Purchase};
use tandem_servers::{MysqlOptions, MysqlServer, ServerBinary};

use super::Stand;

/// What stands in the column of the transaction's id where a row is not a transaction's.
const BY_HAND: &str = "by hand";

#[derive(Debug)]
pub(crate) struct MysqlBench {
    server: Arc<MysqlServer>,
}

impl Stand for MysqlBench {
    type Server = MysqlServer;

    fn start(binary: &ServerBinary) -> Result<MysqlServer> {
        MysqlServer::start(binary, MysqlOptions::default())
    }

    async fn over(server: Arc<MysqlServer>) -> Result<Arc<Self>> {
        let mut root = MySqlConnection::connect(&server.url()).await?;
        sqlx::raw_sql("CREATE DATABASE IF NOT EXISTS shop")
            .execute(&mut root)
            .await?;
        let bench = Arc::new(MysqlBench { server });
        // The tables come with the first enlistment; the bench itself needs them too.
        let enlist = Enlist {
            coordinator: unique_id("c").parse()?,
            log_id: unique_id("log-"),
            epoch: Epoch(1),
            instance_id: unique_id("i-"),
            acknowledged: Acknowledged::default(),
        };
        bench.open()?.enlist(&enlist).await?;
        Ok(bench)
    }
}

impl MysqlBench {
    fn url(&self) -> String {
        format!("{}shop", self.server.url())
    }

    fn open(&self) -> Result<MysqlParticipant> {
        Ok(MysqlParticipant::new(
            "purchases".parse()?,
            Settings::new(self.url().into()),
        )?)
    }

    async fn count(&self, query: &'static str, purchase_id: &str) -> Result<u64> {
        let mut session = MySqlConnection::connect(&self.url()).await?;
        let count: i64 = sqlx::query_scalar(query)
            .bind(purchase_id)
            .bind(BY_HAND)
            .fetch_one(&mut session)
            .await?;
        Ok(u64::try_from(count)?)
    }

    async fn insert_by_hand(&self, purchase_id: &str) -> Result<()> {
        let mut session = MySqlConnection::connect(&self.url()).await?;
        sqlx::query("INSERT INTO purchases VALUES (?, 'bob', 'EUR', 1, ?, '2020-01-01')")
            .bind(purchase_id)
            .bind(BY_HAND)
            .execute(&mut session)
            .await?;
        Ok(())
    }

    async fn effects(&self, entry: &Entry) -> Result<u64> {
        let id = &entry.purchase.purchase_id;
        let rows = "SELECT COUNT(*) FROM purchases WHERE purchase_id = ? AND transaction_id <> ?";
        let rows = self.count(rows, id).await?;
        let items = "SELECT COUNT(*) FROM purchase_items WHERE purchase_id = ? AND sku <> ?";
        let items = self.count(items, id).await?;
        let wanted = rows * entry.purchase.items.len() as u64;
        anyhow::ensure!(
            items == wanted,
            "purchase {id} has {rows} rows and {items} items"
        );
        Ok(rows)
    }
}

#[async_trait]
impl Bench for MysqlBench {
    async fn participant(&self) -> Result<Arc<dyn Participant>, String> {
        let participant = self.open().map_err(text)?;
        Ok(Arc::new(participant))
    }

    async fn good_entry(&self, number: u32) -> Result<Entry, String> {
        Ok(entry(number))
    }

    async fn refusable_entry(&self, number: u32) -> Result<Entry, String> {
        let entry = entry(number);
        let id = &entry.purchase.purchase_id;
        self.insert_by_hand(id).await.map_err(text)?;
        Ok(entry)
    }

    async fn effects(&self, entry: &Entry) -> Result<u64, String> {
        self.effects(entry).await.map_err(text)
    }

    fn offers(&self, capability: Capability) -> bool {
        // A branch is committed as a whole or not at all, and there is no stock.
        matches!(capability, Capability::Refuse | Capability::KillStore)
    }

    async fn kill_store(&self) -> Result<(), String> {
        self.server.kill9().map_err(text)
    }

    async fn start_store(&self) -> Result<(), String> {
        tokio::task::block_in_place(|| self.server.restart()).map_err(text)
    }
}

fn entry(number: u32) -> Entry {
    let item = |_| Item {
        sku: unique_id("sku-"),
        quantity: 3,
        unit_price_minor: 1_999,
        ..Default::default()
    };
    Entry {
        number,
        purchase: Arc::new(Purchase {
            purchase_id: unique_id("p-"),
            customer_id: "ann@example.org".to_owned(),
            currency: "EUR".to_owned(),
            items: (0..2).map(item).collect(),
            ..Default::default()
        }),
    }
}

fn text(error: anyhow::Error) -> String {
    format!("{error:#}")
}
