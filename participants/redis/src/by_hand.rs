//! What a person must do at the server when no coordinator can.

use std::collections::BTreeMap;

use tandem_protocol::{Entry, ParticipantName, TransactionId};

use crate::keys::{Keys, member};
use crate::settings::{Pattern, StockPlace, default_key_prefix};

/// How to carry out a commit decision with a client of the server: text for a person. It is written for
/// stock in keys of its own and for the default prefix, since the log does not know the settings.
pub fn commit_by_hand(
    transaction: &TransactionId,
    participant: &ParticipantName,
    entries: &[Entry],
) -> String {
    let mut units: BTreeMap<&str, u64> = BTreeMap::new();
    for item in entries.iter().flat_map(|entry| &entry.purchase.items) {
        *units.entry(&item.sku).or_default() += u64::from(item.quantity);
    }
    let units: Vec<String> = units
        .iter()
        .map(|(sku, quantity)| format!("{sku} by {quantity}"))
        .collect();
    let place = StockPlace::Keys(Pattern::default());
    let keys = Keys::new(default_key_prefix(), participant.clone(), &place);
    let (row, place) = keys.witness(transaction);
    format!(
        "done when ZSCORE {} {} gives a number, or when character {place} of GET {row} is 1 (with a \
         stock hash: HGET HASH {row}); if neither, the stock is to be reduced: {} (units that are still \
         held for it are in HGETALL {})",
        keys.committed(&transaction.coordinator),
        member(transaction),
        units.join(", "),
        keys.holds(&keys.branch(transaction)),
    )
}
