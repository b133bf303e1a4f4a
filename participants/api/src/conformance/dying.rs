//! Participants that start anew and stores that are killed.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tandem_protocol::{Entry, TransactionId};

use super::scene::{
    Checked, PREPARE_TIMEOUT, Scene, answered, ensure, expect_fenced, promises, settle,
};
use super::{Bench, unique_id};
use crate::{BranchState, CommitEvidence, Enlist, Error, Vote};

/// How long a call to a dead store may take beyond its own time.
const DEAD_CALL_MARGIN: Duration = Duration::from_secs(15);

/// How many transactions run while the store is killed.
const TRANSACTIONS: usize = 16;

pub(super) async fn prepared_branch_is_committed_by_a_new_participant_object(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [bench.good_entry(0).await?, bench.good_entry(1).await?];
    let transaction = scene.prepared(&entries).await?;
    let scene = scene.restart().await?;
    let when = "after a restart of the participant";
    scene.expect_listed(&transaction, true, when).await?;
    scene
        .expect_state(&transaction, BranchState::Prepared, when)
        .await?;
    scene.commit(&transaction, &entries).await?;
    let when = "after the commit by a new participant";
    for entry in &entries {
        scene.expect_effects(entry, 1, when).await?;
    }
    scene.expect_listed(&transaction, false, when).await
}

pub(super) async fn prepared_branch_is_rolled_back_by_a_new_participant_object(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.exclusive().await?;
    let transaction = scene.prepared(std::slice::from_ref(&entry)).await?;
    let scene = scene.restart().await?;
    scene.roll_back(&transaction).await?;
    let when = "after the roll back by a new participant";
    scene.expect_listed(&transaction, false, when).await?;
    scene.expect_effects(&entry, 0, when).await?;
    scene.expect_free(&entry, when).await
}

pub(super) async fn committed_is_known_to_a_new_participant_object(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.committed(&entries).await?;
    let scene = scene.restart().await?;
    let again = scene.commit(&transaction, &entries).await?;
    ensure!(
        again.evidence == CommitEvidence::AlreadyApplied,
        "expected a new participant to know that {transaction} was committed, got {again:?}"
    );
    let when = "after a repeated commit by a new participant";
    scene.expect_effects(&entries[0], 1, when).await
}

pub(super) async fn prepared_branch_survives_a_killed_store(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [bench.good_entry(0).await?, bench.good_entry(1).await?];
    let exclusive = scene.exclusive().await?;
    let committed = scene.prepared(&entries).await?;
    let rolled_back = scene.prepared(std::slice::from_ref(&exclusive)).await?;
    restart_store(&bench).await?;
    enlist_again(&scene).await?;

    let when = "after the store was killed and started";
    for transaction in [&committed, &rolled_back] {
        scene.expect_listed(transaction, true, when).await?;
    }
    scene.commit(&committed, &entries).await?;
    scene.roll_back(&rolled_back).await?;
    for entry in &entries {
        scene.expect_effects(entry, 1, when).await?;
    }
    scene
        .expect_nothing_left(&rolled_back, &exclusive, when)
        .await
}

pub(super) async fn committed_survives_a_killed_store(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.committed(&entries).await?;
    restart_store(&bench).await?;
    enlist_again(&scene).await?;

    let when = "after the store was killed and started";
    scene.expect_effects(&entries[0], 1, when).await?;
    scene.commit(&transaction, &entries).await?;
    let when = "after the commit was repeated at the store that was killed";
    scene.expect_effects(&entries[0], 1, when).await?;
    scene
        .expect_state(&transaction, BranchState::Committed, when)
        .await?;
    let scene = scene.next_epoch().await?;
    let newest = &scene.enlisted.newest_committed;
    ensure!(
        newest.contains(&transaction),
        "{when}: expected {transaction} among the newest commits, got {newest:?}"
    );
    Ok(())
}

pub(super) async fn rolled_back_survives_a_killed_store(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.exclusive().await?;
    let entries = std::slice::from_ref(&entry);
    let transaction = scene.prepared(entries).await?;
    scene.roll_back(&transaction).await?;
    restart_store(&bench).await?;
    enlist_again(&scene).await?;

    let when = "after the store was killed and started";
    scene
        .expect_nothing_left(&transaction, &entry, when)
        .await?;
    let vote = scene.try_prepare(&transaction, entries).await;
    ensure!(
        matches!(vote, Ok(Vote::No { .. })),
        "{when}: expected a prepare of what was rolled back before to vote no, got {vote:?}"
    );
    Ok(())
}

