//! What dtmrs calls: the app's side that inserts the purchase, and says whether a sale took place.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use sqlx::AssertSqlSafe;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use tandem_servers::PortLease;
use tandem_tests::Stores;
use tokio::io::BufReader;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::{TABLE, http, sale};

/// Sessions that insert.
const SESSIONS: u32 = 64;

const DONE: &str = r#"{"dtm_result":"SUCCESS"}"#;
const REFUSED: &str = r#"{"dtm_result":"FAILURE"}"#;

/// The server, and who waits for which purchase.
#[derive(Clone)]
pub(crate) struct Branches {
    pub(super) address: SocketAddr,
    sql: MySqlPool,
    redis: redis::Client,
    waiting: Arc<Mutex<HashMap<String, oneshot::Sender<()>>>>,
}

impl Branches {
    pub(super) async fn serve(stores: &Stores, port: PortLease) -> Result<Branches> {
        let listener = TcpListener::bind(("127.0.0.1", port.port())).await?;
        let pool = MySqlPoolOptions::new().max_connections(SESSIONS);
        let branches = Branches {
            address: listener.local_addr()?,
            sql: pool.connect(&stores.mysql_url()).await?,
            redis: redis::Client::open(stores.redis.url())?,
            waiting: Arc::default(),
        };
        let serving = branches.clone();
        tokio::spawn(async move {
            let _port = port;
            while let Ok((stream, _)) = listener.accept().await {
                let branches = serving.clone();
                // dtmrs repeats what a broken connection swallowed.
                tokio::spawn(async move { branches.converse(stream).await.ok() });
            }
        });
        Ok(branches)
    }

    /// Comes back when the purchase is inserted.
    pub(super) fn inserted(&self, gid: &str) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        self.waiting().insert(gid.to_owned(), sender);
        receiver
    }

    async fn converse(&self, stream: TcpStream) -> Result<()> {
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        while let Some(message) = http::read(&mut stream).await? {
            let gid = message.first.split("gid=").nth(1);
            let gid = gid.and_then(|rest| rest.split(['&', ' ']).next());
            let gid = gid.context("a call without gid")?;
            if message.first.contains("/insert") {
                let skus: Vec<String> = serde_json::from_slice(&message.body)?;
                self.insert(gid, &skus).await?;
                http::answer(&mut stream, "200 OK", DONE).await?;
                if let Some(waits) = self.waiting().remove(gid) {
                    let _ = waits.send(());
                }
            } else if self.was_sold(gid).await? {
                http::answer(&mut stream, "200 OK", DONE).await?;
            } else {
                http::answer(&mut stream, "409 Conflict", REFUSED).await?;
            }
        }
        Ok(())
    }

    /// Inserts the rows, once: the key is the barrier.
    async fn insert(&self, gid: &str, skus: &[String]) -> Result<()> {
        let rows = vec!["(?, 'ann@example.org', ?, 1, 1, 'EUR')"; skus.len()].join(", ");
        let insert = format!(
            "INSERT IGNORE INTO {TABLE} (purchase_id, customer_id, sku, quantity, \
             unit_price_minor, currency) VALUES {rows}"
        );
        let mut query = sqlx::query(AssertSqlSafe(insert));
        for sku in skus {
            query = query.bind(gid).bind(sku);
        }
        query.execute(&self.sql).await?;
        Ok(())
    }

    /// Whether the sale took place in Redis; if not, it never will.
    async fn was_sold(&self, gid: &str) -> Result<bool> {
        let mut kv = self.redis.get_multiplexed_async_connection().await?;
        sale::was_made(&mut kv, gid).await
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
