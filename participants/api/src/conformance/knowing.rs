//! What a store is asked before anything is written to it, and what it must know of what it has
//! acknowledged.

use std::sync::Arc;

use tandem_protocol::{Epoch, TransactionId};

use super::scene::{Checked, PREPARE_TIMEOUT, Scene, ensure, settle};
use super::{Bench, unique_id};
use crate::clock;
use crate::{
    Acknowledged, CommitEvidence, Enlist, Error, Forget, KnownCoordinator, Look, Looked, Prepare,
    Vote, Voted,
};

/// More changes than any store makes while this suite runs.
const FAR_MORE_CHANGES: u64 = 1_000_000_000;

async fn look(scene: &Scene) -> Checked<Looked> {
    let look = Look {
        coordinator: scene.enlist.coordinator.clone(),
    };
    settle("look", || scene.participant.look(&look)).await
}

/// One call of prepare that says what the store has acknowledged.
async fn prepare(
    scene: &Scene,
    incarnation: &str,
    acknowledged: Acknowledged,
) -> Checked<(TransactionId, Result<Voted, Error>)> {
    let transaction = scene.next();
    let prepare = Prepare {
        transaction: transaction.clone(),
        entries: vec![scene.good().await?],
        participants: Vec::new(),
        incarnation: incarnation.to_owned(),
        acknowledged,
        begin_time: clock::now(),
        timeout: PREPARE_TIMEOUT,
    };
    let answer = scene.participant.prepare(&prepare).await;
    Ok((transaction, answer))
}

/// Expects that a store which lacks something has said so and has prepared nothing.
async fn expect_denied(
    scene: &Scene,
    what: &str,
    (transaction, answer): (TransactionId, Result<Voted, Error>),
) -> Checked<()> {
    ensure!(
        matches!(answer, Err(Error::NotEnlisted { .. })),
        "{what}: expected that the coordinator has to enlist again, got {answer:?}"
    );
    scene.expect_listed(&transaction, false, what).await
}

/// Expects a promise, and gives it back.
async fn expect_promised(
    scene: &Scene,
    what: &str,
    (transaction, answer): (TransactionId, Result<Voted, Error>),
) -> Checked<()> {
    match &answer {
        Ok(Voted {
            vote: Vote::Yes { refused, .. },
            ..
        }) if refused.is_empty() => scene.roll_back(&transaction).await.map(|_| ()),
        other => Err(format!(
            "{what}: expected yes with nothing refused, got {other:?}"
        )),
    }
}

fn committed(transactions: &[&TransactionId]) -> Acknowledged {
    Acknowledged {
        changes: 0,
        committed: transactions.iter().map(|id| (*id).clone()).collect(),
    }
}

pub(super) async fn look_knows_nothing_of_a_new_coordinator_and_leaves_nothing(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let participant = bench.participant().await?;
    let coordinator = unique_id("c")
        .parse()
        .map_err(|error| format!("the suite's own coordinator id: {error}"))?;
    let look = Look { coordinator };
    for time in ["the first", "the second"] {
        let looked = settle("look", || participant.look(&look)).await?;
        ensure!(
            looked == Looked::default(),
            "{time} look: expected nothing to be known of a new coordinator, got {looked:?}"
        );
    }
    let enlist = Enlist {
        coordinator: look.coordinator,
        log_id: unique_id("log-"),
        epoch: Epoch(1),
        instance_id: unique_id("run-"),
        acknowledged: Acknowledged::default(),
    };
    settle("enlist after a look", || participant.enlist(&enlist)).await?;
    Ok(())
}

pub(super) async fn look_tells_the_last_enlistment_and_the_newest_commits(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let transaction = scene.committed(&[scene.good().await?]).await?;
    let scene = scene.next_epoch().await?;
    let looked = look(&scene).await?;
    let known = KnownCoordinator {
        log_id: scene.enlist.log_id.clone(),
        epoch: scene.enlist.epoch,
        instance_id: scene.enlist.instance_id.clone(),
    };
    let expected = Looked {
        known: Some(known),
        newest_committed: vec![transaction],
    };
    ensure!(looked == expected, "expected {expected:?}, got {looked:?}");
    Ok(())
}

pub(super) async fn look_changes_nothing(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.prepared(&entries).await?;
    look(&scene).await?;
    let when = "after a look";
    scene.expect_listed(&transaction, true, when).await?;
    scene.expect_effects(&entries[0], 0, when).await?;
    let again = settle("enlist of the same instance", || {
        scene.participant.enlist(&scene.enlist)
    })
    .await?;
    ensure!(
        again.incarnation == scene.enlisted.incarnation,
        "{when}: expected the same life, {:?}, got {again:?}",
        scene.enlisted
    );
    scene.commit(&transaction, &entries).await?;
    scene.expect_effects(&entries[0], 1, when).await
}

pub(super) async fn prepare_that_carries_what_was_acknowledged_is_promised(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let mut acknowledged = Acknowledged::default();
    for _ in 0..Acknowledged::COMMITTED_MAX {
        let entries = [scene.good().await?];
        let transaction = scene.prepared(&entries).await?;
        let done = scene.commit(&transaction, &entries).await?;
        acknowledged.changes = acknowledged.changes.max(done.changes);
        acknowledged.committed.push(transaction);
    }
    let answer = prepare(&scene, &scene.enlisted.incarnation, acknowledged).await?;
    expect_promised(&scene, "prepare that carries the last commits", answer).await
}

