//! What a person ended against the decision is redone from it, once.

use anyhow::{Result, ensure};
use serde_json::Value;
use tandem_tests::{Case, Judge, World, purchase, until};

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(branch_that_a_dba_rolled_back_is_repaired on TWO, with down),
    case!(repair_that_was_ordered_is_carried_out_after_a_crash on TWO, with down),
    case!(row_that_was_put_back_by_hand_is_left_as_it_is on TWO, with down),
    case!(deduction_that_was_released_by_hand_is_repaired on EVERYWHERE, with down),
    case!(repair_that_the_schema_refuses_needs_a_person_again on ONE, with down),
    case!(row_deleted_after_the_end_is_repaired_from_the_log on TWO),
    case!(hundreds_of_lost_commits_are_repaired_by_one_order on TWO),
];

/// Leaves a purchase of two units of tea whose row a DBA has rolled back; gives its transaction.
async fn rolled_back(world: &World) -> Result<String> {
    let id = one_in_doubt(world).await?;
    roll_back_by_hand(world, &id).await?;
    world.start_again().await?;
    ensure!(heuristic(world, &id).await? == "purchases");
    until("Redis has carried its half out", SOON, async || {
        Ok(world.stores.stock("tea").await? == Some(8))
    })
    .await?;
    Ok(id)
}

/// The words of a repair that is meant.
fn words<'a>(id: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec!["tx", "repair", id, "--operator", "ann", "--yes", "--reason"];
    words.push("rolled back by mistake");
    words.extend(more);
    words
}

async fn rows(world: &World) -> Result<i64> {
    number(
        world,
        "SELECT COUNT(*) FROM purchases WHERE purchase_id = 'p-1'",
    )
    .await
}

/// That the purchase is in both stores once and nothing is left of it.
async fn ensure_whole(world: &World) -> Result<()> {
    let operator = world.coordinator.operator();
    Judge(&world.stores).quiet(&operator).await?;
    ensure!(rows(world).await? == 1);
    ensure!(world.stores.stock("tea").await? == Some(8));
    let client = world.coordinator.client();
    let asked = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    ensure_committed(&asked)?;
    world.judge(&[asked]).await?;
    Ok(())
}

async fn branch_that_a_dba_rolled_back_is_repaired(world: &World) -> Result<()> {
    let id = rolled_back(world).await?;
    // Without a terminal only the preview is made.
    let preview = world.tandem(&["tx", "repair", &id, "--operator", "ann", "--reason", "why"])?;
    let printed = String::from_utf8_lossy(&preview.stdout).into_owned();
    ensure!(preview.status.code() == Some(1), "{printed}");
    ensure!(
        printed.contains("p-1 (tea 2)") && printed.contains("no marker row"),
        "{printed}"
    );
    ensure!(rows(world).await? == 0);
    ensure!(json(world, &["tx", "list", "--heuristic"])?["total"] == 1);
    let nameless = world.tandem(&["tx", "repair", &id, "--reason", " "])?;
    ensure!(nameless.status.code() == Some(2), "a reason is needed");

    println!("{}", tandem(world, &words(&id, &[]))?.trim_end());
    ensure_whole(world).await?;
    // Nothing is damaged any more; who insists changes nothing.
    let again = world.tandem(&words(&id, &[]))?;
    ensure!(again.status.code() == Some(1));
    ensure!(String::from_utf8_lossy(&again.stderr).contains("NOT_DAMAGED"));
    for name in ["purchases", "stock"] {
        let more = ["--participant", name];
        let again = tandem(world, &words(&id, &more))?;
        ensure!(again.contains("nothing was changed"), "{again}");
        ensure_whole(world).await?;
    }
    let unknown = world.tandem(&words("shop.99.1", &["--participant", "stock"]))?;
    ensure!(unknown.status.code() == Some(1));

    // The order is in the log, and told.
    world.coordinator.kill9()?;
    world.start_again().await?;
    ensure_whole(world).await?;
    let shown = json(world, &["tx", "show", &id])?;
    ensure!(
        shown["timeline"]
            .to_string()
            .contains("rolled back by mistake"),
        "{shown}"
    );
    world.coordinator.stop()?;
    let folder = world.coordinator.data_dir().to_string_lossy().into_owned();
    let inspected = tandem(world, &["log", "inspect", "--records", &folder])?;
    ensure!(
        inspected.contains(&format!("repair of {id} at purchases ordered by ann")),
        "{inspected}"
    );
    Ok(())
}

async fn repair_that_was_ordered_is_carried_out_after_a_crash(world: &World) -> Result<()> {
    let id = rolled_back(world).await?;
    world.coordinator.stop()?;
    world.start_to_end_at("repairing:kill").await?;
    heuristic(world, &id).await?;
    let cut_short = world.tandem(&words(&id, &[]))?;
    ensure!(!cut_short.status.success(), "the coordinator has died");
    world.coordinator.wait_end().await?;
    ensure!(rows(world).await? == 0, "the order is stored first");
    world.start_again().await?;
    ensure_whole(world).await
}

async fn row_that_was_put_back_by_hand_is_left_as_it_is(world: &World) -> Result<()> {
    let id = rolled_back(world).await?;
    let insert = format!(
        "INSERT INTO purchases VALUES ('p-1', 'ann@example.org', 'EUR', 2, '{id}', \
         UTC_TIMESTAMP(3)); INSERT INTO purchase_items VALUES ('p-1', 'tea', 2, 1)"
    );
    sql(world, &insert).await?;
    let mut arguments = words(&id, &["--output", "json"]);
    arguments.retain(|word| !word.is_empty());
    let repaired: Value = serde_json::from_str(&tandem(world, &arguments)?)?;
    let one = &repaired["repairs"][0];
    ensure!(
        one["state"] == "REPAIR_STATE_DONE" && one["present_purchase_ids"][0] == "p-1",
        "{repaired}"
    );
    ensure_whole(world).await
}

