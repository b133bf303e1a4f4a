//! The person who is woken at night: over gRPC and with the command line.

use anyhow::{Context, Result, ensure};
use tandem_proto::v1;
use tandem_tests::{Case, Judge, World, purchase, until, until_some};
use tonic::Code;
use tonic_types::StatusExt;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(operator_sees_what_is_in_doubt_and_its_end on TWO, with down),
    case!(branch_that_a_dba_rolled_back_is_named_and_settled on TWO, with down),
    case!(foreign_branch_is_reported_and_left_alone on TWO),
    case!(command_line_submits_and_finds_purchases on ONE),
];

async fn operator_sees_what_is_in_doubt_and_its_end(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    world.stores.redis.kill9()?;
    world.coordinator.launch(&world.start.without_env())?;
    let operator = world.coordinator.operator();
    until(
        "MySQL's half is done, Redis' half is open",
        SOON,
        async || {
            let Ok(listed) = operator.unfinished().await else {
                return Ok(false);
            };
            Ok(listed.iter().any(|one| {
                let ended = |branch: &v1::BranchSummary| {
                    branch.participant == "purchases"
                        && branch.progress() == v1::BranchProgress::Ended
                };
                one.transaction_id == id && one.branches.iter().any(ended)
            }))
        },
    )
    .await?;
    until("Redis is known to be down", SOON, async || {
        let stock = operator.participant("stock").await?;
        Ok(stock.state() == v1::LinkState::Down)
    })
    .await?;

    let listed = json(world, &["tx", "list", "--in-doubt"])?;
    ensure!(listed["total"] == 1, "{listed}");
    ensure!(listed["transactions"][0]["transaction_id"] == id.as_str());
    ensure!(listed["transactions"][0]["state"] == "TRANSACTION_STATE_COMMITTING");
    let shown = json(world, &["tx", "show", &id])?;
    ensure!(shown["entries"][0]["purchase_id"] == "p-1", "{shown}");
    let timeline = shown["timeline"].as_array().context("no timeline")?;
    ensure!(
        timeline.iter().any(|event| event["source"] == "log"),
        "{shown}"
    );
    let truths = shown["truths"].as_array().context("no truths")?;
    let truth = |name: &str| truths.iter().find(|truth| truth["participant"] == name);
    let purchases = truth("purchases").context("no truth of MySQL")?;
    ensure!(
        purchases["inspected"]["state"] == "BRANCH_STATE_COMMITTED",
        "{shown}"
    );
    ensure!(
        truth("stock").is_some_and(|truth| truth["error"] != ""),
        "{shown}"
    );
    let table = world.tandem(&["tx", "show", &id])?;
    ensure!(String::from_utf8_lossy(&table.stdout).contains(&id));
    let found = json(world, &["purchase", "get", "p-1"])?;
    ensure!(
        found["state"] == "PURCHASE_STATE_COMMITTED" && found["applied"] == false,
        "{found}"
    );
    let participants = json(world, &["participants"])?;
    let stock = participants["participants"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["name"] == "stock"))
        .context("no stock")?;
    ensure!(
        stock["state"] == "LINK_STATE_DOWN" && stock["waiting"] == 1,
        "{stock}"
    );
    ensure!(
        !world.tandem(&["stock", "tea"])?.status.success(),
        "Redis is down"
    );

    world.stores.redis.restart()?;
    // Either the retry or the reconnection ends it; an unknown id is told as such.
    let retried = world.tandem(&["tx", "retry", &id])?;
    ensure!(
        retried.status.success(),
        "{}",
        String::from_utf8_lossy(&retried.stderr)
    );
    let unknown = operator.retry("shop.99.1").await.unwrap_err();
    ensure!(unknown.code() == Code::NotFound, "{unknown:?}");
    Judge(&world.stores).quiet(&operator).await?;
    let shown = json(world, &["tx", "show", &id])?;
    ensure!(
        shown["transaction"]["state"] == "TRANSACTION_STATE_COMMITTED",
        "{shown}"
    );
    let stock = json(world, &["stock", "tea"])?;
    ensure!(stock["stock"] == 8 && stock["debt"] == 0, "{stock}");
    let listed = json(world, &["tx", "list"])?;
    ensure!(listed["total"] == 0, "{listed}");
    Ok(())
}

