//! What several cases need.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tandem_proto::v1;
use tandem_tests::{
    Answer, Asked, Client, Judge, PairName, Setup, StockPlace, StoresOptions, World, purchase,
    redis_member, until,
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub(crate) const EVERYWHERE: &[PairName] = &PairName::ALL;
pub(crate) const TWO: &[PairName] = &[PairName::Installed, PairName::MysqlRedis];
pub(crate) const ONE: &[PairName] = &[PairName::Installed];

/// How long something may take that is to happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// A case named after its function.
macro_rules! case {
    ($name:ident on $pairs:expr) => {
        case!($name on $pairs, with tandem_tests::Setup::default)
    };
    ($name:ident on $pairs:expr, with $setup:expr) => {
        case!($name on $pairs, with $setup, needs None)
    };
    ($name:ident on $pairs:expr, with $setup:expr, needs $program:expr) => {
        tandem_tests::Case {
            name: stringify!($name),
            pairs: $pairs,
            needs: $program,
            setup: $setup,
            body: |world| Box::pin($name(world)),
        }
    };
}
pub(crate) use case;

/// The case starts the coordinator itself.
pub(crate) fn down() -> Setup {
    Setup {
        coordinator_down: true,
        ..Setup::default()
    }
}

/// The same, with the stock in a hash.
pub(crate) fn down_with_a_hash() -> Setup {
    Setup {
        stores: StoresOptions {
            stock: StockPlace::Hash,
            ..StoresOptions::default()
        },
        ..down()
    }
}

/// The same with stock in the products' hashes.
pub(crate) fn down_with_products() -> Setup {
    Setup {
        stores: StoresOptions {
            stock: StockPlace::Products,
            ..StoresOptions::default()
        },
        ..down()
    }
}

/// Waits until the coordinator has enlisted a participant.
pub(crate) async fn until_up(world: &World, participant: &str) -> Result<()> {
    let operator = world.coordinator.operator();
    until(&format!("{participant} is up"), SOON, async || {
        let one = operator.participant(participant).await;
        Ok(one.is_ok_and(|one| one.state() == v1::LinkState::Up))
    })
    .await
}

/// Submits and remembers what came back.
pub(crate) async fn ask(client: &Client, purchase: &v1::SubmitPurchaseRequest) -> Asked {
    let answer = Answer::of(&client.submit(purchase).await);
    Asked {
        purchase: purchase.clone(),
        answers: vec![answer],
    }
}

/// Submits in the background and remembers what came back.
pub(crate) fn ask_apart(
    client: &Client,
    purchase: &v1::SubmitPurchaseRequest,
) -> tokio::task::JoinHandle<Asked> {
    let (client, purchase) = (client.clone(), purchase.clone());
    tokio::spawn(async move { ask(&client, &purchase).await })
}

/// Submits again and again until the answer is final.
pub(crate) async fn ask_until_final(world: &World, asked: &mut Asked) -> Result<()> {
    let client = world.coordinator.client();
    tandem_tests::until("there is a final answer", SOON, async || {
        let answer = Answer::of(&client.submit(&asked.purchase).await);
        let is_final = answer.is_final();
        if asked.answers.last() != Some(&answer) {
            asked.answers.push(answer);
        }
        Ok(is_final)
    })
    .await
    .with_context(|| format!("{asked:?}"))
}

/// That a status has this code and this `ErrorInfo.reason` in tandem's domain.
#[track_caller]
pub(crate) fn assert_reason(status: &Status, code: Code, reason: &str) {
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(
        (status.code(), info.reason.as_str()),
        (code, reason),
        "{status:?}"
    );
    assert_eq!(info.domain, "tandem");
    assert!(info.metadata.contains_key("purchase_id"), "{info:?}");
}

/// That a status says when to try again.
#[track_caller]
pub(crate) fn assert_says_when_to_retry(status: &Status) {
    let retry = status.get_details_retry_info();
    let delay = retry.and_then(|retry| retry.retry_delay);
    assert!(
        delay.is_some_and(|delay| !delay.is_zero()),
        "no RetryInfo in {status:?}"
    );
}

/// That a purchase was committed.
pub(crate) fn ensure_committed(asked: &Asked) -> Result<()> {
    ensure!(
        matches!(asked.answers.last(), Some(Answer::Committed { .. })),
        "{asked:?}"
    );
    Ok(())
}

/// Runs a statement.
pub(crate) async fn sql(world: &World, statement: &str) -> Result<()> {
    let mut session = world.stores.sql().await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()))
        .execute(&mut session)
        .await
        .with_context(|| statement.to_owned())?;
    Ok(())
}

