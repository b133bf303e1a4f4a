//! Orders as a shop has them, from the client's call to every cell: keys that the database makes, lines of one
//! sku, what has no stock, and attributes, of which some are personal.

use anyhow::{Context, Result, ensure};
use tandem_proto::v1;
use tandem_tests::{Case, PERSONAL, Start, World};
use tonic::Code;
use tonic_types::StatusExt;

use super::audit::{audit, ensure_agrees};
use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(order_is_written_read_back_and_audited_whole on TWO, with down),
    case!(attributes_that_break_a_rule_are_named on ONE, with down),
    case!(personal_attributes_are_in_no_output on TWO, with down),
    case!(purchase_of_which_nothing_has_stock_is_made on TWO, with down),
];

const SHOP: &str = "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, \
     ref VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE, email VARCHAR(120) NOT NULL, \
     cart INT UNIQUE, fee DECIMAL(12,2), gift BOOLEAN, due DATETIME(6), doc JSON, total DECIMAL(18,2) NOT NULL, \
     tx VARCHAR(64) NOT NULL) CHARACTER SET utf8mb4; \
     CREATE TABLE order_lines (order_id BIGINT NOT NULL, line VARCHAR(64), sku VARCHAR(128) NOT NULL, quantity \
     INT NOT NULL, price DECIMAL(18,2) NOT NULL, tracked BOOLEAN NOT NULL, PRIMARY KEY (order_id, line), \
     FOREIGN KEY (order_id) REFERENCES orders (id)) CHARACTER SET utf8mb4";

const ATTRIBUTES: &str = r#"
[attributes.email]
type = "text"
length = 120
required = true
personal = true

[attributes.cart]
type = "integer"

[attributes.fee]
type = "decimal"

[attributes.gift]
type = "boolean"

[attributes.due]
type = "time"

[attributes.doc]
type = "json"
"#;

const STATEMENTS: &str = r#"
[[participants.purchases.mysql.statements]]
per = "purchase"
name = "orders"
sql = """INSERT INTO orders (ref, email, cart, fee, gift, due, doc, total, tx) VALUES (:purchase_id, :attr.email,
    :attr.cart, :attr.fee, :attr.gift, :attr.due, :attr.doc, :total, :transaction_id)"""

[[participants.purchases.mysql.statements]]
per = "item"
sql = """INSERT INTO order_lines (order_id, line, sku, quantity, price, tracked) VALUES
    ((SELECT id FROM orders WHERE ref = :purchase_id), :line_id, :sku, :quantity, :unit_price, :tracked)"""
"#;

const EMAIL: &str = "Pers0nal.zoe@example.org";

async fn start(world: &World) -> Result<()> {
    world.stores.seed("lamp", 100).await?;
    sql(world, SHOP).await?;
    serve(world).await
}

async fn serve(world: &World) -> Result<()> {
    let start = Start {
        participants: format!(
            "{ATTRIBUTES}\n[participants.purchases.mysql]\n{}{STATEMENTS}\n[participants.stock.redis]\n{}",
            world.stores.mysql_settings(),
            world.stores.redis_settings()
        ),
        ..world.start.clone()
    };
    world.coordinator.start(&start).await
}

fn line(line_id: &str, sku: &str, quantity: u32, price: i64, tracked: Option<bool>) -> v1::Item {
    v1::Item {
        sku: sku.to_owned(),
        quantity,
        unit_price_minor: price,
        line_id: line_id.to_owned(),
        tracked,
        ..Default::default()
    }
}

/// Three lamps on two lines, their shipping and a coupon.
fn order(id: &str, attributes: &[(&str, &str)]) -> v1::SubmitPurchaseRequest {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    v1::SubmitPurchaseRequest {
        purchase_id: id.to_owned(),
        customer_id: "zoe".to_owned(),
        items: vec![
            line("1", "lamp", 2, 1999, None),
            line("2", "lamp", 1, 999, Some(true)),
            line("3", "shipping", 1, 495, Some(false)),
            line("4", "coupon", 1, -500, Some(false)),
        ],
        currency: "EUR".to_owned(),
        wait_for: v1::WaitFor::Applied.into(),
        attributes: attributes.iter().map(pair).collect(),
    }
}

fn whole(id: &str) -> v1::SubmitPurchaseRequest {
    let attributes = [
        ("email", EMAIL),
        ("cart", "7"),
        ("fee", "-12.50"),
        ("gift", "true"),
        ("due", "2026-03-01T12:00:00+09:00"),
        ("doc", "{\"note\": [\"it's\", 1.5]}"),
    ];
    order(id, &attributes)
}

