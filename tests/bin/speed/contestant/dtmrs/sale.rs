//! The sale in Redis, behind a barrier: taken once, and its verdict remembered.

use std::sync::LazyLock;

use anyhow::Result;
use redis::Script;
use redis::aio::MultiplexedConnection;

/// KEYS: the verdict's, then each stock's. ARGV: how long the verdict is remembered, in seconds.
static SELL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local known = redis.call('GET', KEYS[1])
         if known then return known end
         for i = 2, #KEYS do
           if tonumber(redis.call('GET', KEYS[i]) or '0') < 1 then
             redis.call('SET', KEYS[1], 'REFUSED', 'EX', ARGV[1])
             return 'REFUSED'
           end
         end
         for i = 2, #KEYS do redis.call('DECR', KEYS[i]) end
         redis.call('SET', KEYS[1], 'SOLD', 'EX', ARGV[1])
         return 'SOLD'",
    )
});

/// Past every retry: a week.
const REMEMBERED_S: u64 = 7 * 24 * 3_600;

/// Takes a unit of each sku, or none of any.
pub(super) async fn make(
    kv: &mut MultiplexedConnection,
    gid: &str,
    skus: &[String],
) -> Result<bool> {
    let mut call = SELL.key(verdict(gid));
    for sku in skus {
        call.key(format!("stock:{sku}"));
    }
    let verdict: String = call.arg(REMEMBERED_S).invoke_async(kv).await?;
    Ok(verdict == "SOLD")
}

/// Whether it was made. If it was not asked for yet it is refused from now on.
pub(super) async fn was_made(kv: &mut MultiplexedConnection, gid: &str) -> Result<bool> {
    let mut set = redis::cmd("SET");
    set.arg(verdict(gid)).arg("REFUSED").arg("NX").arg("GET");
    let verdict: Option<String> = set.arg("EX").arg(REMEMBERED_S).query_async(kv).await?;
    Ok(verdict.as_deref() == Some("SOLD"))
}

fn verdict(gid: &str) -> String {
    format!("dtmrs-sale:{gid}")
}
