//! What a person must do at the server when no coordinator can.

use std::collections::BTreeMap;

use tandem_protocol::{Entry, TransactionId};

use crate::keys::{member, witness};

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
    let (row, place) = witness(transaction);
    format!(
        "done when ZSCORE tandem:committed:{coordinator} {} gives a number, or when character \
         {place} of HGET witness:tandem:{coordinator} {row} is 1; if neither, the stock is to be \
         reduced: {} (units that are still held for it are in HGETALL tandem:tx:{transaction})",
        member(transaction),
        units.join(", "),
        coordinator = transaction.coordinator,
    )
}
