//! A store that has lost what it acknowledged: an old copy that was restored, a replica that lagged
//! behind, everything flushed, tandem's own keys deleted.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use redis::AsyncCommands;
use tandem_proto::v1;
use tandem_servers::{LaunchOptions, RedisServer};
use tandem_tests::{Case, Load, Setup, Start, World, copy_folder, purchase, until};

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(redis_restored_from_an_old_copy_gets_500_commits_again on TWO, with singly),
    case!(redo_that_is_killed_goes_on_at_the_next_start on ONE, with singly),
    case!(redis_restored_under_load_ends_exact on TWO),
    case!(redis_that_was_flushed_and_filled_again_gets_its_commits_again on TWO),
    case!(deleted_keys_of_tandems_do_not_deduct_again on TWO),
    case!(lagging_replica_that_was_promoted_gets_its_commits_again on ONE),
    case!(what_can_not_be_done_again_is_owed_and_shown on ONE),
    case!(mysql_restored_from_an_old_copy_is_named_damage on ONE, with singly),
];

const UNITS: i64 = 100_000;

/// Each purchase is a transaction of its own.
fn singly() -> Setup {
    Setup {
        limits: "retry_backoff_max_ms = 300\nsweep_interval_s = 1\ncall_timeout_ms = 4000\n\
                 transaction_purchases_max = 1\npipeline_transactions_max = 8\n"
            .to_owned(),
        ..Setup::default()
    }
}

/// A copy of Redis's folder, made while it runs: all that it has answered is in its files.
fn copy_redis(world: &World) -> Result<PathBuf> {
    let copy = world.folder().join("redis-copy");
    copy_folder(&world.stores.redis.data_dir(), &copy)?;
    Ok(copy)
}

/// Redis dies and comes back on a copy of its folder.
fn restore_redis(world: &World, copy: &std::path::Path) -> Result<()> {
    world.stores.redis.kill9()?;
    fs::remove_dir_all(world.stores.redis.data_dir())?;
    copy_folder(copy, &world.stores.redis.data_dir())?;
    world.stores.redis.restart()
}

/// Waits until the coordinator has found a loss at Redis later than `after` and dealt with it.
async fn loss(world: &World, after: Option<&v1::Loss>) -> Result<v1::Loss> {
    loss_at(world, "stock", after).await
}

async fn loss_at(world: &World, name: &str, after: Option<&v1::Loss>) -> Result<v1::Loss> {
    let operator = world.coordinator.operator();
    let mut found = None;
    let mut last = String::new();
    let done = until("the store has again what it lost", SOON, async || {
        let Ok(stock) = operator.participant(name).await else {
            return Ok(false);
        };
        last = format!("{stock:?}");
        found = stock.loss.filter(|loss| {
            loss.end_time.is_some() && after.is_none_or(|old| old.find_time != loss.find_time)
        });
        Ok(found.is_some())
    });
    done.await.with_context(|| last)?;
    found.context("it was found")
}

async fn flush_and_seed(world: &World) -> Result<()> {
    let mut kv = world.stores.kv().await?;
    // In one step, or what is carried out between the two is owed.
    let () = redis::pipe()
        .atomic()
        .cmd("FLUSHALL")
        .ignore()
        .set("stock:tea", UNITS)
        .ignore()
        .query_async(&mut kv)
        .await?;
    Ok(())
}

async fn redis_restored_from_an_old_copy_gets_500_commits_again(world: &World) -> Result<()> {
    world.stores.seed("tea", UNITS).await?;
    let mut asked = buy(world, "kept", 40).await?;
    let copy = copy_redis(world)?;
    asked.extend(buy(world, "lost", 500).await?);
    let exact = UNITS - 540;
    ensure!(world.stores.stock("tea").await? == Some(exact));

    restore_redis(world, &copy)?;
    let first = loss(world, None).await?;
    ensure!(
        (first.transactions, first.redone, first.debt) == (500, 500, 0),
        "{first:?}"
    );
    ensure!(world.stores.stock("tea").await? == Some(exact));
    let books = world.judge(&asked).await?;
    ensure!(books.committed == 540, "{books}");
    world
        .coordinator
        .wait_log("lost commits that it had")
        .await?;
    let shown = world.tandem(&["participants"])?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(
        shown.contains("had lost 500 commits") && shown.contains("500 carried out again"),
        "{shown}"
    );

    // The same copy again gives the same stock.
    restore_redis(world, &copy)?;
    let second = loss(world, Some(&first)).await?;
    ensure!(
        (second.transactions, second.redone, second.debt) == (500, 500, 0),
        "{second:?}"
    );
    ensure!(world.stores.stock("tea").await? == Some(exact));
    asked.extend(buy(world, "new", 1).await?);
    let books = world.judge(&asked).await?;
    ensure!(books.committed == 541, "{books}");
    Ok(())
}

