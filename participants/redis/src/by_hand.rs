//! What a person must do at the server when no coordinator can.

use std::collections::BTreeMap;

use tandem_protocol::{Entry, TransactionId};

use crate::keys::member;

/// How to carry out a commit decision with a client of the server: text for a person.
pub fn commit_by_hand(transaction: &TransactionId, entries: &[Entry]) -> String {
    let mut units: BTreeMap<&str, u64> = BTreeMap::new();
    for item in entries.iter().flat_map(|entry| &entry.purchase.items) {
        *units.entry(&item.sku).or_default() += u64::from(item.quantity);
    }
    let units: Vec<String> = units
        .iter()
        .map(|(sku, quantity)| format!("{sku} by {quantity}"))
        .collect();
    format!(
        "done when ZSCORE tandem:committed:{} {} gives a number; if not, the stock is to be \
         reduced: {} (units that are still held for it are in HGETALL tandem:tx:{transaction})",
        transaction.coordinator,
        member(transaction),
        units.join(", ")
    )
}
