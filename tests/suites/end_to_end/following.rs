//! Doing to the letter what tandem prints or its documents say, and looking whether the stores are right then.

use anyhow::{Context, Result, ensure};
use redis::cmd;
use serde_json::Value;
use tandem_tests::{Asked, Judge, World, purchase};

use super::helpers::*;

/// What stands between backticks in what was printed, in its order.
pub(crate) fn commands(printed: &str) -> Vec<String> {
    let quoted = printed.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// The first of them that begins so.
pub(crate) fn command(printed: &str, begin: &str) -> Result<String> {
    let found = commands(printed)
        .into_iter()
        .find(|one| one.starts_with(begin));
    found.with_context(|| format!("no command begins with {begin:?} in: {printed}"))
}

/// Does what a command of tandem's says, with a reason in the place of TEXT, and says yes.
pub(crate) fn follow(world: &World, command: &str) -> Result<String> {
    let words = command.strip_prefix("tandem ").context("a verb")?;
    let mut words: Vec<&str> = words
        .split_whitespace()
        .map(|word| match word {
            "TEXT" => "as it was advised",
            word => word,
        })
        .collect();
    if words.contains(&"--reason") {
        words.extend(["--operator", "ann", "--yes"]);
    }
    tandem(world, &words)
}

/// What a verb prints, whatever its exit status.
pub(crate) fn printed(world: &World, words: &[&str]) -> Result<String> {
    let output = world.tandem(words)?;
    let both = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&both).into_owned())
}

/// That the purchase `p-1` of two units of tea is in both stores once, and that the audit agrees.
pub(crate) async fn ensure_right(world: &World) -> Result<()> {
    Judge(&world.stores)
        .quiet(&world.coordinator.operator())
        .await?;
    ensure!(world.stores.stock("tea").await? == Some(8));
    let asked = ask(&world.coordinator.client(), &purchase("p-1", &[("tea", 2)])).await;
    ensure_committed(&asked)?;
    world.judge(&[asked]).await?;
    ensure_audited(world)?;
    let found = tandem(world, &["purchase", "get", "p-1"])?;
    ensure!(found.contains("applied      everywhere"), "{found}");
    Ok(())
}

