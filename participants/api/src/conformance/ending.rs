//! Commits and roll backs: once, with evidence, and never against each other.

use std::sync::Arc;

use super::Bench;
use super::scene::{Checked, Scene, ensure};
use crate::{CommitEvidence, Error, HeuristicKind};

pub(super) async fn commit_applies_every_entry_once(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let mut entries = Vec::new();
    for number in 0..5 {
        entries.push(bench.good_entry(number).await?);
    }
    let transaction = scene.prepared(&entries).await?;
    let committed = scene.commit(&transaction, &entries).await?;
    ensure!(
        committed.evidence == CommitEvidence::Applied,
        "expected a first commit to say that it applied, got {committed:?}"
    );
    for entry in &entries {
        scene.expect_effects(entry, 1, "after commit").await?;
    }
    Ok(())
}

pub(super) async fn commit_applies_once_when_repeated(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [bench.good_entry(0).await?, bench.good_entry(1).await?];
    let transaction = scene.committed(&entries).await?;
    for _ in 0..3 {
        let again = scene.commit(&transaction, &entries).await?;
        ensure!(
            again.evidence == CommitEvidence::AlreadyApplied,
            "expected a repeated commit to say that it was applied before, got {again:?}"
        );
        for entry in &entries {
            let when = "after a repeated commit";
            scene.expect_effects(entry, 1, when).await?;
        }
    }
    Ok(())
}

pub(super) async fn commit_applies_only_the_entries_that_it_names(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let mut entries = Vec::new();
    for number in 0..3 {
        entries.push(bench.exclusive_entry(number).await?);
    }
    let transaction = scene.prepared(&entries).await?;
    let survivors = [entries[0].clone(), entries[2].clone()];
    scene.commit(&transaction, &survivors).await?;
    let when = "after a commit that names entries 0 and 2 of 3";
    scene.expect_effects(&entries[0], 1, when).await?;
    scene.expect_effects(&entries[1], 0, when).await?;
    scene.expect_effects(&entries[2], 1, when).await?;
    scene.expect_listed(&transaction, false, when).await?;
    scene.expect_free(&entries[1], when).await
}

/// The store may redo the decision, or name what happened to the branch; "it is done" without an
/// effect loses a purchase.
pub(super) async fn commit_of_an_unknown_branch_never_claims_what_is_not_there(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.next();
    let commit = scene.commit_of(&transaction, &entries);
    let answer = scene.participant.commit(&commit).await;
    let effects = bench.effects(&entries[0]).await?;
    match &answer {
        Ok(committed) => {
            ensure!(
                effects == 1,
                "expected a commit that is said to be done to be in the store once, found \
                 {effects} after {answer:?}"
            );
            ensure!(
                committed.evidence == CommitEvidence::Redone,
                "expected a commit of a lost branch to say that it was redone, got {committed:?}"
            );
            scene.commit(&transaction, &entries).await?;
            let when = "after a repeated commit of a lost branch";
            scene.expect_effects(&entries[0], 1, when).await
        }
        Err(Error::Heuristic {
            kind: HeuristicKind::RolledBack,
            ..
        }) => {
            scene
                .expect_effects(&entries[0], 0, "after a named rollback")
                .await
        }
        Err(_) => Err(format!(
            "expected a commit of a lost branch to be redone or named a heuristic rollback, got \
             {answer:?}"
        )),
    }
}

pub(super) async fn commit_after_roll_back_never_claims_what_is_not_there(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.prepared(&entries).await?;
    scene.roll_back(&transaction).await?;
    let commit = scene.commit_of(&transaction, &entries);
    let answer = scene.participant.commit(&commit).await;
    let effects = bench.effects(&entries[0]).await?;
    let kept = match &answer {
        Ok(_) => effects == 1,
        Err(Error::Heuristic { .. }) => effects == 0,
        Err(_) => false,
    };
    ensure!(
        kept,
        "expected a commit after a roll back to be a heuristic error or to be in the store once, \
         got {answer:?} and {effects} effects"
    );
    Ok(())
}

pub(super) async fn roll_back_leaves_nothing(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.exclusive().await?;
    let transaction = scene.prepared(std::slice::from_ref(&entry)).await?;
    scene.roll_back(&transaction).await?;
    let when = "after roll back";
    scene.expect_listed(&transaction, false, when).await?;
    scene.expect_effects(&entry, 0, when).await?;
    scene.expect_free(&entry, when).await?;
    scene.committed(std::slice::from_ref(&entry)).await?;
    let when = "after another transaction committed what was rolled back";
    scene.expect_effects(&entry, 1, when).await
}

pub(super) async fn roll_back_of_unknown_is_fine(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let transaction = scene.next();
    scene.roll_back(&transaction).await?;
    let when = "after the roll back of an unknown transaction";
    scene.expect_listed(&transaction, false, when).await
}

pub(super) async fn roll_back_is_idempotent(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.exclusive().await?;
    let transaction = scene.prepared(std::slice::from_ref(&entry)).await?;
    for _ in 0..3 {
        scene.roll_back(&transaction).await?;
    }
    let other = scene.prepared(std::slice::from_ref(&entry)).await?;
    // A repeat must release what its own transaction held and nothing of anybody else's.
    scene.roll_back(&transaction).await?;
    let when = "after a repeated roll back of another transaction";
    scene.expect_listed(&other, true, when).await?;
    let third = scene.next();
    let vote = scene
        .try_prepare(&third, std::slice::from_ref(&entry))
        .await;
    ensure!(
        !super::scene::promises(&vote, 0),
        "{when}: expected {other} to keep what it holds, a third transaction got {vote:?}"
    );
    scene.roll_back(&third).await?;
    scene.commit(&other, std::slice::from_ref(&entry)).await?;
    scene.expect_effects(&entry, 1, when).await
}

pub(super) async fn roll_back_after_commit_is_a_heuristic_error(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.committed(&entries).await?;
    let roll_back = scene.roll_back_of(&transaction);
    let answer = scene.participant.roll_back(&roll_back).await;
    ensure!(
        matches!(
            answer,
            Err(Error::Heuristic {
                kind: HeuristicKind::Committed,
                ..
            })
        ),
        "expected the roll back of a committed transaction to be named a heuristic commit, got \
         {answer:?}"
    );
    let when = "after the refused roll back";
    scene.expect_effects(&entries[0], 1, when).await
}
