//! What `tandem recover --look` says, with the log, without it and beside a coordinator that runs; and what it
//! prints to do by hand, done.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tandem_tests::{Answer, Case, Judge, World, copy_folder, purchase};

use super::following::*;
use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(look_knows_what_the_log_knows_and_says_what_it_can_t_without on TWO, with down),
    case!(look_releases_what_one_store_never_promised on ONE, with down),
    case!(verdicts_never_contradict_a_log_that_was_hidden on ONE, with down),
];

/// Where a coordinator dies. All but the last three are for longer runs.
const STEPS: [&str; 7] = [
    "preparing",
    "deciding",
    "replying",
    "ending",
    "voted",
    "decided",
    "acknowledged",
];

/// How often all steps are tried, each with another number of purchases before the death; without it a few are
/// tried once.
const ROUNDS: &str = "TANDEM_RECOVER_ROUNDS";

/// A look, as a program reads it, and its exit status.
fn look(world: &World) -> Result<(Value, Option<i32>)> {
    let config = world.coordinator.config_path().display().to_string();
    let words = ["recover", "--look", "--config", &config, "--output", "json"];
    let output = world.tandem(&words)?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let document = serde_json::from_slice(&output.stdout).context(said)?;
    println!("{document:#}");
    Ok((document, output.status.code()))
}

/// That a look finds this transaction alone, with this verdict; gives what is to be done at each store.
fn found(world: &World, id: &str, end: Option<&str>, because: &str) -> Result<[String; 2]> {
    let (document, status) = look(world)?;
    ensure!(status == Some(1), "exit {status:?}");
    let all = document["transactions"].as_array().context("no list")?;
    ensure!(all.len() == 1, "{document:#}");
    let one = &all[0];
    ensure!(one["transaction_id"] == id, "{document:#}");
    ensure!(one["end"].as_str() == end, "{document:#}");
    ensure!(one["because"] == because, "{document:#}");
    let at = |participant: &str| {
        let branches = one["branches"].as_array()?;
        let mut branches = branches.iter();
        let branch = branches.find(|branch| branch["participant"] == participant)?;
        branch["by_hand"].as_str().map(str::to_owned)
    };
    let both = (at("purchases"), at("stock"));
    let (Some(mysql), Some(redis)) = both else {
        anyhow::bail!("{document:#}");
    };
    Ok([mysql, redis])
}

/// That nothing is left to be done.
fn nothing_is_left(world: &World) -> Result<Value> {
    let (document, status) = look(world)?;
    ensure!(status == Some(0), "exit {status:?}: {document:#}");
    Ok(document)
}

async fn look_knows_what_the_log_knows_and_says_what_it_can_t_without(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    found(world, &id, Some("commit"), "DECIDED_COMMIT")?;
    let (log, hidden) = (world.coordinator.data_dir(), world.folder().join("hidden"));
    fs::rename(&log, &hidden)?;
    let [mysql, redis] = found(world, &id, None, "ALL_PROMISED")?;
    ensure!(mysql.contains("to commit it: "), "{mysql}");
    ensure!(redis.contains("`DECRBY stock:tea 2`"), "{redis}");
    end_at_mysql(world, &command(&mysql, "XA COMMIT")?).await?;
    let [mysql, redis] = found(world, &id, Some("commit"), "COMMITTED_ELSEWHERE")?;
    ensure!(mysql.is_empty(), "{mysql}");
    at_redis(world, &commands(&redis)).await?;
    nothing_is_left(world)?;
    fs::rename(&hidden, &log)?;
    nothing_is_left(world)?;
    world.start_again().await?;
    ensure_right(world).await?;
    let beside = nothing_is_left(world)?;
    let source = beside["log"].as_str().unwrap_or_default();
    ensure!(source.contains("which runs"), "{source}");
    Ok(())
}