/// That the audit compares something, and that everything agrees.
pub(crate) fn ensure_audited(world: &World) -> Result<()> {
    let audited = world.tandem(&["audit"])?;
    let said = [audited.stdout, audited.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    ensure!(audited.status.code() == Some(0), "{said}");
    Ok(())
}

/// Starts the coordinator while a store is down.
pub(crate) fn launch(world: &World) -> Result<()> {
    world.coordinator.launch(&world.start.without_env())
}

/// Leaves a branch at MySQL that is prepared without a decision, and that the coordinator does not
/// release yet, since Redis has not said whether the log is the newest. Gives its transaction.
pub(crate) async fn one_undecided(world: &World) -> Result<(String, Asked)> {
    world.start_to_end_at("deciding:kill").await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let asked = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    world.coordinator.wait_end().await?;
    Ok((only_prepared(world).await?, asked))
}

/// The transaction of the one branch that is prepared at MySQL.
pub(crate) async fn only_prepared(world: &World) -> Result<String> {
    let prepared = Judge(&world.stores).prepared_branches().await?;
    ensure!(prepared.len() == 1, "{prepared:?}");
    let id = prepared[0].strip_suffix("purchases");
    Ok(id.context("not this coordinator's")?.to_owned())
}

/// The operator's manual.
const MANUAL: &str = include_str!("../../../coordinator/docs/operator.md");

/// What the manual says to do at MySQL and at Redis, in the line of a table that begins so, about a
/// transaction.
pub(crate) fn manual(line: &str, id: &str) -> Result<[Vec<String>; 2]> {
    let begin = format!("| {line} |");
    let found = MANUAL.lines().find(|line| line.starts_with(&begin));
    let found = found.with_context(|| format!("the manual has no line {begin:?}"))?;
    let cells: Vec<&str> = found.split(" | ").skip(1).collect();
    let [mysql, redis] = cells[..] else {
        anyhow::bail!("{found} has not two cells");
    };
    let member = memory_of(id)?;
    let numbers: Vec<&str> = id.split('.').collect();
    let [_, epoch, sequence] = numbers[..] else {
        anyhow::bail!("{id} is no transaction");
    };
    let about = |text: &str| -> Vec<String> {
        let filled = commands(text).into_iter().map(|command| {
            command
                .replace("'ID'", &format!("'{id}'"))
                .replace(":ID/", &format!(":{id}/"))
                .replace(" ID/", &format!(" {id}/"))
                .replace("MEMBER", &member)
                .replace("epoch = E ", &format!("epoch = {epoch} "))
                .replace("sequence = S ", &format!("sequence = {sequence} "))
        });
        filled.collect()
    };
    Ok([about(mysql), about(redis)])
}

/// The first command of the manual that begins so.
pub(crate) fn manual_command(begin: &str) -> Result<String> {
    command(&MANUAL.replace('\n', " "), begin)
}

/// Gives Redis these commands, all in one MULTI and EXEC, but for those on a stock hash HASH, if there is
/// none. What is said of each STOCK and its UNITS is done for all that the `HGET … held` before it names.
pub(crate) async fn at_redis(world: &World, commands: &[String]) -> Result<()> {
    let mut kv = world.stores.kv().await?;
    let mut units: Vec<(String, i64)> = Vec::new();
    let mut together = redis::pipe();
    together.atomic();
    for command in commands.iter().filter(|command| !command.contains("HASH")) {
        println!("{command}");
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[0] {
            "HGET" if command.ends_with(" held") => units = held(world, command).await?,
            // A question, which has been asked.
            "HGET" | "GET" | "ZSCORE" | "tandem" => {}
            _ if command.contains("STOCK") => {
                for (stock, units) in &units {
                    let filled = command.replace("STOCK", stock);
                    let filled = filled.replace("UNITS", &units.to_string());
                    let words: Vec<&str> = filled.split_whitespace().collect();
                    // The sum is 0 if nobody else holds of it.
                    if words[0] != "HDEL" || sum_of(world, &words).await? == Some(*units) {
                        together.cmd(words[0]).arg(&words[1..]);
                    }
                }
            }
            verb => {
                together.cmd(verb).arg(&words[1..]);
            }
        }
    }
    let _: redis::Value = together.query_async(&mut kv).await?;
    Ok(())
}

/// What a branch holds of each stock.
async fn held(world: &World, command: &str) -> Result<Vec<(String, i64)>> {
    let held: Option<String> = redis_says(world, command).await?;
    let held: Value = serde_json::from_str(&held.context("it holds nothing")?)?;
    let held = held.as_object().context("no stocks")?.iter();
    let units = held.map(|(stock, units)| Some((stock.clone(), units.as_i64()?)));
    units.collect::<Option<_>>().context("units are no number")
}

/// What the hash and field of a command hold.
async fn sum_of(world: &World, words: &[&str]) -> Result<Option<i64>> {
    redis_says(world, &format!("HGET {} {}", words[1], words[2])).await
}

/// What one command of Redis answers.
pub(crate) async fn redis_says<T: redis::FromRedisValue>(
    world: &World,
    command: &str,
) -> Result<T> {
    let mut kv = world.stores.kv().await?;
    let words: Vec<&str> = command.split_whitespace().collect();
    let answer = cmd(words[0]).arg(&words[1..]).query_async(&mut kv).await;
    answer.with_context(|| command.to_owned())
}

/// Runs a statement by hand as soon as nobody who has gone keeps its branch to himself.
pub(crate) async fn end_at_mysql(world: &World, statement: &str) -> Result<()> {
    println!("{statement}");
    tandem_tests::until(
        "the dead coordinator's session has gone",
        SOON,
        async || Ok(sql(world, statement).await.is_ok()),
    )
    .await
}
