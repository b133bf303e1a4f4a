//! Configurations that were accepted before statements were checked for what would break a promise: each is
//! accepted as before, or told at its line what to write instead, which then is accepted.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use super::{Config, MysqlSidecar, ParticipantSettings};

const COORDINATOR: &str = r#"[coordinator]
id = "shop"
data_dir = "/var/lib/tandem"
listen = "127.0.0.1:7650"
admin_listen = "127.0.0.1:7651"
"#;

const MYSQL: &str = r#"
[participants.purchases.mysql]
url = "mysql://app:secret@127.0.0.1:3306/shop"
"#;

const REDIS: &str = r#"
[participants.stock.redis]
url = "redis://127.0.0.1:6379/"
stock_key = "stock:{sku}"
"#;

/// What the first example file has of the sections that may be left out.
const ALL_LIMITS: &str = "
[limits]
queue_purchases_max = 10000
transaction_purchases_max = 128
pipeline_transactions_max = 3
prepare_timeout_ms = 5000
call_timeout_ms = 10000
submit_timeout_ms = 30000
retry_backoff_min_ms = 50
retry_backoff_max_ms = 5000
sweep_interval_s = 30
shutdown_timeout_ms = 10000

[retention]
age_s = 86400
purchases_max = 250000
";

/// The statements of a shop's own tables that the first README gave.
const ORDER: &str =
    "INSERT INTO orders (id, customer, total) VALUES (:purchase_id, :customer_id, :total_minor)";
const LINE: &str =
    "INSERT INTO order_lines (order_id, sku, units) VALUES (:purchase_id, :sku, :quantity)";

/// A file with these statements, of which the last is for each item and begins at line 14.
fn with(order: &str, line: &str) -> String {
    format!(
        "{COORDINATOR}{MYSQL}
[[participants.purchases.mysql.statements]]
per = \"purchase\"
sql = \"{order}\"

[[participants.purchases.mysql.statements]]
per = \"item\"
sql = \"{line}\"
{REDIS}"
    )
}

fn read(text: &str) -> Result<Config, String> {
    Config::read(Path::new("tandem.toml"), text).map_err(|error| error.to_string())
}

#[test]
fn what_breaks_no_promise_is_accepted_as_before() {
    let stock_hash = REDIS.replace("stock_key = \"stock:{sku}\"", "stock_hash = \"warehouse\"");
    let sidecars = "
[participants.purchases.sidecar]
endpoint = \"http://127.0.0.1:7660\"

[participants.stock.sidecar]
endpoint = \"http://127.0.0.1:7661\"
";
    for (what, text, statements) in [
        ("the shortest", format!("{COORDINATOR}{MYSQL}{REDIS}"), 0),
        (
            "a stock hash",
            format!("{COORDINATOR}{MYSQL}{stock_hash}"),
            0,
        ),
        ("sidecars", format!("{COORDINATOR}{sidecars}"), 0),
        ("tables of the shop's own", with(ORDER, LINE), 2),
        (
            "a number beside the id, and euros",
            with(
                "INSERT INTO orders (ref, euros, placed) VALUES (:purchase_id, :total_minor / 100, NOW())",
                "INSERT INTO order_lines (order_id, sku) SELECT id, :sku FROM orders WHERE ref = :purchase_id",
            ),
            2,
        ),
        (
            "a row that counts",
            with(
                ORDER,
                "UPDATE best_sellers SET units = units + :quantity WHERE sku = :sku",
            ),
            2,
        ),
    ] {
        let config = read(&text).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(config.participants.len(), 2, "{what}");
        for settings in config.participants.values() {
            if let ParticipantSettings::Mysql(mysql) = settings {
                let found = mysql.statements.as_ref().map_or(0, Vec::len);
                assert_eq!(found, statements, "{what}");
                assert_eq!(mysql.time_zone, None, "{what}");
            }
        }
    }
}

#[test]
fn every_limit_of_the_first_example_means_what_it_meant() {
    let config = read(&format!("{COORDINATOR}{ALL_LIMITS}{MYSQL}{REDIS}")).unwrap();
    assert_eq!(config.limits.transaction_purchases_max, 128);
    assert_eq!(config.limits.pipeline_transactions_max, 3);
    assert_eq!(config.limits.prepare_timeout.as_millis(), 5_000);
    assert_eq!(config.retention.purchases_max, 250_000);
}

#[test]
fn a_sidecars_file_is_accepted_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    let text = "[sidecar]\nname = \"ledger\"\nlisten = \"127.0.0.1:7660\"\n\n[mysql]\n\
                url = \"mysql://app:secret@127.0.0.1:3306/shop\"\n";
    std::fs::write(&path, text).unwrap();
    let sidecar = MysqlSidecar::read(&path, text).unwrap();
    assert_eq!(sidecar.sidecar.name.as_str(), "ledger");
    assert_eq!(sidecar.attributes.names().count(), 0);
}

#[test]
fn what_would_break_a_promise_is_told_what_to_write_and_that_is_accepted() {
    let without_stock = format!("{COORDINATOR}{MYSQL}");
    let accepting = COORDINATOR.to_owned() + "accept = [\"NO_STOCK_PARTICIPANT\"]\n" + MYSQL;
    let line = |old: &str| with(ORDER, old);
    const NEW: &str = "INSERT INTO order_lines (order_id, sku) VALUES ((SELECT id FROM orders WHERE \
         purchase_id = :purchase_id), :sku)";
    let by_number = |line| {
        with(
            "INSERT INTO orders (purchase_id) VALUES (:purchase_id)",
            line,
        )
    };
    for (old, told, new) in [
        (
            by_number("INSERT INTO order_lines (order_id, sku) VALUES (LAST_INSERT_ID(), :sku)"),
            ["line 16, column 7", NEW],
            by_number(NEW),
        ),
        (
            line("INSERT INTO sold (sku, n) VALUES (:sku, 1) ON DUPLICATE KEY UPDATE n = n + 1"),
            [
                "line 16, column 7",
                "made beforehand and changed by an UPDATE",
            ],
            line("UPDATE sold SET n = n + 1 WHERE sku = :sku"),
        ),
        (
            line("REPLACE INTO last_sold (sku, order_id) VALUES (:sku, :purchase_id)"),
            ["line 16, column 7", "write INSERT"],
            line("INSERT INTO sold (sku, order_id) VALUES (:sku, :purchase_id)"),
        ),
        (
            line("INSERT INTO order_lines (order_id, line) VALUES (:purchase_id, @n := @n + 1)"),
            ["line 16, column 7", "write the value itself, a parameter"],
            line("INSERT INTO order_lines (order_id, line) VALUES (:purchase_id, :item_number)"),
        ),
        (
            line("DELETE FROM wishes WHERE sku = :sku RETURNING id"),
            ["line 14, column 1", "leave it out"],
            line("DELETE FROM wishes WHERE sku = :sku"),
        ),
        (
            without_stock,
            [
                "tandem.toml",
                "accept = [\"NO_STOCK_PARTICIPANT\"] in [coordinator]",
            ],
            accepting,
        ),
    ] {
        let said = read(&old).unwrap_err();
        for part in told {
            assert!(said.contains(part), "{part:?} is missing in: {said}");
        }
        read(&new).unwrap_or_else(|error| panic!("what is told is refused: {error}"));
    }
}
