//! Cells of many columns, changed by somebody: what the audit finds, and what it says that it does not compare.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::shop::buyers::Told;
use crate::shop::checker::Checker;
use crate::shop::fixture::run_sql;
use crate::world::World;

/// A table, its column that is changed, and the new value.
type Cell = (&'static str, &'static str, &'static str);

/// The audit has to find these. A new e-mail or address has a personal value in it, which it must not tell.
const FOUND: [Cell; 10] = [
    ("orders", "currency", "IF(currency = 'EUR', 'USD', 'EUR')"),
    ("orders", "ordered_at", "ordered_at - INTERVAL 9 HOUR"),
    ("orders", "cart_id", "IF(cart_id = 1, 2, 1)"),
    ("orders", "total", "total + 0.01"),
    ("orders", "email", "CONCAT('x', email)"),
    ("orders", "address", "CONCAT(address, ' ')"),
    ("orders", "coupon", "'SAVE100'"),
    ("orders", "details", "'{\"gift\": 1}'"),
    ("order_lines", "sku", "CONCAT('x', sku)"),
    ("order_lines", "price", "price + 0.01"),
];

/// It does not compare these, and has to say so, in words that have this in them.
const LEFT_OUT: [(Cell, &str); 2] = [
    (
        ("orders", "customer_id", "IF(customer_id = 1, 2, 1)"),
        "customer_id of orders",
    ),
    (
        ("payments", "amount", "amount - 0.01"),
        "(payment) at line ",
    ),
];

/// Runs an audit of everything; gives its document and exit status.
fn audit(world: &World) -> Result<(Value, i32)> {
    let output = world.tandem(&["audit", "--output", "json"])?;
    let code = output.status.code().context("killed")?;
    let document = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((document, code))
}

/// That nothing disagrees.
///
/// # Errors
/// What does.
pub(super) fn audit_agrees(world: &World) -> Result<()> {
    let (document, code) = audit(world)?;
    ensure!(code == 0, "exit {code}: {document:#}");
    println!("audit: agrees");
    Ok(())
}

/// Changes a cell of each column, in an order each: the checker has to find all, and the audit each that it does
/// not name as left out.
///
/// # Errors
/// What is neither found nor named.
pub(super) async fn audit_finds_or_names(
    world: &World,
    checker: &Checker,
    told: &[Told],
) -> Result<()> {
    let left_out = LEFT_OUT.map(|(cell, _)| cell);
    let made = told
        .iter()
        .filter(|one| one.outcome.transaction().is_some());
    let mut ids = made.map(|one| one.order.purchase_id.as_str());
    let mut tampered = Vec::new();
    for cell in FOUND.into_iter().chain(left_out) {
        let id = ids.next().context("too few were made")?;
        change(world, cell, id).await?;
        tampered.push(id);
    }
    let differences = checker.differences()?;
    ensure!(
        differences.len() == tampered.len(),
        "the checker finds {}",
        differences.join("\n")
    );
    let (document, code) = audit(world)?;
    ensure!(code == 1, "exit {code}: {document:#}");
    let all = document["disagreements"].as_array().context("no list")?;
    let is_found = |id: &str| all.iter().any(|one| one["purchase_id"] == id);
    for (cell, id) in FOUND.iter().zip(&tampered) {
        ensure!(is_found(id), "{cell:?} of {id} is not found: {document:#}");
    }
    ensure!(all.len() == FOUND.len(), "it finds more: {document:#}");
    let notes = document["notes"].to_string();
    for (cell, words) in LEFT_OUT {
        ensure!(notes.contains(words), "{cell:?} is not named: {document:#}");
    }
    println!(
        "audit: of ten tampered cells that it compares {} found; {} others named as not compared",
        all.len(),
        LEFT_OUT.len()
    );
    Ok(())
}

/// Changes the cell in a purchase's row, or in the first of its rows.
async fn change(world: &World, (table, column, value): Cell, id: &str) -> Result<()> {
    let key = if table == "orders" { "id" } else { "order_id" };
    let order = format!("(SELECT id FROM (SELECT id FROM orders WHERE ref = '{id}') one)");
    let sql =
        format!("UPDATE {table} SET {column} = {value} WHERE {key} = {order} ORDER BY id LIMIT 1");
    run_sql(&world.stores, &sql).await.context(sql)
}
