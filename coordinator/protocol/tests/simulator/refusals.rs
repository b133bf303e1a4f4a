//! Whether a refusal for want of units was true.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_protocol::{Action, Event, Purchase, Reason, Record, RefusedPurchase};

use crate::invariants::{Checked, check};
use crate::participant::{Kind, Store};
use crate::world::World;

/// Purchases that the coordinator was asked for and has not ended, and whether the units for each were
/// missing at some moment since.
#[derive(Default)]
pub(crate) struct Wanted(BTreeMap<String, (Arc<Purchase>, bool)>);

impl Wanted {
    /// Another process knows of no purchase.
    pub(crate) fn restarted(&mut self) {
        self.0.clear();
    }

    pub(crate) fn heard(&mut self, event: &Event) {
        if let Event::Submitted { purchase, .. } = event {
            let wanted = self.0.entry(purchase.purchase_id.clone());
            wanted.or_insert_with(|| (purchase.clone(), false));
        }
    }

    pub(crate) fn replied(&mut self, purchase: &Purchase) {
        self.0.remove(&purchase.purchase_id);
    }

    /// A record is on its way to the log. What it refuses for want of units lacked them at some moment
    /// since it was asked for, counting only what is held for transactions that might still commit.
    pub(crate) fn invariant_refusal_was_true(&self, action: &Action) -> Checked {
        let refused: &[RefusedPurchase] = match action {
            Action::Store {
                record: Record::Decided(decision),
                ..
            } => &decision.refused,
            Action::Store {
                record: Record::Refused { refused, .. },
                ..
            } => refused,
            _ => &[],
        };
        for refused in refused {
            let id = &refused.purchase_id;
            let was_missing = self.0.get(id).is_none_or(|(_, was_missing)| *was_missing);
            check(
                "invariant_refusal_was_true",
                refused.refusal.reason != Reason::InsufficientStock || was_missing,
                format!("the units for {id} were there, at each moment since it was asked for"),
            )?;
        }
        Ok(())
    }
}

impl World {
    /// Looks for which of the purchases that are wanted units are missing now.
    pub(crate) fn look_for_missing_units(&mut self) {
        let Some(process) = &self.process else {
            return;
        };
        let (epoch, ledger) = (process.epoch, &self.ledger);
        let is_stock = |store: &&Store| matches!(store.kind, Kind::Stock(_));
        let Some(store) = self.stores.values().find(is_stock) else {
            return;
        };
        let Kind::Stock(stock) = &store.kind else {
            return;
        };
        if self.wanted.0.is_empty() {
            return;
        }
        let held = store.held_for(|id| ledger.may_commit(id, epoch));
        let free = |sku: &String| {
            let value = stock.values.get(sku).copied().unwrap_or(0);
            value - held.get(sku).copied().unwrap_or(0)
        };
        for (purchase, was_missing) in self.wanted.0.values_mut() {
            let is_missing =
                |item: &tandem_protocol::Item| free(&item.sku) < i64::from(item.quantity);
            *was_missing = *was_missing || purchase.tracked().any(is_missing);
        }
    }
}
