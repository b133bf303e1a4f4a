//! A MySQL or MariaDB and a Redis or Valkey of a case's own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig};
use sqlx::{AssertSqlSafe, Connection, Executor, MySqlConnection};
use tandem_protocol::sku_and_pool;
use tandem_servers::{Flavor, Folder, LaunchOptions, MysqlOptions, MysqlServer, RedisServer};

use crate::machine::Pair;
use crate::schema::{self, Schema};

/// The app's database.
const DATABASE: &str = "shop";

/// The app's user of it.
pub(crate) const APP_USER: &str = "shop";

/// The same at Redis, as the server's argument, so that it has its rights again after each start.
const REDIS_USER: [&str; 6] = ["--user", APP_USER, "on", ">shop", "~*", "&*"];

/// A disk that is slow that day makes an answer late, not wrong.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// How the stores are started.
#[derive(Debug, Clone, Default)]
pub struct StoresOptions {
    /// Below which folder the data go; the system's temporary folder if there is none.
    pub folder: Option<PathBuf>,
    /// Set in both servers' environment.
    pub env: Vec<(OsString, OsString)>,
    /// Appended to the MySQL server's arguments.
    pub mysql_args: Vec<OsString>,
    /// Appended to the Redis server's arguments.
    pub redis_args: Vec<OsString>,
    /// Where the stock is kept.
    pub stock: StockPlace,
    /// Where purchases are kept.
    pub schema: Schema,
    /// Whether ids are in a column that takes upper and lower case for the same; in a shop's schema only.
    pub ids_fold_case: bool,
    /// Below which folder Redis' data go, if elsewhere than `folder`.
    pub redis_folder: Option<PathBuf>,
    /// Whether participants connect as an app's user does, who is no administrator: `read_only`
    /// binds it, and rights can be taken from it.
    pub app_user: bool,
    /// Appended to the settings of the Redis participant.
    pub redis_settings: String,
    /// What the app's user may not do at Redis: `-bgrewriteaof`.
    pub redis_forbidden: Option<&'static str>,
}

/// Where the app keeps its stock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StockPlace {
    /// `stock:{sku}`, a key each.
    #[default]
    Key,
    /// One hash `warehouse`, a field each.
    Hash,
    /// `product:{sku}`, a hash each, with the field `stock`.
    Products,
    /// `stock:{pool}:{sku}`, a key each, `main` where no pool is named.
    Pools,
    /// `product:{sku}`, a hash each, with the field `stock-{pool}`, as [`Schema::Shop`] has it.
    Warehouses,
}

/// The two servers, with an empty database and no stock.
#[derive(Debug)]
pub struct Stores {
    /// MariaDB or MySQL.
    pub mysql: MysqlServer,
    /// Redis or Valkey.
    pub redis: RedisServer,
    stock: StockPlace,
    pub(crate) schema: Schema,
    app_user: bool,
    redis_settings: String,
    redis_forbidden: Option<&'static str>,
    seeded: Mutex<BTreeMap<String, i64>>,
}

impl Stores {
    /// Starts both with an empty database.
    ///
    /// # Errors
    /// If a server does not start; with its log.
    pub async fn start(pair: &Pair, options: StoresOptions) -> Result<Stores> {
        let launch = |extra_args, folder: &Option<PathBuf>| LaunchOptions {
            folder: folder
                .clone()
                .map_or(Folder::Temporary, Folder::TemporaryIn),
            env: options.env.clone(),
            extra_args,
            ..LaunchOptions::default()
        };
        let mysql = MysqlOptions {
            launch: launch(options.mysql_args.clone(), &options.folder),
            ..MysqlOptions::default()
        };
        let redis_folder = options.redis_folder.clone().or(options.folder.clone());
        let mut redis_args = options.redis_args.clone();
        if options.app_user {
            redis_args.extend(redis_user(options.redis_forbidden));
        }
        let redis = launch(redis_args, &redis_folder);
        let stores = Stores {
            mysql: MysqlServer::start(&pair.mysql, mysql)?,
            redis: RedisServer::start(&pair.redis, redis)?,
            stock: options.stock,
            schema: options.schema,
            app_user: options.app_user,
            redis_settings: options.redis_settings,
            redis_forbidden: options.redis_forbidden,
            seeded: Mutex::default(),
        };
        let mut root = MySqlConnection::connect(&stores.mysql.url()).await?;
        root.execute(AssertSqlSafe(format!("CREATE DATABASE {DATABASE}")))
            .await?;
        if options.app_user {
            root.execute(AssertSqlSafe(stores.grants())).await?;
        }
        let mut shop = stores.sql().await?;
        for ddl in options.schema.ddl() {
            sqlx::raw_sql(*ddl).execute(&mut shop).await?;
        }
        if options.ids_fold_case {
            shop.execute("ALTER TABLE orders MODIFY ref VARCHAR(64) NULL")
                .await?;
        }
        shop.close().await?;
        root.close().await?;
        Ok(stores)
    }

