//! Purchases that commit, and repeats.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::join_all;
use tandem_proto::v1;
use tandem_tests::{Answer, Asked, Case, Judge, Setup, StockPlace, StoresOptions, World, purchase};
use tonic::Code;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(purchase_commits_in_both_stores on EVERYWHERE),
    case!(purchase_commits_over_sidecars on TWO, with sidecars),
    case!(purchase_commits_with_stock_in_a_hash on ONE, with hash),
    case!(purchase_commits_with_stock_in_products on ONE, with products),
    case!(answer_at_the_decision_is_true_later on ONE),
    case!(repeated_purchase_gets_the_same_answer on TWO),
    case!(purchases_at_once_under_one_id_are_one on ONE),
    case!(purchase_id_with_another_content_is_refused on ONE),
    case!(purchases_that_come_together_share_transactions on TWO),
    case!(client_that_hangs_up_changes_nothing on ONE),
];

fn sidecars() -> Setup {
    Setup {
        sidecars: true,
        ..Setup::default()
    }
}

fn hash() -> Setup {
    stock_in(StockPlace::Hash)
}

fn products() -> Setup {
    stock_in(StockPlace::Products)
}

fn stock_in(stock: StockPlace) -> Setup {
    Setup {
        stores: StoresOptions {
            stock,
            ..StoresOptions::default()
        },
        ..Setup::default()
    }
}

async fn purchase_commits_in_both_stores(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    world.stores.seed("cups", 5).await?;
    let client = world.coordinator.client();
    let wanted = purchase("p-1", &[("tea", 2), ("cups", 5)]);
    let made = client.submit(&wanted).await?;
    // The client reads its own write: no wait between the answer and these.
    ensure!(world.stores.stock("tea").await? == Some(8));
    ensure!(world.stores.stock("cups").await? == Some(0));
    let rows = Judge(&world.stores).rows("p-1").await?;
    ensure!(rows["p-1"]["tea"] == 2 && rows["p-1"]["cups"] == 5);
    ensure!(made.state() == v1::PurchaseState::Committed && made.applied);
    ensure!(made.decide_time.is_some());
    ensure!(made.transaction_id.starts_with("shop.1."), "{made:?}");
    let found = client.find("p-1").await?;
    ensure!(found == made, "{found:?} is not {made:?}");
    let unknown = client.find("p-2").await.unwrap_err();
    assert_reason(&unknown, Code::NotFound, "PURCHASE_NOT_FOUND");
    world
        .judge(&[Asked {
            purchase: wanted,
            answers: vec![Answer::of(&Ok(made))],
        }])
        .await?;
    Ok(())
}

async fn purchase_commits_over_sidecars(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let made = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    ensure_committed(&made)?;
    let refused = client.submit(&purchase("p-2", &[("tea", 9)])).await;
    assert_reason(
        refused.as_ref().unwrap_err(),
        Code::FailedPrecondition,
        "INSUFFICIENT_STOCK",
    );
    world.judge(&[made]).await?;
    Ok(())
}

async fn purchase_commits_with_stock_in_a_hash(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    world.stores.seed("cups", 1).await?;
    let client = world.coordinator.client();
    let first = ask(&client, &purchase("p-1", &[("tea", 2), ("cups", 1)])).await;
    ensure_committed(&first)?;
    let second = ask(&client, &purchase("p-2", &[("tea", 2), ("cups", 1)])).await;
    ensure!(matches!(&second.answers[0], Answer::Refused { .. }));
    ensure!(world.stores.stock("tea").await? == Some(8));
    world.judge(&[first, second]).await?;
    Ok(())
}

async fn purchase_commits_with_stock_in_products(world: &World) -> Result<()> {
    purchase_commits_with_stock_in_a_hash(world).await
}

async fn answer_at_the_decision_is_true_later(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let client = world.coordinator.client();
    let mut asked = Vec::new();
    for number in 0..10 {
        let mut wanted = purchase(&format!("p-{number}"), &[("tea", 1)]);
        wanted.wait_for = v1::WaitFor::Decided.into();
        asked.push(ask(&client, &wanted).await);
        ensure_committed(&asked[number])?;
    }
    let books = world.judge(&asked).await?;
    ensure!(books.committed == 10);
    ensure!(client.find("p-9").await?.applied);
    Ok(())
}

