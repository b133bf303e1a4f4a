//! What both stores hold, read from the stores themselves and not through tandem.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use sqlx::{Connection, MySqlConnection, Row as _};

use crate::stores::{STOCK, Stores};
use crate::story::Row;

/// Units by sku.
pub(crate) type Units = BTreeMap<String, i64>;

/// Both stores at one moment of the story.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) mysql: InMysql,
    /// `None` while it can't be reached.
    pub(crate) redis: Option<InRedis>,
}

/// What MySQL holds.
#[derive(Debug)]
pub(crate) struct InMysql {
    /// Ids of the rows of `purchases`.
    pub(crate) purchases: BTreeSet<String>,
    /// The rows of `purchase_items` by `purchase_id`.
    pub(crate) items: BTreeMap<String, Units>,
    /// gtrids that `XA RECOVER` lists.
    pub(crate) prepared: Vec<String>,
}

/// What Redis holds.
#[derive(Debug)]
pub(crate) struct InRedis {
    /// `stock:*`
    pub(crate) stock: Units,
    /// `tandem:held`, by sku.
    pub(crate) held: Units,
    /// `tandem:prepared`: the transactions that units are held for.
    pub(crate) prepared: Vec<String>,
    /// `tandem:debt`, by sku: sold and not deducted.
    pub(crate) debt: Units,
}

impl Snapshot {
    /// Reads both.
    pub(crate) async fn read(stores: &Stores) -> anyhow::Result<Self> {
        let mysql = InMysql::read(stores).await.context("read MySQL")?;
        let redis = match stores.redis.pid() {
            Some(_) => Some(InRedis::read(stores).await.context("read Redis")?),
            None => None,
        };
        Ok(Self { mysql, redis })
    }

    /// A purchase in MySQL, in words.
    pub(crate) fn recorded(&self, purchase: &str) -> String {
        let row = self.mysql.purchases.contains(purchase);
        match (row, self.mysql.items.get(purchase)) {
            (true, Some(items)) => units(items),
            (false, None) => "no row".to_owned(),
            (true, None) => "a row without items".to_owned(),
            (false, Some(items)) => format!("{} without a row", units(items)),
        }
    }

    /// The stock in Redis, in words.
    pub(crate) fn stock(&self) -> String {
        self.in_redis(|redis| units(&redis.stock))
    }

    /// What Redis holds back, in words.
    pub(crate) fn held(&self) -> String {
        self.in_redis(|redis| units(&redis.held))
    }

    /// The transactions that MySQL has prepared and not ended, in words.
    pub(crate) fn prepared_in_mysql(&self) -> String {
        list(&self.mysql.prepared)
    }

    /// The transactions that Redis has prepared and not ended, in words.
    pub(crate) fn prepared_in_redis(&self) -> String {
        self.in_redis(|redis| list(&redis.prepared))
    }

    /// Everything in either store that waits for an end, in words.
    pub(crate) fn unfinished(&self) -> String {
        let parts = [
            self.prepared_in_mysql(),
            self.prepared_in_redis(),
            self.held(),
            self.in_redis(|redis| units(&redis.debt)),
        ];
        let left: Vec<String> = parts.into_iter().filter(|part| part != NOTHING).collect();
        if left.is_empty() {
            NOTHING.to_owned()
        } else {
            left.join("; ")
        }
    }

    /// All units in MySQL's rows, by sku.
    pub(crate) fn sold(&self) -> Units {
        let mut sold = Units::new();
        for (sku, quantity) in self.mysql.items.values().flatten() {
            *sold.entry(sku.clone()).or_default() += quantity;
        }
        sold
    }

    /// The rows of a table about one purchase.
    pub(crate) fn table(&self, purchase: &str) -> Vec<Row> {
        let row = |store, what: &str, holds| (store, what.to_owned(), holds);
        let mut rows = vec![
            row(
                "MySQL",
                &format!("purchase {purchase}"),
                self.recorded(purchase),
            ),
            row("", "prepared (XA RECOVER)", self.prepared_in_mysql()),
        ];
        match &self.redis {
            Some(_) => rows.extend([
                row("Redis", "stock", self.stock()),
                row("", "held for a purchase", self.held()),
            ]),
            None => rows.push(row("Redis", "", DOWN.to_owned())),
        }
        rows
    }

