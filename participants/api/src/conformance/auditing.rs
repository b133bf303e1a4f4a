//! What stores show to an audit.

use std::sync::Arc;

use tandem_protocol::{Entry, TransactionId};

use super::Bench;
use super::scene::{Checked, Scene, ensure};
use crate::audit_question::{AuditAnswer, AuditQuestion, KeptPurchase};
use crate::clock;

pub(super) async fn audit_names_what_ended_page_by_page(bench: Arc<dyn Bench>) -> Checked<()> {
    let (scene, other) = (Scene::open(&bench).await?, Scene::open(&bench).await?);
    other.committed(&[other.good().await?]).await?;
    let mut ended = Vec::new();
    for number in 0..5 {
        let entries = [scene.good().await?];
        if number == 2 {
            let transaction = scene.prepared(&entries).await?;
            scene.roll_back(&transaction).await?;
            ended.push((transaction, false));
        } else {
            ended.push((scene.committed(&entries).await?, true));
        }
    }
    let prepared = scene.prepared(&[scene.good().await?]).await?;
    for skipped in [0_usize, 3] {
        let after = skipped.checked_sub(1).map(|last| ended[last].0.clone());
        let named = remembered(&scene, after).await?;
        ensure!(
            named == ended[skipped..],
            "expected {:?} to be named, got {named:?}",
            &ended[skipped..]
        );
    }
    scene.roll_back(&prepared).await.map(|_| ())
}

async fn remembered(
    scene: &Scene,
    mut after: Option<TransactionId>,
) -> Checked<Vec<(TransactionId, bool)>> {
    let mut named = Vec::new();
    loop {
        let question = AuditQuestion::Memory {
            coordinator: scene.enlist.coordinator.clone(),
            after,
        };
        let AuditAnswer::Memory(page) = scene.audit(&question).await? else {
            return Err("expected a page of memory".into());
        };
        let more = page.transactions.into_iter();
        named.extend(more.map(|one| (one.transaction, one.committed)));
        match page.next {
            None => return Ok(named),
            next => after = next,
        }
    }
}

pub(super) async fn audit_shows_holds_and_their_sums(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entries = [scene.exclusive().await?];
    let transaction = scene.prepared(&entries).await?;
    for is_held in [true, false] {
        let AuditAnswer::Holdings(holdings) = scene.audit(&AuditQuestion::Holdings).await? else {
            return Err("expected holdings of a store that keeps stock".into());
        };
        let id = transaction.to_string();
        let hold = holdings.holds.iter().find(|hold| hold.transaction == id);
        ensure!(
            hold.is_some() == is_held,
            "expected {id} to hold units: {is_held}, got {hold:?}"
        );
        let Some(hold) = hold else {
            break;
        };
        ensure!(
            hold.units.len() == entries[0].purchase.items.len(),
            "expected a hold of each item, got {hold:?}"
        );
        // The skus are this case's own, so nobody else holds them.
        for units in &hold.units {
            let sum = holdings.held.iter().find(|sum| sum.stock == units.stock);
            ensure!(
                sum.is_some_and(|sum| sum.units == units.units),
                "expected the sum of {units:?}, got {sum:?}"
            );
        }
        scene.commit(&transaction, &entries).await?;
    }
    Ok(())
}

pub(super) async fn audit_counts_what_was_deducted(bench: Arc<dyn Bench>) -> Checked<()> {
    let (scene, other) = (Scene::open(&bench).await?, Scene::open(&bench).await?);
    let entries = [scene.good().await?];
    let Some(before) = counted(&scene, &entries[0]).await? else {
        return Ok(());
    };
    let transaction = scene.prepared(&entries).await?;
    let prepared = counted(&scene, &entries[0]).await?;
    ensure!(
        prepared == Some(before.clone()),
        "expected {before:?} to be counted before the commit, got {prepared:?}"
    );
    scene.commit(&transaction, &entries).await?;
    scene.commit(&transaction, &entries).await?;
    let given_up = scene.prepared(&entries).await?;
    scene.roll_back(&given_up).await?;
    other.committed(&entries).await?;
    let items = entries[0].purchase.items.iter();
    let due: Vec<u64> = items
        .zip(before)
        .map(|(item, before)| before + u64::from(item.quantity))
        .collect();
    let after = counted(&scene, &entries[0]).await?;
    ensure!(
        after == Some(due.clone()),
        "expected one commit's units to be counted for this coordinator, {due:?}, got {after:?}"
    );
    Ok(())
}

/// What the store has counted for the coordinator, item by item; `None` if it counts nothing.
async fn counted(scene: &Scene, entry: &Entry) -> Checked<Option<Vec<u64>>> {
    let items = entry.purchase.items.iter();
    let skus: Vec<String> = items.map(|item| item.sku.clone()).collect();
    let question = AuditQuestion::Deducted {
        coordinator: scene.enlist.coordinator.clone(),
        skus: skus.clone(),
    };
    match scene.audit(&question).await? {
        AuditAnswer::NotKept(_) => Ok(None),
        AuditAnswer::Deducted(counted) if counted.iter().map(|one| &one.sku).eq(&skus) => {
            Ok(Some(counted.iter().map(|one| one.deducted).collect()))
        }
        other => Err(format!("expected the counts of {skus:?}, got {other:?}")),
    }
}

pub(super) async fn audit_shows_the_rows_of_a_commit(bench: Arc<dyn Bench>) -> Checked<()> {
    let scene = Scene::open(&bench).await?;
    let entry = scene.good().await?;
    let id = &entry.purchase.purchase_id;
    let ask = AuditQuestion::Purchases {
        purchase_ids: vec![id.clone(), "nobody-bought-this".into()],
    };
    if let AuditAnswer::NotKept(_) | AuditAnswer::Uncompared(_) = scene.audit(&ask).await? {
        return Ok(());
    }
    let transaction = scene.prepared(std::slice::from_ref(&entry)).await?;
    let before = rows(scene.audit(&ask).await?)?;
    ensure!(
        before.is_empty(),
        "expected no rows before commit, got {before:?}"
    );
    let begin = clock::now();
    scene
        .commit(&transaction, std::slice::from_ref(&entry))
        .await?;
    let rows_after = rows(scene.audit(&ask).await?)?;
    let [row] = rows_after.as_slice() else {
        return Err(format!("expected one row, got {rows_after:?}"));
    };
    ensure!(
        row.purchase_id == *id,
        "expected the row of {id}, got {row:?}"
    );
    if let Some(items) = &row.items {
        let wanted = entry.purchase.items.len();
        ensure!(
            items.len() == wanted,
            "expected {wanted} items, got {items:?}"
        );
    }
    let mut after = String::new();
    loop {
        let question = AuditQuestion::Rows {
            since: tandem_protocol::Timestamp(begin.0.saturating_sub(60_000)),
            until: begin + std::time::Duration::from_secs(60),
            after,
        };
        match scene.audit(&question).await? {
            AuditAnswer::NotKept(_) => return Ok(()),
            AuditAnswer::Rows(page) if page.purchases.contains(row) => return Ok(()),
            AuditAnswer::Rows(page) => {
                after = page
                    .next
                    .ok_or_else(|| format!("expected {row:?} among the rows"))?;
            }
            other => return Err(format!("expected rows, got {other:?}")),
        }
    }
}

fn rows(answer: AuditAnswer) -> Checked<Vec<KeptPurchase>> {
    match answer {
        AuditAnswer::Purchases(rows) => Ok(rows.purchases),
        other => Err(format!("expected rows, got {other:?}")),
    }
}
