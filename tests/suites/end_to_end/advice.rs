//! What tandem tells a person to do, taken from what it prints and done to the letter: afterwards the
//! stores are right, and the audit says so.

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, Executor};
use tandem_proto::v1;
use tandem_tests::{Case, Judge, LIMITS, Setup, World, purchase, until, until_some};

use super::following::*;
use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(advice_on_a_branch_that_a_dba_rolled_back_puts_it_right on TWO, with down),
    case!(advice_on_a_hold_that_was_released_by_hand_puts_it_right on ONE, with down),
    case!(branch_that_is_settled_while_its_store_is_down_is_ended_as_settled on TWO, with down),
    case!(hold_that_is_settled_while_its_store_is_down_is_committed on ONE, with down),
    case!(branch_that_is_prepared_is_not_settled on TWO, with down),
    case!(advice_on_a_commit_by_hand_against_an_abort_puts_it_right on TWO, with down),
    case!(advice_on_a_deduction_by_hand_against_an_abort_puts_it_right on ONE, with down_and_seldom_swept),
    case!(advice_on_units_that_are_owed_puts_them_right on TWO),
];

/// A sweep that comes while MySQL is away sees a commit of which nothing is decided yet, and takes the log for
/// stale: by default the next one is half a minute away.
fn down_and_seldom_swept() -> Setup {
    Setup {
        limits: LIMITS.replace("sweep_interval_s = 1\n", "sweep_interval_s = 30\n"),
        ..down()
    }
}

/// That client and operator are told that `p-1` waits for a person, and does what they are told.
async fn follow_to_the_repair(world: &World, id: &str, store: &str) -> Result<()> {
    // Whoever asks again waits in vain, and hears it.
    let client = world.coordinator.client();
    let client = client.with_deadline(std::time::Duration::from_secs(1));
    let status = client.submit(&purchase("p-1", &[("tea", 2)])).await;
    let status = status.err().context("it is not applied")?;
    assert_reason(&status, tonic::Code::DeadlineExceeded, "OUTCOME_COMMITTED");
    ensure!(status.message().contains("will not be until"), "{status:?}");

    let found = tandem(world, &["purchase", "get", "p-1"])?;
    ensure!(!found.contains("it will be\n"), "{found}");
    let shown = follow(world, &command(&found, "tandem tx show")?)?;
    ensure!(
        shown.contains(&format!("{store} will not carry it out without a person")),
        "{shown}"
    );
    let audited = printed(world, &["audit"])?;
    let repair = command(&shown, "tandem tx repair")?;
    ensure!(
        command(&audited, "tandem tx repair")? == repair,
        "{audited}\n{shown}"
    );
    println!("{repair}: {}", follow(world, &repair)?.trim_end());
    ensure_right(world).await?;
    let shown = tandem(world, &["tx", "show", id])?;
    ensure!(
        shown.contains("Committed everywhere; nothing is to be done."),
        "{shown}"
    );
    Ok(())
}

async fn advice_on_a_branch_that_a_dba_rolled_back_puts_it_right(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    roll_back_by_hand(world, &id).await?;
    world.start_again().await?;
    ensure!(heuristic(world, &id).await? == "purchases");
    // The advice is the same after a restart.
    world.coordinator.kill9()?;
    world.start_again().await?;
    follow_to_the_repair(world, &id, "purchases").await
}

async fn advice_on_a_hold_that_was_released_by_hand_puts_it_right(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    release_by_hand(world, &id).await?;
    world.start_again().await?;
    ensure!(heuristic(world, &id).await? == "stock");
    follow_to_the_repair(world, &id, "stock").await
}

