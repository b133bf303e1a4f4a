//! What the stores hold and the clients were told, as text, for whoever looks into a failure.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::Result;
use redis::{Value, cmd};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::answer::Asked;
use crate::stores::Stores;

const BRANCHES: &str = "SELECT CONCAT_WS(' ', participant, coordinator, epoch, sequence, state, \
     connection_id, prepare_time_ms) FROM tandem_branches ORDER BY epoch, sequence";

/// Writes `mysql.txt`, `redis.txt` and `clients.txt`.
pub(crate) async fn write(
    stores: &Stores,
    prefix: &str,
    asked: &[Asked],
    place: &Path,
) -> Result<()> {
    let mut text = String::new();
    for one in asked {
        let items = one.purchase.items.iter();
        let items: Vec<String> = items
            .map(|item| format!("{} {}", item.quantity, item.sku))
            .collect();
        let (id, answers) = (&one.purchase.purchase_id, &one.answers);
        writeln!(text, "{id}: {}: {answers:?}", items.join(", "))?;
    }
    fs::write(place.join("clients.txt"), text)?;
    fs::write(place.join("mysql.txt"), mysql(stores, prefix).await?)?;
    fs::write(place.join("redis.txt"), redis(stores).await?)?;
    Ok(())
}

pub(crate) async fn mysql(stores: &Stores, prefix: &str) -> Result<String> {
    let mut root = stores.sql().await?;
    let mut text = String::new();
    for query in stores.schema.dumps().iter().chain([&BRANCHES]) {
        let query = query.replace("PREFIX", prefix);
        writeln!(text, "{query}")?;
        for row in root.fetch_all(AssertSqlSafe(query)).await? {
            let line: String = row.try_get_unchecked(0)?;
            writeln!(text, "  {line}")?;
        }
    }
    Ok(text)
}

pub(crate) async fn redis(stores: &Stores) -> Result<String> {
    let mut kv = stores.kv().await?;
    let mut keys: Vec<String> = cmd("KEYS").arg("*").query_async(&mut kv).await?;
    keys.sort();
    let mut text = String::new();
    for key in keys {
        let kind: String = cmd("TYPE").arg(&key).query_async(&mut kv).await?;
        let mut read = match kind.as_str() {
            "string" => cmd("GET"),
            "hash" => cmd("HGETALL"),
            "set" => cmd("SMEMBERS"),
            "list" => cmd("LRANGE"),
            _ => cmd("ZRANGE"),
        };
        read.arg(&key);
        if matches!(kind.as_str(), "list" | "zset") {
            read.arg(0).arg(-1);
        }
        if kind == "zset" {
            read.arg("WITHSCORES");
        }
        let value: Value = read.query_async(&mut kv).await?;
        writeln!(text, "{key} ({kind}): {value:?}")?;
    }
    Ok(text)
}
