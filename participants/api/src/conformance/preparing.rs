//! Promises: given, refused, listed, and kept from others.

use std::sync::Arc;

use super::Bench;
use super::scene::{Checked, Scene, ensure, eventually, promises, settle};
use crate::convert::ENTRIES_MAX;
use crate::{Forget, Participant, Vote};

pub(super) async fn prepare_shows_nothing_before_commit(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [bench.good_entry(0).await?, bench.good_entry(1).await?];
    let transaction = scene.prepared(&entries).await?;
    for entry in &entries {
        scene.expect_effects(entry, 0, "after prepare").await?;
    }
    scene.commit(&transaction, &entries).await?;
    for entry in &entries {
        scene.expect_effects(entry, 1, "after commit").await?;
    }
    Ok(())
}

pub(super) async fn vote_names_the_incarnation_enlisted(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let transaction = scene.next();
    let entries = [scene.good().await?];
    let vote = scene.try_prepare(&transaction, &entries).await;
    scene.roll_back(&transaction).await?;
    let expected = &scene.enlisted.incarnation;
    ensure!(
        matches!(&vote, Ok(Vote::Yes { incarnation, .. }) if incarnation == expected),
        "expected a vote of incarnation {expected:?}, got {vote:?}"
    );
    Ok(())
}

pub(super) async fn repeated_prepare_never_doubles(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    for entry in [scene.good().await?, scene.exclusive().await?] {
        let entries = [entry];
        let transaction = scene.prepared(&entries).await?;
        let again = scene.try_prepare(&transaction, &entries).await;
        match &again {
            // A repeat may say that it can't be answered; the first promise stands.
            Err(_) => {}
            Ok(Vote::Yes { .. }) => ensure!(
                promises(&again, 0),
                "expected a repeated prepare not to stand in its own way, got {again:?}"
            ),
            Ok(Vote::No { .. }) => {
                return Err(format!(
                    "expected {transaction} to stay promised, its repeated prepare got {again:?}"
                ));
            }
        }
        let when = "after a repeated prepare";
        scene.expect_listed(&transaction, true, when).await?;
        scene.expect_effects(&entries[0], 0, when).await?;
        scene.commit(&transaction, &entries).await?;
        let when = "after the commit of a branch that was prepared twice";
        scene.expect_effects(&entries[0], 1, when).await?;
        scene.expect_listed(&transaction, false, when).await?;
    }
    let entry = scene.exclusive().await?;
    let entries = std::slice::from_ref(&entry);
    let transaction = scene.prepared(entries).await?;
    let _ = scene.try_prepare(&transaction, entries).await;
    scene.roll_back(&transaction).await?;
    let when = "after the roll back of a branch that was prepared twice";
    scene.expect_nothing_left(&transaction, &entry, when).await
}

pub(super) async fn prepared_entry_is_promised_once(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.exclusive().await?];
    let first = scene.prepared(&entries).await?;
    let second = scene.next();
    let vote = scene.try_prepare(&second, &entries).await;
    ensure!(
        !promises(&vote, 0),
        "expected what {first} holds not to be promised to {second} as well, got {vote:?}"
    );
    scene.roll_back(&second).await?;
    let when = "after another transaction wanted the same";
    scene.expect_listed(&first, true, when).await?;
    scene.commit(&first, &entries).await?;
    scene.expect_effects(&entries[0], 1, when).await
}

pub(super) async fn refused_entries_leave_the_others_prepared(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let good = [bench.good_entry(2).await?, bench.good_entry(9).await?];
    let bad = bench.refusable_entry(5).await?;
    let before = bench.effects(&bad).await?;
    let entries = [good[0].clone(), bad.clone(), good[1].clone()];
    let transaction = scene.next();
    let vote = scene.try_prepare(&transaction, &entries).await;
    let Ok(Vote::Yes { refused, .. }) = &vote else {
        return Err(format!("expected yes with entry 5 refused, got {vote:?}"));
    };
    let numbers: Vec<u32> = refused.iter().map(|entry| entry.number).collect();
    ensure!(
        numbers == [5],
        "expected entry 5 alone to be refused, got {refused:?}"
    );
    ensure!(
        !refused[0].refusal.detail.is_empty(),
        "expected a refusal that says why, got {refused:?}"
    );
    scene.commit(&transaction, &good).await?;
    for entry in &good {
        let when = "after the commit of the survivors";
        scene.expect_effects(entry, 1, when).await?;
    }
    let when = "after the commit of the others";
    scene.expect_effects(&bad, before, when).await
}

pub(super) async fn all_refused_leaves_nothing_prepared(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [
        bench.refusable_entry(0).await?,
        bench.refusable_entry(1).await?,
    ];
    let before = [
        bench.effects(&entries[0]).await?,
        bench.effects(&entries[1]).await?,
    ];
    let transaction = scene.next();
    let vote = scene.try_prepare(&transaction, &entries).await;
    ensure!(
        matches!(&vote, Ok(Vote::Yes { refused, .. }) if refused.len() == 2),
        "expected both entries to be refused each with its reason, got {vote:?}"
    );
    let when = "after a prepare whose entries were all refused";
    scene.expect_listed(&transaction, false, when).await?;
    for (entry, before) in entries.iter().zip(before) {
        scene.expect_effects(entry, before, when).await?;
    }
    scene.roll_back(&transaction).await.map(|_| ())
}

