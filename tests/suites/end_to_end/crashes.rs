//! Deaths at chosen moments; the suite `kill` has those at random ones.

use std::time::Duration;

use anyhow::{Result, ensure};
use nix::sys::signal::Signal;
use tandem_tests::{Answer, Case, Judge, Load, Setup, World, purchase, until};

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(coordinator_killed_before_the_votes_aborts on TWO, with down),
    case!(coordinator_killed_before_the_decision_aborts on TWO, with down),
    case!(coordinator_killed_after_the_decision_commits on EVERYWHERE, with down),
    case!(coordinator_killed_between_two_commits_commits on TWO, with down),
    case!(coordinator_killed_before_the_end_record_commits_once on TWO, with down),
    case!(mysql_killed_between_prepare_and_commit_commits on TWO, with down),
    case!(redis_killed_between_prepare_and_commit_commits on EVERYWHERE, with down),
    case!(redis_that_lost_its_data_gets_its_purchases_again on ONE, with down),
    case!(signal_that_asks_for_an_end_drains_under_load on TWO),
    case!(second_interrupt_does_not_wait_and_loses_nothing on ONE),
    case!(sigterm_that_cuts_a_decided_purchase_promises_nothing on ONE, with short_stop),
];

fn short_stop() -> Setup {
    Setup {
        limits: "shutdown_timeout_ms = 200\nretry_backoff_max_ms = 300\nsweep_interval_s = 1\n"
            .to_owned(),
        ..down()
    }
}

/// Lets the coordinator die at a step with one purchase under way, starts it again, and asks on.
/// Gives whether the first start's decision was to commit.
async fn dies_at(world: &World, step: &str) -> Result<bool> {
    world.start_to_end_at(&format!("{step}:kill")).await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let mut asked = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    ensure!(
        matches!(asked.answers[0], Answer::Unknown { .. }),
        "{asked:?}"
    );
    world.coordinator.wait_end().await?;
    ensure!(
        world.stores.stock("tea").await? == Some(10) || step != "decided",
        "deducted before the decision was carried out"
    );
    world.start_again().await?;
    let judge = Judge(&world.stores);
    judge.quiet(&world.coordinator.operator()).await?;
    let committed = judge.rows("").await?.len() == 1;
    judge.judge("", std::slice::from_ref(&asked)).await?;
    ask_until_final(world, &mut asked).await?;
    ensure_committed(&asked)?;
    world.judge(&[asked]).await?;
    ensure!(world.stores.stock("tea").await? == Some(8));
    Ok(committed)
}

async fn coordinator_killed_before_the_votes_aborts(world: &World) -> Result<()> {
    ensure!(!dies_at(world, "preparing").await?);
    Ok(())
}

async fn coordinator_killed_before_the_decision_aborts(world: &World) -> Result<()> {
    ensure!(!dies_at(world, "deciding").await?);
    Ok(())
}

async fn coordinator_killed_after_the_decision_commits(world: &World) -> Result<()> {
    ensure!(dies_at(world, "decided").await?);
    Ok(())
}

async fn coordinator_killed_between_two_commits_commits(world: &World) -> Result<()> {
    ensure!(dies_at(world, "acknowledged").await?);
    Ok(())
}

async fn coordinator_killed_before_the_end_record_commits_once(world: &World) -> Result<()> {
    ensure!(dies_at(world, "ending").await?);
    Ok(())
}

/// Stops the coordinator after its decision, lets something happen to a store, and goes on.
async fn between_prepare_and_commit(
    world: &World,
    happen: impl FnOnce() -> Result<()>,
) -> Result<()> {
    world.start_to_end_at("decided:stop").await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let call = ask_apart(&client, &purchase("p-1", &[("tea", 2)]));
    world.coordinator.wait_stopped().await?;
    ensure!(Judge(&world.stores).prepared_branches().await?.len() == 1);
    happen()?;
    // It stops at each commit that it asks for, so it is told to go on more than once.
    until("the purchase is answered", SOON, async || {
        world.coordinator.resume()?;
        Ok(call.is_finished())
    })
    .await?;
    let asked = call.await?;
    ensure_committed(&asked)?;
    let operator = world.coordinator.operator();
    until("nothing is unfinished", SOON, async || {
        world.coordinator.resume()?;
        Ok(operator.unfinished().await.is_ok_and(|all| all.is_empty()))
    })
    .await?;
    world.judge(&[asked]).await?;
    Ok(())
}

