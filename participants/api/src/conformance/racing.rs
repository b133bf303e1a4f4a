//! Calls that run at once, overtake each other, or are dropped half-way.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::join_all;
use tandem_protocol::TransactionId;

use super::Bench;
use super::scene::{Checked, Scene, ensure, promises};
use crate::Error;

/// How many calls race each other.
const RACERS: usize = 8;

/// How many transactions run at once.
const TRANSACTIONS: usize = 32;

/// A dropped call is dropped when it has waited this many times at most.
const DROP_POLLS_MAX: usize = 12;

pub(super) async fn commit_applies_once_when_repeated_concurrently(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    for _ in 0..4 {
        let entries = [scene.good().await?];
        let transaction = scene.prepared(&entries).await?;
        let commit = scene.commit_of(&transaction, &entries);
        let commits = (0..RACERS).map(|_| scene.participant.commit(&commit));
        for answer in join_all(commits).await {
            ensure!(
                matches!(
                    answer,
                    Ok(_) | Err(Error::Busy { .. } | Error::Unavailable { .. })
                ),
                "expected concurrent commits to be done or to be asked again, got {answer:?}"
            );
        }
        scene.commit(&transaction, &entries).await?;
        let when = "after concurrent commits";
        scene.expect_effects(&entries[0], 1, when).await?;
        scene.expect_listed(&transaction, false, when).await?;
    }
    Ok(())
}

pub(super) async fn contended_entry_is_promised_once(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    for _ in 0..4 {
        let entry = scene.exclusive().await?;
        let entries = std::slice::from_ref(&entry);
        let racers = (0..RACERS).map(|_| async {
            let transaction = scene.next();
            let vote = scene.try_prepare(&transaction, entries).await;
            (promises(&vote, 0), transaction)
        });
        let (won, lost): (Vec<_>, Vec<_>) = join_all(racers)
            .await
            .into_iter()
            .partition(|(promised, _)| *promised);
        ensure!(
            won.len() <= 1,
            "expected what one transaction can have to be promised once, it was promised to \
             {won:?}"
        );
        for (_, transaction) in &lost {
            scene.roll_back(transaction).await?;
        }
        let when = "after the losers were rolled back";
        match won.first() {
            Some((_, winner)) => {
                scene.expect_listed(winner, true, when).await?;
                scene.commit(winner, entries).await?;
                scene.expect_effects(&entry, 1, when).await?;
            }
            None => scene.expect_free(&entry, when).await?,
        }
    }
    Ok(())
}

pub(super) async fn roll_back_overtaking_a_prepare_leaves_nothing(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let behind = [0, 0, 1, 1, 2, 3, 5, 8, 13].map(|delay_ms| (0, delay_ms));
    let ahead = [0, 0, 1, 2].map(|delay_ms| (delay_ms, 0));
    for (prepare_ms, roll_back_ms) in behind.into_iter().chain(ahead) {
        let entry = scene.exclusive().await?;
        let transaction = scene.next();
        let prepare = async {
            pause(prepare_ms).await;
            scene
                .try_prepare(&transaction, std::slice::from_ref(&entry))
                .await
        };
        let roll_back = async {
            pause(roll_back_ms).await;
            scene.roll_back(&transaction).await
        };
        // What is named first is asked first.
        let rolled_back = if prepare_ms < roll_back_ms {
            futures::join!(prepare, roll_back).1
        } else {
            futures::join!(roll_back, prepare).0
        };
        rolled_back?;
        let when = format!(
            "after a prepare {prepare_ms} ms and its roll back {roll_back_ms} ms after the start"
        );
        scene
            .expect_nothing_left(&transaction, &entry, &when)
            .await?;
    }
    Ok(())
}

pub(super) async fn dropped_prepare_can_be_settled(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    for polls in 1..=DROP_POLLS_MAX {
        let entry = scene.exclusive().await?;
        let entries = std::slice::from_ref(&entry);
        let transaction = scene.next();
        drop_after(polls, scene.try_prepare(&transaction, entries)).await;
        scene.roll_back(&transaction).await?;
        let when = format!("after a prepare was dropped at its wait {polls} and rolled back");
        scene
            .expect_nothing_left(&transaction, &entry, &when)
            .await?;
    }
    Ok(())
}

pub(super) async fn dropped_commit_can_be_settled(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    for polls in 1..=DROP_POLLS_MAX {
        let entries = [bench.good_entry(0).await?, bench.good_entry(1).await?];
        let transaction = scene.prepared(&entries).await?;
        let commit = scene.commit_of(&transaction, &entries);
        drop_after(polls, scene.participant.commit(&commit)).await;
        scene.commit(&transaction, &entries).await?;
        let when = format!("after a commit was dropped at its wait {polls} and repeated");
        for entry in &entries {
            scene.expect_effects(entry, 1, &when).await?;
        }
        scene.expect_listed(&transaction, false, &when).await?;
    }
    Ok(())
}

pub(super) async fn dropped_roll_back_can_be_settled(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    for polls in 1..=DROP_POLLS_MAX {
        let entry = scene.exclusive().await?;
        let transaction = scene.prepared(std::slice::from_ref(&entry)).await?;
        let roll_back = scene.roll_back_of(&transaction);
        drop_after(polls, scene.participant.roll_back(&roll_back)).await;
        scene.roll_back(&transaction).await?;
        let when = format!("after a roll back was dropped at its wait {polls} and repeated");
        scene
            .expect_nothing_left(&transaction, &entry, &when)
            .await?;
    }
    Ok(())
}

pub(super) async fn many_concurrent_transactions_end_exact(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let mut entries = Vec::new();
    for _ in 0..TRANSACTIONS {
        let mut own = Vec::new();
        for number in 0..4 {
            own.push(bench.good_entry(number).await?);
        }
        entries.push(own);
    }
    let run = |index: usize| {
        let (scene, entries) = (&scene, &entries[index]);
        async move {
            let transaction = scene.next();
            let vote = scene.try_prepare(&transaction, entries).await;
            let commits = !index.is_multiple_of(3) && (0..4).all(|number| promises(&vote, number));
            if commits {
                scene.commit(&transaction, entries).await?;
                scene.commit(&transaction, entries).await?;
            } else {
                scene.roll_back(&transaction).await?;
                scene.roll_back(&transaction).await?;
            }
            Ok::<(TransactionId, bool), String>((transaction, commits))
        }
    };
    let mut committed = 0;
    for (index, end) in join_all((0..TRANSACTIONS).map(run))
        .await
        .into_iter()
        .enumerate()
    {
        let (transaction, commits) = end?;
        committed += u64::from(commits);
        let when = format!("after {TRANSACTIONS} concurrent transactions ended, {transaction}");
        scene.expect_listed(&transaction, false, &when).await?;
        for entry in &entries[index] {
            scene
                .expect_effects(entry, u64::from(commits), &when)
                .await?;
        }
    }
    ensure!(
        committed > 0,
        "expected some of {TRANSACTIONS} concurrent transactions to be promised, none was"
    );
    Ok(())
}

async fn pause(millis: u64) {
    if millis > 0 {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// Polls a future until it has been pending `polls` times, then drops it, as a caller does that
/// gave up. What it was waiting for may still happen.
async fn drop_after<F: Future>(polls: usize, future: F) {
    let mut future = Box::pin(future);
    let mut left = polls;
    poll_fn(move |context| match future.as_mut().poll(context) {
        Poll::Ready(_) => Poll::Ready(()),
        Poll::Pending if left <= 1 => Poll::Ready(()),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await;
}