    /// What makes the app's user at another Redis.
    pub(crate) fn redis_user(&self) -> Vec<OsString> {
        redis_user(self.redis_forbidden)
    }

    /// `mysql://root@127.0.0.1:PORT/shop`
    pub fn mysql_url(&self) -> String {
        format!("{}{DATABASE}", self.mysql.url())
    }

    /// Makes a user that may all but administrate.
    fn grants(&self) -> String {
        let (needs, administrates) = match self.mysql.binary().flavor {
            Flavor::MySql => (
                "GRANT XA_RECOVER_ADMIN, REPLICATION CLIENT ON *.* TO shop; ",
                "SUPER, CONNECTION_ADMIN, READ_ONLY_ADMIN",
            ),
            _ => ("", "SUPER, READ_ONLY ADMIN, CONNECTION ADMIN"),
        };
        format!(
            "CREATE USER {APP_USER}; {needs}GRANT ALL ON *.* TO {APP_USER}; \
             REVOKE {administrates} ON *.* FROM {APP_USER}"
        )
    }

    /// A new session of the app's database.
    ///
    /// # Errors
    /// If the server is down.
    pub async fn sql(&self) -> Result<MySqlConnection> {
        MySqlConnection::connect(&self.mysql_url())
            .await
            .with_context(|| format!("connect to {}", self.mysql.binary()))
    }

