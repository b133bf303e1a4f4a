//! What a store remembers of transactions that have ended, and what it may forget.

use std::sync::Arc;

use super::Bench;
use super::scene::{Checked, Scene, ensure, expect_fenced, settle};
use crate::{BranchState, CommitEvidence, Enlisted, Forget, Recall};

pub(super) async fn inspect_tells_prepared_committed_rolled_back(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let when = "before prepare";
    let unknown = scene.next();
    scene
        .expect_state(&unknown, BranchState::Absent, when)
        .await?;

    let when = "after prepare";
    let entries = [scene.good().await?];
    let committed = scene.prepared(&entries).await?;
    let rolled_back = scene.prepared(&[scene.good().await?]).await?;
    for transaction in [&committed, &rolled_back, &committed] {
        scene
            .expect_state(transaction, BranchState::Prepared, when)
            .await?;
    }
    scene.commit(&committed, &entries).await?;
    scene.roll_back(&rolled_back).await?;
    scene
        .expect_state(&committed, BranchState::Committed, "after commit")
        .await?;
    scene
        .expect_state(&rolled_back, BranchState::RolledBack, "after roll back")
        .await
}

pub(super) async fn newest_committed_names_the_last_commit(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    ensure!(
        scene.enlisted.newest_committed.is_empty(),
        "expected no commits of a new coordinator, got {:?}",
        scene.enlisted.newest_committed
    );
    let entries = [scene.good().await?];
    let committed = scene.committed(&entries).await?;
    let rolled_back = scene.prepared(&[scene.good().await?]).await?;
    scene.roll_back(&rolled_back).await?;
    let prepared = scene.prepared(&[scene.good().await?]).await?;
    let scene = scene.restart().await?;
    let newest = &scene.enlisted.newest_committed;
    ensure!(
        newest == std::slice::from_ref(&committed),
        "expected {committed} alone to be named as committed, got {newest:?}"
    );
    scene.roll_back(&prepared).await.map(|_| ())
}

pub(super) async fn newest_committed_keeps_the_newest_of_many(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let mut scene = Scene::open(&bench).await?;
    let mut last = Vec::new();
    for epoch in 0..2 {
        if epoch > 0 {
            scene = scene.next_epoch().await?;
        }
        for _ in 0..(Enlisted::NEWEST_COMMITTED_MAX / 2 + 3) {
            last.push(scene.committed(&[scene.good().await?]).await?);
        }
    }
    let scene = scene.next_epoch().await?;
    let newest = &scene.enlisted.newest_committed;
    ensure!(
        newest.len() <= Enlisted::NEWEST_COMMITTED_MAX,
        "expected at most {} to be named, got {}",
        Enlisted::NEWEST_COMMITTED_MAX,
        newest.len()
    );
    // A log that lacks the newest decisions is recognised by any one of them that is named.
    let newest_of_all = &last[last.len() - 1];
    ensure!(
        newest.contains(newest_of_all),
        "expected the newest commit, {newest_of_all}, to be named, got {newest:?}"
    );
    Ok(())
}

pub(super) async fn newest_committed_names_no_other_coordinators(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let (one, other) = (Scene::open(&bench).await?, Scene::open(&bench).await?);
    let ours = one.committed(&[one.good().await?]).await?;
    other.committed(&[other.good().await?]).await?;
    let one = one.next_epoch().await?;
    let newest = &one.enlisted.newest_committed;
    ensure!(
        newest == std::slice::from_ref(&ours),
        "expected {ours} alone to be named as committed, got {newest:?}"
    );
    Ok(())
}

pub(super) async fn forget_keeps_the_excepted(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let mut entries = Vec::new();
    let mut transactions = Vec::new();
    for _ in 0..3 {
        let entry = scene.good().await?;
        transactions.push(scene.committed(std::slice::from_ref(&entry)).await?);
        entries.push(entry);
    }
    let forget = Forget {
        before: transactions[2].clone(),
        except: vec![transactions[0].clone()],
        closed: None,
        caller_epoch: scene.enlist.epoch,
    };
    for _ in 0..2 {
        settle("forget", || scene.participant.forget(&forget)).await?;
    }
    for kept in [0, 2] {
        let (transaction, entry) = (&transactions[kept], &entries[kept]);
        let when = "after a forget that keeps it";
        scene
            .expect_state(transaction, BranchState::Committed, when)
            .await?;
        let again = scene
            .commit(transaction, std::slice::from_ref(entry))
            .await?;
        ensure!(
            again.evidence == CommitEvidence::AlreadyApplied,
            "{when}: expected {transaction} to be known as committed, got {again:?}"
        );
    }
    for entry in &entries {
        scene.expect_effects(entry, 1, "after forget").await?;
    }
    Ok(())
}

