//! The audit: each planted disagreement is found, and a healthy system under load has none.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tandem_participant::Acknowledged;
use tandem_tests::{Case, Judge, Load, Setup, World, purchase};

use super::following::{at_redis, commands};
use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(audit_finds_each_planted_disagreement on EVERYWHERE, with unswept),
    case!(audit_of_a_healthy_system_under_load_agrees on TWO),
    case!(audit_reaches_stores_through_sidecars on ONE, with sidecars),
    case!(audit_compares_rows_of_own_statements on ONE, with down),
    case!(audit_names_what_its_columns_do_not_keep on TWO, with down),
    case!(audit_says_what_it_could_not_compare on ONE),
    case!(audit_of_a_time_leaves_out_the_rest on ONE),
];

/// Sweeps would mend some of what is planted before the audit has seen it.
fn unswept() -> Setup {
    Setup {
        limits: "retry_backoff_max_ms = 300\nsweep_interval_s = 3600\ncall_timeout_ms = 4000\n"
            .into(),
        ..Setup::default()
    }
}

fn sidecars() -> Setup {
    Setup {
        sidecars: true,
        ..Setup::default()
    }
}

/// What `tandem audit` printed, and its exit status.
pub(crate) fn audit(world: &World, arguments: &[&str]) -> Result<(Value, i32)> {
    let mut all = vec!["audit", "--output", "json"];
    all.extend(arguments);
    let output = world.tandem(&all)?;
    let code = output.status.code().context("killed")?;
    let document = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok((document, code))
}

pub(crate) fn ensure_agrees(world: &World, when: &str) -> Result<Value> {
    let (document, code) = audit(world, &[])?;
    ensure!(code == 0, "{when}: exit {code}: {document:#}");
    Ok(document["summary"].clone())
}

/// One disagreement, planted directly in the stores.
struct Planted {
    what: &'static str,
    /// At MySQL; `{id}`, `{p}`, `{sequence}` are a purchase's transaction, id, and sequence.
    sql: &'static str,
    /// At Redis, a command a line; also `{member}`, the transaction's name in the memory, and `{row}` and
    /// `{place}` of its witness.
    redis: &'static str,
    /// What the audit calls it, and where.
    found: &'static [(&'static str, &'static str)],
    mended: Mended,
}

enum Mended {
    /// `tandem tx repair` at these participants.
    Repair(&'static [&'static str]),
    /// By hand: at MySQL and at Redis.
    ByHand(&'static str, &'static str),
    /// First by hand at Redis, then repaired at MySQL.
    Both(&'static str),
    /// By the commands of the remedy.
    AsSaidAtRedis,
}

