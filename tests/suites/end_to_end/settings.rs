//! What a user may configure, rightly and wrongly.

use std::fs;

use anyhow::{Result, ensure};
use serde_json::Value;
use tandem_proto::v1::LinkState;
use tandem_tests::{Case, Setup, Start, StoresOptions, World, purchase, until};

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(unsafe_settings_are_refused_unless_accepted on TWO, with unsafe_stores),
    case!(settings_that_become_unsafe_are_named_while_all_goes_on on TWO),
    case!(own_schema_is_written_by_own_statements on TWO, with down),
    case!(malformed_configuration_is_refused_with_its_line on ONE, with down),
    case!(configuration_is_checked_without_a_trace on TWO, with unsafe_stores),
    case!(store_that_nobody_is_for_is_refused_before_a_log_exists on ONE, with sidecars_alone),
    case!(log_of_another_coordinator_is_refused on ONE),
];

fn unsafe_stores() -> Setup {
    Setup {
        stores: StoresOptions {
            mysql_args: vec!["--innodb-flush-log-at-trx-commit=2".into()],
            redis_args: vec!["--appendfsync".into(), "everysec".into()],
            ..StoresOptions::default()
        },
        coordinator_down: true,
        ..Setup::default()
    }
}

async fn unsafe_settings_are_refused_unless_accepted(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    world.coordinator.launch(&world.start)?;
    let operator = world.coordinator.operator();
    for (name, finding) in [
        ("purchases", "FLUSH_LOG_NOT_AT_COMMIT"),
        ("stock", "APPENDFSYNC_NOT_ALWAYS"),
    ] {
        until("the finding is named", SOON, async || {
            let one = operator.participant(name).await;
            Ok(one.is_ok_and(|one| one.state() == LinkState::Down && one.detail.contains(finding)))
        })
        .await?;
    }
    let client = world.coordinator.client();
    ensure!(
        client
            .submit(&purchase("p-0", &[("tea", 1)]))
            .await
            .is_err()
    );
    world.coordinator.stop()?;
    world
        .coordinator
        .start(&Start {
            participants: format!(
                "[participants.purchases.mysql]\n{}accept = [\"FLUSH_LOG_NOT_AT_COMMIT\"]\n\
                 [participants.stock.redis]\n{}accept = [\"APPENDFSYNC_NOT_ALWAYS\"]\n",
                world.stores.mysql_settings(),
                world.stores.redis_settings()
            ),
            ..world.start.clone()
        })
        .await?;
    let made = ask(&client, &purchase("p-1", &[("tea", 1)])).await;
    ensure_committed(&made)?;
    let accepted = operator.participant("stock").await?.description;
    let findings = accepted.map(|one| one.findings).unwrap_or_default();
    ensure!(
        findings.iter().any(|finding| finding.accepted),
        "{findings:?}"
    );
    world.judge(&[made]).await?;
    Ok(())
}

/// Somebody changes a running server. What was promised stands, and purchases go on.
async fn settings_that_become_unsafe_are_named_while_all_goes_on(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let (client, operator) = (world.coordinator.client(), world.coordinator.operator());
    let unsafe_now = [
        ("stock", "APPENDFSYNC_NOT_ALWAYS"),
        ("purchases", "FLUSH_LOG_NOT_AT_COMMIT"),
    ];
    let is_named = async |name: &str, finding: &str| -> Result<bool> {
        let found = operator.participant(name).await?.description;
        let found = found.map(|one| one.findings).unwrap_or_default();
        Ok(found.iter().any(|one| one.name == finding && !one.accepted))
    };
    kv(world, &[&["CONFIG", "SET", "appendfsync", "everysec"]]).await?;
    sql(world, "SET GLOBAL innodb_flush_log_at_trx_commit = 2").await?;
    for (name, finding) in unsafe_now {
        until("it is named", SOON, async || is_named(name, finding).await).await?;
        ensure!(operator.participant(name).await?.state() == LinkState::Up);
        until("it is logged", SOON, async || {
            let log = world.coordinator.log();
            let mut lines = log.lines();
            Ok(lines.any(|line| line.contains("unsafe from now on") && line.contains(finding)))
        })
        .await?;
    }
    let made = ask(&client, &purchase("p-1", &[("tea", 1)])).await;
    ensure_committed(&made)?;

    kv(world, &[&["CONFIG", "SET", "appendfsync", "always"]]).await?;
    sql(world, "SET GLOBAL innodb_flush_log_at_trx_commit = 1").await?;
    for (name, finding) in unsafe_now {
        until("it is named no more", SOON, async || {
            Ok(!is_named(name, finding).await?)
        })
        .await?;
    }
    world.judge(&[made]).await?;
    Ok(())
}

