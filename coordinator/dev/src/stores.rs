//! The two private servers, with a database and some stock.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use sqlx::{Connection, Executor, MySqlConnection};
use tandem_servers::{Folder, LaunchOptions, MysqlOptions, MysqlServer, RedisServer};
use tokio::task::block_in_place;

use crate::binaries::Binaries;
use crate::ports::{Ports, is_free};

/// What the shop begins with: sku and units.
pub(crate) const STOCK: [(&str, i64); 3] = [("lamp", 100), ("chair", 20), ("desk", 3)];

/// For a connection to a server on this machine, and for each answer of Redis'.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Both servers, running. Dropping it kills them, which loses nothing that was acknowledged.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) mysql: MysqlServer,
    pub(crate) redis: RedisServer,
}

impl Stores {
    /// Starts both on what their folders below `folder` hold.
    pub(crate) fn start(binaries: &Binaries, folder: &Path, ports: &Ports) -> anyhow::Result<Self> {
        block_in_place(|| {
            let mysql = start(folder.join("mysql"), ports.mysql, &|launch| {
                let options = MysqlOptions {
                    launch,
                    ..MysqlOptions::default()
                };
                MysqlServer::start(&binaries.mysql, options)
            })?;
            let redis = start(folder.join("redis"), ports.redis, &|launch| {
                RedisServer::start(&binaries.redis, launch)
            })?;
            Ok(Self { mysql, redis })
        })
    }

    /// Makes the database and puts stock where there is none. The participant makes the tables.
    pub(crate) async fn seed(&self) -> anyhow::Result<()> {
        let mut mysql = connect_mysql(&self.mysql.url()).await?;
        mysql
            .execute("CREATE DATABASE IF NOT EXISTS shop")
            .await
            .context("create the database shop")?;
        mysql.close().await?;
        let mut redis = self.connect_redis().await?;
        let mut stock = redis::pipe();
        for (sku, units) in STOCK {
            stock.set_nx(format!("stock:{sku}"), units).ignore();
        }
        let seeded: redis::RedisResult<()> = stock.query_async(&mut redis).await;
        seeded.context("put some stock in Redis")
    }

    /// The shop's database.
    pub(crate) fn mysql_url(&self) -> String {
        format!("{}shop", self.mysql.url())
    }

    /// A connection of the story's own to the shop's database.
    pub(crate) async fn connect_mysql(&self) -> anyhow::Result<MySqlConnection> {
        connect_mysql(&self.mysql_url()).await
    }

    /// A connection of the story's own.
    pub(crate) async fn connect_redis(&self) -> anyhow::Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        let url = self.redis.url();
        let client = redis::Client::open(url.as_str())?;
        client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .with_context(|| format!("connect to {url}"))
    }

    /// Ends both cleanly.
    pub(crate) fn stop(&self) -> anyhow::Result<()> {
        block_in_place(|| {
            // The second is stopped though the first can't be.
            let redis = self.redis.stop().context("stop Redis");
            self.mysql.stop().context("stop MySQL").and(redis)
        })
    }
}

/// Starts a server on the port that it should have, or on any other if that one is taken.
fn start<S>(
    folder: PathBuf,
    port: Option<u16>,
    start: &dyn Fn(LaunchOptions) -> anyhow::Result<S>,
) -> anyhow::Result<S> {
    let launch = |port| LaunchOptions {
        folder: Folder::Kept(folder.clone()),
        port,
        ..LaunchOptions::default()
    };
    match (start(launch(port)), port) {
        (Err(_), Some(port)) if !is_free(port) => start(launch(None)),
        (started, _) => started,
    }
}

async fn connect_mysql(url: &str) -> anyhow::Result<MySqlConnection> {
    let connecting = MySqlConnection::connect(url);
    tokio::time::timeout(ANSWER_MAX, connecting)
        .await
        .map_err(anyhow::Error::from)
        .and_then(|connected| Ok(connected?))
        .with_context(|| format!("connect to {url}"))
}