async fn deduction_that_was_released_by_hand_is_repaired(world: &World) -> Result<()> {
    let id = one_in_doubt(world).await?;
    release_by_hand(world, &id).await?;
    world.start_again().await?;
    ensure!(heuristic(world, &id).await? == "stock");
    until("MySQL has carried its half out", SOON, async || {
        Ok(rows(world).await? == 1)
    })
    .await?;
    ensure!(world.stores.stock("tea").await? == Some(10));
    println!("{}", tandem(world, &words(&id, &[]))?.trim_end());
    ensure_whole(world).await?;
    let more = ["--participant", "stock"];
    let again = tandem(world, &words(&id, &more))?;
    ensure!(again.contains("nothing was changed"), "{again}");
    ensure_whole(world).await
}

async fn repair_that_the_schema_refuses_needs_a_person_again(world: &World) -> Result<()> {
    let id = rolled_back(world).await?;
    sql(
        world,
        "ALTER TABLE purchases ADD CONSTRAINT none CHECK (total_minor < 0)",
    )
    .await?;
    let refused = world.tandem(&words(&id, &[]))?;
    let printed = String::from_utf8_lossy(&refused.stdout).into_owned();
    ensure!(
        refused.status.code() == Some(1) && printed.contains("CONSTRAINT_VIOLATED"),
        "{printed}"
    );
    ensure!(rows(world).await? == 0);
    heuristic(world, &id).await?;
    sql(world, "ALTER TABLE purchases DROP CONSTRAINT none").await?;
    tandem(world, &words(&id, &[]))?;
    ensure_whole(world).await
}

async fn row_deleted_after_the_end_is_repaired_from_the_log(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let made = client.submit(&purchase("p-1", &[("tea", 2)])).await?;
    let id = made.transaction_id;
    // Also one that this process has only read from the log.
    for restarts in [false, true] {
        if restarts {
            world.coordinator.kill9()?;
            world.start_again().await?;
            // The record that it has ended may be lost with the process: then it ends once more.
            let operator = world.coordinator.operator();
            Judge(&world.stores).quiet(&operator).await?;
        }
        let delete = "DELETE FROM purchases; DELETE FROM purchase_items";
        sql(world, delete).await?;
        let more = ["--participant", "purchases"];
        println!("{}", tandem(world, &words(&id, &more))?.trim_end());
        ensure_whole(world).await?;
    }
    Ok(())
}

async fn hundreds_of_lost_commits_are_repaired_by_one_order(world: &World) -> Result<()> {
    const PURCHASES: u64 = 300;
    world.stores.seed("tea", 10_000).await?;
    let client = world.coordinator.client();
    let mut made = Vec::new();
    for number in 0..PURCHASES {
        // One after the other, so that each is a transaction of its own.
        made.push(ask(&client, &purchase(&format!("p-{number}"), &[("tea", 2)])).await);
    }
    world.coordinator.stop()?;
    for table in ["purchases", "purchase_items", "tandem_branches"] {
        sql(world, &format!("DELETE FROM {table}")).await?;
    }
    world.start_again().await?;
    until("every loss is named", SOON, async || {
        Ok(json(world, &["tx", "list", "--heuristic"])?["total"] == PURCHASES)
    })
    .await?;

    let words = |more: &[&str]| {
        let mut words = vec!["tx", "repair", "--all", "--operator", "ann", "--reason"];
        words.push("an old backup was restored");
        words.extend(more);
        world.tandem(&words)
    };
    for nothing in [
        ["--yes", "--participant", "stock"],
        ["--yes", "--kind", "mixed"],
        ["--yes", "--until", "2020-01-01T00:00:00Z"],
    ] {
        let nobody = words(&nothing)?;
        let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
        ensure!(nobody.status.code() == Some(1), "{nothing:?}: {said}");
        ensure!(said.contains("no store has ended"), "{said}");
    }
    let preview = words(&["--participant", "purchases"])?;
    let printed = String::from_utf8_lossy(&preview.stdout).into_owned();
    println!("{}", printed.trim_end());
    ensure!(preview.status.code() == Some(1), "nothing was confirmed");
    ensure!(
        printed.contains("300 repairs of 300 purchases"),
        "{printed}"
    );
    ensure!(number(world, "SELECT COUNT(*) FROM purchases").await? == 0);

    let repaired = words(&["--yes", "--output", "json", "--kind", "rollback"])?;
    let document: Value = serde_json::from_slice(&repaired.stdout)?;
    ensure!(repaired.status.success(), "{:#}", document["summary"]);
    ensure!(document["summary"]["done"] == PURCHASES, "{document:#}");
    let repairs = document["repairs"].as_array().map_or(0, Vec::len);
    ensure!(repairs as u64 == PURCHASES, "{repairs} repairs");
    let again = words(&["--yes"])?;
    ensure!(again.status.code() == Some(1), "nothing is left");

    Judge(&world.stores)
        .quiet(&world.coordinator.operator())
        .await?;
    ensure!(world.stores.stock("tea").await? == Some(10_000 - 600));
    world.judge(&made).await?;
    let audited = world.tandem(&["audit"])?;
    let printed = String::from_utf8_lossy(&audited.stdout).into_owned();
    ensure!(audited.status.success(), "{printed}");
    world.coordinator.stop()?;
    let folder = world.coordinator.data_dir().to_string_lossy().into_owned();
    let inspected = tandem(world, &["log", "inspect", "--records", &folder])?;
    let ordered = inspected.matches("an old backup was restored").count() as u64;
    ensure!(ordered == PURCHASES, "{ordered} orders are in the log");
    Ok(())
}