pub(super) async fn forget_touches_no_other_coordinator(bench: Arc<dyn Bench>) -> Checked<()> {
    let (one, other) = (Scene::open(&bench).await?, Scene::open(&bench).await?);
    let entries = [other.good().await?];
    let theirs = other.committed(&entries).await?;
    for _ in 0..3 {
        one.committed(&[one.good().await?]).await?;
    }
    let forget = Forget {
        before: one.next(),
        except: Vec::new(),
        closed: None,
        caller_epoch: one.enlist.epoch,
    };
    settle("forget", || one.participant.forget(&forget)).await?;
    let when = "after another coordinator's forget";
    other
        .expect_state(&theirs, BranchState::Committed, when)
        .await?;
    other.commit(&theirs, &entries).await?;
    other.expect_effects(&entries[0], 1, when).await
}

pub(super) async fn recall_names_what_is_not_committed(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let committed = scene.committed(&[scene.good().await?]).await?;
    let prepared = scene.prepared(&[scene.good().await?]).await?;
    let rolled_back = scene.prepared(&[scene.good().await?]).await?;
    scene.roll_back(&rolled_back).await?;
    let unknown = scene.next();
    let recall = Recall {
        coordinator: scene.enlist.coordinator.clone(),
        caller_epoch: scene.enlist.epoch,
        transactions: vec![
            unknown.clone(),
            rolled_back.clone(),
            committed.clone(),
            prepared.clone(),
        ],
    };
    let recalled = settle("recall", || scene.participant.recall(&recall)).await?;
    let mut forgotten = recalled.forgotten;
    forgotten.sort_unstable();
    ensure!(
        forgotten == [prepared.clone(), rolled_back, unknown],
        "expected all but {committed} to be named as not committed, got {forgotten:?}"
    );
    let nothing = Recall {
        transactions: Vec::new(),
        ..recall
    };
    let recalled = settle("recall of nothing", || scene.participant.recall(&nothing)).await?;
    ensure!(
        recalled.forgotten.is_empty(),
        "expected nothing to be named where nothing was asked, got {recalled:?}"
    );
    scene.roll_back(&prepared).await.map(|_| ())
}

pub(super) async fn recall_from_an_older_epoch_is_fenced(bench: Arc<dyn Bench>) -> Checked<()> {
    let old = Scene::open(&bench).await?;
    let committed = old.committed(&[old.good().await?]).await?;
    old.next_epoch().await?;
    let recall = Recall {
        coordinator: old.enlist.coordinator.clone(),
        caller_epoch: old.enlist.epoch,
        transactions: vec![committed],
    };
    let answer = old.participant.recall(&recall).await;
    expect_fenced("recall by epoch 1 after epoch 2 enlisted", answer)
}

pub(super) async fn describe_names_the_store(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let description = settle("describe", || scene.participant.describe()).await?;
    ensure!(
        !description.kind.is_empty() && !description.server.is_empty(),
        "expected a kind and a server, got {description:?}"
    );
    ensure!(
        description.incarnation == scene.enlisted.incarnation,
        "expected the incarnation that enlist named, {:?}, got {description:?}",
        scene.enlisted.incarnation
    );
    Ok(())
}

pub(super) async fn reconnecting_changes_nothing(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.good().await?;
    let prepared = scene.prepared(std::slice::from_ref(&entry)).await?;
    for _ in 0..2 {
        settle("reconnect", || scene.participant.reconnect()).await?;
    }
    scene.expect_effects(&entry, 0, "reconnected").await?;
    scene
        .commit(&prepared, std::slice::from_ref(&entry))
        .await?;
    scene.expect_effects(&entry, 1, "committed").await
}