/// Settles, as committed, the branch of a store that is down, and sees that it is warned of.
async fn settle_in_the_dark(world: &World, id: &str, store: &str) -> Result<()> {
    let operator = world.coordinator.operator();
    until("the other half is done", SOON, async || {
        let unfinished = operator.unfinished().await.unwrap_or_default();
        let branches = unfinished.iter().flat_map(|one| &one.branches);
        let ended = |branch: &v1::BranchSummary| {
            branch.participant != store && branch.progress() == v1::BranchProgress::Ended
        };
        Ok(branches.into_iter().any(ended))
    })
    .await?;
    let shown = tandem(world, &["tx", "show", id])?;
    ensure!(
        !shown.contains("1970") && !shown.contains("0 failed calls"),
        "{shown}"
    );
    let settle =
        format!("tandem tx settle {id} --participant {store} --as committed --reason TEXT");
    let settled = follow(world, &settle)?;
    ensure!(
        settled.contains("WARNING")
            && settled.contains("nobody knows whether the branch has ended"),
        "{settled}"
    );
    ensure!(settled.contains("then tandem commits it"), "{settled}");
    ensure!(json(world, &["tx", "list"])?["total"] == 0);
    Ok(())
}

async fn branch_that_is_settled_while_its_store_is_down_is_ended_as_settled(
    world: &World,
) -> Result<()> {
    let id = one_in_doubt(world).await?;
    world.stores.mysql.kill9()?;
    launch(world)?;
    settle_in_the_dark(world, &id, "purchases").await?;
    world.coordinator.kill9()?;
    world.stores.mysql.restart()?;
    ensure!(Judge(&world.stores).prepared_branches().await?.len() == 1);
    world.start_again().await?;
    ensure_right(world).await
}

async fn hold_that_is_settled_while_its_store_is_down_is_committed(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    world.stores.redis.kill9()?;
    launch(world)?;
    settle_in_the_dark(world, &id, "stock").await?;
    world.stores.redis.restart()?;
    until("the hold is found, and committed", SOON, async || {
        Ok(world.stores.stock("tea").await? == Some(8))
    })
    .await?;
    ensure_right(world).await
}

async fn branch_that_is_prepared_is_not_settled(world: &World) -> Result<()> {
    world.start_to_end_at("decided:stop").await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let asked = ask_apart(&client, &purchase("p-1", &[("tea", 2)]));
    world.coordinator.wait_stopped().await?;
    // A backup's lock: a commit has to wait.
    let mut backup = world.stores.sql().await?;
    backup.execute("FLUSH TABLES WITH READ LOCK").await?;
    world.coordinator.resume()?;
    let operator = world.coordinator.operator();
    let id = until_some("its commit is late", SOON, async || {
        let unfinished = operator.unfinished().await?;
        let late = |one: &v1::TransactionSummary| one.branches.iter().any(|b| b.attempts > 0);
        Ok(unfinished
            .into_iter()
            .find(late)
            .map(|one| one.transaction_id))
    })
    .await?;
    let settle = "--participant purchases --as committed --reason impatience --operator ann --yes";
    let mut words = vec!["tx", "settle", &id];
    words.extend(settle.split(' '));
    let refused = printed(world, &words)?;
    ensure!(
        refused.contains("purchases says that the branch is prepared"),
        "{refused}"
    );
    ensure!(refused.contains("nothing was recorded"), "{refused}");
    backup.close().await?;
    follow(world, &command(&refused, "tandem tx retry")?)?;
    ensure_committed(&asked.await?)?;
    ensure_right(world).await
}

/// Ends a store's branch by hand against an abort, takes tandem's advice, and sees that a new
/// coordinator and the audit find nothing.
async fn follow_to_the_taking_back(world: &World, store: &str) -> Result<String> {
    until("the commit by hand is found", SOON, async || {
        let listed = json(world, &["tx", "list", "--heuristic"])?;
        Ok(listed["total"] == 1)
    })
    .await?;
    let audited = printed(world, &["audit"])?;
    ensure!(!audited.contains("tx repair"), "{audited}");
    ensure!(!audited.contains("next start"), "{audited}");
    let shown = follow(world, &command(&audited, "tandem tx show")?)?;
    ensure!(!shown.contains("purchases above"), "{shown}");
    ensure!(!shown.contains("tx repair"), "{shown}");
    let settle = command(&shown, "tandem tx settle")?;
    ensure!(
        settle.contains(&format!("--participant {store} --as rolled-back")),
        "{settle}"
    );
    Ok(shown)
}