async fn order_is_written_read_back_and_audited_whole(world: &World) -> Result<()> {
    start(world).await?;
    let client = world.coordinator.client();
    let wanted = whole("o-1");
    ensure_committed(&ask(&client, &wanted).await)?;
    ensure_committed(&ask(&client, &order("o-2", &[("email", "Pers0nal.a@b")])).await)?;
    ensure!(world.stores.stock("lamp").await? == Some(94));
    ensure!(number(world, "SELECT COUNT(*) FROM order_lines").await? == 8);
    let as_sold = "SELECT COUNT(*) FROM orders WHERE total = 49.92 AND (ref = 'o-2' OR cart = 7 AND fee = -12.5 \
                   AND gift = 1 AND due = '2026-03-01 03:00:00')";
    ensure!(number(world, as_sold).await? == 2);

    // The same again is the same, after a restart too; another attribute is another purchase.
    world.coordinator.kill9()?;
    serve(world).await?;
    let client = world.coordinator.client();
    ensure_committed(&ask(&client, &wanted).await)?;
    let mut other = wanted.clone();
    other.attributes.insert("cart".into(), "8".into());
    let status = client.submit(&other).await.unwrap_err();
    assert_reason(&status, Code::AlreadyExists, "PURCHASE_ID_REUSED");
    let content = client.read("o-1").await?.content.context("no content")?;
    ensure!(content.attributes == wanted.attributes && content.items.len() == 4);

    ensure_agrees(world, "as it was sold")?;
    for (change, back) in [
        (
            "orders SET email = 'Pers0nal.eve@b' WHERE ref = 'o-1'",
            "orders SET email = 'Pers0nal.zoe@example.org' WHERE ref = 'o-1'",
        ),
        (
            "orders SET cart = 9 WHERE ref = 'o-2'",
            "orders SET cart = NULL WHERE ref = 'o-2'",
        ),
        (
            "orders SET fee = -12.51 WHERE ref = 'o-1'",
            "orders SET fee = -12.5 WHERE ref = 'o-1'",
        ),
        (
            "orders SET gift = 0 WHERE ref = 'o-1'",
            "orders SET gift = 1 WHERE ref = 'o-1'",
        ),
        (
            "orders SET due = '2026-03-01 03:00:02' WHERE ref = 'o-1'",
            "orders SET due = '2026-03-01 03:00:00' WHERE ref = 'o-1'",
        ),
        (
            "orders SET doc = '{}' WHERE ref = 'o-1'",
            "orders SET doc = '{\"note\": [\"it''s\", 1.5]}' WHERE ref = 'o-1'",
        ),
        (
            "orders SET total = 49.93 WHERE ref = 'o-2'",
            "orders SET total = 49.92 WHERE ref = 'o-2'",
        ),
        (
            "order_lines SET price = 5 WHERE line = '4'",
            "order_lines SET price = -5 WHERE line = '4'",
        ),
        (
            "order_lines SET tracked = 1 WHERE line = '3'",
            "order_lines SET tracked = 0 WHERE line = '3'",
        ),
        (
            "order_lines SET line = '5' WHERE line = '2'",
            "order_lines SET line = '2' WHERE line = '5'",
        ),
    ] {
        sql(world, &format!("UPDATE {change}")).await?;
        let (document, code) = audit(world, &[])?;
        ensure!(code == 1, "{change}: {document:#}");
        ensure!(
            document["disagreements"][0]["kind"] == "ROW_DIFFERS",
            "{document:#}"
        );
        let said = document.to_string();
        ensure!(!said.contains(PERSONAL), "{said}");
        sql(world, &format!("UPDATE {back}")).await?;
    }
    ensure_agrees(world, "as it was again")?;
    Ok(())
}

async fn attributes_that_break_a_rule_are_named(world: &World) -> Result<()> {
    start(world).await?;
    let client = world.coordinator.client();
    let long = "x".repeat(121);
    let doc = format!("\"{}\"", "x".repeat(4_090));
    for (attributes, field, rule) in [
        (vec![], "attributes[\"email\"]", "must be given"),
        (
            vec![("email", long.as_str())],
            "attributes[\"email\"]",
            "120 characters",
        ),
        (
            vec![("email", ""), ("cart", "x")],
            "attributes[\"cart\"]",
            "whole number",
        ),
        (
            vec![("email", ""), ("fee", "1e3")],
            "attributes[\"fee\"]",
            "decimal",
        ),
        (
            vec![("email", ""), ("gift", "yes")],
            "attributes[\"gift\"]",
            "\"true\"",
        ),
        (
            vec![("email", ""), ("due", "today")],
            "attributes[\"due\"]",
            "RFC 3339",
        ),
        (
            vec![("email", ""), ("doc", "{")],
            "attributes[\"doc\"]",
            "JSON",
        ),
        (
            vec![("email", ""), ("doc", doc.as_str())],
            "attributes",
            "4096 bytes",
        ),
        (
            vec![("email", ""), ("note", "x")],
            "attributes[\"note\"]",
            "declares cart, doc",
        ),
        (
            vec![("email", ""), ("A b", "x")],
            "attributes[\"A b\"]",
            "begins with a letter",
        ),
    ] {
        let status = client.submit(&order("bad", &attributes)).await.unwrap_err();
        ensure!(status.code() == Code::InvalidArgument, "{status:?}");
        let broken = status.get_details_bad_request().context("no fields")?;
        let broken: Vec<_> = broken.field_violations.iter().collect();
        ensure!(broken.len() == 1 && broken[0].field == field, "{broken:?}");
        ensure!(broken[0].description.contains(rule), "{broken:?}");
    }
    let mut minus = order("bad", &[("email", "")]);
    minus.items[3].unit_price_minor = -5_493;
    let status = client.submit(&minus).await.unwrap_err();
    ensure!(status.message().contains("items"), "{status:?}");
    ensure!(number(world, "SELECT COUNT(*) FROM orders").await? == 0);
    Ok(())
}

