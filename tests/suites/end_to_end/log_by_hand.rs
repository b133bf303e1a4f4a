//! Decisions that a person carries out, with the daemon dead, as `tandem log inspect` and the documents say.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, Executor};
use tandem_tests::{Answer, Asked, Case, Coordinator, Judge, World, copy_folder, purchase, until};

use super::following::*;
use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(decision_is_carried_out_by_hand_as_the_log_says on TWO, with down),
    case!(decision_on_a_stock_hash_is_carried_out_by_hand_as_the_log_says on ONE, with down_with_a_hash),
    case!(decision_on_products_is_carried_out_by_hand_as_the_log_says on ONE, with down_with_products),
    case!(decision_that_was_rolled_back_is_put_back_by_hand_as_the_log_says on TWO, with down),
    case!(what_a_damaged_log_has_lost_is_committed_by_hand on TWO, with down),
    case!(what_one_store_has_committed_is_committed_by_hand_without_a_log on TWO, with down),
    case!(hold_without_a_branch_is_released_by_hand_without_a_log on ONE, with down),
    case!(branch_without_a_hold_is_released_by_hand_without_a_log on TWO, with down),
];

/// What `tandem log inspect` prints of a folder, with the coordinator's configuration.
pub(crate) fn inspected(world: &World, folder: &Path) -> Result<String> {
    let config = world.coordinator.config_path().display().to_string();
    let folder = folder.display().to_string();
    printed(world, &["log", "inspect", "--config", &config, &folder])
}

/// The text about a participant in what was printed of a transaction.
fn work_at<'a>(printed: &'a str, id: &str, participant: &str) -> Result<&'a str> {
    let begin = format!("\n{id}: decided commit");
    let (_, about) = printed.split_once(&begin).context("it is not listed")?;
    let begin = format!("  at {participant}: ");
    let line = about.lines().find_map(|line| line.strip_prefix(&begin));
    line.with_context(|| format!("nothing is said of {participant}: {about}"))
}

/// Does by hand at MySQL what is said of a decision.
pub(crate) async fn carry_out_at_mysql(world: &World, printed: &str, id: &str) -> Result<()> {
    let work = work_at(printed, id, "purchases")?;
    let prepared = Judge(&world.stores).prepared_branches().await?;
    if prepared.contains(&format!("{id}purchases")) {
        end_at_mysql(world, &command(work, "XA COMMIT")?).await?;
    }
    let mut session = world.stores.sql().await?;
    let select = command(work, "SELECT 1")?;
    println!("{select}");
    let found = session.fetch_optional(sqlx::AssertSqlSafe(select)).await?;
    if found.is_some() {
        return Ok(());
    }
    let mut session = session.begin().await?;
    for statement in commands(work) {
        if statement.starts_with("INSERT") || statement.starts_with("REPLACE") {
            println!("{statement}");
            session.execute(sqlx::AssertSqlSafe(statement)).await?;
        }
    }
    session.commit().await?;
    Ok(())
}

/// Does by hand at Redis what is said of a decision.
pub(crate) async fn carry_out_at_redis(world: &World, printed: &str, id: &str) -> Result<()> {
    let work = work_at(printed, id, "stock")?;
    let (is_done, rest) = work.split_once("If neither: ").context("no way out")?;
    let (deduct, release) = rest.split_once("Then, if ").context("nothing on holds")?;
    let remembered: Option<f64> = redis_says(world, &command(is_done, "ZSCORE")?).await?;
    let row = commands(is_done).pop().context("no row")?;
    let row: Option<String> = redis_says(world, &row).await?;
    let (_, place) = is_done.split_once("character ").context("no place")?;
    let place: usize = place.split(' ').next().unwrap_or_default().parse()?;
    let mark = row.and_then(|row| row.chars().nth(place - 1));
    if remembered.is_none() && mark != Some('1') {
        at_redis(world, &commands(deduct)).await?;
    }
    let prepared: Option<f64> = redis_says(world, &command(release, "ZSCORE")?).await?;
    if prepared.is_some() {
        at_redis(world, &commands(release)).await?;
    }
    Ok(())
}

/// Carries one decision out at both stores, with nobody else there; a second time nothing changes.
async fn carry_out(world: &World, id: &str) -> Result<()> {
    for _ in 0..2 {
        let read = inspected(world, &world.coordinator.data_dir())?;
        carry_out_at_mysql(world, &read, id).await?;
        carry_out_at_redis(world, &read, id).await?;
        ensure!(world.stores.stock("tea").await? == Some(8));
        let left = Judge(&world.stores).leftovers().await?;
        ensure!(left.is_empty(), "{left:?}");
    }
    Ok(())
}

