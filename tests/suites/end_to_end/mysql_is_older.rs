//! A MySQL that is put back to an older copy, or that another server takes the place of which lacks
//! what it acknowledged. Nothing looks at it but the next purchase: sweeps are far apart.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, MySqlConnection};
use tandem_servers::{Flavor, LaunchOptions, MysqlOptions, MysqlServer};
use tandem_tests::{
    Answer, Asked, Case, Load, Proxy, Setup, Start, World, copy_folder, purchase, until,
};

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(backup_put_back_is_noticed_by_the_next_purchase on TWO, with seldom),
    case!(commits_that_a_backup_lacks_are_named_after_many_others on TWO, with seldom),
    case!(branch_that_a_backup_holds_prepared_is_committed on TWO, with seldom),
    case!(lagging_replica_of_the_same_second_is_noticed_by_the_next_purchase on TWO, with seldom),
    case!(server_that_is_drained_is_not_used_beside_its_successor on TWO, with drained),
];

pub(super) const UNITS: i64 = 100_000;

/// Purchases that come after the loss in the case that has many; 100 unless this says otherwise.
const LATER: &str = "TANDEM_LATER_PURCHASES";

/// Each purchase is a transaction of its own, and no sweep finds anything.
pub(super) fn seldom() -> Setup {
    Setup {
        limits: "retry_backoff_max_ms = 300\nsweep_interval_s = 3600\ncall_timeout_ms = 4000\n\
                 transaction_purchases_max = 1\npipeline_transactions_max = 8\n"
            .to_owned(),
        ..down()
    }
}

/// The same with sweeps: each opens a session, which sees where the proxy leads.
fn drained() -> Setup {
    Setup {
        limits: seldom().limits.replace("3600", "1"),
        ..down()
    }
}

/// One purchase, asked for until its answer is final: the one by which a loss is noticed.
pub(super) async fn buy_one(world: &World, id: &str) -> Result<Asked> {
    let client = world.coordinator.client();
    let mut asked = ask(&client, &purchase(id, &[("tea", 1)])).await;
    ask_until_final(world, &mut asked).await?;
    ensure_committed(&asked)?;
    Ok(asked)
}

/// The ids of purchases whose rows a server holds.
pub(super) async fn rows(url: &str) -> Result<BTreeSet<String>> {
    let mut session = MySqlConnection::connect(url).await?;
    let ids: Vec<String> = sqlx::query_scalar("SELECT purchase_id FROM purchases")
        .fetch_all(&mut session)
        .await?;
    Ok(ids.into_iter().collect())
}

/// Purchases, and the transaction and the units of each.
pub(super) type Bought = BTreeMap<String, (String, i64)>;

/// Those that were answered as committed.
pub(super) fn bought(asked: &[Asked]) -> Bought {
    let committed = asked.iter().filter_map(|one| {
        let Some(Answer::Committed { transaction }) = one.answers.last() else {
            return None;
        };
        let units = one
            .purchase
            .items
            .iter()
            .map(|item| i64::from(item.quantity));
        let id = one.purchase.purchase_id.clone();
        Some((id, (transaction.clone(), units.sum())))
    });
    committed.collect()
}

pub(super) fn names(bought: &Bought) -> BTreeSet<String> {
    bought.keys().cloned().collect()
}

pub(super) fn only(a: &BTreeSet<String>, b: &BTreeSet<String>) -> BTreeSet<String> {
    a.difference(b).cloned().collect()
}

/// The transactions that are named as damaged.
pub(super) fn damaged(world: &World) -> Result<BTreeSet<String>> {
    let listed = json(world, &["tx", "list", "--heuristic"])?;
    let listed = listed["transactions"].as_array().context("no list")?;
    let ids = listed.iter().map(|one| one["transaction_id"].as_str());
    let ids: Option<BTreeSet<String>> = ids.map(|id| id.map(str::to_owned)).collect();
    ids.context("a transaction without an id")
}

