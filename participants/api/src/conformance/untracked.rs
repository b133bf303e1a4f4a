//! Items of which there is no stock: shipping, gift wrap, a discount. They are written where purchases are, and
//! nothing is held or deducted for them.

use std::sync::Arc;

use tandem_protocol::{Entry, Item, Purchase};

use super::scene::{Checked, Scene, ensure, promises};
use super::{Bench, Capability, unique_id};
use crate::{BranchState, CommitEvidence, Vote};

/// A good entry's purchase with other items.
async fn with_items(
    bench: &Arc<dyn Bench>,
    number: u32,
    change: impl FnOnce(&mut Vec<Item>),
) -> Checked<Entry> {
    let entry = bench.good_entry(number).await?;
    let mut purchase = Purchase::clone(&entry.purchase);
    change(&mut purchase.items);
    Ok(Entry {
        number,
        purchase: Arc::new(purchase),
    })
}

/// An entry with nothing but what is not tracked, of skus that have stock all the same.
async fn untracked(bench: &Arc<dyn Bench>, number: u32) -> Checked<Entry> {
    with_items(bench, number, |items| {
        for item in items {
            item.untracked = true;
        }
    })
    .await
}

/// How often a committed purchase of untracked items is seen: a store of stock has no trace of it.
fn seen(bench: &Arc<dyn Bench>) -> u64 {
    u64::from(!bench.offers(Capability::KeepStock))
}

pub(super) async fn purchase_with_nothing_tracked_is_promised_and_committed(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [untracked(&bench, 0).await?, untracked(&bench, 1).await?];
    let transaction = scene.prepared(&entries).await?;
    let again = scene.try_prepare(&transaction, &entries).await;
    ensure!(
        again.is_err() || promises(&again, 0) && promises(&again, 1),
        "expected a repeated prepare not to stand in its own way, got {again:?}"
    );
    let when = "after the prepare of what is not tracked";
    scene.expect_listed(&transaction, true, when).await?;
    scene
        .expect_state(&transaction, BranchState::Prepared, when)
        .await?;
    // A process that was started anew recovers it.
    let scene = scene.restart().await?;
    let committed = scene.commit(&transaction, &entries).await?;
    ensure!(
        committed.evidence == CommitEvidence::Applied,
        "expected a commit of what is not tracked to be one, got {committed:?}"
    );
    for _ in 0..2 {
        let when = "after the commit of what is not tracked";
        for entry in &entries {
            scene.expect_effects(entry, seen(&bench), when).await?;
        }
        scene.expect_listed(&transaction, false, when).await?;
        scene
            .expect_state(&transaction, BranchState::Committed, when)
            .await?;
        let again = scene.commit(&transaction, &entries).await?;
        ensure!(
            again.evidence == CommitEvidence::AlreadyApplied,
            "expected a repeated commit to find it done, got {again:?}"
        );
    }
    Ok(())
}

pub(super) async fn purchase_with_nothing_tracked_is_rolled_back_and_repaired(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [untracked(&bench, 0).await?];
    let transaction = scene.prepared(&entries).await?;
    scene.roll_back(&transaction).await?;
    let when = "after the roll back of what is not tracked";
    scene
        .expect_nothing_left(&transaction, &entries[0], when)
        .await?;
    let late = scene.try_prepare(&transaction, &entries).await;
    ensure!(
        !matches!(&late, Ok(Vote::Yes { refused, .. }) if refused.is_empty()),
        "expected a late prepare to promise nothing, got {late:?}"
    );
    let repaired = scene.repair(&transaction, &entries).await?;
    ensure!(
        repaired.evidence == CommitEvidence::Redone && repaired.debts.is_empty(),
        "expected a repair of what was rolled back to say that it was redone, got {repaired:?}"
    );
    let when = "after the repair of what is not tracked";
    scene
        .expect_state(&transaction, BranchState::Committed, when)
        .await?;
    scene.expect_effects(&entries[0], seen(&bench), when).await
}

pub(super) async fn untracked_items_stand_beside_tracked_ones(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let shipped = with_items(&bench, 0, |items| {
        items.push(Item {
            sku: unique_id("ship-"),
            quantity: 1,
            untracked: true,
            ..Item::default()
        });
    })
    .await?;
    let entries = [shipped, untracked(&bench, 1).await?];
    let transaction = scene.committed(&entries).await?;
    let when = "after the commit of items of both kinds";
    scene.expect_effects(&entries[0], 1, when).await?;
    scene
        .expect_effects(&entries[1], seen(&bench), when)
        .await?;
    scene
        .expect_state(&transaction, BranchState::Committed, when)
        .await
}