async fn repeated_purchase_gets_the_same_answer(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let wanted = purchase("p-1", &[("tea", 2)]);
    let unwanted = purchase("p-2", &[("tea", 20)]);
    let mut asked = [
        Asked {
            purchase: wanted,
            answers: Vec::new(),
        },
        Asked {
            purchase: unwanted,
            answers: Vec::new(),
        },
    ];
    // Twice to the same process, then to one that knows it from the log only.
    for life in 0..2 {
        let client = world.coordinator.client();
        for one in &mut asked {
            for _ in 0..2 {
                one.answers
                    .push(Answer::of(&client.submit(&one.purchase).await));
            }
        }
        if life == 0 {
            world.coordinator.kill9()?;
            world.start_again().await?;
        }
    }
    for one in &asked {
        ensure!(one.answers.iter().all(|a| *a == one.answers[0]), "{one:?}");
        ensure!(one.answers[0].is_final(), "{one:?}");
    }
    ensure!(world.stores.stock("tea").await? == Some(8));
    world.judge(&asked).await?;
    Ok(())
}

async fn purchases_at_once_under_one_id_are_one(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let client = world.coordinator.client();
    let wanted = purchase("p-1", &[("tea", 2)]);
    let all = join_all((0..12).map(|_| ask(&client, &wanted))).await;
    for one in &all {
        ensure!(one.answers == all[0].answers, "{one:?} is not {:?}", all[0]);
        ensure_committed(one)?;
    }
    ensure!(world.stores.stock("tea").await? == Some(98));
    world.judge(&all).await?;
    Ok(())
}

async fn purchase_id_with_another_content_is_refused(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let client = world.coordinator.client();
    let first = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    ensure_committed(&first)?;
    let mut others = vec![
        purchase("p-1", &[("tea", 3)]),
        purchase("p-1", &[("cups", 2)]),
    ];
    let mut dearer = purchase("p-1", &[("tea", 2)]);
    dearer.items[0].unit_price_minor = 2;
    others.push(dearer);
    for other in &others {
        let status = client.submit(other).await.unwrap_err();
        assert_reason(&status, Code::AlreadyExists, "PURCHASE_ID_REUSED");
    }
    // Two contents at once: whichever comes first is made, the other refused.
    let contents = [
        purchase("p-2", &[("tea", 5)]),
        purchase("p-2", &[("tea", 6)]),
    ];
    let both = join_all(contents.iter().map(|one| client.submit(one))).await;
    ensure!(both.iter().filter(|one| one.is_ok()).count() == 1);
    let status = both.iter().find_map(|one| one.as_ref().err()).unwrap();
    assert_reason(status, Code::AlreadyExists, "PURCHASE_ID_REUSED");
    let winner = usize::from(both[1].is_ok());
    let second = Asked {
        purchase: contents[winner].clone(),
        answers: vec![Answer::of(&both[winner])],
    };
    world.judge(&[first, second]).await?;
    Ok(())
}

async fn purchases_that_come_together_share_transactions(world: &World) -> Result<()> {
    const MANY: usize = 64;
    world.stores.seed("tea", 1_000).await?;
    let client = world.coordinator.client();
    let wanted: Vec<_> = (0..MANY)
        .map(|number| purchase(&format!("p-{number}"), &[("tea", 1)]))
        .collect();
    let all = join_all(wanted.iter().map(|one| ask(&client, one))).await;
    let mut transactions = BTreeSet::new();
    for one in &all {
        let Answer::Committed { transaction } = &one.answers[0] else {
            anyhow::bail!("{one:?}");
        };
        transactions.insert(transaction);
    }
    ensure!(
        transactions.len() < MANY / 2,
        "{MANY} purchases took {} transactions",
        transactions.len()
    );
    world.judge(&all).await?;
    Ok(())
}

async fn client_that_hangs_up_changes_nothing(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000).await?;
    let client = world.coordinator.client();
    let mut asked = Vec::new();
    for number in 0..40_u64 {
        let wanted = purchase(&format!("p-{number}"), &[("tea", 1)]);
        // Dropping the call resets its stream, at another moment of the purchase each time.
        let call = client.submit(&wanted);
        let answers = match tokio::time::timeout(Duration::from_micros(400 * number), call).await {
            Ok(answer) => vec![Answer::of(&answer)],
            Err(_) => vec![Answer::Unknown {
                what: "hung up".to_owned(),
            }],
        };
        asked.push(Asked {
            purchase: wanted,
            answers,
        });
    }
    world.judge(&asked).await?;
    for one in &mut asked {
        ask_until_final(world, one).await?;
        ensure_committed(one)?;
    }
    world.judge(&asked).await?;
    Ok(())
}