/// Waits until just these purchases are named as lost by the server, repairs them, and holds the
/// rows of `url` and the stock against all that were committed.
pub(super) async fn named_repaired_and_exact(
    world: &World,
    url: &str,
    lost: &BTreeSet<String>,
    committed: &Bought,
) -> Result<()> {
    let mut named = BTreeSet::new();
    until("every lost purchase is named", SOON, async || {
        named = damaged(world)?;
        Ok(named.len() >= lost.len())
    })
    .await
    .with_context(|| format!("{} of {} named", named.len(), lost.len()))?;
    let lost: BTreeSet<String> = lost.iter().map(|id| committed[id].0.clone()).collect();
    ensure!(named == lost, "named {named:?}, lost {lost:?}");
    for id in &named {
        let words = ["tx", "repair", id, "--operator", "ann", "--yes"];
        tandem(
            world,
            &[&words[..], &["--reason", "it was put back"]].concat(),
        )?;
    }
    ensure!(damaged(world)?.is_empty());
    let (there, expected) = (rows(url).await?, names(committed));
    ensure!(
        there == expected,
        "rows without a purchase: {:?}; purchases without a row: {:?}",
        only(&there, &expected),
        only(&expected, &there)
    );
    let units = world.stores.stock("tea").await?;
    let expected = UNITS - committed.values().map(|(_, units)| units).sum::<i64>();
    ensure!(units == Some(expected), "{units:?}, not {expected}");
    let audit = world.tandem(&["audit"])?;
    let printed = String::from_utf8_lossy(&audit.stdout).into_owned();
    ensure!(audit.status.success(), "{printed}");
    Ok(())
}

/// Stops MySQL, copies its folder, and starts it again.
fn back_up(world: &World) -> Result<PathBuf> {
    let (mysql, copy) = (&world.stores.mysql, world.folder().join("mysql-backup"));
    mysql.stop()?;
    copy_folder(&mysql.data_dir(), &copy)?;
    mysql.restart()?;
    Ok(copy)
}

/// MySQL is stopped and started on the copy, while nobody asks it for anything.
pub(super) fn put_back(world: &World, copy: &std::path::Path) -> Result<()> {
    let mysql = &world.stores.mysql;
    mysql.stop()?;
    fs::remove_dir_all(mysql.data_dir())?;
    copy_folder(copy, &mysql.data_dir())?;
    mysql.restart()
}

async fn put_back_and_go_on(world: &World, lost: usize, later: usize) -> Result<()> {
    world.start_again().await?;
    world.stores.seed("tea", UNITS).await?;
    let mut committed = bought(&buy(world, "kept", 5).await?);
    let copy = back_up(world)?;
    // The first after the restart may have to be asked for again.
    let mut gone = bought(&[buy_one(world, "lost").await?]);
    gone.extend(bought(&buy(world, "lost", lost).await?));
    put_back(world, &copy)?;
    let next = buy_one(world, "next").await?;
    committed.extend(gone.clone());
    committed.extend(bought(&[next]));
    committed.extend(bought(&buy(world, "later", later).await?));
    let url = world.stores.mysql_url();
    named_repaired_and_exact(world, &url, &names(&gone), &committed).await
}

async fn backup_put_back_is_noticed_by_the_next_purchase(world: &World) -> Result<()> {
    put_back_and_go_on(world, 5, 0).await
}

async fn commits_that_a_backup_lacks_are_named_after_many_others(world: &World) -> Result<()> {
    let later = std::env::var(LATER).ok();
    let later = later.map_or(Ok(100), |text| text.parse())?;
    put_back_and_go_on(world, 40, later).await
}

