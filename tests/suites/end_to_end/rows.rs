//! Statements of the shop's own that find their rows: a purchase whose rows are not there is not made.

use anyhow::{Result, ensure};
use futures::future::join_all;
use serde_json::{Value, json};
use tandem_proto::v1;
use tandem_tests::{Answer, Case, Start, World, purchase, until};
use tonic::Code;
use tonic_types::StatusExt;

use super::audit::audit;
use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(purchase_of_an_unknown_customer_is_made_once_there_is_one on TWO, with down),
    case!(order_whose_cart_is_ordered_is_repaired_whole_or_not_at_all on TWO, with down),
];

/// A shop whose orders name their customer by a key of the database's, and take their cart.
const SHOP: &str = "CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, ext VARCHAR(64) UNIQUE); \
     CREATE TABLE orders (id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, \
     customer INT NOT NULL, cents BIGINT, tx VARCHAR(64)); \
     CREATE TABLE carts (owner VARCHAR(64) PRIMARY KEY, state VARCHAR(8))";

const STATEMENTS: &str = r#"
[[participants.purchases.mysql.statements]]
per = "purchase"
sql = """INSERT INTO orders (id, customer, cents, tx)
    SELECT :purchase_id, c.id, :total_minor, :transaction_id FROM customers c WHERE c.ext = :customer_id"""

[[participants.purchases.mysql.statements]]
per = "purchase"
name = "cart"
sql = "UPDATE carts SET state = 'ordered' WHERE owner = :customer_id AND state = 'open'"
"#;

const ORDERS: &str = "SELECT COUNT(*) FROM orders JOIN customers c ON c.id = customer";

async fn start(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    sql(world, SHOP).await?;
    let start = Start {
        participants: format!(
            "[participants.purchases.mysql]\n{}{STATEMENTS}\n[participants.stock.redis]\n{}",
            world.stores.mysql_settings(),
            world.stores.redis_settings()
        ),
        ..world.start.clone()
    };
    world.coordinator.start(&start).await
}

async fn comes(world: &World, who: &str) -> Result<()> {
    let comes = format!(
        "INSERT INTO customers (ext) VALUES ('{who}'); INSERT INTO carts VALUES ('{who}', 'open')"
    );
    sql(world, &comes).await
}

fn order(id: &str, who: &str) -> v1::SubmitPurchaseRequest {
    v1::SubmitPurchaseRequest {
        customer_id: who.to_owned(),
        ..purchase(id, &[("tea", 2)])
    }
}

/// That so much tea is there, and that nothing of it stays held.
async fn ensure_stock(world: &World, there: i64) -> Result<()> {
    ensure!(world.stores.stock("tea").await? == Some(there));
    until("nothing is held", SOON, async || {
        Ok(json(world, &["stock", "tea"])?["holds"] == json!([]))
    })
    .await
}

/// That what can be compared agrees, and that the cart is said not to be.
fn ensure_rows_agree(world: &World) -> Result<()> {
    let (document, code) = audit(world, &[])?;
    ensure!(document["disagreements"] == json!([]), "{document:#}");
    let unchecked = document["unchecked"].as_array().map_or(0, Vec::len);
    let said = document["unchecked"].to_string();
    ensure!(code == 5 && unchecked == 2, "{document:#}");
    for part in ["customer of orders", "statement 2 (cart)"] {
        ensure!(said.contains(part), "{part:?} is missing in {document:#}");
    }
    Ok(())
}