const PLANTED: &[Planted] = &[
    Planted {
        what: "row deleted",
        sql: "DELETE FROM purchases WHERE purchase_id = '{p}'; \
              DELETE FROM purchase_items WHERE purchase_id = '{p}'",
        redis: "",
        found: &[("ROW_MISSING", "purchases")],
        mended: Mended::Repair(&["purchases"]),
    },
    Planted {
        what: "quantity changed",
        sql: "UPDATE purchase_items SET quantity = 7 WHERE purchase_id = '{p}'",
        redis: "",
        found: &[("ROW_DIFFERS", "purchases")],
        mended: Mended::ByHand(
            "UPDATE purchase_items SET quantity = 2 WHERE purchase_id = '{p}'",
            "",
        ),
    },
    Planted {
        what: "item changed",
        sql: "UPDATE purchase_items SET sku = 'gold' WHERE purchase_id = '{p}'",
        redis: "",
        found: &[("ROW_DIFFERS", "purchases")],
        mended: Mended::ByHand(
            "UPDATE purchase_items SET sku = 'tea' WHERE purchase_id = '{p}'",
            "",
        ),
    },
    Planted {
        what: "row that tandem never decided, with a transaction's id",
        sql: "INSERT INTO purchases VALUES ('ghost', 'eve', 'EUR', 1, '{id}', UTC_TIMESTAMP(3))",
        redis: "",
        found: &[("ROW_WITHOUT_DECISION", "purchases")],
        mended: Mended::ByHand("DELETE FROM purchases WHERE purchase_id = 'ghost'", ""),
    },
    Planted {
        what: "row that tandem never decided, with an unknown id",
        sql: "INSERT INTO purchases VALUES ('ghost', 'eve', 'EUR', 1, 'eve', UTC_TIMESTAMP(3))",
        redis: "",
        found: &[("ROW_WITHOUT_DECISION", "purchases")],
        mended: Mended::ByHand("DELETE FROM purchases WHERE purchase_id = 'ghost'", ""),
    },
    Planted {
        what: "marker row deleted",
        sql: "DELETE FROM tandem_branches WHERE `sequence` = {sequence}",
        redis: "",
        found: &[("COMMIT_NOT_REMEMBERED", "purchases")],
        mended: Mended::Repair(&["purchases"]),
    },
    Planted {
        what: "marker row without rows",
        sql: "INSERT INTO tandem_branches (participant, coordinator, epoch, `sequence`, state, connection_id, server_start, prepare_time_ms) VALUES ('purchases', 'shop', 1, 777777, 1, 1, 1, 1)",
        redis: "",
        found: &[("COMMIT_WITHOUT_DECISION", "purchases")],
        mended: Mended::ByHand("DELETE FROM tandem_branches WHERE `sequence` = 777777", ""),
    },
    Planted {
        what: "memory of a commit deleted, and the witness of its deduction",
        sql: "",
        // With the count of them, or the next sweep would find and mend it by itself.
        redis: "ZREM tandem:committed:shop:stock {member}\n\
                HINCRBY tandem:coordinator:shop:stock remembered -1\n\
                SETRANGE witness:tandem:shop:stock:{row} {place} 0",
        found: &[("COMMIT_NOT_REMEMBERED", "stock")],
        mended: Mended::ByHand(
            "",
            "ZADD tandem:committed:shop:stock 0 {member}\n\
             HINCRBY tandem:coordinator:shop:stock remembered 1\n\
             SETRANGE witness:tandem:shop:stock:{row} {place} 1",
        ),
    },
    Planted {
        what: "hold of a transaction that has ended",
        sql: "",
        redis: "HSET tandem:tx:{id}/stock held {\"stock:tea\":2}\nHINCRBY tandem:held stock:tea 2\n\
                ZADD tandem:prepared 1700000000000000 {id}/stock",
        found: &[("HOLD_LEFT", "stock")],
        mended: Mended::Repair(&["stock"]),
    },
    Planted {
        what: "hold of a transaction that nobody knows",
        sql: "",
        redis: "HSET tandem:tx:depot.1.5/stock held {\"stock:tea\":2}\nHINCRBY tandem:held stock:tea 2\n\
                ZADD tandem:prepared 1700000000000000 depot.1.5/stock",
        found: &[("HOLD_LEFT", "stock")],
        mended: Mended::AsSaidAtRedis,
    },
    Planted {
        what: "sum of what is held is wrong",
        sql: "",
        redis: "HINCRBY tandem:held stock:tea 3",
        found: &[("HELD_SUM_WRONG", "stock")],
        mended: Mended::ByHand("", "HDEL tandem:held stock:tea"),
    },
    Planted {
        what: "foreign prepared branch",
        sql: "CREATE TABLE IF NOT EXISTS other (id INT PRIMARY KEY) ENGINE=InnoDB; \
              XA START 'job','other-app',7; INSERT INTO other VALUES (1); \
              XA END 'job','other-app',7; XA PREPARE 'job','other-app',7",
        redis: "",
        found: &[("BRANCH_LEFT", "purchases")],
        mended: Mended::ByHand("XA ROLLBACK 'job','other-app',7", ""),
    },
    Planted {
        what: "prepared branch of another coordinator of tandem's",
        sql: "CREATE TABLE IF NOT EXISTS other (id INT PRIMARY KEY) ENGINE=InnoDB; \
              XA START 'depot.1.5','purchases',1952542308; INSERT INTO other VALUES (1); \
              XA END 'depot.1.5','purchases',1952542308; \
              XA PREPARE 'depot.1.5','purchases',1952542308",
        redis: "",
        found: &[("BRANCH_LEFT", "purchases")],
        mended: Mended::ByHand("XA ROLLBACK 'depot.1.5','purchases',1952542308", ""),
    },
    Planted {
        what: "Redis remembers a commit that the log does not know",
        sql: "",
        redis: "ZADD tandem:committed:shop:stock 0 a1.f777777\n\
                HINCRBY tandem:coordinator:shop:stock remembered 1",
        found: &[("COMMIT_WITHOUT_DECISION", "stock")],
        mended: Mended::ByHand(
            "",
            "ZREM tandem:committed:shop:stock a1.f777777\nHINCRBY tandem:coordinator:shop:stock remembered -1",
        ),
    },
    Planted {
        what: "debt recorded",
        sql: "",
        redis: "HSET tandem:debt stock:tea 2",
        found: &[("DEBT", "stock")],
        mended: Mended::ByHand("", "HDEL tandem:debt stock:tea"),
    },
    Planted {
        what: "acknowledged, and missing in both stores",
        sql: "DELETE FROM purchases WHERE purchase_id = '{p}'; \
              DELETE FROM purchase_items WHERE purchase_id = '{p}'; \
              DELETE FROM tandem_branches WHERE `sequence` = {sequence}",
        redis: "ZREM tandem:committed:shop:stock {member}\n\
                HINCRBY tandem:coordinator:shop:stock remembered -1\n\
                SETRANGE witness:tandem:shop:stock:{row} {place} 0",
        found: &[
            ("ROW_MISSING", "purchases"),
            ("COMMIT_NOT_REMEMBERED", "purchases"),
            ("COMMIT_NOT_REMEMBERED", "stock"),
        ],
        mended: Mended::Both(
            "ZADD tandem:committed:shop:stock 0 {member}\n\
             HINCRBY tandem:coordinator:shop:stock remembered 1\n\
             SETRANGE witness:tandem:shop:stock:{row} {place} 1",
        ),
    },
];