async fn own_schema_is_written_by_own_statements(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    world.stores.seed("cups", 10).await?;
    sql(
        world,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, who VARCHAR(64), cents BIGINT, \
         at DATETIME(3)) ENGINE=InnoDB; \
         CREATE TABLE order_lines (order_id VARCHAR(64), line INT, sku VARCHAR(128), n INT, \
         PRIMARY KEY (order_id, line)) ENGINE=InnoDB; \
         CREATE TABLE customers (who VARCHAR(64) PRIMARY KEY, orders INT) ENGINE=InnoDB; \
         INSERT INTO customers VALUES ('ann@example.org', 0)",
    )
    .await?;
    let statements = r#"
[[participants.purchases.mysql.statements]]
per = "purchase"
sql = "INSERT INTO orders (id, who, cents, at) VALUES (:purchase_id, :customer_id, :total_minor, :purchase_time)"

[[participants.purchases.mysql.statements]]
per = "item"
sql = "INSERT INTO order_lines (order_id, line, sku, n) VALUES (:purchase_id, :item_number, :sku, :quantity)"

[[participants.purchases.mysql.statements]]
per = "purchase"
sql = "UPDATE customers SET orders = orders + 1 WHERE who = :customer_id"
"#;
    let start = Start {
        participants: format!(
            "[participants.purchases.mysql]\n{}{statements}\n[participants.stock.redis]\n{}",
            world.stores.mysql_settings(),
            world.stores.redis_settings()
        ),
        ..world.start.clone()
    };
    world.coordinator.start(&start).await?;
    let client = world.coordinator.client();
    ensure_committed(&ask(&client, &purchase("p-1", &[("tea", 2), ("cups", 3)])).await)?;
    ensure_committed(&ask(&client, &purchase("p-2", &[("tea", 1)])).await)?;
    let refused = client
        .submit(&purchase("p-3", &[("tea", 1), ("cups", 8)]))
        .await;
    ensure!(refused.is_err());
    for (query, value) in [
        ("SELECT COUNT(*) FROM orders", 2),
        ("SELECT cents FROM orders WHERE id = 'p-1'", 5),
        ("SELECT COUNT(*) FROM order_lines WHERE order_id = 'p-1'", 2),
        (
            "SELECT CAST(n AS SIGNED) FROM order_lines WHERE order_id = 'p-1' AND line = 2",
            3,
        ),
        ("SELECT CAST(orders AS SIGNED) FROM customers", 2),
    ] {
        ensure!(
            number(world, query).await? == value,
            "{query} is not {value}"
        );
    }
    ensure!(world.stores.stock("tea").await? == Some(7));
    ensure!(world.stores.stock("cups").await? == Some(7));
    let there = number(
        world,
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_name = 'purchases' \
         AND table_schema = 'shop'",
    );
    ensure!(
        there.await? == 0,
        "the default schema was created though nobody uses it"
    );
    Ok(())
}

async fn malformed_configuration_is_refused_with_its_line(world: &World) -> Result<()> {
    let path = world.folder().join("bad.toml");
    fs::write(&path, "[coordinator]\nid = \"shop\"\nport = 1\n")?;
    let path = path.to_string_lossy();
    let output = world.tandem(&["serve", "--config", &path])?;
    ensure!(output.status.code() == Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        said.contains("bad.toml") && said.contains("line 3") && said.contains("port"),
        "{said}"
    );
    let output = world.tandem(&["serve", "--config", "/nowhere/tandem.toml"])?;
    ensure!(output.status.code() == Some(2), "{output:?}");
    Ok(())
}

