//! Coordinators make themselves known, and stale ones are kept out.

use std::sync::Arc;

use tandem_protocol::Epoch;

use super::scene::{Checked, Scene, ensure, expect_fenced, settle};
use super::{Bench, unique_id};
use crate::{BranchState, Enlist, Forget};

pub(super) async fn enlist_accepts_a_later_epoch(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let scene = scene.next_epoch().await?;
    let mut far = scene.enlist.clone();
    far.epoch = Epoch(scene.enlist.epoch.0 + 1000);
    far.instance_id = unique_id("run-");
    settle("enlist of a much later epoch", || {
        scene.participant.enlist(&far)
    })
    .await?;
    Ok(())
}

pub(super) async fn enlist_accepts_the_same_instance_again(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let again = settle("enlist of the same instance", || {
        scene.participant.enlist(&scene.enlist)
    })
    .await?;
    ensure!(
        again == scene.enlisted,
        "expected the same answer, got first {:?}, then {again:?}",
        scene.enlisted
    );
    let other = bench.participant().await?;
    settle("enlist of the same instance at another object", || {
        other.enlist(&scene.enlist)
    })
    .await?;
    Ok(())
}

pub(super) async fn enlist_refuses_an_older_epoch(bench: Arc<dyn Bench>) -> Checked<()> {
    let first = Scene::open(&bench).await?;
    let old = first.enlist.clone();
    let second = first.restart().await?;
    let answer = second.participant.enlist(&old).await;
    expect_fenced("enlist of epoch 1 after epoch 2", answer)?;
    let answer = bench.participant().await?.enlist(&old).await;
    expect_fenced("enlist of epoch 1 after epoch 2 at another object", answer)?;
    settle("enlist of the current epoch afterwards", || {
        second.participant.enlist(&second.enlist)
    })
    .await?;
    Ok(())
}

pub(super) async fn enlist_refuses_the_same_epoch_of_another_instance(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let twin = Enlist {
        instance_id: unique_id("twin-"),
        ..scene.enlist.clone()
    };
    let answer = scene.participant.enlist(&twin).await;
    expect_fenced("enlist of a second process in the same epoch", answer)?;
    settle("enlist of the first process afterwards", || {
        scene.participant.enlist(&scene.enlist)
    })
    .await?;
    Ok(())
}

pub(super) async fn enlist_refuses_another_log(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    for epoch in [1, 2, 1000] {
        let other = Enlist {
            log_id: unique_id("log-"),
            epoch: Epoch(epoch),
            instance_id: unique_id("run-"),
            ..scene.enlist.clone()
        };
        let answer = scene.participant.enlist(&other).await;
        expect_fenced(&format!("enlist of another log with epoch {epoch}"), answer)?;
    }
    // What was refused must not have been remembered.
    scene.next_epoch().await?;
    Ok(())
}

pub(super) async fn commit_from_an_older_epoch_is_fenced(bench: Arc<dyn Bench>) -> Checked<()> {
    let old = Scene::open(&bench).await?;
    let entries = [old.good().await?];
    let transaction = old.prepared(&entries).await?;
    let new = old.next_epoch().await?;
    let commit = old.commit_of(&transaction, &entries);
    let answer = old.participant.commit(&commit).await;
    expect_fenced("commit by epoch 1 after epoch 2 enlisted", answer)?;
    let when = "after the fenced commit";
    new.expect_effects(&entries[0], 0, when).await?;
    new.expect_listed(&transaction, true, when).await?;
    new.commit(&transaction, &entries).await?;
    let when = "after the commit by epoch 2";
    new.expect_effects(&entries[0], 1, when).await
}

pub(super) async fn roll_back_from_an_older_epoch_is_fenced(bench: Arc<dyn Bench>) -> Checked<()> {
    let old = Scene::open(&bench).await?;
    let entries = [old.good().await?];
    let transaction = old.prepared(&entries).await?;
    let new = old.next_epoch().await?;
    let answer = old
        .participant
        .roll_back(&old.roll_back_of(&transaction))
        .await;
    expect_fenced("roll back by epoch 1 after epoch 2 enlisted", answer)?;
    new.expect_listed(&transaction, true, "after the fenced roll back")
        .await?;
    new.commit(&transaction, &entries).await?;
    new.expect_effects(&entries[0], 1, "after the commit by epoch 2")
        .await
}

pub(super) async fn forget_from_an_older_epoch_is_fenced(bench: Arc<dyn Bench>) -> Checked<()> {
    let old = Scene::open(&bench).await?;
    let entries = [old.good().await?];
    let transaction = old.committed(&entries).await?;
    let forget = Forget {
        before: old.next(),
        except: Vec::new(),
        closed: None,
        caller_epoch: old.enlist.epoch,
    };
    let new = old.next_epoch().await?;
    let answer = old.participant.forget(&forget).await;
    expect_fenced("forget by epoch 1 after epoch 2 enlisted", answer)?;
    let when = "after the fenced forget";
    new.expect_state(&transaction, BranchState::Committed, when)
        .await
}