/// A purchase that something is planted about.
struct Victim {
    purchase_id: String,
    id: String,
}

impl Victim {
    fn fill(&self, text: &str) -> Result<String> {
        let member = memory_of(&self.id)?;
        let sequence = self.id.rsplit('.').next().unwrap_or_default();
        let number: u64 = sequence.parse()?;
        Ok(text
            .replace("{p}", &self.purchase_id)
            .replace("{id}", &self.id)
            .replace("{sequence}", sequence)
            .replace("{row}", &format!("1.{}", number / 64))
            .replace("{place}", &(number % 64).to_string())
            .replace("{member}", &member))
    }

    async fn at_mysql(&self, world: &World, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        sql(world, &self.fill(text)?).await
    }

    async fn at_redis(&self, world: &World, text: &str) -> Result<()> {
        for line in self.fill(text)?.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            kv(world, &[&words]).await?;
        }
        Ok(())
    }

    fn repair(&self, world: &World, participant: &str) -> Result<()> {
        let arguments = [
            "tx",
            "repair",
            &self.id,
            "--participant",
            participant,
            "--operator",
            "ann",
            "--reason",
            "found by the audit",
            "--yes",
        ];
        tandem(world, &arguments).map(drop)
    }
}

async fn audit_finds_each_planted_disagreement(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000).await?;
    let client = world.coordinator.client();
    // One that is refused is no disagreement.
    client
        .submit(&purchase("greedy", &[("tea", 2_000)]))
        .await
        .unwrap_err();
    let mut asked = Vec::new();
    let mut later = Vec::new();
    for (number, planted) in PLANTED.iter().enumerate() {
        let purchase_id = format!("p-{number}");
        let made = ask(&client, &purchase(&purchase_id, &[("tea", 2)])).await;
        ensure_committed(&made)?;
        asked.push(made);
        // What a store has acknowledged last it is asked for at each sweep: that would be noticed
        // before the audit.
        for other in 0..Acknowledged::COMMITTED_MAX {
            let other = purchase(&format!("later-{number}-{other}"), &[("tea", 1)]);
            later.push(ask(&client, &other).await);
        }
        let id = client.find(&purchase_id).await?.transaction_id;
        let victim = Victim { purchase_id, id };
        let what = planted.what;
        ensure_agrees(world, &format!("before {what}"))?;

        victim.at_mysql(world, planted.sql).await?;
        victim.at_redis(world, planted.redis).await?;
        let (document, code) = audit(world, &[])?;
        let found: Vec<(&str, &str)> = document["disagreements"]
            .as_array()
            .context("no list")?
            .iter()
            .map(|one| {
                let text = |field: &str| one[field].as_str().unwrap_or_default();
                (text("kind"), text("participant"))
            })
            .collect();
        let mut wanted = planted.found.to_vec();
        wanted.sort_unstable();
        let mut sorted = found.clone();
        sorted.sort_unstable();
        ensure!(
            code == 1 && sorted == wanted,
            "{what}: exit {code}: {document:#}"
        );
        println!("{what}: {found:?}");
        for one in document["disagreements"].as_array().into_iter().flatten() {
            let says = |field: &str| one[field].as_str().is_some_and(|text| !text.is_empty());
            ensure!(
                says("detail") && says("meaning") && says("remedy"),
                "{what}: {one}"
            );
        }

        match planted.mended {
            Mended::Repair(participants) => {
                for participant in participants {
                    victim.repair(world, participant)?;
                }
            }
            Mended::ByHand(sql, redis) => {
                victim.at_mysql(world, sql).await?;
                victim.at_redis(world, redis).await?;
            }
            Mended::AsSaidAtRedis => {
                let remedy = document["disagreements"][0]["remedy"].as_str();
                at_redis(world, &commands(remedy.unwrap_or_default())).await?;
            }
            Mended::Both(redis) => {
                victim.at_redis(world, redis).await?;
                victim.repair(world, "purchases")?;
            }
        }
        ensure_agrees(world, &format!("after {what} was mended"))?;
    }
    println!(
        "{} of {} planted disagreements found",
        asked.len(),
        PLANTED.len()
    );
    asked.extend(later);
    world.judge(&asked).await?;
    Ok(())
}