async fn branch_that_a_backup_holds_prepared_is_committed(world: &World) -> Result<()> {
    world.start_to_end_at("decided:stop").await?;
    world.stores.seed("tea", UNITS).await?;
    let client = world.coordinator.client();
    let prepared = ask_apart(&client, &purchase("prepared", &[("tea", 1)]));
    world.coordinator.wait_stopped().await?;
    let copy = back_up(world)?;
    world.coordinator.resume()?;
    let mut prepared = prepared.await?;
    ask_until_final(world, &mut prepared).await?;
    ensure_committed(&prepared)?;
    let lost = bought(&buy(world, "lost", 5).await?);
    put_back(world, &copy)?;

    let mut committed = bought(&[buy_one(world, "next").await?, prepared]);
    committed.extend(lost.clone());
    let url = world.stores.mysql_url();
    until("the branch is committed", SOON, async || {
        Ok(rows(&url).await?.contains("prepared"))
    })
    .await?;
    named_repaired_and_exact(world, &url, &names(&lost), &committed).await
}

/// A replica of the world's MySQL, and a proxy that leads to the primary.
struct Replicated {
    replica: MysqlServer,
    proxy: Proxy,
}

impl Replicated {
    /// Both servers begin to run in the same second.
    async fn new(world: &World) -> Result<Replicated> {
        let primary = &world.stores.mysql;
        let options = MysqlOptions {
            launch: LaunchOptions {
                extra_args: vec!["--server-id=2".into()],
                ..LaunchOptions::default()
            },
            ..MysqlOptions::default()
        };
        let replica = MysqlServer::start(primary.binary(), options)?;
        let proxy = Proxy::start(primary.port()).await?;
        let replicated = Replicated { replica, proxy };
        let source = match primary.binary().flavor {
            Flavor::MySql => format!(
                "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {}, \
                 SOURCE_USER = 'root', GET_SOURCE_PUBLIC_KEY = 1, SOURCE_LOG_FILE = \
                 'binlog.000001', SOURCE_LOG_POS = 4, SOURCE_CONNECT_RETRY = 1",
                primary.port()
            ),
            _ => format!(
                "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = \
                 'root', MASTER_LOG_FILE = 'binlog.000001', MASTER_LOG_POS = 4, \
                 MASTER_CONNECT_RETRY = 1",
                primary.port()
            ),
        };
        replicated.at_replica(&[&source, "START REPLICA"]).await?;
        Ok(replicated)
    }

    async fn at_replica(&self, statements: &[&str]) -> Result<()> {
        let mut session = MySqlConnection::connect(&self.replica.url()).await?;
        for statement in statements {
            sqlx::raw_sql(sqlx::AssertSqlSafe((*statement).to_owned()))
                .execute(&mut session)
                .await
                .with_context(|| (*statement).to_owned())?;
        }
        Ok(())
    }

    fn url(&self) -> String {
        format!("{}shop", self.replica.url())
    }

    /// Waits until the replica has so many purchases.
    async fn has(&self, purchases: usize) -> Result<()> {
        until("the replica has everything", SOON, async || {
            let there = rows(&self.url()).await;
            Ok(there.is_ok_and(|there| there.len() == purchases))
        })
        .await
    }

    /// The coordinator is started with MySQL behind the proxy.
    async fn start(&self, world: &World) -> Result<()> {
        let port = |port: u16| format!("127.0.0.1:{port}/shop");
        let participants = world
            .start
            .participants
            .replace(&port(world.stores.mysql.port()), &port(self.proxy.port()));
        let start = Start {
            participants,
            ..world.start.clone()
        };
        world.coordinator.start(&start).await
    }

    /// The replica is a primary from now on, with what it has.
    async fn promote(&self) -> Result<()> {
        self.at_replica(&["STOP REPLICA", "RESET REPLICA ALL"])
            .await
    }
}