async fn purchase_of_an_unknown_customer_is_made_once_there_is_one(world: &World) -> Result<()> {
    start(world).await?;
    let client = world.coordinator.client();
    let early = order("early", "zoe");
    for _ in 0..2 {
        let status = client.submit(&early).await.unwrap_err();
        assert_reason(&status, Code::FailedPrecondition, "NO_SUCH_ROW");
        let info = status.get_details_error_info().unwrap();
        ensure!(info.metadata["participant"] == "purchases", "{info:?}");
        let said = status.message();
        ensure!(said.contains("statement 1 met no row"), "{said}");
        ensure_stock(world, 100).await?;
    }
    // It is not remembered as refused.
    let found = client.find("early").await.unwrap_err();
    ensure!(found.code() == Code::NotFound, "{found:?}");

    // Among others that are good, who hear nothing of it; and one whose cart is gone.
    let people: Vec<String> = (0..20).map(|n| format!("c{n}")).collect();
    for who in &people {
        comes(world, who).await?;
    }
    comes(world, "late").await?;
    sql(
        world,
        "UPDATE carts SET state = 'gone' WHERE owner = 'late'",
    )
    .await?;
    let late = order("late", "late");
    let mut wanted: Vec<_> = people
        .iter()
        .map(|who| order(&format!("o-{who}"), who))
        .collect();
    wanted.insert(7, early.clone());
    wanted.insert(13, late.clone());
    let asked = join_all(wanted.iter().map(|one| ask(&client, one))).await;
    for (n, one) in asked.iter().enumerate() {
        match n {
            7 | 13 => {
                let reason = "NO_SUCH_ROW".to_owned();
                ensure!(one.answers == [Answer::NotMade { reason }], "{one:?}");
            }
            _ => ensure_committed(one)?,
        }
    }
    ensure!(number(world, ORDERS).await? == 20);
    ensure_stock(world, 60).await?;

    comes(world, "zoe").await?;
    sql(
        world,
        "UPDATE carts SET state = 'open' WHERE owner = 'late'",
    )
    .await?;
    for one in [&early, &late] {
        ensure_committed(&ask(&client, one).await)?;
    }
    ensure!(number(world, ORDERS).await? == 22);
    let ordered = "SELECT COUNT(*) FROM carts WHERE state = 'ordered'";
    ensure!(number(world, ordered).await? == 22);
    ensure_stock(world, 56).await?;
    // The rows that were found are compared as those that are spelled out.
    ensure_rows_agree(world)?;
    Ok(())
}

async fn order_whose_cart_is_ordered_is_repaired_whole_or_not_at_all(world: &World) -> Result<()> {
    start(world).await?;
    comes(world, "ann").await?;
    let client = world.coordinator.client();
    let made = client.submit(&order("p-1", "ann")).await?;
    let id = made.transaction_id;
    sql(world, "DELETE FROM orders").await?;
    let missing = world.tandem(&["audit", "--output", "json"])?;
    let document: Value = serde_json::from_slice(&missing.stdout)?;
    ensure!(
        document["disagreements"][0]["kind"] == "ROW_MISSING",
        "{document:#}"
    );

    let mut words = vec![
        "tx",
        "repair",
        &id,
        "--operator",
        "ann",
        "--yes",
        "--reason",
    ];
    words.extend(["deleted by mistake", "--participant", "purchases"]);
    let refused = world.tandem(&words)?;
    let printed = String::from_utf8_lossy(&refused.stdout).into_owned();
    println!("{}", printed.trim_end());
    ensure!(refused.status.code() == Some(1), "{printed}");
    for part in ["NO_SUCH_ROW", "statement 2 (cart)", "nothing of it was"] {
        ensure!(printed.contains(part), "{part:?} is missing in {printed}");
    }
    ensure!(number(world, ORDERS).await? == 0);
    // As it was told.
    sql(world, "UPDATE carts SET state = 'open'").await?;
    println!("{}", tandem(world, &words)?.trim_end());
    ensure!(number(world, ORDERS).await? == 1);
    ensure!(number(world, "SELECT COUNT(*) FROM carts WHERE state = 'ordered'").await? == 1);
    ensure_stock(world, 98).await?;
    ensure_rows_agree(world)?;

    // Or the other way that it was told.
    sql(world, "DELETE FROM orders").await?;
    let refused = world.tandem(&words)?;
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    ensure!(heuristic(world, &id).await? == "purchases");
    let by_hand =
        format!("INSERT INTO orders SELECT 'p-1', id, 2, '{id}' FROM customers WHERE ext = 'ann'");
    sql(world, &by_hand).await?;
    let mut words = vec!["tx", "settle", &id, "--participant", "purchases"];
    words.extend(["--as", "committed", "--operator", "ann", "--yes"]);
    words.extend(["--reason", "written by hand"]);
    println!("{}", tandem(world, &words)?.trim_end());
    ensure!(json(world, &["tx", "list", "--heuristic"])?["total"] == 0);
    ensure_rows_agree(world)?;
    Ok(())
}