async fn look_releases_what_one_store_never_promised(world: &World) -> Result<()> {
    let (id, _) = one_undecided(world).await?;
    let [_, redis] = found(world, &id, None, "ALL_PROMISED")?;
    let (_, release) = redis.split_once("to release it: ").context("no way out")?;
    at_redis(world, &commands(release)).await?;
    let hidden = world.folder().join("hidden");
    fs::rename(world.coordinator.data_dir(), &hidden)?;
    let [mysql, redis] = found(world, &id, Some("roll-back"), "NEVER_PROMISED")?;
    ensure!(redis.is_empty(), "{redis}");
    end_at_mysql(world, &command(&mysql, "XA ROLLBACK")?).await?;
    nothing_is_left(world)?;
    ensure!(world.stores.stock("tea").await? == Some(10));
    fs::rename(&hidden, world.coordinator.data_dir())?;
    world.start_again().await
}

/// What a look says of each transaction: how it is to end, and why.
fn verdicts(world: &World) -> Result<BTreeMap<String, (Option<String>, String)>> {
    let (document, _) = look(world)?;
    let all = document["transactions"].as_array().context("no list")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let one = |one: &Value| {
        let because = text(&one["because"])?;
        Some((text(&one["transaction_id"])?, (text(&one["end"]), because)))
    };
    all.iter()
        .map(one)
        .collect::<Option<_>>()
        .context("no verdict")
}

/// Lets the coordinator die at a step after some purchases.
async fn die(world: &World, step: &str, times: usize, round: usize) -> Result<()> {
    world
        .start_to_end_at(&format!("{step}:kill:{times}"))
        .await?;
    let client = world.coordinator.client();
    for number in 0.. {
        let bought = purchase(&format!("{step}-{round}-{number}"), &[("tea", 1)]);
        let asked = ask(&client, &bought).await;
        if matches!(asked.answers[..], [Answer::Unknown { .. }]) {
            break;
        }
        ensure!(number < 50, "{step} is never reached");
    }
    world.coordinator.wait_end().await.map(drop)
}

/// In each state looks with the log, without it and with an older copy, and lets the coordinator go on.
async fn verdicts_never_contradict_a_log_that_was_hidden(world: &World) -> Result<()> {
    world.stores.seed("tea", 100_000).await?;
    let rounds: Option<usize> = std::env::var(ROUNDS)
        .ok()
        .and_then(|text| text.parse().ok());
    let steps = match rounds {
        None => &STEPS[4..],
        Some(_) => &STEPS[..],
    };
    let log = world.coordinator.data_dir();
    let (older, hidden) = (world.folder().join("older"), world.folder().join("hidden"));
    let (mut known, mut open) = (0, BTreeMap::<String, usize>::new());
    for round in 0..rounds.unwrap_or(1) {
        for step in steps {
            if log.exists() {
                copy_folder(&log, &older)?;
            }
            die(world, step, 1 + round % 4, round).await?;
            let full = verdicts(world)?;
            fs::rename(&log, &hidden)?;
            let mut blind: Vec<_> = verdicts(world)?.into_iter().collect();
            if older.exists() {
                fs::rename(&older, &log)?;
                blind.extend(verdicts(world)?);
                fs::remove_dir_all(&log)?;
            }
            fs::rename(&hidden, &log)?;
            for (id, (end, because)) in blind {
                match end {
                    None => *open.entry(because).or_default() += 1,
                    Some(end) => {
                        let by_log = full.get(&id).and_then(|(end, _)| end.clone());
                        ensure!(by_log.as_ref() == Some(&end), "{id} {because}: {by_log:?}");
                        known += 1;
                    }
                }
            }
            world.start_again().await?;
            Judge(&world.stores)
                .quiet(&world.coordinator.operator())
                .await?;
            nothing_is_left(world)?;
            world.coordinator.stop()?;
        }
    }
    println!("{known} known, left to a person: {open:?}");
    ensure!(open.contains_key("ALL_PROMISED"), "{known} {open:?}");
    Ok(())
}
