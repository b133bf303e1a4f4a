//! Logs that must not be believed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use redis::cmd;
use sqlx::{AssertSqlSafe, Executor, Row};
use tandem_tests::{Asked, Case, Coordinator, Judge, World, copy_folder, purchase, until};

use super::helpers::*;
use super::log_by_hand::find;

pub(crate) const CASES: &[Case] = &[
    case!(log_of_an_earlier_epoch_is_refused on TWO, with down),
    case!(log_copied_within_the_last_epoch_is_refused on TWO, with down),
    case!(stale_and_foreign_logs_started_beside_the_newest_change_nothing on TWO),
    case!(new_log_under_a_known_name_is_refused on ONE),
    case!(damaged_log_is_refused on ONE),
];

/// Puts another folder in the log's place and gives where the log is now.
fn swap(world: &World, other: &Path) -> Result<PathBuf> {
    let (log, aside) = (world.coordinator.data_dir(), world.folder().join("newest"));
    fs::rename(&log, &aside)?;
    if other.exists() {
        copy_folder(other, &log)?;
    }
    Ok(aside)
}

/// That a start ends by itself, explains why, and has touched neither store.
async fn is_refused(world: &World, says: &str) -> Result<()> {
    let judge = Judge(&world.stores);
    let before = (judge.prepared_branches().await?, judge.rows("").await?);
    let stock = world.stores.stock("tea").await?;
    let said_before = world.coordinator.log().len();
    world.coordinator.launch(&world.start.without_env())?;
    let status = world.coordinator.wait_end().await?;
    ensure!(!status.success(), "it ended well");
    let log = world.coordinator.log();
    let said = &log[said_before..];
    ensure!(said.contains(says), "{says:?} is not in: {said}");
    let after = (judge.prepared_branches().await?, judge.rows("").await?);
    ensure!(before == after, "{before:?} became {after:?}");
    ensure!(world.stores.stock("tea").await? == stock);
    Ok(())
}

/// Buys until a decision is stored that nobody has carried out.
async fn leave_one_in_doubt(world: &World) -> Result<Asked> {
    world.start_to_end_at("decided:kill").await?;
    let client = world.coordinator.client();
    let asked = ask(&client, &purchase("in-doubt", &[("tea", 1)])).await;
    world.coordinator.wait_end().await?;
    ensure!(Judge(&world.stores).prepared_branches().await?.len() == 1);
    Ok(asked)
}

async fn log_of_an_earlier_epoch_is_refused(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    world.start_again().await?;
    let client = world.coordinator.client();
    let first = ask(&client, &purchase("p-1", &[("tea", 1)])).await;
    world.coordinator.stop()?;
    let copy = world.folder().join("copy");
    copy_folder(&world.coordinator.data_dir(), &copy)?;
    // Two more epochs: an old copy begins the one after its own.
    world.start_again().await?;
    let second = ask(&client, &purchase("p-2", &[("tea", 1)])).await;
    world.coordinator.stop()?;
    let mut third = leave_one_in_doubt(world).await?;

    let newest = swap(world, &copy)?;
    is_refused(world, "newest log folder").await?;
    fs::remove_dir_all(world.coordinator.data_dir())?;
    fs::rename(newest, world.coordinator.data_dir())?;
    world.start_again().await?;
    ask_until_final(world, &mut third).await?;
    let books = world.judge(&[first, second, third]).await?;
    ensure!(books.committed == 3, "{books}");
    Ok(())
}

async fn log_copied_within_the_last_epoch_is_refused(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    world.start_again().await?;
    let client = world.coordinator.client();
    let first = ask(&client, &purchase("p-1", &[("tea", 1)])).await;
    let copy = world.folder().join("copy");
    // As a backup would, under the running process.
    copy_folder(&world.coordinator.data_dir(), &copy)?;
    let mut second = ask(&client, &purchase("p-2", &[("tea", 1)])).await;
    ensure_committed(&second)?;
    world.coordinator.kill9()?;

    let newest = swap(world, &copy)?;
    is_refused(world, "the decision log is stale").await?;
    fs::remove_dir_all(world.coordinator.data_dir())?;
    fs::rename(newest, world.coordinator.data_dir())?;
    world.start_again().await?;
    ask_until_final(world, &mut second).await?;
    let books = world.judge(&[first, second]).await?;
    ensure!(books.committed == 2, "{books}");
    Ok(())
}

async fn new_log_under_a_known_name_is_refused(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let client = world.coordinator.client();
    let made = ask(&client, &purchase("p-1", &[("tea", 1)])).await;
    ensure_committed(&made)?;
    world.coordinator.stop()?;
    let newest = swap(world, Path::new("/nowhere"))?;
    is_refused(world, "newest log folder").await?;
    ensure!(!world.coordinator.data_dir().exists(), "a log was created");
    fs::rename(newest, world.coordinator.data_dir())?;
    world.start_again().await?;
    world.judge(&[made]).await?;
    Ok(())
}

/// How often each wrong log is started.
const STARTS: usize = 20;