async fn decision_is_carried_out_by_hand_as_the_log_says(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    carry_out(world, &id).await?;
    // A coordinator that runs on the log afterwards does nothing twice.
    world.start_again().await?;
    ensure_right(world).await
}

async fn decision_on_a_stock_hash_is_carried_out_by_hand_as_the_log_says(
    world: &World,
) -> Result<()> {
    decision_is_carried_out_by_hand_as_the_log_says(world).await
}

async fn decision_on_products_is_carried_out_by_hand_as_the_log_says(world: &World) -> Result<()> {
    decision_is_carried_out_by_hand_as_the_log_says(world).await
}

async fn decision_that_was_rolled_back_is_put_back_by_hand_as_the_log_says(
    world: &World,
) -> Result<()> {
    let id = one_in_doubt(world).await?;
    roll_back_by_hand(world, &id).await?;
    release_by_hand(world, &id).await?;
    carry_out(world, &id).await?;
    world.start_again().await?;
    ensure_right(world).await
}

/// Changes one byte of the decision on `p-1` in the log.
fn damage(world: &World) -> Result<()> {
    let database = find(&world.coordinator.data_dir(), "db")?;
    let mut bytes = fs::read(&database)?;
    let places: Vec<usize> = bytes
        .windows(3)
        .enumerate()
        .filter_map(|(at, part)| (part == b"p-1").then_some(at))
        .collect();
    ensure!(!places.is_empty(), "the decision holds the purchase's id");
    for place in places {
        bytes[place + 2] ^= 1;
    }
    fs::write(&database, bytes)?;
    Ok(())
}

pub(crate) fn find(folder: &Path, name: &str) -> Result<PathBuf> {
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

/// How a store has a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Has {
    Prepared,
    Committed,
    Neither,
}

/// Asks both stores about a transaction, as the manual says.
async fn ask_both(world: &World, id: &str) -> Result<[Has; 2]> {
    let [recover, range] = manual("what is prepared", id)?;
    ensure!(recover == ["XA RECOVER"], "{recover:?}");
    let branches = Judge(&world.stores).prepared_branches().await?;
    let holds: Vec<String> = redis_says(world, &range[0]).await?;
    let [select, score] = manual("is it committed there", id)?;
    let mysql = if branches.contains(&format!("{id}purchases")) {
        Has::Prepared
    } else {
        let mut session = world.stores.sql().await?;
        let query = sqlx::query_scalar::<_, u8>(sqlx::AssertSqlSafe(select[0].clone()));
        match query.fetch_optional(&mut session).await? {
            Some(1) => Has::Committed,
            _ => Has::Neither,
        }
    };
    let remembered: Option<f64> = redis_says(world, &score[0]).await?;
    let redis = match (remembered, holds.contains(&format!("{id}/stock"))) {
        (Some(_), _) => Has::Committed,
        (None, true) => Has::Prepared,
        (None, false) => Has::Neither,
    };
    Ok([mysql, redis])
}

/// Ends a transaction at both stores as the manual says where no log is left; gives how it ended.
async fn end_without_a_log(world: &World, id: &str) -> Result<&'static str> {
    let has = ask_both(world, id).await?;
    println!("{id}: {has:?}");
    let verb = match has.contains(&Has::Neither) {
        true => "release it",
        false => "commit it",
    };
    let [mysql, redis] = manual(verb, id)?;
    if has[0] == Has::Prepared {
        end_at_mysql(world, &mysql[0]).await?;
    }
    if has[1] == Has::Prepared {
        at_redis(world, &redis).await?;
        if verb == "commit it" {
            let [_, release] = manual("release it", id)?;
            at_redis(world, &release).await?;
        }
    }
    let left = Judge(&world.stores).leftovers().await?;
    ensure!(left.is_empty(), "{left:?}");
    Ok(verb)
}