async fn audit_of_a_healthy_system_under_load_agrees(world: &World) -> Result<()> {
    let skus = ["tea", "mug", "pot"];
    world.stores.seed("tea", 1_000_000).await?;
    world.stores.seed("mug", 1_000_000).await?;
    // Sold out soon, so that refusals are among them.
    world.stores.seed("pot", 200).await?;
    let client = world.coordinator.client();
    let load = Load::start(&client, 16, "p", 7, &skus);
    tokio::time::sleep(Duration::from_secs(2)).await;
    world.coordinator.kill9()?;
    world.start_again().await?;
    let mut purchases = 0;
    for number in 0..4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let summary = ensure_agrees(world, &format!("audit {number} under load"))?;
        println!("{summary}");
        let seen = summary["purchases"].as_u64().unwrap_or_default();
        ensure!(seen > purchases, "{summary}");
        purchases = seen;
    }
    let asked = load.finish().await?;
    let books = world.judge(&asked).await?;
    let summary = ensure_agrees(world, "at rest")?;
    println!("at rest: {summary}");
    ensure!(
        summary["purchases"] == books.committed,
        "{books}: {summary}"
    );
    ensure!(summary["rows"] == books.committed, "{books}: {summary}");
    ensure!(summary["in_flight"] == 0, "{summary}");
    Ok(())
}

async fn audit_reaches_stores_through_sidecars(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let made = client.submit(&purchase("p-1", &[("tea", 2)])).await?;
    ensure_agrees(world, "before")?;
    sql(world, "DELETE FROM purchases").await?;
    kv(world, &[&["HINCRBY", "tandem:held", "stock:tea", "3"]]).await?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 1, "{document:#}");
    ensure!(document["summary"]["disagreements"] == 2, "{document:#}");
    kv(world, &[&["HDEL", "tandem:held", "stock:tea"]]).await?;
    sql(world, "DELETE FROM purchase_items").await?;
    let victim = Victim {
        purchase_id: "p-1".into(),
        id: made.transaction_id,
    };
    victim.repair(world, "purchases")?;
    ensure_agrees(world, "after the repair")?;
    Ok(())
}

async fn audit_compares_rows_of_own_statements(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    sql(
        world,
        "CREATE TABLE orders (id VARCHAR(64) CHARACTER SET ascii PRIMARY KEY, total BIGINT); \
         CREATE TABLE order_lines (order_id VARCHAR(64) CHARACTER SET ascii, sku VARCHAR(128), \
         units DECIMAL(10, 2), PRIMARY KEY (order_id, sku))",
    )
    .await?;
    let statements = "\n[[participants.purchases.mysql.statements]]\nper = \"purchase\"\n\
         sql = \"INSERT INTO orders (id, total) VALUES (:purchase_id, :total_minor)\"\n\
         [[participants.purchases.mysql.statements]]\nper = \"item\"\n\
         sql = \"INSERT INTO `order_lines` (order_id, sku, units) VALUES (:purchase_id, :sku, \
         :quantity)\"\n";
    let start = tandem_tests::Start {
        participants: format!(
            "[participants.purchases.mysql]\n{}{statements}\n[participants.stock.redis]\n{}",
            world.stores.mysql_settings(),
            world.stores.redis_settings()
        ),
        ..world.start.clone()
    };
    world.coordinator.start(&start).await?;
    let client = world.coordinator.client();
    client.submit(&purchase("p-1", &[("tea", 2)])).await?;
    // A row of the app's own is not tandem's to judge here, and the audit says so.
    sql(world, "INSERT INTO orders VALUES ('own', 1)").await?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 0, "{document:#}");
    ensure!(
        document["notes"].to_string().contains(":transaction_id"),
        "{document:#}"
    );
    sql(world, "UPDATE order_lines SET units = 3").await?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 1, "{document:#}");
    ensure!(
        document["disagreements"][0]["kind"] == "ROW_DIFFERS",
        "{document:#}"
    );
    sql(
        world,
        "UPDATE order_lines SET units = 2; DELETE FROM orders WHERE id = 'p-1'",
    )
    .await?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 1, "{document:#}");
    ensure!(
        document["disagreements"][0]["kind"] == "ROW_MISSING",
        "{document:#}"
    );
    Ok(())
}

