//! Repairs: what a person ended against the decision is done again, once.

use std::sync::Arc;

use super::Bench;
use super::scene::{Checked, Scene, ensure, expect_fenced, promises};
use crate::{BranchState, CommitEvidence};

pub(super) async fn repair_redoes_a_rolled_back_branch_once(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [bench.good_entry(0).await?, bench.good_entry(3).await?];
    let transaction = scene.prepared(&entries).await?;
    scene.roll_back(&transaction).await?;
    let repaired = scene.repair(&transaction, &entries).await?;
    ensure!(
        repaired.evidence == CommitEvidence::Redone && repaired.present.is_empty(),
        "expected a repair of what was rolled back to say that it was redone, got {repaired:?}"
    );
    let when = "after a repair";
    scene
        .expect_state(&transaction, BranchState::Committed, when)
        .await?;
    for _ in 0..2 {
        for entry in &entries {
            scene.expect_effects(entry, 1, when).await?;
        }
        let again = scene.repair(&transaction, &entries).await?;
        ensure!(
            again.evidence == CommitEvidence::AlreadyApplied,
            "expected a repeated repair to find its work done, got {again:?}"
        );
    }
    let again = scene.commit(&transaction, &entries).await?;
    ensure!(
        again.evidence == CommitEvidence::AlreadyApplied,
        "expected a commit after the repair to find it done, got {again:?}"
    );
    Ok(())
}

pub(super) async fn repair_of_a_committed_branch_changes_nothing(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.committed(&entries).await?;
    for _ in 0..2 {
        let repaired = scene.repair(&transaction, &entries).await?;
        ensure!(
            repaired.evidence == CommitEvidence::AlreadyApplied && repaired.debts.is_empty(),
            "expected a repair of a committed branch to find it done, got {repaired:?}"
        );
        let when = "after a repair that was not needed";
        scene.expect_effects(&entries[0], 1, when).await?;
    }
    Ok(())
}

pub(super) async fn repair_of_a_prepared_branch_commits_it(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.exclusive().await?];
    let transaction = scene.prepared(&entries).await?;
    scene.repair(&transaction, &entries).await?;
    let when = "after a repair of a prepared branch";
    scene.expect_effects(&entries[0], 1, when).await?;
    scene.expect_listed(&transaction, false, when).await?;
    scene
        .expect_state(&transaction, BranchState::Committed, when)
        .await
}

pub(super) async fn repair_from_an_older_epoch_is_fenced(bench: Arc<dyn Bench>) -> Checked<()> {
    let old = Scene::open(&bench).await?;
    let entries = [old.good().await?];
    let transaction = old.prepared(&entries).await?;
    old.roll_back(&transaction).await?;
    let new = old.next_epoch().await?;
    let commit = old.commit_of(&transaction, &entries);
    expect_fenced("repair", old.participant.repair(&commit).await)?;
    let when = "after a repair from an older epoch";
    new.expect_effects(&entries[0], 0, when).await?;
    // The coordinator's next start may repair what an earlier one has decided.
    new.repair(&transaction, &entries).await?;
    let when = "after a repair from the epoch enlisted";
    new.expect_effects(&entries[0], 1, when).await
}

pub(super) async fn prepare_after_repair_votes_no(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.prepared(&entries).await?;
    scene.roll_back(&transaction).await?;
    scene.repair(&transaction, &entries).await?;
    let vote = scene.try_prepare(&transaction, &entries).await;
    ensure!(
        !promises(&vote, 0),
        "expected a prepare after the repair to promise nothing, got {vote:?}"
    );
    scene
        .expect_effects(
            &entries[0],
            1,
            "after a prepare that came behind the repair",
        )
        .await
}