async fn redo_that_is_killed_goes_on_at_the_next_start(world: &World) -> Result<()> {
    world.stores.seed("tea", UNITS).await?;
    let mut asked = buy(world, "kept", 5).await?;
    let copy = copy_redis(world)?;
    // More than are carried out at once.
    asked.extend(buy(world, "lost", 400).await?);
    world.coordinator.stop()?;
    restore_redis(world, &copy)?;
    for step in ["acknowledged:kill", "ending:kill"] {
        let start = Start {
            env: vec![("TANDEM_AT".to_owned(), step.to_owned())],
            ..world.start.clone()
        };
        world.coordinator.launch(&start)?;
        world.coordinator.wait_end().await?;
    }
    world.start_again().await?;
    asked.extend(buy(world, "new", 1).await?);
    let books = world.judge(&asked).await?;
    ensure!(books.committed == 406, "{books}");
    Ok(())
}

async fn redis_restored_under_load_ends_exact(world: &World) -> Result<()> {
    world.stores.seed("tea", UNITS).await?;
    world.stores.seed("mug", 400).await?;
    let mut asked = buy(world, "before", 10).await?;
    let copy = copy_redis(world)?;
    let client = world.coordinator.client();
    for round in 0..3 {
        let load = Load::start(&client, 8, &format!("load-{round}"), round, &["tea", "mug"]);
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        restore_redis(world, &copy)?;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        asked.extend(load.finish().await?);
    }
    let books = world.judge(&asked).await?;
    ensure!(books.committed > 30, "{books}");
    ensure!(loss(world, None).await?.transactions > 0);
    Ok(())
}

async fn redis_that_was_flushed_and_filled_again_gets_its_commits_again(
    world: &World,
) -> Result<()> {
    world.stores.seed("tea", UNITS).await?;
    let mut asked = buy(world, "lost", 100).await?;
    flush_and_seed(world).await?;
    // A live connection, and nobody has bought anything since.
    let found = loss(world, None).await?;
    ensure!(
        found.redone == found.transactions && found.debt == 0,
        "{found:?}"
    );
    ensure!(world.stores.stock("tea").await? == Some(UNITS - 100));

    // While others buy.
    let load = Load::start(&world.coordinator.client(), 8, "load", 1, &["tea"]);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    flush_and_seed(world).await?;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    asked.extend(load.finish().await?);
    world.judge(&asked).await?;
    Ok(())
}

async fn deleted_keys_of_tandems_do_not_deduct_again(world: &World) -> Result<()> {
    world.stores.seed("tea", UNITS).await?;
    let mut asked = buy(world, "kept", 100).await?;
    let delete = async || -> Result<()> {
        let mut kv = world.stores.kv().await?;
        let keys: Vec<String> = kv.keys("tandem:*").await?;
        if !keys.is_empty() {
            let () = kv.del(keys).await?;
        }
        Ok(())
    };
    delete().await?;
    let found = loss(world, None).await?;
    ensure!(
        found.still_there == found.transactions && found.redone == 0 && found.debt == 0,
        "{found:?}"
    );
    ensure!(world.stores.stock("tea").await? == Some(UNITS - 100));
    asked.extend(buy(world, "new", 1).await?);

    let load = Load::start(&world.coordinator.client(), 8, "load", 1, &["tea"]);
    for _ in 0..3 {
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        delete().await?;
    }
    asked.extend(load.finish().await?);
    world.judge(&asked).await?;
    Ok(())
}