/// A total that its column rounds is no disagreement; nor is it said to agree, unless that is accepted.
async fn audit_names_what_its_columns_do_not_keep(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    sql(
        world,
        "CREATE TABLE orders (id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, total FLOAT, \
         who VARCHAR(64))",
    )
    .await?;
    let start = |accept: &str| {
        let statement = "\n[[participants.purchases.mysql.statements]]\nper = \"purchase\"\nsql = \"INSERT \
             INTO orders (id, total, who) VALUES (:purchase_id, :total_minor, :customer_id)\"\n";
        tandem_tests::Start {
            participants: format!(
                "[participants.purchases.mysql]\n{accept}{}{statement}\n[participants.stock.redis]\n{}",
                world.stores.mysql_settings(),
                world.stores.redis_settings()
            ),
            ..world.start.clone()
        }
    };
    world.coordinator.start(&start("")).await?;
    let mut dear = purchase("p-1", &[("tea", 1)]);
    dear.items[0].unit_price_minor = 123_456_789;
    world.coordinator.client().submit(&dear).await?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 5, "exit {code}: {document:#}");
    ensure!(
        document["disagreements"] == serde_json::json!([]),
        "{document:#}"
    );
    let said = document["unchecked"].to_string();
    let why = "total of orders is of type float";
    ensure!(
        said.contains("purchases: statement 1 at line ") && said.contains(why),
        "{document:#}"
    );

    world.coordinator.stop()?;
    world
        .coordinator
        .start(&start("accept = [\"NOT_AUDITED\"]\n"))
        .await?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 0, "exit {code}: {document:#}");
    ensure!(document["notes"].to_string().contains(why), "{document:#}");
    // The rest is compared all the same.
    sql(world, "UPDATE orders SET who = 'zoe'").await?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 1, "exit {code}: {document:#}");
    Ok(())
}

async fn audit_says_what_it_could_not_compare(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let made = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    world.stores.redis.kill9()?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 5, "exit {code}: {document:#}");
    ensure!(
        document["unchecked"].to_string().contains("stock: "),
        "{document:#}"
    );
    // What could be compared was.
    sql(world, "DELETE FROM purchases").await?;
    let (document, code) = audit(world, &[])?;
    ensure!(code == 1, "exit {code}: {document:#}");
    let table = world.tandem(&["audit"])?;
    let printed = String::from_utf8_lossy(&table.stdout).into_owned();
    println!("{}", printed.trim_end());
    ensure!(
        printed.contains("ROW_MISSING at purchases, purchase p-1")
            && printed.contains("NOT COMPARED: stock: "),
        "{printed}"
    );
    world.stores.redis.restart()?;
    let id = client.find("p-1").await?.transaction_id;
    sql(world, "DELETE FROM purchase_items").await?;
    let victim = Victim {
        purchase_id: "p-1".into(),
        id,
    };
    victim.repair(world, "purchases")?;
    Judge(&world.stores)
        .quiet(&world.coordinator.operator())
        .await?;
    ensure_agrees(world, "with Redis back")?;
    world.coordinator.kill9()?;
    ensure!(
        world.tandem(&["audit"])?.status.code() == Some(3),
        "nobody listens"
    );
    world.start_again().await?;
    world.judge(&[made]).await?;
    Ok(())
}

async fn audit_of_a_time_leaves_out_the_rest(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    client.submit(&purchase("p-1", &[("tea", 2)])).await?;
    sql(world, "DELETE FROM purchases; DELETE FROM purchase_items").await?;
    let (document, code) = audit(world, &["--last", "1h"])?;
    ensure!(code == 1, "{document:#}");
    let past = [
        "--since",
        "2020-01-01T00:00:00Z",
        "--until",
        "2020-01-02T00:00:00Z",
    ];
    let (document, code) = audit(world, &past)?;
    ensure!(
        code == 5 && document["summary"]["purchases"] == 0,
        "{document:#}"
    );
    let said = document["unchecked"].to_string();
    ensure!(said.contains("no purchase was compared"), "{document:#}");
    let backwards = [
        "--since",
        "2020-01-02T00:00:00Z",
        "--until",
        "2020-01-01T00:00:00Z",
    ];
    let mut arguments = vec!["audit"];
    arguments.extend(backwards);
    ensure!(world.tandem(&arguments)?.status.code() == Some(1));
    ensure!(world.tandem(&["audit", "--last", "soon"])?.status.code() == Some(2));
    Ok(())
}