/// Goes on with a new coordinator on an empty folder, asks again for `p-1`, sells something, and finds
/// nothing wrong: each is there once, and what was `made` besides.
pub(crate) async fn go_on_with_a_new_coordinator(world: &World, made: &[Asked]) -> Result<()> {
    let place = world.folder().join("next");
    fs::create_dir_all(&place)?;
    let next = Coordinator::named("shop2", place)?;
    next.start(&world.start.without_env()).await?;
    let mut asked = made.to_vec();
    for id in ["p-1", "p-2"] {
        let mut one = ask(&next.client(), &purchase(id, &[("tea", 2)])).await;
        println!("{id}: {:?}", one.answers);
        // It was made: the judge takes a refusal for one that was not.
        let is_there = |answer: &Answer| matches!(answer, Answer::Refused { reason } if reason == "DUPLICATE_PURCHASE");
        one.answers
            .retain(|answer| id != "p-1" || !is_there(answer));
        asked.push(one);
    }
    let judge = Judge(&world.stores);
    judge.quiet(&next.operator()).await?;
    let books = judge.judge("", &asked).await?;
    ensure!(books.committed == asked.len(), "{books}");
    let url = next.operator_url();
    let audited = world.tandem(&["audit", "--admin", &url])?;
    let said = [audited.stdout, audited.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(audited.status.code() == Some(0), "{said}");
    next.stop()
}

/// That a start on the folder is refused as damaged, and says how to read it. Gives what that reads.
async fn refused_as_damaged(world: &World) -> Result<String> {
    launch(world)?;
    ensure!(!world.coordinator.wait_end().await?.success());
    let said = world.coordinator.log().replace("\\\"", "\"");
    let inspect = command(&said, "tandem log inspect")?;
    let words: Vec<&str> = inspect.split_whitespace().skip(1).collect();
    let read = printed(world, &words)?;
    println!("{read}");
    ensure!(read.contains("DAMAGED"), "{read}");
    ensure!(read.contains("Roll nothing back because"), "{read}");
    Ok(read)
}

async fn what_a_damaged_log_has_lost_is_committed_by_hand(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    let whole = world.folder().join("whole");
    copy_folder(&world.coordinator.data_dir(), &whole)?;
    damage(world)?;
    let read = refused_as_damaged(world).await?;
    ensure!(!read.contains(&format!("{id}: decided")), "{read}");
    ensure!(end_without_a_log(world, &id).await? == "commit it");
    go_on_with_a_new_coordinator(world, &[]).await
}

/// Leaves `p-1` committed at Redis and prepared at MySQL, and gives its transaction.
async fn one_half_carried_out(world: &World) -> Result<String> {
    world.stores.seed("tea", 10).await?;
    world.start_to_end_at("decided:stop").await?;
    let client = world.coordinator.client();
    let asked = ask_apart(&client, &purchase("p-1", &[("tea", 2)]));
    world.coordinator.wait_stopped().await?;
    world.stores.mysql.kill9()?;
    world.coordinator.resume()?;
    until("Redis has committed it", SOON, async || {
        Ok(world.stores.stock("tea").await? == Some(8))
    })
    .await?;
    world.coordinator.kill9()?;
    world.stores.mysql.restart()?;
    asked.await?;
    let prepared = Judge(&world.stores).prepared_branches().await?;
    let id = prepared
        .first()
        .and_then(|one| one.strip_suffix("purchases"));
    id.context("it is not prepared").map(str::to_owned)
}

async fn what_one_store_has_committed_is_committed_by_hand_without_a_log(
    world: &World,
) -> Result<()> {
    let id = one_half_carried_out(world).await?;
    damage(world)?;
    refused_as_damaged(world).await?;
    ensure!(ask_both(world, &id).await? == [Has::Prepared, Has::Committed]);
    ensure!(end_without_a_log(world, &id).await? == "commit it");
    go_on_with_a_new_coordinator(world, &[]).await
}

async fn hold_without_a_branch_is_released_by_hand_without_a_log(world: &World) -> Result<()> {
    let (id, _) = one_undecided(world).await?;
    roll_back_by_hand(world, &id).await?;
    fs::remove_dir_all(world.coordinator.data_dir())?;
    ensure!(ask_both(world, &id).await? == [Has::Neither, Has::Prepared]);
    ensure!(end_without_a_log(world, &id).await? == "release it");
    ensure!(world.stores.stock("tea").await? == Some(10));
    go_on_with_a_new_coordinator(world, &[]).await
}

async fn branch_without_a_hold_is_released_by_hand_without_a_log(world: &World) -> Result<()> {
    let (id, _) = one_undecided(world).await?;
    release_by_hand(world, &id).await?;
    fs::remove_dir_all(world.coordinator.data_dir())?;
    ensure!(ask_both(world, &id).await? == [Has::Prepared, Has::Neither]);
    ensure!(end_without_a_log(world, &id).await? == "release it");
    ensure!(world.stores.stock("tea").await? == Some(10));
    go_on_with_a_new_coordinator(world, &[]).await
}
