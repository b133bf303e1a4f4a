//! Purchases that a store refuses, and what their neighbours notice: nothing.

use std::time::Instant;

use anyhow::{Result, ensure};
use futures::future::join_all;
use redis::AsyncCommands;
use sqlx::Executor;
use tandem_proto::v1;
use tandem_tests::{Answer, Asked, Case, World, purchase};
use tonic::Code;
use tonic_types::StatusExt;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(stock_refuses_by_reason on EVERYWHERE),
    case!(constraint_refuses_one_and_not_its_neighbours on TWO),
    case!(row_that_is_there_already_is_a_duplicate on TWO),
    case!(locked_row_aborts_one_and_not_its_neighbours on TWO),
    case!(last_units_are_sold_once on EVERYWHERE),
];

async fn stock_refuses_by_reason(world: &World) -> Result<()> {
    world.stores.seed("tea", 3).await?;
    let mut kv = world.stores.kv().await?;
    kv.set::<_, _, ()>("stock:words", "plenty").await?;
    kv.lpush::<_, _, ()>("stock:list", 1).await?;
    let client = world.coordinator.client();
    let mut asked = Vec::new();
    for (id, sku, quantity, reason) in [
        ("p-1", "tea", 4, "INSUFFICIENT_STOCK"),
        ("p-2", "coffee", 1, "UNKNOWN_SKU"),
        ("p-3", "words", 1, "NOT_A_NUMBER"),
        ("p-4", "list", 1, "NOT_A_NUMBER"),
    ] {
        // The item that could be sold must not be.
        let mut items = vec![(sku, quantity)];
        if sku != "tea" {
            items.push(("tea", 1));
        }
        let wanted = purchase(id, &items);
        for _ in 0..2 {
            let status = client.submit(&wanted).await.unwrap_err();
            assert_reason(&status, Code::FailedPrecondition, reason);
            let info = status.get_details_error_info().unwrap();
            ensure!(info.metadata["participant"] == "stock", "{info:?}");
            ensure!(info.metadata["purchase_id"] == id, "{info:?}");
            ensure!(status.message().contains(sku), "{status:?}");
        }
        let found = client.find(id).await?;
        ensure!(found.state() == v1::PurchaseState::Refused, "{found:?}");
        ensure!(
            found
                .refusal
                .is_some_and(|refusal| refusal.reason == reason)
        );
        asked.push(Asked {
            purchase: wanted,
            answers: vec![Answer::Refused {
                reason: reason.to_owned(),
            }],
        });
    }
    asked.push(ask(&client, &purchase("p-5", &[("tea", 3)])).await);
    ensure_committed(&asked[4])?;
    world.judge(&asked).await?;
    Ok(())
}

async fn constraint_refuses_one_and_not_its_neighbours(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    sql(
        world,
        "ALTER TABLE purchases ADD CONSTRAINT known CHECK (customer_id <> 'mallory')",
    )
    .await?;
    let client = world.coordinator.client();
    let wanted: Vec<_> = (0..20)
        .map(|number| {
            let mut wanted = purchase(&format!("p-{number}"), &[("tea", 1)]);
            if number == 7 {
                wanted.customer_id = "mallory".to_owned();
            }
            wanted
        })
        .collect();
    let all = join_all(wanted.iter().map(|one| ask(&client, one))).await;
    for (number, one) in all.iter().enumerate() {
        if number == 7 {
            let reason = "CONSTRAINT_VIOLATED".to_owned();
            ensure!(one.answers == [Answer::Refused { reason }], "{one:?}");
        } else {
            ensure_committed(one)?;
        }
    }
    world.judge(&all).await?;
    Ok(())
}

async fn row_that_is_there_already_is_a_duplicate(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    sql(
        world,
        "INSERT INTO purchases VALUES ('p-1', 'bob', 'EUR', 1, 'none', '2020-01-01')",
    )
    .await?;
    let client = world.coordinator.client();
    let status = client.submit(&purchase("p-1", &[("tea", 1)])).await;
    assert_reason(
        &status.unwrap_err(),
        Code::FailedPrecondition,
        "DUPLICATE_PURCHASE",
    );
    ensure!(world.stores.stock("tea").await? == Some(100));
    sql(world, "DELETE FROM purchases").await?;
    world.nothing_written().await
}

async fn locked_row_aborts_one_and_not_its_neighbours(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let mut other = world.stores.sql().await?;
    other.execute("BEGIN").await?;
    other
        .execute("INSERT INTO purchases VALUES ('p-3', 'bob', 'EUR', 1, 'none', '2020-01-01')")
        .await?;
    let client = world.coordinator.client();
    let wanted: Vec<_> = (0..20)
        .map(|number| purchase(&format!("p-{number}"), &[("tea", 1)]))
        .collect();
    let started = Instant::now();
    let all = join_all(wanted.iter().map(|one| async {
        let answer = client.submit(one).await;
        (answer, started.elapsed())
    }))
    .await;
    let mut asked = Vec::new();
    for (number, ((answer, after), wanted)) in all.iter().zip(&wanted).enumerate() {
        if number == 3 {
            let status = answer.as_ref().unwrap_err();
            assert_reason(status, Code::Aborted, "LOCKED");
            assert_says_when_to_retry(status);
        } else {
            ensure!(answer.is_ok(), "p-{number}: {answer:?}");
            ensure!(after.as_secs() < 10, "p-{number} took {after:?}");
        }
        asked.push(Asked {
            purchase: wanted.clone(),
            answers: vec![Answer::of(answer)],
        });
    }
    world.judge(&asked).await?;
    other.execute("ROLLBACK").await?;
    ask_until_final(world, &mut asked[3]).await?;
    ensure_committed(&asked[3])?;
    world.judge(&asked).await?;
    Ok(())
}

async fn last_units_are_sold_once(world: &World) -> Result<()> {
    world.stores.seed("tea", 25).await?;
    let client = world.coordinator.client();
    let wanted: Vec<_> = (0..80)
        .map(|number| purchase(&format!("p-{number}"), &[("tea", 1)]))
        .collect();
    let all = join_all(wanted.iter().map(|one| ask(&client, one))).await;
    let books = world.judge(&all).await?;
    ensure!(books.committed == 25 && books.refused == 55, "{books}");
    ensure!(world.stores.stock("tea").await? == Some(0));
    Ok(())
}
