//! What does not end by itself: a branch that MySQL has lost, a disk that does not answer, a branch that is
//! older than the log's memory. The advice is followed to the letter.

use std::fs;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, Executor, Row};
use tandem_proto::v1;
use tandem_tests::{
    Answer, Asked, Case, Judge, LIMITS, Proxy, Setup, Start, World, purchase, until, until_some,
};

use super::clock::ahead;
use super::following::*;
use super::helpers::*;
use super::preloaded::{library, preload};

pub(crate) const CASES: &[Case] = &[
    case!(advice_on_a_branch_that_mysql_has_lost_brings_it_back on ONE, with down),
    case!(advice_on_a_decision_that_the_disk_does_not_take_is_true on ONE, with down),
    case!(advice_on_forgotten_branches_at_mysql_puts_them_right on TWO, with down_and_forgetful),
    case!(advice_on_forgotten_holds_at_redis_puts_them_right on ONE, with down_and_forgetful),
];

/// COM_RESET_CONNECTION, as MySQL's protocol writes it.
const RESET: [u8; 5] = [1, 0, 0, 0, 0x1f];

/// MariaDB answers an XA COMMIT with an OK that is none if the session that prepared the branch has been
/// reset: the branch stays prepared within the server, holds its locks, and is listed no more (measured on
/// 10.11).
async fn advice_on_a_branch_that_mysql_has_lost_brings_it_back(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let proxy = Proxy::start(world.stores.mysql.port()).await?;
    let shared = Start {
        participants: format!(
            "[participants.purchases.mysql]\n{}\n[participants.stock.redis]\n{}",
            world.stores.mysql_settings_at(proxy.port()),
            world.stores.redis_settings()
        ),
        env: vec![("TANDEM_AT".to_owned(), "decided:stop".to_owned())],
        ..world.start.clone()
    };
    world.coordinator.start(&shared).await?;
    let client = world.coordinator.client();
    let asked = ask_apart(&client, &purchase("p-1", &[("tea", 2)]));
    world.coordinator.wait_stopped().await?;
    let id = only_prepared(world).await?;
    proxy.say(&RESET);
    end_at_mysql(world, &format!("XA COMMIT '{id}','purchases',1952542308")).await?;
    world.coordinator.kill9()?;
    asked.await?;
    ensure!(Judge(&world.stores).prepared_branches().await?.is_empty());
    ensure!(number(world, "SELECT COUNT(*) FROM purchases").await? == 0);

    world.start_again().await?;
    let operator = world.coordinator.operator();
    until("it is stuck", SOON, async || {
        let unfinished = operator.unfinished().await?;
        let mut branches = unfinished.iter().flat_map(|one| &one.branches);
        Ok(branches.any(|one| one.progress() == v1::BranchProgress::Stuck))
    })
    .await?;
    let audited = printed(world, &["audit"])?;
    let shown = follow(world, &command(&audited, "tandem tx show")?)?;
    println!("{shown}");
    ensure!(
        shown.contains("restart the server to bring it back"),
        "{shown}"
    );
    ensure!(shown.contains("purchases is stuck"), "{shown}");
    world.stores.mysql.stop()?;
    world.stores.mysql.restart()?;
    let _ = follow(world, &command(&shown, "tandem tx retry")?)?;
    ensure_right(world).await
}

async fn advice_on_a_decision_that_the_disk_does_not_take_is_true(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let disk = library(world, "slow_disk", include_str!("slow_disk.c"))?;
    let stuck = world.folder().join("stuck");
    let slow = Start {
        env: vec![
            preload(&disk),
            ("SLOW_DISK".into(), stuck.display().to_string()),
        ],
        ..world.start.clone()
    };
    world.coordinator.start(&slow).await?;
    let operator = world.coordinator.operator();
    // The first ends with the disk's trouble; of the second the process is ended meanwhile.
    for (purchase_id, units) in [("p-1", 8), ("p-2", 6)] {
        fs::write(&stuck, "")?;
        let client = world.coordinator.client();
        let mut asked = ask_apart(&client, &purchase(purchase_id, &[("tea", 2)]));
        let id = until_some("it is on its way to the disk", SOON, async || {
            let unfinished = operator.unfinished().await?;
            let deciding =
                |one: &&v1::TransactionSummary| one.state() == v1::TransactionState::Deciding;
            let found = unfinished.iter().find(deciding);
            Ok(found.map(|one| one.transaction_id.clone()))
        })
        .await?;
        let shown = tandem(world, &["tx", "show", &id])?;
        println!("{shown}");
        ensure!(shown.contains("does not answer: mend it"), "{shown}");
        ensure!(!asked.is_finished());
        if purchase_id == "p-2" {
            world.coordinator.kill9()?;
        }
        fs::remove_file(&stuck)?;
        let mut asked = (&mut asked).await?;
        if purchase_id == "p-1" {
            ensure_right(world).await?;
        } else {
            world.start_again().await?;
            ask_until_final(world, &mut asked).await?;
        }
        ensure_committed(&asked)?;
        ensure!(world.stores.stock("tea").await? == Some(units));
    }
    Judge(&world.stores).quiet(&operator).await?;
    ensure_audited(world)
}