async fn personal_attributes_are_in_no_output(world: &World) -> Result<()> {
    start(world).await?;
    let client = world.coordinator.client();
    ensure_committed(&ask(&client, &whole("o-1")).await)?;
    // The server's own words have the row's values.
    sql(
        world,
        "CREATE TRIGGER tell BEFORE INSERT ON orders FOR EACH ROW BEGIN DECLARE said TEXT; IF NEW.cart = 8 THEN \
         SET said = CONCAT('not you, ', NEW.email); SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = said; END IF; END",
    )
    .await?;
    for (id, cart) in [("o-2", "7"), ("o-3", "8")] {
        let mut refused = whole(id);
        refused.attributes.insert("cart".into(), cart.into());
        let status = client.submit(&refused).await.unwrap_err();
        assert_reason(&status, Code::FailedPrecondition, "CONSTRAINT_VIOLATED");
        ensure!(
            status.message().contains("statement 1 (orders) failed"),
            "{status:?}"
        );
        ensure!(!format!("{status:?}").contains(PERSONAL), "{status:?}");
    }
    let id = client.find("o-1").await?.transaction_id;
    let mut printed = world.logs();
    for words in [
        vec!["tx", "show", &id],
        vec!["purchase", "get", "o-1"],
        vec!["purchase", "get", "o-1", "--output", "json"],
        vec!["purchase", "get", "o-2"],
        vec!["audit", "--output", "json"],
        vec!["tx", "list"],
        vec!["participants"],
    ] {
        let output = world.tandem(&words)?;
        for bytes in [&output.stdout, &output.stderr] {
            printed.push_str(&String::from_utf8_lossy(bytes));
        }
    }
    world.coordinator.stop()?;
    let data_dir = world.coordinator.data_dir();
    let config = world.coordinator.config_path();
    let folder = data_dir.to_str().unwrap();
    let config = config.to_str().unwrap();
    for words in [
        vec!["log", "inspect", "--records", folder],
        vec!["log", "inspect", "--records", "--output", "json", folder],
        vec!["log", "inspect", "--config", config, folder],
    ] {
        printed.push_str(&tandem(world, &words)?);
    }
    ensure!(printed.contains("o-1"), "nothing was printed");
    for part in [PERSONAL, "zoe.", "example.org"] {
        ensure!(
            !printed.contains(part),
            "{part:?} is in what was printed: {printed}"
        );
    }
    Ok(())
}

async fn purchase_of_which_nothing_has_stock_is_made(world: &World) -> Result<()> {
    start(world).await?;
    let mut only = order("o-1", &[("email", "Pers0nal.a@b")]);
    only.items.remove(0);
    only.items.remove(0);
    only.items[1].unit_price_minor = -495;
    ensure_committed(&ask(&world.coordinator.client(), &only).await)?;
    ensure!(number(world, "SELECT COUNT(*) FROM order_lines").await? == 2);
    ensure!(world.stores.stock("lamp").await? == Some(100));
    ensure_agrees(world, "with no stock")?;

    let words = [
        "purchase",
        "submit",
        "--id",
        "o-2",
        "--customer",
        "zoe",
        "--currency",
        "EUR",
        "--item",
    ];
    let more = ["lamp:1:1999", "--attribute", "email=Pers0nal.a@b"];
    // The CLI gives no line ids, which this shop's lines must have.
    let output = world.tandem(&[&words[..], &more[..]].concat())?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1), "{printed}{said}");
    ensure!(
        format!("{printed}{said}").contains("CONSTRAINT_VIOLATED"),
        "{printed}{said}"
    );
    ensure!(world.stores.stock("lamp").await? == Some(100));
    Ok(())
}