pub(super) async fn late_prepare_after_roll_back_votes_no(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.exclusive().await?;
    let entries = std::slice::from_ref(&entry);
    let prepared = scene.prepared(entries).await?;
    let unknown = scene.next();
    for transaction in [prepared, unknown] {
        scene.roll_back(&transaction).await?;
        let vote = scene.try_prepare(&transaction, entries).await;
        ensure!(
            matches!(vote, Ok(Vote::No { .. })),
            "expected a prepare after the roll back of {transaction} to vote no, got {vote:?}"
        );
        let when = "after a prepare that came too late";
        scene
            .expect_nothing_left(&transaction, &entry, when)
            .await?;
    }
    Ok(())
}

pub(super) async fn late_prepare_after_commit_votes_no(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.committed(&entries).await?;
    let vote = scene.try_prepare(&transaction, &entries).await;
    ensure!(
        matches!(vote, Ok(Vote::No { .. })),
        "expected a prepare after the commit of {transaction} to vote no, got {vote:?}"
    );
    let when = "after a prepare that came too late";
    scene.expect_listed(&transaction, false, when).await?;
    scene.expect_effects(&entries[0], 1, when).await
}

pub(super) async fn prepared_branch_is_listed_until_it_ends(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let (first, second) = (scene.good().await?, scene.good().await?);
    let committed = scene.prepared(std::slice::from_ref(&first)).await?;
    let rolled_back = scene.prepared(std::slice::from_ref(&second)).await?;
    for transaction in [&committed, &rolled_back] {
        scene
            .expect_listed(transaction, true, "after prepare")
            .await?;
    }
    scene.commit(&committed, &[first]).await?;
    scene
        .expect_listed(&committed, false, "after commit")
        .await?;
    let when = "after another's commit";
    scene.expect_listed(&rolled_back, true, when).await?;
    scene.roll_back(&rolled_back).await?;
    let when = "after roll back";
    scene.expect_listed(&rolled_back, false, when).await
}

pub(super) async fn another_coordinators_branch_is_listed_and_untouched(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let theirs = Scene::open(&bench).await?;
    let entries = [theirs.good().await?];
    let transaction = theirs.prepared(&entries).await?;

    let ours = Scene::open(&bench).await?;
    ours.committed(&[ours.good().await?]).await?;
    let ended = ours.prepared(&[ours.good().await?]).await?;
    ours.roll_back(&ended).await?;
    let forget = Forget {
        before: ours.next(),
        except: Vec::new(),
        closed: None,
        caller_epoch: ours.enlist.epoch,
    };
    settle("forget", || ours.participant.forget(&forget)).await?;
    let ours = ours.restart().await?;

    let when = "after another coordinator's work";
    ours.expect_listed(&transaction, true, when).await?;
    theirs.expect_effects(&entries[0], 0, when).await?;
    theirs.commit(&transaction, &entries).await?;
    theirs.expect_effects(&entries[0], 1, "after commit").await
}

pub(super) async fn large_transaction_commits_every_entry(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let mut entries = Vec::with_capacity(ENTRIES_MAX);
    for number in (0..).take(ENTRIES_MAX) {
        entries.push(bench.good_entry(number).await?);
    }
    let transaction = scene.prepared(&entries).await?;
    scene.commit(&transaction, &entries).await?;
    for entry in &entries {
        let when = "after the commit of a large transaction";
        scene.expect_effects(entry, 1, when).await?;
    }
    Ok(())
}

pub(super) async fn stock_tells_value_and_holds(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let item = &entries[0].purchase.items[0];
    let quantity = u64::from(item.quantity);
    let before = stock(&*scene.participant, &item.sku).await?;
    ensure!(
        before.holds.is_empty() && before.value.is_some(),
        "expected a value and no hold of a new sku, got {before:?}"
    );
    let transaction = scene.prepared(&entries).await?;
    let held = stock(&*scene.participant, &item.sku).await?;
    ensure!(
        held.value == before.value,
        "expected a prepare to leave the value {:?}, got {held:?}",
        before.value
    );
    let holders: Vec<_> = held
        .holds
        .iter()
        .map(|h| (&h.transaction, h.quantity))
        .collect();
    ensure!(
        holders == [(&transaction, quantity)],
        "expected {transaction} to hold {quantity} units, got {held:?}"
    );
    scene.commit(&transaction, &entries).await?;
    let after = eventually(|| async {
        let after = stock(&*scene.participant, &item.sku).await?;
        ensure!(
            after.holds.is_empty(),
            "expected no hold after commit, got {after:?}"
        );
        Ok(after)
    })
    .await?;
    let expected = before.value.map(|value| value - i64::from(item.quantity));
    ensure!(
        after.value == expected && after.debt == 0,
        "expected the value {expected:?} and no debt after commit, got {after:?}"
    );
    Ok(())
}

async fn stock(participant: &dyn Participant, sku: &str) -> Checked<crate::Stock> {
    settle("stock", || participant.stock(sku))
        .await?
        .ok_or_else(|| format!("expected the stock of {sku}, the participant keeps none"))
}
