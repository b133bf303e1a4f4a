//! Logs that must not be believed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use tandem_tests::{Asked, Case, Judge, World, copy_folder, purchase, until};

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(log_of_an_earlier_epoch_is_refused on TWO, with down),
    case!(log_copied_within_the_last_epoch_is_refused on TWO, with down),
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
    world.coordinator.launch(&tandem_tests::Start {
        env: Vec::new(),
        ..world.start.clone()
    })?;
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
    // The refused start has used up the epoch that comes next. This one is told so, and the one
    // after it begins another.
    is_refused(world, "start this one again").await?;
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
    fs::remove_dir_all(world.coordinator.data_dir())?;
    fs::rename(newest, world.coordinator.data_dir())?;
    world.start_again().await?;
    world.judge(&[made]).await?;
    Ok(())
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

fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            if let Ok(found) = find(&entry.path(), name) {
                return Ok(found);
            }
        } else if entry.file_name() == name {
            return Ok(entry.path());
        }
    }
    anyhow::bail!("no {name} in {}", folder.display())
}