async fn mysql_killed_between_prepare_and_commit_commits(world: &World) -> Result<()> {
    between_prepare_and_commit(world, || {
        world.stores.mysql.kill9()?;
        world.stores.mysql.restart()
    })
    .await
}

async fn redis_killed_between_prepare_and_commit_commits(world: &World) -> Result<()> {
    between_prepare_and_commit(world, || {
        world.stores.redis.kill9()?;
        world.stores.redis.restart()
    })
    .await
}

async fn redis_that_lost_its_data_gets_its_purchases_again(world: &World) -> Result<()> {
    world.start_to_end_at("decided:kill").await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let mut asked = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    world.coordinator.wait_end().await?;
    // The stock is put back as the app would; the hold and the memory of it are gone.
    let mut kv = world.stores.kv().await?;
    redis::cmd("FLUSHALL").query_async::<()>(&mut kv).await?;
    world.stores.seed("tea", 10).await?;
    world.start_again().await?;
    ask_until_final(world, &mut asked).await?;
    ensure_committed(&asked)?;
    world
        .coordinator
        .wait_log("the store had lost the branch")
        .await?;
    world.judge(&[asked]).await?;
    ensure!(world.stores.stock("tea").await? == Some(8));
    Ok(())
}

async fn signal_that_asks_for_an_end_drains_under_load(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000_000).await?;
    let client = world.coordinator.client();
    let load = Load::start(&client, 16, "p", 1, &["tea"]);
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT] {
        tokio::time::sleep(Duration::from_millis(250)).await;
        world.coordinator.signal(signal)?;
        let status = world.coordinator.wait_end().await?;
        ensure!(status.success(), "it ended with {status}");
        ensure!(world.coordinator.log().contains(signal.as_str()));
        world.start_again().await?;
    }
    let records = load.finish().await?;
    let books = world.judge(&records).await?;
    ensure!(books.committed > 0, "{books}");
    Ok(())
}

/// A person who does not want to wait for a store that does not answer.
async fn second_interrupt_does_not_wait_and_loses_nothing(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    world.stores.redis.pause()?;
    let call = ask_apart(&client, &purchase("p-1", &[("tea", 2)]));
    let operator = world.coordinator.operator();
    until("the purchase is under way", SOON, async || {
        Ok(!operator.unfinished().await?.is_empty())
    })
    .await?;
    world.coordinator.signal(Signal::SIGINT)?;
    world.coordinator.wait_log("stopping").await?;
    // A terminal that closes, or a supervisor, sends more than one.
    for signal in [Signal::SIGHUP, Signal::SIGTERM] {
        world.coordinator.signal(signal)?;
        let heard = format!("\"signal\":\"{signal}\"");
        world.coordinator.wait_log(&heard).await?;
    }
    ensure!(world.coordinator.runs()?, "it did not wait");
    world.coordinator.signal(Signal::SIGINT)?;
    let status = world.coordinator.wait_end().await?;
    ensure!(status.success(), "it ended with {status}");
    ensure!(world.coordinator.log().contains("is not waited for"));
    let asked = call.await?;
    world.stores.redis.resume()?;
    world.start_again().await?;
    world.judge(&[asked]).await?;
    Ok(())
}

async fn sigterm_that_cuts_a_decided_purchase_promises_nothing(world: &World) -> Result<()> {
    world.start_to_end_at("decided:stop").await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let call = ask_apart(&client, &purchase("p-1", &[("tea", 2)]));
    world.coordinator.wait_stopped().await?;
    world.stores.redis.pause()?;
    world.coordinator.terminate()?;
    until("the coordinator has ended", SOON, async || {
        // It stops at each commit that it asks for, so it is told to go on more than once.
        world.coordinator.resume()?;
        Ok(call.is_finished() && world.coordinator.ended()?.is_some())
    })
    .await?;
    world.coordinator.wait_end().await?;
    let asked = call.await?;
    world.stores.redis.resume()?;
    world.start_again().await?;
    // It was decided, so it is there; the answer must not have said that it would not be.
    let books = world.judge(&[asked]).await?;
    ensure!(books.committed == 1, "{books}");
    Ok(())
}
