//! The shop that is sold from: its tables, products, customers and carts, in servers at +09:00.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use sqlx::AssertSqlSafe;

use crate::coordinator::Start;
use crate::machine::Pair;
use crate::stores::{Stores, StoresOptions};
use crate::world::{Setup, World};

/// Customers that the shop knows; cart `n` is of customer `n % CUSTOMERS`.
pub const CUSTOMERS: u64 = 50;

/// Rows in one INSERT.
const ROWS_MAX: u64 = 2_000;

/// Each product has a stock in either; what is said of none is sold from the first.
pub const WAREHOUSES: [&str; 2] = ["tokyo", "koeln"];

/// Sku, name, price in minor units of the currency, units in each warehouse. Of the last there is not enough.
pub const PRODUCTS: [(&str, &str, i64, i64); 7] = [
    ("lamp", "Lamp \u{201e}Möwe\u{201c}", 1999, 10_000_000),
    ("mug", "Mug, 0.3 l", 750, 10_000_000),
    ("poster", "Poster \\ A2", 1200, 10_000_000),
    ("kettle", "Kettle", 4990, 10_000_000),
    ("chair", "Chair", 12_900, 10_000_000),
    ("table", "机", 45_000, 10_000_000),
    ("print-1-of-90", "Signed print", 9000, 90),
];

/// What has no stock: sku, price in minor units.
pub const UNTRACKED: [(&str, i64); 3] = [("shipping", 490), ("gift-wrap", 250), ("discount", -300)];

/// The shop's folder in the sources.
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("shop")
}

/// What makes the shop's servers: at +09:00, as its people are.
pub fn stores() -> StoresOptions {
    StoresOptions {
        mysql_args: vec!["--default-time-zone=+09:00".into()],
        ..StoresOptions::default()
    }
}

/// Makes the shop's tables, customers and products in an empty database; no cart yet.
///
/// # Errors
/// If a store is down.
pub async fn lay_out(stores: &Stores) -> Result<()> {
    for file in ["schema.sql", "with_ref.sql"] {
        let sql = fs::read_to_string(sources().join(file))?;
        run_sql(stores, &sql).await.context(file)?;
    }
    fill(stores, 0).await
}

/// Starts the shop with this many open carts, and a coordinator with the shop's configuration.
///
/// # Errors
/// If something does not start; with its log.
pub(super) async fn open(pair: &Pair, carts: u64) -> Result<World> {
    let setup = Setup {
        stores: stores(),
        coordinator_down: true,
        ..Setup::default()
    };
    let mut world = World::new(pair, setup).await?;
    lay_out(&world.stores).await?;
    open_carts(&world.stores, 0..carts).await?;
    world.start = Start {
        participants: participants(&world.stores)?,
        ..world.start
    };
    world.coordinator.start(&world.start).await?;
    Ok(world)
}

/// The configuration behind its first section, which is each coordinator's own.
///
/// # Errors
/// If the shop's file can't be read.
pub fn participants(stores: &Stores) -> Result<String> {
    let text = fs::read_to_string(sources().join("tandem.toml"))?;
    let begin = text.find("[attributes").context("no attributes")?;
    Ok(text[begin..]
        .replace(":3306/", &format!(":{}/", stores.mysql.port()))
        .replace(":6379/", &format!(":{}/", stores.redis.port())))
}

/// Customers, open carts and products.
pub(crate) async fn fill(stores: &Stores, carts: u64) -> Result<()> {
    let customers: Vec<String> = (0..CUSTOMERS)
        .map(|n| format!("('{}', 'Customer {n}')", customer(n)))
        .collect();
    run_sql(
        stores,
        &format!(
            "INSERT INTO customers (ref, name) VALUES {}",
            customers.join(", ")
        ),
    )
    .await?;
    open_carts(stores, 0..carts).await?;
    let mut kv = stores.kv().await?;
    for (sku, name, price, stock) in PRODUCTS {
        let mut command = redis::cmd("HSET");
        command
            .arg(format!("product:{sku}"))
            .arg(&["name", name, "price", &price.to_string()]);
        for warehouse in WAREHOUSES {
            command.arg(format!("stock-{warehouse}")).arg(stock);
        }
        command.query_async::<()>(&mut kv).await?;
    }
    Ok(())
}

/// Opens carts of these numbers.
///
/// # Errors
/// If MySQL is down, or there is one of them already.
pub async fn open_carts(stores: &Stores, numbers: Range<u64>) -> Result<()> {
    for first in numbers.clone().step_by(ROWS_MAX as usize) {
        let rows: Vec<String> = (first..numbers.end.min(first + ROWS_MAX))
            .map(|n| {
                // Servers may give out numbers with gaps.
                let owner = customer(n);
                format!(
                    "({}, (SELECT id FROM customers WHERE ref = '{owner}'))",
                    cart(n)
                )
            })
            .collect();
        let sql = format!(
            "INSERT INTO carts (id, customer_id) VALUES {}",
            rows.join(", ")
        );
        run_sql(stores, &sql).await?;
    }
    Ok(())
}

/// What the shop held before the first purchase, for the checker.
pub(crate) fn before(carts: u64) -> Value {
    let products = PRODUCTS.map(|(sku, name, price, stock)| {
        let stock: Map<String, Value> = WAREHOUSES
            .into_iter()
            .map(|warehouse| (warehouse.to_owned(), json!(stock)))
            .collect();
        json!({"sku": sku, "name": name, "price": price, "stock": stock})
    });
    let customers: Vec<Value> = (0..CUSTOMERS)
        .map(|n| json!({"ref": customer(n), "name": format!("Customer {n}")}))
        .collect();
    let carts: Vec<Value> = (0..carts)
        .map(|n| json!({"id": cart(n), "customer": customer(n)}))
        .collect();
    json!({
        "products": products, "customers": customers, "carts": carts, "hours_east": 9,
        "default_warehouse": WAREHOUSES[0],
    })
}

/// The reference of the customer whose cart this is.
pub fn customer(number: u64) -> String {
    format!("C-{}", number % CUSTOMERS)
}

/// The number of a cart in the database.
pub fn cart(number: u64) -> u64 {
    number + 1
}

/// Runs statements in the shop's database.
pub(super) async fn run_sql(stores: &Stores, sql: &str) -> Result<()> {
    let mut session = stores.sql().await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut session)
        .await?;
    Ok(())
}