async fn advice_on_a_commit_by_hand_against_an_abort_puts_it_right(world: &World) -> Result<()> {
    let (id, mut asked) = one_undecided(world).await?;
    world.stores.redis.kill9()?;
    launch(world)?;
    until_up(world, "purchases").await?;
    let commit = format!("XA COMMIT '{id}','purchases',1952542308");
    until(
        "the dead coordinator's session has gone",
        SOON,
        async || Ok(sql(world, &commit).await.is_ok()),
    )
    .await?;
    world.stores.redis.restart()?;
    let shown = follow_to_the_taking_back(world, "purchases").await?;
    ensure!(shown.contains("its purchases: p-1"), "{shown}");
    for statement in commands(&shown) {
        if statement.starts_with("DELETE") {
            println!("{statement}");
            sql(world, &statement).await?;
        }
    }
    follow(world, &command(&shown, "tandem tx settle")?)?;
    ensure!(number(world, "SELECT COUNT(*) FROM purchases").await? == 0);
    world.coordinator.kill9()?;
    world.start_again().await?;
    ask_until_final(world, &mut asked).await?;
    ensure_right(world).await
}

async fn advice_on_a_deduction_by_hand_against_an_abort_puts_it_right(world: &World) -> Result<()> {
    let (id, mut asked) = one_undecided(world).await?;
    world.stores.mysql.kill9()?;
    launch(world)?;
    until_up(world, "stock").await?;
    let member = memory_of(&id)?;
    kv(
        world,
        &[
            &["DECRBY", "stock:tea", "2"],
            &["ZADD", "tandem:committed:shop:stock", "0", &member],
        ],
    )
    .await?;
    world.stores.mysql.restart()?;
    let shown = follow_to_the_taking_back(world, "stock").await?;
    // The units that he deducted.
    kv(world, &[&["INCRBY", "stock:tea", "2"]]).await?;
    let forget = command(&shown, "ZREM")?;
    let words: Vec<&str> = forget.split_whitespace().collect();
    kv(world, &[&words]).await?;
    follow(world, &command(&shown, "tandem tx settle")?)?;
    Judge(&world.stores)
        .quiet(&world.coordinator.operator())
        .await?;
    ensure!(world.stores.stock("tea").await? == Some(10));
    world.coordinator.kill9()?;
    world.start_again().await?;
    ask_until_final(world, &mut asked).await?;
    ensure_right(world).await
}

async fn advice_on_units_that_are_owed_puts_them_right(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let made = buy_p1(world).await?;
    kv(world, &[&["FLUSHALL"]]).await?;
    until("what was lost is owed", SOON, async || {
        let operator = world.coordinator.operator();
        let stock = operator.stock("tea").await;
        Ok(stock.is_ok_and(|stock| stock.debt == 2))
    })
    .await?;
    let operator = world.coordinator.operator();
    until("its loss has ended", SOON, async || {
        Ok(operator.unfinished().await?.is_empty())
    })
    .await?;
    let shown = tandem(world, &["tx", "show", &made])?;
    ensure!(
        shown.contains("stock owes 2 of tea") && !shown.contains("nothing is to be done"),
        "{shown}"
    );
    let listed = tandem(world, &["participants"])?;
    ensure!(listed.contains("2 are owed now"), "{listed}");

    // Two of ten were sold.
    kv(world, &[&["SET", "stock:tea", "8"]]).await?;
    let clear = command(&shown, "HDEL")?;
    let words: Vec<&str> = clear.split_whitespace().collect();
    kv(world, &[&words]).await?;
    let listed = tandem(world, &["participants"])?;
    ensure!(
        listed.contains("nothing is owed any more") && !listed.contains("are owed now"),
        "{listed}"
    );
    let shown = tandem(world, &["tx", "show", &made])?;
    ensure!(
        shown.contains("Committed everywhere; nothing is to be done."),
        "{shown}"
    );
    ensure_right(world).await
}

/// Buys two units of tea, and gives the transaction.
async fn buy_p1(world: &World) -> Result<String> {
    let client = world.coordinator.client();
    let made = client.submit(&purchase("p-1", &[("tea", 2)])).await?;
    Ok(made.transaction_id)
}
