//! Folders of a decision log that a person has to tell from each other, or that have no room.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use redis::cmd;
use tandem_tests::{Case, Coordinator, Disk, World, copy_folder, purchase};

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(old_copy_of_a_log_is_told_from_the_newest on TWO, with down),
    case!(log_without_room_is_not_called_damaged on ONE, with down),
];

/// Starts a coordinator on a folder, so often, while no store can be reached.
pub(crate) async fn start_in_the_dark(world: &World, data_dir: &Path, times: usize) -> Result<()> {
    let place = world.folder().join("dark");
    fs::create_dir_all(&place)?;
    let dark = Coordinator::new(place)?.with_data_dir(data_dir.to_owned());
    let before = dark.log().matches("\"listening\"").count();
    let participants = format!(
        "[participants.purchases.mysql]\n{}\n[participants.stock.redis]\n{}",
        world.stores.mysql_settings_at(1),
        world.stores.redis_settings_at(1)
    );
    for number in 1..=times {
        dark.launch(&tandem_tests::Start {
            participants: participants.clone(),
            ..world.start.without_env()
        })?;
        tandem_tests::until("its epoch has begun", SOON, async || {
            Ok(dark.log().matches("\"listening\"").count() == before + number)
        })
        .await?;
        dark.kill9()?;
    }
    Ok(())
}

/// What the stores answer to what `log inspect` says to ask them: an epoch and a commit of each.
async fn ask_stores(world: &World, printed: &str) -> Result<(Vec<u64>, Vec<String>)> {
    let mut session = world.stores.sql().await?;
    let (mut epochs, mut commits) = (Vec::new(), Vec::new());
    let (_, asked) = printed
        .split_once("WHAT MUST BE DONE")
        .context("no advice")?;
    for command in asked.split('`').skip(1).step_by(2) {
        if command.starts_with("SELECT epoch") {
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(command.to_owned()));
            epochs.push(query.fetch_one(&mut session).await?);
        } else if command.starts_with("SELECT CONCAT") {
            let query = sqlx::query_scalar(sqlx::AssertSqlSafe(command.to_owned()));
            commits.push(query.fetch_one(&mut session).await?);
        } else if let Some((verb, rest)) = command.split_once(' ')
            && ["HGET", "ZRANGE"].contains(&verb)
        {
            let words: Vec<&str> = rest.split(' ').collect();
            let mut kv = world.stores.kv().await?;
            if verb == "HGET" {
                epochs.push(cmd(verb).arg(words).query_async(&mut kv).await?);
            } else {
                let found: Vec<String> = cmd(verb).arg(words).query_async(&mut kv).await?;
                let member = found.first().context("no commit")?;
                // A letter before each number says how many digits it has.
                let numbers: Vec<&str> = member.split('.').map(|part| &part[1..]).collect();
                commits.push(format!("shop.{}", numbers.join(".")));
            }
        }
    }
    Ok((epochs, commits))
}