pub(super) async fn prepare_that_carries_an_unknown_commit_prepares_nothing(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let life = &scene.enlisted.incarnation;
    let known = scene.committed(&[scene.good().await?]).await?;
    let rolled_back = scene.prepared(&[scene.good().await?]).await?;
    scene.roll_back(&rolled_back).await?;
    let unknown = scene.next();
    for (lost, what) in [
        (&unknown, "prepare that carries a commit that never was"),
        (&rolled_back, "prepare that carries what was rolled back"),
    ] {
        let answer = prepare(&scene, life, committed(&[&known, lost])).await?;
        expect_denied(&scene, what, answer).await?;
    }
    let answer = prepare(&scene, life, committed(&[&known])).await?;
    expect_promised(&scene, "the next one, which carries what is known", answer).await
}

pub(super) async fn prepare_that_carries_more_changes_than_were_made_prepares_nothing(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.prepared(&entries).await?;
    let done = scene.commit(&transaction, &entries).await?;
    if done.changes == 0 {
        // The store counts none.
        return Ok(());
    }
    let acknowledged = Acknowledged {
        changes: done.changes + FAR_MORE_CHANGES,
        committed: Vec::new(),
    };
    let answer = prepare(&scene, &scene.enlisted.incarnation, acknowledged).await?;
    expect_denied(&scene, "prepare that carries too many changes", answer).await
}

// Else a store that is put back in time and has lost nothing but roll backs goes on with their holds.
pub(super) async fn roll_back_is_counted_among_the_changes(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.good().await?];
    let transaction = scene.prepared(&entries).await?;
    let committed = scene.commit(&transaction, &entries).await?;
    if committed.changes == 0 {
        // The store counts none.
        return Ok(());
    }
    let transaction = scene.prepared(&entries).await?;
    let rolled_back = scene.roll_back(&transaction).await?;
    ensure!(
        rolled_back.changes >= committed.changes + 2,
        "a prepare and its roll back after {} changes: expected 2 more, got {}",
        committed.changes,
        rolled_back.changes
    );
    Ok(())
}

pub(super) async fn prepare_for_another_life_prepares_nothing(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    if scene.enlisted.incarnation.is_empty() {
        // The store tells nothing of its lives.
        return Ok(());
    }
    let another = unique_id("life-");
    let answer = prepare(&scene, &another, Acknowledged::default()).await?;
    expect_denied(&scene, "prepare for another life", answer).await
}

pub(super) async fn enlist_that_carries_an_unknown_commit_begins_another_life(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let before = &scene.enlisted.incarnation;
    if before.is_empty() {
        return Ok(());
    }
    let known = scene.committed(&[scene.good().await?]).await?;
    let again = Enlist {
        acknowledged: committed(&[&known]),
        ..scene.enlist.clone()
    };
    let what = "enlist that carries what is known";
    let enlisted = settle(what, || scene.participant.enlist(&again)).await?;
    ensure!(
        enlisted.incarnation == *before,
        "{what}: expected the same life, {before:?}, got {enlisted:?}"
    );
    let again = Enlist {
        acknowledged: committed(&[&known, &scene.next()]),
        ..scene.enlist.clone()
    };
    let what = "enlist that carries an unknown commit";
    let enlisted = settle(what, || scene.participant.enlist(&again)).await?;
    ensure!(
        !enlisted.incarnation.is_empty() && enlisted.incarnation != *before,
        "{what}: expected another life than {before:?}, got {enlisted:?}"
    );
    let answer = prepare(&scene, before, committed(&[&known])).await?;
    expect_denied(&scene, "prepare for the life before", answer).await?;
    let answer = prepare(&scene, &enlisted.incarnation, committed(&[&known])).await?;
    expect_promised(&scene, "prepare in the other life", answer).await
}

pub(super) async fn closed_transactions_are_not_prepared_any_more(
    bench: Arc<dyn Bench>,
) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.good().await?;
    let entries = std::slice::from_ref(&entry);
    let made = scene.committed(entries).await?;
    let (rolled_back, never_seen) = (scene.next(), scene.next());
    scene.roll_back(&rolled_back).await?;
    let open_entry = scene.good().await?;
    let open = scene.prepared(std::slice::from_ref(&open_entry)).await?;
    let forget = Forget {
        before: TransactionId {
            epoch: Epoch(0),
            sequence: 0,
            ..open.clone()
        },
        except: Vec::new(),
        closed: Some(open.clone()),
        caller_epoch: scene.enlist.epoch,
    };
    settle("forget", || scene.participant.forget(&forget)).await?;

    let late_entry = scene.exclusive().await?;
    for late in [&rolled_back, &never_seen] {
        let vote = scene
            .try_prepare(late, std::slice::from_ref(&late_entry))
            .await;
        ensure!(
            matches!(vote, Ok(Vote::No { .. })),
            "prepare of {late}, which is closed: expected no, got {vote:?}"
        );
    }
    let when = "after a closed transaction was to be prepared";
    scene.expect_free(&late_entry, when).await?;
    // Closing is not forgetting: what was committed is known, and what is open goes on.
    let again = scene.commit(&made, entries).await?;
    ensure!(
        again.evidence == CommitEvidence::AlreadyApplied,
        "commit of {made}, which is closed: expected it to be known as committed, got {again:?}"
    );
    scene.roll_back(&rolled_back).await?;
    scene
        .commit(&open, std::slice::from_ref(&open_entry))
        .await?;
    scene
        .expect_effects(&open_entry, 1, "after its commit")
        .await
}