/// Forgets a purchase as soon as there is a later one and a minute is over.
fn down_and_forgetful() -> Setup {
    Setup {
        limits: format!("{LIMITS}[retention]\npurchases_max = 1\n"),
        ..down()
    }
}

/// What the log has forgotten: a purchase that was refused, and one of two units of tea that was made.
struct Old {
    refused: String,
    made: String,
    /// All that was made, the old one first.
    asked: Vec<Asked>,
}

/// Sells tea until the log has forgotten the first of it.
async fn some_forgotten(world: &World) -> Result<Old> {
    world.stores.seed("tea", 100).await?;
    world.start_again().await?;
    let client = world.coordinator.client();
    let greedy = ask(&client, &purchase("greedy", &[("tea", 200)])).await;
    ensure!(
        matches!(greedy.answers[..], [Answer::Refused { .. }]),
        "{greedy:?}"
    );
    let mut asked = Vec::new();
    for id in ["p-0", "p-1"] {
        asked.push(ask(&client, &purchase(id, &[("tea", 2)])).await);
    }
    let made = client.find("p-0").await?.transaction_id;
    let refused = made.rsplit_once('.').context("no transaction")?;
    let sequence: u64 = refused.1.parse()?;
    let refused = format!("{}.{}", refused.0, sequence - 1);
    world.coordinator.stop()?;
    // Time goes by.
    world
        .coordinator
        .start(&Start {
            env: ahead(world, 300)?,
            ..world.start.clone()
        })
        .await?;
    asked.push(ask(&client, &purchase("p-2", &[("tea", 2)])).await);
    asked.iter().try_for_each(ensure_committed)?;
    let score = format!("ZSCORE tandem:committed:shop:stock {}", memory_of(&made)?);
    until("it is forgotten", SOON, async || {
        let remembered: Option<f64> = redis_says(world, &score).await?;
        Ok(client.find("p-0").await.is_err() && remembered.is_none())
    })
    .await?;
    Ok(Old {
        refused,
        made,
        asked,
    })
}

/// Makes MySQL what it was when a branch of one purchase was prepared there, as an old copy of it is.
async fn prepare_again(world: &World, id: &str, purchase_id: &str, units: u32) -> Result<()> {
    let numbers: Vec<&str> = id.split('.').collect();
    let (epoch, sequence) = (numbers[1], numbers[2]);
    let xid = format!("'{id}','purchases',1952542308");
    sql(
        world,
        &format!(
            "DELETE FROM purchases WHERE purchase_id = '{purchase_id}'; DELETE FROM purchase_items WHERE \
             purchase_id = '{purchase_id}'; DELETE FROM tandem_branches WHERE participant = 'purchases' AND \
             coordinator = 'shop' AND epoch = {epoch} AND sequence = {sequence}; XA START {xid}; INSERT INTO \
             tandem_branches (participant, coordinator, epoch, sequence, state, connection_id, server_start, \
             prepare_time_ms) VALUES ('purchases', 'shop', {epoch}, {sequence}, 1, 0, 0, 1); INSERT INTO \
             purchases VALUES ('{purchase_id}', 'ann@example.org', 'EUR', {units}, '{id}', \
             UTC_TIMESTAMP(3)); INSERT INTO purchase_items VALUES ('{purchase_id}', 'tea', {units}, 1); XA \
             END {xid}; XA PREPARE {xid}"
        ),
    )
    .await
}

/// What `tandem participants` says of a forgotten branch, as soon as it does.
async fn said_of(world: &World, participant: &str, id: &str) -> Result<String> {
    let begin = format!("{participant}: prepared, this coordinator's own, and so old");
    until_some("it is listed", SOON, async || {
        let listed = tandem(world, &["participants"])?;
        let line = listed
            .lines()
            .find(|line| line.starts_with(&begin) && line.contains(&format!(": {id} (since")));
        Ok(line.map(str::to_owned))
    })
    .await
}