pub(super) async fn epoch_survives_a_killed_store(bench: Arc<dyn Bench>) -> Checked<()> {
    let first = Scene::open(&bench).await?;
    let old = first.enlist.clone();
    let second = first.next_epoch().await?;
    restart_store(&bench).await?;
    for what in ["once", "twice"] {
        let answer = answered(|| second.participant.enlist(&old)).await;
        let what = format!("enlist of epoch 1, tried {what} after epoch 2 and a kill");
        expect_fenced(&what, answer)?;
    }
    let twin = Enlist {
        instance_id: unique_id("twin-"),
        ..second.enlist.clone()
    };
    let answer = answered(|| second.participant.enlist(&twin)).await;
    expect_fenced("enlist of another process in epoch 2 after a kill", answer)?;
    second.next_epoch().await?;
    Ok(())
}

pub(super) async fn dead_store_is_unavailable_within_bounded_time(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.exclusive().await?;
    let entries = std::slice::from_ref(&entry);
    let prepared = scene.prepared(&[scene.good().await?]).await?;
    bench.kill_store().await?;
    let asked = calls_to_a_dead_store(&scene, entries, &prepared).await;
    bench.start_store().await?;
    enlist_again(&scene).await?;
    let asked = asked?;
    for transaction in [&asked, &prepared] {
        scene.roll_back(transaction).await?;
    }
    let when = "after calls to a store that was dead";
    scene.expect_nothing_left(&asked, &entry, when).await
}

pub(super) async fn store_killed_under_load_ends_exact(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    for delay_ms in [0, 3, 10] {
        let mut entries = Vec::new();
        for _ in 0..TRANSACTIONS {
            entries.push([bench.good_entry(0).await?, bench.good_entry(1).await?]);
        }
        let run = |own| run_to_its_end(&scene, own);
        let kill = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            restart_store(&bench).await
        };
        let (ends, killed) = futures::join!(join_all(entries.iter().map(run)), kill);
        killed?;
        enlist_again(&scene).await?;
        for (end, own) in ends.into_iter().zip(&entries) {
            let (transaction, commits) = end?;
            let when = format!("after a kill of the store {delay_ms} ms into {transaction}");
            scene.expect_listed(&transaction, false, &when).await?;
            for entry in own {
                scene
                    .expect_effects(entry, u64::from(commits), &when)
                    .await?;
            }
        }
    }
    Ok(())
}

/// Prepares and ends a transaction as its vote says; returns whether it was committed.
async fn run_to_its_end(scene: &Scene, entries: &[Entry; 2]) -> Checked<(TransactionId, bool)> {
    let transaction = scene.next();
    let vote = scene.try_prepare(&transaction, entries).await;
    let commits = promises(&vote, 0) && promises(&vote, 1);
    loop {
        let ended = end(scene, &transaction, commits.then_some(entries)).await;
        match ended {
            Ok(()) => return Ok((transaction, commits)),
            Err(Error::NotEnlisted { .. }) => enlist_again(scene).await?,
            Err(error) => return Err(format!("end of {transaction}: {error:?}")),
        }
    }
}

/// Commits the entries, or rolls back where there are none.
async fn end(
    scene: &Scene,
    transaction: &TransactionId,
    committed: Option<&[Entry; 2]>,
) -> Result<(), Error> {
    let participant = &scene.participant;
    if let Some(entries) = committed {
        let commit = scene.commit_of(transaction, entries);
        return answered(|| participant.commit(&commit)).await.map(|_| ());
    }
    let roll_back = scene.roll_back_of(transaction);
    answered(|| participant.roll_back(&roll_back))
        .await
        .map(|_| ())
}

/// Asks a dead store; returns the transaction that it was asked to prepare.
async fn calls_to_a_dead_store(
    scene: &Scene,
    entries: &[Entry],
    prepared: &TransactionId,
) -> Checked<TransactionId> {
    let transaction = scene.next();
    let prepare = scene.try_prepare(&transaction, entries);
    expect_unavailable("prepare", PREPARE_TIMEOUT + DEAD_CALL_MARGIN, prepare).await?;
    let roll_back = scene.roll_back_of(prepared);
    let roll_back = scene.participant.roll_back(&roll_back);
    expect_unavailable("roll back", DEAD_CALL_MARGIN, roll_back).await?;
    let list = scene.participant.list_prepared();
    expect_unavailable("list prepared", DEAD_CALL_MARGIN, list).await?;
    Ok(transaction)
}

async fn expect_unavailable<T: Debug>(
    what: &str,
    limit: Duration,
    call: impl Future<Output = Result<T, Error>>,
) -> Checked<()> {
    let answer = tokio::time::timeout(limit, call).await;
    ensure!(
        matches!(answer, Ok(Err(Error::Unavailable { .. }))),
        "expected a {what} at a dead store to say within {limit:?} that it is unavailable, got \
         {answer:?}"
    );
    Ok(())
}

async fn restart_store(bench: &Arc<dyn Bench>) -> Checked<()> {
    bench.kill_store().await?;
    bench.start_store().await
}

/// As coordinators do before they ask a store for anything that was away.
async fn enlist_again(scene: &Scene) -> Checked<()> {
    let enlist = || scene.participant.enlist(&scene.enlist);
    settle("enlist after the store was started again", enlist).await?;
    Ok(())
}