    /// A new connection to Redis.
    ///
    /// # Errors
    /// If the server is down.
    pub async fn kv(&self) -> Result<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(ANSWER_MAX))
            .set_response_timeout(Some(ANSWER_MAX));
        redis::Client::open(self.redis.url())?
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .with_context(|| format!("connect to {}", self.redis.binary()))
    }

    /// Puts units of a sku in stock.
    ///
    /// # Errors
    /// If Redis is down.
    pub async fn seed(&self, sku: &str, units: i64) -> Result<()> {
        let mut kv = self.kv().await?;
        match self.stock {
            StockPlace::Key => kv.set::<_, _, ()>(format!("stock:{sku}"), units).await?,
            StockPlace::Hash => kv.hset::<_, _, _, ()>("warehouse", sku, units).await?,
            StockPlace::Products => {
                kv.hset::<_, _, _, ()>(format!("product:{sku}"), "stock", units)
                    .await?;
            }
            StockPlace::Pools => kv.set::<_, _, ()>(key_in_pool(sku), units).await?,
            StockPlace::Warehouses => {
                let (product, field) = field_of_product(sku);
                kv.hset::<_, _, _, ()>(product, field, units).await?;
            }
        }
        self.seeded.lock().unwrap().insert(sku.to_owned(), units);
        Ok(())
    }

    /// What is in stock now.
    ///
    /// # Errors
    /// If Redis is down or the value is not a number.
    pub async fn stock(&self, sku: &str) -> Result<Option<i64>> {
        let mut kv = self.kv().await?;
        Ok(match self.stock {
            StockPlace::Key => kv.get(format!("stock:{sku}")).await?,
            StockPlace::Hash => kv.hget("warehouse", sku).await?,
            StockPlace::Products => kv.hget(format!("product:{sku}"), "stock").await?,
            StockPlace::Pools => kv.get(key_in_pool(sku)).await?,
            StockPlace::Warehouses => {
                let (product, field) = field_of_product(sku);
                kv.hget(product, field).await?
            }
        })
    }

    /// All that was seeded, by sku.
    pub fn seeded(&self) -> BTreeMap<String, i64> {
        self.seeded.lock().unwrap().clone()
    }

    /// From here on the books start with what is in stock now.
    ///
    /// # Errors
    /// If Redis is down.
    pub async fn take_stock(&self) -> Result<()> {
        for sku in self.seeded().into_keys() {
            let units = self.stock(&sku).await?.context("the stock key is gone")?;
            self.seeded.lock().unwrap().insert(sku, units);
        }
        Ok(())
    }

    /// Both servers, for people.
    pub fn names(&self) -> String {
        format!("{} and {}", self.mysql.binary(), self.redis.binary())
    }

    /// The participants' tables of a coordinator's configuration, both in its process.
    pub fn participants(&self) -> String {
        format!(
            "{}[participants.purchases.mysql]\n{}\n{}\n[participants.stock.redis]\n{}",
            self.schema.attributes(),
            self.mysql_settings(),
            self.schema.statements("participants.purchases.mysql"),
            self.redis_settings()
        )
    }

    /// Settings of the MySQL participant.
    pub fn mysql_settings(&self) -> String {
        self.mysql_settings_at(self.mysql.port())
    }

    /// The same, its server reached at another port.
    pub fn mysql_settings_at(&self, port: u16) -> String {
        let user = if self.app_user { APP_USER } else { "root" };
        let more = self.schema.mysql_settings();
        format!("url = \"mysql://{user}@127.0.0.1:{port}/{DATABASE}\"\n{more}")
    }

    /// Settings of the Redis participant.
    pub fn redis_settings(&self) -> String {
        self.redis_settings_at(self.redis.port())
    }

    /// The same, its server reached at another port.
    pub fn redis_settings_at(&self, port: u16) -> String {
        let stock = match self.stock {
            StockPlace::Key => "stock_key = \"stock:{sku}\"".to_owned(),
            StockPlace::Hash => "stock_hash = \"warehouse\"".to_owned(),
            StockPlace::Products => {
                "stock_key = \"product:{sku}\"\nstock_field = \"stock\"".to_owned()
            }
            StockPlace::Pools => {
                "stock_key = \"stock:{pool}:{sku}\"\ndefault_pool = \"main\"".to_owned()
            }
            StockPlace::Warehouses => schema::shops_stock(),
        };
        let user = if self.app_user { "shop:shop@" } else { "" };
        let more = &self.redis_settings;
        format!("url = \"redis://{user}127.0.0.1:{port}/\"\n{stock}\n{more}")
    }
}

/// Of a sku, or of the name of its stock in a pool.
fn key_in_pool(stock: &str) -> String {
    match sku_and_pool(stock) {
        (sku, "") => format!("stock:main:{sku}"),
        (sku, pool) => format!("stock:{pool}:{sku}"),
    }
}

/// Of the name of a stock in a warehouse: the product's hash, and its field.
fn field_of_product(stock: &str) -> (String, String) {
    let (sku, pool) = sku_and_pool(stock);
    (format!("product:{sku}"), format!("stock-{pool}"))
}

fn redis_user(forbidden: Option<&str>) -> Vec<OsString> {
    let rights = ["+@all"].into_iter().chain(forbidden);
    REDIS_USER
        .into_iter()
        .chain(rights)
        .map(OsString::from)
        .collect()
}

/// A transaction's name in the sets of what Redis remembers of its coordinator: before each number a
/// letter that says how many digits it has, `a` for one.
pub fn redis_member(epoch: u64, sequence: u64) -> String {
    let with_length = |number: u64| {
        let digits = number.to_string();
        let letter = b'a' + u8::try_from(digits.len() - 1).unwrap_or(u8::MAX - b'a');
        format!("{}{digits}", char::from(letter))
    };
    format!("{}.{}", with_length(epoch), with_length(sequence))
}
