//! What a person must do at the server when no coordinator can.

use std::collections::BTreeMap;

use tandem_protocol::{CoordinatorId, Entry, ParticipantName, TransactionId};

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
    let keys = default_keys(participant);
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

/// How to take back what somebody has committed against a decision: text for a person, with each
/// command between backticks, as [`commit_by_hand`] is.
pub fn take_back_by_hand(transaction: &TransactionId, participant: &ParticipantName) -> String {
    let keys = default_keys(participant);
    let (row, place) = keys.witness(transaction);
    format!(
        "give the units that were deducted for it back to the stock (what is still held for it comes back \
         by itself), then remove tandem's memory of it, `ZREM {} {}`; if character {place} of `GET {row}` \
         is 1, also `SETRANGE {row} {} 0`, and lower tandem's count of each sku by the same units (with a \
         stock hash both are fields of it)",
        keys.committed(&transaction.coordinator),
        member(transaction),
        place - 1,
    )
}

/// How to ask the store what it knows of a coordinator: the newest epoch and the newest commit that it
/// has seen. Text for a person, as [`commit_by_hand`] is.
pub fn newest_by_hand(coordinator: &CoordinatorId, participant: &ParticipantName) -> String {
    let keys = default_keys(participant);
    format!(
        "`HGET {} epoch` (its epoch), `ZRANGE {} -1 -1` (its newest commit, where `a3.d1042` is \
         {coordinator}.3.1042)",
        keys.coordinator(coordinator),
        keys.committed(coordinator),
    )
}

fn default_keys(participant: &ParticipantName) -> Keys {
    let place = StockPlace::Keys(Pattern::default());
    Keys::new(default_key_prefix(), participant.clone(), &place)
}