async fn lagging_replica_that_was_promoted_gets_its_commits_again(world: &World) -> Result<()> {
    world.stores.seed("tea", UNITS).await?;
    buy(world, "kept", 20).await?;
    let port = world.stores.redis.port().to_string();
    let options = LaunchOptions {
        extra_args: ["--replicaof", "127.0.0.1", &port].map(Into::into).into(),
        ..LaunchOptions::default()
    };
    let replica = RedisServer::start(world.stores.redis.binary(), options)?;
    let client = redis::Client::open(replica.url())?;
    let mut kv = client.get_multiplexed_async_connection().await?;
    until("the replica has everything", SOON, async || {
        let units: Option<i64> = kv.get("stock:tea").await?;
        Ok(units == Some(UNITS - 20))
    })
    .await?;
    // From here on it hears nothing.
    let () = redis::cmd("REPLICAOF")
        .arg("NO")
        .arg("ONE")
        .query_async(&mut kv)
        .await?;
    buy(world, "lost", 100).await?;
    world.stores.redis.kill9()?;
    world.coordinator.stop()?;
    let participants = world
        .start
        .participants
        .replace(&world.stores.redis.url(), &replica.url());
    let start = Start {
        participants,
        ..world.start.without_env()
    };
    world.coordinator.start(&start).await?;
    let found = loss(world, None).await?;
    ensure!(
        found.redone == found.transactions && found.debt == 0,
        "{found:?}"
    );
    buy(world, "new", 1).await?;
    let rows = number(world, "SELECT COUNT(*) FROM purchases").await?;
    let units: Option<i64> = kv.get("stock:tea").await?;
    ensure!(
        (rows, units) == (121, Some(UNITS - 121)),
        "{rows} rows, {units:?} units"
    );
    Ok(())
}

async fn what_can_not_be_done_again_is_owed_and_shown(world: &World) -> Result<()> {
    world.stores.seed("tea", UNITS).await?;
    buy(world, "lost", 30).await?;
    let mut kv = world.stores.kv().await?;
    let () = redis::cmd("FLUSHALL").query_async(&mut kv).await?;
    let found = loss(world, None).await?;
    ensure!(
        found.redone == found.transactions && found.debt == 30,
        "{found:?}"
    );
    let shown = world.tandem(&["participants"])?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(
        shown.contains("30 units could not be deducted (30 are owed now"),
        "{shown}"
    );
    let stock = world.coordinator.operator().stock("tea").await?;
    ensure!((stock.stock, stock.debt) == (None, 30), "{stock:?}");
    Ok(())
}

/// A row can't be made again from the decision as units can be deducted: another app may have written
/// since. So each is named, kept, and left to a person, and the others go on.
async fn mysql_restored_from_an_old_copy_is_named_damage(world: &World) -> Result<()> {
    world.stores.seed("tea", UNITS).await?;
    buy(world, "kept", 5).await?;
    let (mysql, copy) = (&world.stores.mysql, world.folder().join("mysql-copy"));
    mysql.stop()?;
    copy_folder(&mysql.data_dir(), &copy)?;
    mysql.restart()?;
    // A purchase that meets the restart first is answered when what may be lost was looked for.
    let client = world.coordinator.client();
    let mut first = ask(&client, &purchase("lost-first", &[("tea", 1)])).await;
    ask_until_final(world, &mut first).await?;
    ensure_committed(&first)?;
    buy(world, "lost", 6).await?;
    mysql.kill9()?;
    fs::remove_dir_all(mysql.data_dir())?;
    copy_folder(&copy, &mysql.data_dir())?;
    mysql.restart()?;
    let found = loss_at(world, "purchases", None).await?;
    ensure!((found.transactions, found.redone) == (7, 0), "{found:?}");
    let shown = world.tandem(&["tx", "list", "--heuristic"])?;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(shown.matches("heuristic").count() >= 7, "{shown}");
    buy(world, "new", 1).await?;
    ensure!(world.stores.stock("tea").await? == Some(UNITS - 13));
    Ok(())
}