/// A supervisor that starts a process on a wrong folder, over and over, while the right one serves.
async fn stale_and_foreign_logs_started_beside_the_newest_change_nothing(
    world: &World,
) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let client = world.coordinator.client();
    let first = ask(&client, &purchase("p-1", &[("tea", 1)])).await;
    world.coordinator.stop()?;
    let earlier = copy_of(world, "earlier")?;
    world.start_again().await?;
    let within = copy_of(world, "within")?;
    let second = ask(&client, &purchase("p-2", &[("tea", 1)])).await;
    ensure_committed(&second)?;

    let running = world.coordinator.process_id();
    let said = world.coordinator.log().len();
    let before = all_of(world).await?;
    for number in 0..STARTS {
        ends_refused(world, &earlier, "the last one in this log is 1").await?;
        ends_refused(world, &within, "which this log does not know").await?;
        let nowhere = world.folder().join(format!("nowhere-{number}"));
        ends_refused(world, &nowhere, "knows the log").await?;
        ensure!(!nowhere.exists(), "a log was created");
    }
    let after = all_of(world).await?;
    ensure!(before == after, "{before:#?}\nbecame\n{after:#?}");
    ensure!(world.coordinator.process_id() == running);
    let said = world.coordinator.log().split_off(said);
    ensure!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");

    let third = ask(&client, &purchase("p-3", &[("tea", 1)])).await;
    ensure_committed(&third)?;
    world.coordinator.kill9()?;
    world.start_again().await?;
    let books = world.judge(&[first, second, third]).await?;
    ensure!(books.committed == 3, "{books}");
    Ok(())
}

/// A copy of the log as it is, as a backup would make it under a running process.
fn copy_of(world: &World, name: &str) -> Result<PathBuf> {
    let copy = world.folder().join(name);
    copy_folder(&world.coordinator.data_dir(), &copy)?;
    Ok(copy)
}

/// That another process of the same coordinator, on this folder, ends by itself and says why.
async fn ends_refused(world: &World, data_dir: &Path, says: &str) -> Result<()> {
    let place = world.folder().join("beside");
    fs::create_dir_all(&place)?;
    let beside = Coordinator::new(place)?.with_data_dir(data_dir.to_owned());
    let said_before = beside.log().len();
    beside.launch(&world.start)?;
    let status = beside.wait_end().await?;
    let said = beside.log().split_off(said_before);
    ensure!(!status.success(), "it ended well");
    ensure!(said.contains(says), "{says:?} is not in: {said}");
    Ok(())
}

/// Everything that both stores hold, in any table and under any key.
async fn all_of(world: &World) -> Result<Vec<String>> {
    let mut session = world.stores.sql().await?;
    let mut all = Vec::new();
    let tables = "SELECT table_name FROM information_schema.tables \
                  WHERE table_schema = DATABASE() ORDER BY table_name";
    for table in session.fetch_all(tables).await? {
        let table: String = table.try_get_unchecked(0)?;
        let rows = format!("SELECT * FROM `{table}`");
        let rows = session.fetch_all(AssertSqlSafe(rows)).await?.len();
        let sum = format!("CHECKSUM TABLE `{table}`");
        let sum: i64 = session
            .fetch_one(AssertSqlSafe(sum))
            .await?
            .try_get_unchecked(1)?;
        all.push(format!("{table}: {rows} rows, {sum}"));
    }
    let mut kv = world.stores.kv().await?;
    let mut keys: Vec<String> = cmd("KEYS").arg("*").query_async(&mut kv).await?;
    keys.sort();
    for key in keys {
        let value: Vec<u8> = cmd("DUMP").arg(&key).query_async(&mut kv).await?;
        all.push(format!("{key}: {value:02x?}"));
    }
    Ok(all)
}

async fn damaged_log_is_refused(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let client = world.coordinator.client();
    let mut asked = Vec::new();
    for number in 0..20 {
        asked.push(ask(&client, &purchase(&format!("p-{number}"), &[("tea", 1)])).await);
    }
    world.coordinator.stop()?;
    let whole = world.folder().join("whole");
    copy_folder(&world.coordinator.data_dir(), &whole)?;
    let database = find(&world.coordinator.data_dir(), "db")?;
    let mut bytes = fs::read(&database)?;
    // A byte that a purchase's id is made of.
    let needle = b"p-7";
    let place = bytes
        .windows(needle.len())
        .position(|bytes| bytes == needle);
    let place = place.expect("the decisions hold the purchases' ids");
    bytes[place + 2] ^= 1;
    fs::write(&database, bytes)?;
    is_refused(world, "log").await?;
    fs::remove_dir_all(world.coordinator.data_dir())?;
    copy_folder(&whole, &world.coordinator.data_dir())?;
    world.start_again().await?;
    let operator = world.coordinator.operator();
    until("it serves", SOON, async || {
        Ok(operator.unfinished().await.is_ok())
    })
    .await?;
    world.judge(&asked).await?;
    Ok(())
}
