//! Clients that can't wait, and a queue that is full.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use tandem_tests::{Answer, Asked, Case, Setup, World, purchase};
use tonic::Code;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(deadline_before_the_decision_leaves_it_open on ONE),
    case!(deadline_after_the_decision_says_committed on ONE, with down),
    case!(full_queue_turns_away_with_a_hint on ONE, with short_queue),
    case!(one_id_from_many_connections_is_never_said_not_to_be_accepted on ONE, with short_queue),
];

fn short_queue() -> Setup {
    Setup {
        limits: "queue_purchases_max = 3\ntransaction_purchases_max = 1\n\
                 pipeline_transactions_max = 1\nsweep_interval_s = 1\nretry_backoff_max_ms = 300\n"
            .to_owned(),
        ..Setup::default()
    }
}

async fn deadline_before_the_decision_leaves_it_open(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let hasty = client.clone().with_deadline(Duration::from_millis(700));
    world.stores.redis.pause()?;
    let wanted = purchase("p-1", &[("tea", 1)]);
    let status = hasty.submit(&wanted).await.unwrap_err();
    assert_reason(&status, Code::DeadlineExceeded, "OUTCOME_UNKNOWN");
    world.stores.redis.resume()?;
    let mut asked = Asked {
        purchase: wanted,
        answers: vec![Answer::of(&Err(status))],
    };
    ask_until_final(world, &mut asked).await?;
    ensure_committed(&asked)?;
    world.judge(&[asked]).await?;
    Ok(())
}

async fn deadline_after_the_decision_says_committed(world: &World) -> Result<()> {
    world.start_to_end_at("decided:stop").await?;
    world.stores.seed("tea", 10).await?;
    let client = world.coordinator.client();
    let hasty = client.clone().with_deadline(Duration::from_secs(3));
    let wanted = purchase("p-1", &[("tea", 1)]);
    let answer = {
        let wanted = wanted.clone();
        tokio::spawn(async move { hasty.submit(&wanted).await })
    };
    world.coordinator.wait_stopped().await?;
    world.stores.redis.pause()?;
    // It stops at the commit of each participant, so it is told to go on more than once.
    while !answer.is_finished() {
        world.coordinator.resume()?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let status = answer.await?.unwrap_err();
    assert_reason(&status, Code::DeadlineExceeded, "OUTCOME_COMMITTED");
    world.coordinator.kill9()?;
    world.stores.redis.resume()?;
    world.start_again().await?;
    let mut asked = Asked {
        purchase: wanted,
        answers: vec![Answer::of(&Err(status))],
    };
    ask_until_final(world, &mut asked).await?;
    ensure_committed(&asked)?;
    world.judge(&[asked]).await?;
    Ok(())
}

async fn full_queue_turns_away_with_a_hint(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let client = world.coordinator.client();
    world.stores.redis.pause()?;
    let wanted: Vec<_> = (0..12)
        .map(|number| purchase(&format!("p-{number}"), &[("tea", 1)]))
        .collect();
    let calls = join_all(wanted.iter().map(|one| client.submit(one)));
    let resume = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.stores.redis.resume()
    };
    let (answers, resumed) = tokio::join!(calls, resume);
    resumed?;
    let mut asked = Vec::new();
    let mut full = 0;
    for (answer, wanted) in answers.iter().zip(&wanted) {
        if let Err(status) = answer {
            assert_reason(status, Code::ResourceExhausted, "QUEUE_FULL");
            assert_says_when_to_retry(status);
            full += 1;
        }
        asked.push(Asked {
            purchase: wanted.clone(),
            answers: vec![Answer::of(answer)],
        });
    }
    ensure!((1..12).contains(&full), "{full} of 12 were turned away");
    world.judge(&asked).await?;
    for one in &mut asked {
        ask_until_final(world, one).await?;
        ensure_committed(one)?;
    }
    world.judge(&asked).await?;
    Ok(())
}

/// More connections than the queue has places, and then more than may wait for one purchase.
async fn one_id_from_many_connections_is_never_said_not_to_be_accepted(
    world: &World,
) -> Result<()> {
    const WAITERS_MAX: usize = 64;
    world.stores.seed("tea", 100).await?;
    let mut all = Vec::new();
    for connections in [50_usize, 500] {
        let wanted = purchase(&format!("p-{connections}"), &[("tea", 1)]);
        let clients: Vec<_> = (0..connections)
            .map(|_| world.coordinator.client())
            .collect();
        // Hundreds that connect at once may be cut off by a busy machine before they have said a word.
        for client in &clients {
            let unknown = client.find("nobody").await.unwrap_err();
            ensure!(unknown.code() == Code::NotFound, "{unknown}");
        }
        world.stores.redis.pause()?;
        let mut calls: FuturesUnordered<_> = clients
            .iter()
            .map(|client| client.submit(&wanted))
            .collect();
        // While Redis stands still only those are answered that are too many, and all of those are.
        let mut answers = Vec::new();
        let too_many = connections.saturating_sub(WAITERS_MAX);
        let wait = if too_many == 0 {
            Duration::from_secs(1)
        } else {
            SOON
        };
        let turned_away = tokio::time::timeout(wait, async {
            while answers.len() < too_many.max(1) {
                answers.extend(calls.next().await);
            }
        });
        let _ = turned_away.await;
        ensure!(answers.len() == too_many, "{} were answered", answers.len());
        world.stores.redis.resume()?;
        answers.extend(calls.collect::<Vec<_>>().await);
        let mut unknown = 0;
        for answer in &answers {
            if let Err(status) = answer {
                assert_reason(status, Code::ResourceExhausted, "OUTCOME_UNKNOWN");
                assert_says_when_to_retry(status);
                unknown += 1;
            }
        }
        println!("{connections} connections: {unknown} are to ask again");
        ensure!(unknown == too_many, "{unknown} and not {too_many}");
        let mut asked = Asked {
            purchase: wanted,
            answers: answers.iter().map(Answer::of).collect(),
        };
        ask_until_final(world, &mut asked).await?;
        ensure_committed(&asked)?;
        all.push(asked);
    }
    ensure!(world.stores.stock("tea").await? == Some(98));
    world.judge(&all).await?;
    Ok(())
}