    fn in_redis(&self, words: impl FnOnce(&InRedis) -> String) -> String {
        self.redis.as_ref().map_or_else(|| DOWN.to_owned(), words)
    }
}

const NOTHING: &str = "nothing";
const DOWN: &str = "down";

impl InMysql {
    async fn read(stores: &Stores) -> anyhow::Result<Self> {
        let mut mysql = stores.connect_mysql().await?;
        let purchases = sqlx::query_scalar("SELECT purchase_id FROM purchases")
            .fetch_all(&mut mysql)
            .await?;
        let rows: Vec<(String, String, i64)> =
            sqlx::query_as("SELECT purchase_id, sku, CAST(quantity AS SIGNED) FROM purchase_items")
                .fetch_all(&mut mysql)
                .await?;
        let mut items = BTreeMap::<String, Units>::new();
        for (purchase, sku, quantity) in rows {
            items.entry(purchase).or_default().insert(sku, quantity);
        }
        let prepared = prepared(&mut mysql).await?;
        mysql.close().await?;
        Ok(Self {
            purchases: BTreeSet::from_iter::<Vec<String>>(purchases),
            items,
            prepared,
        })
    }
}

/// The gtrids of `XA RECOVER`, whose column `data` is VARBINARY on MariaDB and VARCHAR on MySQL.
async fn prepared(mysql: &mut MySqlConnection) -> anyhow::Result<Vec<String>> {
    let rows = sqlx::raw_sql("XA RECOVER").fetch_all(mysql).await?;
    rows.iter()
        .map(|row| {
            let length: i64 = row.try_get_unchecked("gtrid_length")?;
            let data: Vec<u8> = row.try_get_unchecked("data")?;
            let gtrid = &data[..data.len().min(usize::try_from(length)?)];
            Ok(String::from_utf8_lossy(gtrid).into_owned())
        })
        .collect()
}

impl InRedis {
    async fn read(stores: &Stores) -> anyhow::Result<Self> {
        let mut redis = stores.connect_redis().await?;
        let mut all = redis::pipe();
        all.atomic()
            .hgetall("tandem:held")
            .zrange("tandem:prepared", 0, -1)
            .hgetall("tandem:debt");
        for (sku, _) in STOCK {
            all.get(format!("stock:{sku}"));
        }
        type Numbers = (Units, Vec<String>, Units, i64, i64, i64);
        let (held, prepared, debt, lamps, chairs, desks): Numbers =
            all.query_async(&mut redis).await?;
        let stock = STOCK.iter().zip([lamps, chairs, desks]);
        Ok(Self {
            stock: stock
                .map(|((sku, _), units)| ((*sku).to_owned(), units))
                .collect(),
            held: by_sku(held),
            prepared: prepared.into_iter().map(transaction_of).collect(),
            debt: by_sku(debt),
        })
    }
}

/// The transaction of a branch, `TRANSACTION/PARTICIPANT`.
fn transaction_of(branch: String) -> String {
    branch.split('/').next().unwrap_or_default().to_owned()
}

fn by_sku(by_key: Units) -> Units {
    let sku = |key: String| key.trim_start_matches("stock:").to_owned();
    by_key
        .into_iter()
        .map(|(key, units)| (sku(key), units))
        .collect()
}

/// `chair 1, lamp 2`
pub(crate) fn units(units: &Units) -> String {
    let words: Vec<String> = units
        .iter()
        .map(|(sku, units)| format!("{sku} {units}"))
        .collect();
    list(&words)
}

fn list(words: &[String]) -> String {
    if words.is_empty() {
        NOTHING.to_owned()
    } else {
        words.join(", ")
    }
}