async fn branch_that_a_dba_rolled_back_is_named_and_settled(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    until(
        "the dead coordinator's session has gone",
        SOON,
        async || {
            Ok(
                sql(world, &format!("XA ROLLBACK '{id}','purchases',1952542308"))
                    .await
                    .is_ok(),
            )
        },
    )
    .await?;
    world.start_again().await?;
    let operator = world.coordinator.operator();
    let damage = until_some("the damage is listed", SOON, async || {
        let heuristic = v1::ListTransactionsRequest {
            heuristic: true,
            ..Default::default()
        };
        Ok(operator.list(heuristic).await?.pop())
    })
    .await?;
    ensure!(damage.transaction_id == id, "{damage:?}");
    let branch = damage
        .branches
        .iter()
        .find(|branch| branch.participant == "purchases");
    let branch = branch.context("no branch")?;
    ensure!(
        branch.progress() == v1::BranchProgress::Heuristic,
        "{branch:?}"
    );
    ensure!(branch.heuristic == "HEURISTIC_ROLLBACK", "{branch:?}");
    ensure!(json(world, &["tx", "list", "--heuristic"])?["total"] == 1);
    until("Redis has carried its half out", SOON, async || {
        Ok(world.stores.stock("tea").await? == Some(8))
    })
    .await?;

    let settle = |settlement: v1::Settlement, preview, force| v1::SettleTransactionRequest {
        transaction_id: id.clone(),
        participant: "purchases".to_owned(),
        settlement: settlement.into(),
        reason: "the row was put back by hand".to_owned(),
        operator: "ann".to_owned(),
        preview,
        force,
    };
    let rolled_back = v1::Settlement::RolledBack;
    let preview = operator.settle(settle(rolled_back, true, false)).await?;
    ensure!(
        preview.contradicts_decision && !preview.effect.is_empty(),
        "{preview:?}"
    );
    let status = operator
        .settle(settle(rolled_back, false, false))
        .await
        .unwrap_err();
    let info = status.get_details_error_info().context("no ErrorInfo")?;
    ensure!(info.reason == "CONTRADICTS_DECISION", "{status:?}");
    let nameless = v1::SettleTransactionRequest {
        reason: String::new(),
        ..settle(v1::Settlement::Committed, false, false)
    };
    let status = operator.settle(nameless).await.unwrap_err();
    ensure!(status.code() == Code::InvalidArgument, "{status:?}");
    ensure!(
        json(world, &["tx", "list", "--heuristic"])?["total"] == 1,
        "nothing was settled yet"
    );

    let mut arguments = vec!["tx", "settle", &id, "--participant", "purchases", "--as"];
    arguments.extend([
        "committed",
        "--operator",
        "ann",
        "--yes",
        "--reason",
        "put back by hand",
    ]);
    let settled = world.tandem(&arguments)?;
    ensure!(
        settled.status.success(),
        "{}",
        String::from_utf8_lossy(&settled.stderr)
    );
    until("it has ended", SOON, async || {
        Ok(operator.unfinished().await?.is_empty())
    })
    .await?;
    // The settlement is in the log: another start does not bring the damage back.
    world.coordinator.kill9()?;
    world.start_again().await?;
    ensure!(world.coordinator.operator().unfinished().await?.is_empty());
    let shown = json(world, &["tx", "show", &id])?;
    ensure!(
        shown["timeline"].to_string().contains("put back by hand"),
        "{shown}"
    );
    Ok(())
}

async fn foreign_branch_is_reported_and_left_alone(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    sql(
        world,
        "CREATE TABLE other (id INT PRIMARY KEY) ENGINE=InnoDB",
    )
    .await?;
    sql(
        world,
        "XA START 'shop.1.77','other-app',7; INSERT INTO other VALUES (1); \
         XA END 'shop.1.77','other-app',7; XA PREPARE 'shop.1.77','other-app',7",
    )
    .await?;
    for _ in 0..2 {
        let operator = world.coordinator.operator();
        until("it is reported", SOON, async || {
            let foreign = operator.participant("purchases").await?.foreign_branches;
            Ok(foreign
                .iter()
                .any(|branch| branch.id.contains("other-app") && !branch.tandem))
        })
        .await?;
        world.coordinator.kill9()?;
        world.start_again().await?;
    }
    let client = world.coordinator.client();
    let made = ask(&client, &purchase("p-1", &[("tea", 1)])).await;
    ensure_committed(&made)?;
    let prepared = Judge(&world.stores).prepared_branches().await?;
    ensure!(prepared == ["shop.1.77other-app"], "{prepared:?}");
    sql(world, "XA ROLLBACK 'shop.1.77','other-app',7").await?;
    world.judge(&[made]).await?;
    Ok(())
}

async fn command_line_submits_and_finds_purchases(world: &World) -> Result<()> {
    world.stores.seed("tea", 3).await?;
    let submit = |id: &'static str| {
        world.tandem(&[
            "purchase",
            "submit",
            "--id",
            id,
            "--customer",
            "ann",
            "--currency",
            "EUR",
            "--item",
            "tea:2:250",
        ])
    };
    let made = submit("p-1")?;
    ensure!(
        made.status.code() == Some(0),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let refused = submit("p-2")?;
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    ensure!(String::from_utf8_lossy(&refused.stderr).contains("INSUFFICIENT_STOCK"));
    let found = json(world, &["purchase", "get", "p-1"])?;
    ensure!(found["state"] == "PURCHASE_STATE_COMMITTED" && found["applied"] == true);
    world.coordinator.kill9()?;
    ensure!(submit("p-3")?.status.code() == Some(3), "nobody listens");
    ensure!(world.stores.stock("tea").await? == Some(1));
    Ok(())
}