/// The books of what was sold, and that nothing is left.
async fn ensure_sold(world: &World, asked: &[Asked]) -> Result<()> {
    let books = world.judge(asked).await?;
    ensure!(books.committed == asked.len(), "{books}");
    ensure_audited(world)?;
    let listed = tandem(world, &["participants"])?;
    ensure!(!listed.contains("never touched"), "{listed}");
    Ok(())
}

async fn advice_on_forgotten_branches_at_mysql_puts_them_right(world: &World) -> Result<()> {
    let old = some_forgotten(world).await?;
    for (id, purchase_id, units, verb) in [
        (&old.made, "p-0", 2, "XA COMMIT"),
        (&old.refused, "greedy", 200, "XA ROLLBACK"),
    ] {
        prepare_again(world, id, purchase_id, units).await?;
        let said = said_of(world, "purchases", id).await?;
        println!("{said}");
        // What is in it, seen in spite of its lock.
        let mut session = world.stores.sql().await?;
        let level = command(&said, "SET SESSION")?;
        session.execute(sqlx::AssertSqlSafe(level)).await?;
        let select = command(&said, "SELECT purchase_id, sku, quantity")?;
        let rows = session.fetch_all(sqlx::AssertSqlSafe(select)).await?;
        ensure!(rows.len() == 1, "{} rows", rows.len());
        let (seen, sku): (String, String) =
            (rows[0].try_get_unchecked(0)?, rows[0].try_get_unchecked(1)?);
        ensure!(seen == purchase_id, "{seen}");
        session.close().await?;
        // What all others have sold of it, and what was deducted.
        let sold = command(&said, "SELECT SUM")?.replace("'SKU'", &format!("'{sku}'"));
        let sold = world
            .stores
            .sql()
            .await?
            .fetch_one(sqlx::AssertSqlSafe(sold))
            .await?;
        let sold: i64 = sold.try_get_unchecked::<String, _>(0)?.parse()?;
        let count = command(&said, "GET witness:")?.replace("SKU", &sku);
        let deducted: i64 = redis_says(world, &count).await?;
        let chosen = if deducted > sold {
            "XA COMMIT"
        } else {
            "XA ROLLBACK"
        };
        ensure!(
            chosen == verb,
            "{purchase_id}: {sold} sold, {deducted} deducted"
        );
        end_at_mysql(world, &command(&said, chosen)?).await?;
        until("it is listed no more", SOON, async || {
            Ok(!tandem(world, &["participants"])?.contains("never touched"))
        })
        .await?;
    }
    ensure_sold(world, &old.asked).await
}

async fn advice_on_forgotten_holds_at_redis_puts_them_right(world: &World) -> Result<()> {
    let old = some_forgotten(world).await?;
    for (id, verb) in [(&old.made, "commit"), (&old.refused, "release")] {
        let holds = format!("tandem:tx:{id}/stock");
        // As it was when they were held, in an old copy of Redis.
        let mut before: Vec<Vec<&str>> = vec![
            vec!["HSET", &holds, "held", "{\"stock:tea\":2}", "place", ""],
            vec!["HINCRBY", "tandem:held", "stock:tea", "2"],
        ];
        if verb == "commit" {
            before.push(vec!["INCRBY", "stock:tea", "2"]);
            before.push(vec![
                "DECRBY",
                "witness:tandem:shop:stock:of:stock:tea",
                "2",
            ]);
        }
        let branch = format!("{id}/stock");
        before.push(vec!["ZADD", "tandem:prepared", "1700000000000000", &branch]);
        let before: Vec<&[&str]> = before.iter().map(Vec::as_slice).collect();
        kv(world, &before).await?;
        let said = said_of(world, "stock", id).await?;
        println!("{said}");
        let mut session = world.stores.sql().await?;
        let select = command(&said, "SELECT purchase_id")?;
        let has = !session
            .fetch_all(sqlx::AssertSqlSafe(select))
            .await?
            .is_empty();
        ensure!(has == (verb == "commit"));
        let (commit, release) = said.split_once("To release it: ").context("no way out")?;
        if has {
            at_redis(world, &commands(commit)[1..]).await?;
        }
        at_redis(world, &commands(release)).await?;
        until("it is listed no more", SOON, async || {
            Ok(!tandem(world, &["participants"])?.contains("never touched"))
        })
        .await?;
    }
    ensure_sold(world, &old.asked).await
}