/// Before a log, an epoch or a table is there, and with the line of what is wrong.
async fn configuration_is_checked_without_a_trace(world: &World) -> Result<()> {
    sql(
        world,
        "CREATE TABLE orders (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, who VARCHAR(64)) CHARACTER SET utf8mb4",
    )
    .await?;
    let path = world.folder().join("checked.toml");
    let check = |mysql: &str, redis: &str| -> Result<(Value, i32)> {
        let text = format!(
            "[coordinator]\nid = \"shop\"\ndata_dir = \"checked\"\nlisten = \"127.0.0.1:7650\"\n\
             admin_listen = \"127.0.0.1:7651\"\n[participants.stock.redis]\n{}{redis}\n\
             [participants.purchases.mysql]\n{}{mysql}",
            world.stores.redis_settings(),
            world.stores.mysql_settings(),
        );
        fs::write(&path, text)?;
        let path = path.to_string_lossy();
        let words = ["config", "check", "--config", &path];
        println!(
            "{}",
            String::from_utf8_lossy(&world.tandem(&words)?.stdout).trim_end()
        );
        let output = world.tandem(&[&words[..], &["--output", "json"]].concat())?;
        let code = output.status.code().unwrap_or_default();
        Ok((serde_json::from_slice(&output.stdout)?, code))
    };
    let (mysql, redis) = (
        "accept = [\"FLUSH_LOG_NOT_AT_COMMIT\"]\n",
        "accept = [\"APPENDFSYNC_NOT_ALWAYS\"]\n",
    );
    let (document, code) = check("", "")?;
    ensure!(code == 1, "exit {code}: {document:#}");
    for name in ["FLUSH_LOG_NOT_AT_COMMIT", "APPENDFSYNC_NOT_ALWAYS"] {
        ensure!(document.to_string().contains(name), "{name}: {document:#}");
    }
    let (document, code) = check(mysql, redis)?;
    ensure!(code == 0, "exit {code}: {document:#}");

    let statement = |sql: &str| {
        format!(
            "{mysql}[[participants.purchases.mysql.statements]]\nper = \"purchase\"\nsql = \"{sql}\"\n"
        )
    };
    let plain = "INSERT INTO orders (id, who) VALUES (:purchase_id, :customer_id)";
    let (document, code) = check(&statement(plain), redis)?;
    ensure!(code == 0, "exit {code}: {document:#}");
    let (document, code) = check(&statement(&plain.replace("who", "whom")), redis)?;
    ensure!(code == 2, "exit {code}: {document:#}");
    let refusals = document["participants"][0]["refusals"].to_string();
    for part in ["statement 1 at line ", ", column 7 can't run", "whom"] {
        ensure!(
            refusals.contains(part),
            "{part:?} is missing in {document:#}"
        );
    }
    let (document, code) = check(
        &statement("REPLACE INTO orders (id) VALUES (:purchase_id)"),
        redis,
    )?;
    let refusal = document["refusal"].to_string();
    ensure!(
        code == 2 && refusal.contains(", column 7") && refusal.contains("write INSERT"),
        "exit {code}: {document:#}"
    );

    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'shop'";
    ensure!(number(world, tables).await? == 1);
    ensure!(!world.folder().join("checked").exists(), "a log was begun");
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg("*")
        .query_async(&mut world.stores.kv().await?)
        .await?;
    ensure!(keys.is_empty(), "{keys:?}");
    Ok(())
}

async fn log_of_another_coordinator_is_refused(world: &World) -> Result<()> {
    world.coordinator.stop()?;
    let path = world.coordinator.config_path();
    let text = fs::read_to_string(&path)?.replace("id = \"shop\"", "id = \"mall\"");
    let other = path.with_file_name("other.toml");
    fs::write(&other, text)?;
    let output = world.tandem(&["serve", "--config", &other.to_string_lossy()])?;
    ensure!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(said.contains("belongs to coordinator"), "{said}");
    Ok(())
}

fn sidecars_alone() -> Setup {
    Setup {
        sidecars: true,
        ..down()
    }
}

/// What a sidecar is only itself can say.
async fn store_that_nobody_is_for_is_refused_before_a_log_exists(world: &World) -> Result<()> {
    for (sidecar, missing) in world
        .sidecars
        .iter()
        .zip(["NO_STOCK_PARTICIPANT", "NO_RECORD_PARTICIPANT"])
    {
        world.coordinator.launch(&Start {
            participants: sidecar.participant(),
            ..world.start.clone()
        })?;
        let status = world.coordinator.wait_end().await?;
        ensure!(!status.success(), "{missing}: it ended well");
        let said = world.coordinator.log();
        ensure!(said.contains(missing), "{missing} is not in {said}");
        ensure!(!world.coordinator.data_dir().exists(), "a log was begun");
    }
    world.coordinator.start(&world.start).await
}