async fn old_copy_of_a_log_is_told_from_the_newest(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    world.start_again().await?;
    let first = ask(&world.coordinator.client(), &purchase("p-1", &[("tea", 1)])).await;
    world.coordinator.stop()?;
    let newest = world.coordinator.data_dir();
    let copy = world.folder().join("copy");
    copy_folder(&newest, &copy)?;
    world.start_again().await?;
    let second = ask(&world.coordinator.client(), &purchase("p-2", &[("tea", 1)])).await;
    ensure_committed(&second)?;
    world.coordinator.stop()?;
    world.start_to_end_at("decided:kill").await?;
    let mut third = ask(&world.coordinator.client(), &purchase("p-3", &[("tea", 1)])).await;
    world.coordinator.wait_end().await?;
    // The copy has the highest epoch of all.
    start_in_the_dark(world, &copy, 4).await?;

    let (newest, copy) = (newest.display().to_string(), copy.display().to_string());
    for pair in [[&copy, &newest], [&newest, &copy]] {
        let compared = tandem(world, &["log", "inspect", pair[0], pair[1]])?;
        println!("{compared}");
        ensure!(
            compared.contains(&format!("{newest} KNOWS MORE")),
            "{compared}"
        );
        ensure!(compared.contains("p-3 (tea 1)"), "{compared}");
        ensure!(
            compared.contains("It has the higher epoch only since it was started"),
            "{compared}"
        );
        let document = json(world, &["log", "inspect", pair[0], pair[1]])?;
        ensure!(document["knows_more"] == newest.as_str(), "{document}");
    }
    // Each by itself: the stores tell the old copy, and find nothing newer than the newest.
    for (folder, is_old) in [(&copy, true), (&newest, false)] {
        let config = world.coordinator.config_path().display().to_string();
        let words = ["log", "inspect", "--records", "--config", &config, folder];
        let read = tandem(world, &words)?;
        ensure!(
            read.contains("Start nothing on it, and roll nothing back by it, before"),
            "{read}"
        );
        ensure!(!read.contains("Start `tandem serve`"), "{read}");
        let (epochs, commits) = ask_stores(world, &read).await?;
        ensure!(
            (epochs.len(), commits.len()) == (2, 2),
            "{epochs:?} {commits:?}"
        );
        let last = json(world, &["log", "inspect", folder])?["epoch"].as_u64();
        let is_above = epochs.iter().any(|epoch| Some(*epoch) > last);
        let is_unknown = commits
            .iter()
            .any(|id| !read.contains(&format!("decided {id}:")));
        ensure!(
            (is_above || is_unknown) == is_old,
            "{epochs:?} {commits:?}: {read}"
        );
    }
    world.start_again().await?;
    ask_until_final(world, &mut third).await?;
    let books = world.judge(&[first, second, third]).await?;
    ensure!(books.committed == 3, "{books}");
    Ok(())
}

/// Room that is left beside the log, in bytes.
const ROOM: [u64; 6] = [0, 16 << 10, 128 << 10, 400 << 10, 1 << 20, 3 << 20];

async fn log_without_room_is_not_called_damaged(world: &World) -> Result<()> {
    if let Err(reason) = Disk::permitted() {
        println!("skipped: {reason}");
        return Ok(());
    }
    world.stores.seed("tea", 100).await?;
    let disk = Disk::mount(world.folder().join("small"), 16)?;
    let place = world.folder().join("full");
    fs::create_dir_all(&place)?;
    let coordinator = Coordinator::new(place)?.with_data_dir(disk.path().join("log"));
    coordinator.start(&world.start).await?;
    let mut asked = Vec::new();
    for number in 0..20 {
        let one = purchase(&format!("p-{number}"), &[("tea", 1)]);
        asked.push(ask(&coordinator.client(), &one).await);
    }
    coordinator.stop()?;
    let mut refused = 0;
    for room in ROOM {
        disk.fill_but(room)?;
        let said = coordinator.log().len();
        coordinator.launch(&world.start)?;
        let ready = coordinator.ready().await;
        let said = coordinator.log().split_off(said);
        ensure!(
            !said.to_lowercase().contains("is damaged"),
            "{room} bytes: {said}"
        );
        if ready.is_err() {
            refused += 1;
            ensure!(
                said.contains("there is no room") && said.contains("make room"),
                "{said}"
            );
            coordinator.wait_end().await?;
        } else {
            coordinator.stop()?;
        }
        let folder = coordinator.data_dir().display().to_string();
        let read = tandem(world, &["log", "inspect", &folder])?;
        ensure!(!read.contains("DAMAGED"), "{room} bytes: {read}");
    }
    ensure!(refused > 1, "there was always room");
    // What it says is done.
    disk.empty()?;
    coordinator.start(&world.start).await?;
    tandem_tests::Judge(&world.stores)
        .quiet(&coordinator.operator())
        .await?;
    let books = tandem_tests::Judge(&world.stores).judge("", &asked).await?;
    ensure!(books.committed == 20, "{books}");
    coordinator.stop()?;
    Ok(())
}