/// Restarts both servers until they have begun in the same second by their own words.
async fn start_in_one_second(world: &World, replica: &MysqlServer) -> Result<()> {
    let start = async |url: String| -> Result<i64> {
        let mut session = MySqlConnection::connect(&url).await?;
        let status = sqlx::raw_sql("SHOW GLOBAL STATUS WHERE Variable_name = 'Uptime'");
        let row = status.fetch_one(&mut session).await?;
        let uptime: String = sqlx::Row::try_get_unchecked(&row, 1)?;
        let now: i64 = sqlx::query_scalar("SELECT UNIX_TIMESTAMP()")
            .fetch_one(&mut session)
            .await?;
        Ok(now - uptime.parse::<i64>()?)
    };
    let primary = &world.stores.mysql;
    for _ in 0..10 {
        std::thread::scope(|scope| {
            let both = [&**primary, &**replica].map(|server| {
                scope.spawn(move || -> Result<()> {
                    server.stop()?;
                    server.restart()
                })
            });
            both.into_iter()
                .try_for_each(|restart| restart.join().expect("no panic"))
        })?;
        if start(primary.url()).await? == start(replica.url()).await? {
            return Ok(());
        }
    }
    anyhow::bail!("ten starts together, and never in one second")
}

async fn lagging_replica_of_the_same_second_is_noticed_by_the_next_purchase(
    world: &World,
) -> Result<()> {
    let replicated = Replicated::new(world).await?;
    start_in_one_second(world, &replicated.replica).await?;
    replicated.at_replica(&["START REPLICA"]).await?;
    replicated.start(world).await?;
    world.stores.seed("tea", UNITS).await?;
    let mut committed = bought(&buy(world, "kept", 20).await?);
    replicated.has(20).await?;
    replicated.at_replica(&["STOP REPLICA"]).await?;
    let lost = bought(&buy(world, "lost", 30).await?);
    committed.extend(lost.clone());

    // All connections break, and the address leads to the replica.
    replicated.promote().await?;
    replicated.proxy.cut();
    replicated.proxy.lead_to(replicated.replica.port());
    replicated.proxy.open();
    committed.extend(bought(&[buy_one(world, "next").await?]));
    committed.extend(bought(&buy(world, "later", 10).await?));
    named_repaired_and_exact(world, &replicated.url(), &names(&lost), &committed).await?;
    let first = rows(&world.stores.mysql_url()).await?;
    ensure!(first.len() == 50, "{first:?}");
    Ok(())
}

/// The first server stays up and writable, and connections to it stay open, while new ones are led to
/// the second, and purchases come all the time.
async fn server_that_is_drained_is_not_used_beside_its_successor(world: &World) -> Result<()> {
    let replicated = Replicated::new(world).await?;
    replicated.start(world).await?;
    world.stores.seed("tea", UNITS).await?;
    let mut asked = buy(world, "kept", 20).await?;
    replicated.has(20).await?;
    let client = world.coordinator.client();
    let load = Load::start(&client, 8, "load", 1, &["tea"]);
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    replicated.promote().await?;
    replicated.proxy.lead_to(replicated.replica.port());
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    asked.extend(load.finish().await?);
    asked.push(buy_one(world, "last").await?);
    let committed = bought(&asked);

    let (first, second) = (world.stores.mysql_url(), replicated.url());
    let (on_first, on_second) = (rows(&first).await?, rows(&second).await?);
    let old = only(&on_first, &on_second);
    let new = only(&on_second, &on_first);
    ensure!(!old.is_empty() && !new.is_empty(), "{old:?} {new:?}");
    // Some were decided and could not be committed at the first any more.
    let lost = only(&names(&committed), &on_second);
    ensure!(only(&old, &lost).is_empty(), "{old:?} {lost:?}");
    let time = async |url: &str, choice: &str, ids: &BTreeSet<String>| -> Result<String> {
        let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
        let query = format!(
            "SELECT CAST({choice}(create_time) AS CHAR) FROM purchases WHERE purchase_id IN ({})",
            ids.join(", ")
        );
        let mut session = MySqlConnection::connect(url).await?;
        let time = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
        Ok(time.fetch_one(&mut session).await?)
    };
    let last_on_first = time(&first, "MAX", &old).await?;
    let first_on_second = time(&second, "MIN", &new).await?;
    ensure!(
        last_on_first <= first_on_second,
        "the first server was used until {last_on_first}, the second from {first_on_second}"
    );
    println!(
        "{} only on the first, {} only on the second",
        lost.len(),
        new.len()
    );
    named_repaired_and_exact(world, &second, &lost, &committed).await
}