/// The first number of a query's one row.
pub(crate) async fn number(world: &World, query: &str) -> Result<i64> {
    let mut session = world.stores.sql().await?;
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()));
    Ok(query.fetch_one(&mut session).await?)
}

/// One document of the command line.
pub(crate) fn json(world: &World, arguments: &[&str]) -> Result<Value> {
    let mut all = arguments.to_vec();
    all.extend(["--output", "json"]);
    let output = world.tandem(&all)?;
    ensure!(
        output.status.success(),
        "tandem {all:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Leaves one decided purchase that nobody has carried out and gives its transaction.
pub(crate) async fn one_in_doubt(world: &World) -> Result<String> {
    world.start_to_end_at("decided:kill").await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    world.coordinator.wait_end().await?;
    let prepared = Judge(&world.stores).prepared_branches().await?;
    ensure!(prepared.len() == 1, "{prepared:?}");
    // XA RECOVER shows gtrid and bqual, one after the other.
    let gtrid = prepared[0].strip_suffix("purchases");
    gtrid.context("not this coordinator's").map(str::to_owned)
}

/// Rolls a prepared branch back as a DBA does, once no session keeps it to itself.
pub(crate) async fn roll_back_by_hand(world: &World, id: &str) -> Result<()> {
    let statement = format!("XA ROLLBACK '{id}','purchases',1952542308");
    tandem_tests::until(
        "the dead coordinator's session has gone",
        SOON,
        async || Ok(sql(world, &statement).await.is_ok()),
    )
    .await
}

/// Waits until a branch is listed as ended against the decision, and gives its participant.
pub(crate) async fn heuristic(world: &World, id: &str) -> Result<String> {
    let operator = world.coordinator.operator();
    let damage = tandem_tests::until_some("the damage is listed", SOON, async || {
        let heuristic = v1::ListTransactionsRequest {
            heuristic: true,
            ..Default::default()
        };
        Ok(operator.list(heuristic).await?.pop())
    })
    .await?;
    ensure!(damage.transaction_id == id, "{damage:?}");
    let is_damaged =
        |branch: &&v1::BranchSummary| branch.progress() == v1::BranchProgress::Heuristic;
    let branch = damage.branches.iter().find(is_damaged);
    let branch = branch.context("no branch is damaged")?;
    ensure!(branch.heuristic == "HEURISTIC_ROLLBACK", "{branch:?}");
    Ok(branch.participant.clone())
}

/// Sends commands to Redis.
pub(crate) async fn kv(world: &World, commands: &[&[&str]]) -> Result<()> {
    let mut kv = world.stores.kv().await?;
    for words in commands {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
            .query_async::<redis::Value>(&mut kv)
            .await
            .with_context(|| words.join(" "))?;
    }
    Ok(())
}

/// A transaction's name in Redis' memory of its coordinator.
pub(crate) fn memory_of(id: &str) -> Result<String> {
    let parts: Vec<&str> = id.split('.').collect();
    let [_, epoch, sequence] = parts[..] else {
        anyhow::bail!("{id} is no transaction");
    };
    Ok(redis_member(epoch.parse()?, sequence.parse()?))
}

/// Releases by hand what a transaction holds of tea in Redis, against its decision.
pub(crate) async fn release_by_hand(world: &World, id: &str) -> Result<()> {
    let member = memory_of(id)?;
    kv(
        world,
        &[
            &["ZADD", "tandem:released:shop:stock", "0", &member],
            &["HDEL", "tandem:held", "stock:tea"],
            &["DEL", &format!("tandem:tx:{id}/stock")],
            &["ZREM", "tandem:prepared", &format!("{id}/stock")],
        ],
    )
    .await
}

/// Runs a verb that must succeed, and gives what it printed.
pub(crate) fn tandem(world: &World, arguments: &[&str]) -> Result<String> {
    let output = world.tandem(arguments)?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success(),
        "tandem {arguments:?}: {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(printed)
}

/// Buys one unit of tea, so many times, several at once.
pub(crate) async fn buy(world: &World, prefix: &str, count: usize) -> Result<Vec<Asked>> {
    let client = world.coordinator.client();
    let mut asked = Vec::new();
    for number in (0..count).step_by(20) {
        let together: Vec<_> = (number..count.min(number + 20))
            .map(|n| ask_apart(&client, &purchase(&format!("{prefix}-{n}"), &[("tea", 1)])))
            .collect();
        for one in together {
            let one = one.await?;
            ensure_committed(&one)?;
            asked.push(one);
        }
    }
    Ok(asked)
}
