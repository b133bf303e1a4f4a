//! Lists of transactions, as statements and people have them.

use std::collections::BTreeMap;

use tandem_protocol::{Epoch, TransactionId};

/// The transactions of each epoch.
pub(crate) fn by_epoch(transactions: &[TransactionId]) -> BTreeMap<Epoch, Vec<&TransactionId>> {
    let mut by_epoch: BTreeMap<Epoch, Vec<&TransactionId>> = BTreeMap::new();
    for transaction in transactions {
        by_epoch
            .entry(transaction.epoch)
            .or_default()
            .push(transaction);
    }
    by_epoch
}

/// Their sequences as a list of SQL.
pub(crate) fn sequences(transactions: &[&TransactionId]) -> String {
    let texts: Vec<String> = transactions
        .iter()
        .map(|transaction| transaction.sequence.to_string())
        .collect();
    texts.join(", ")
}

/// Their ids, for people.
pub(crate) fn listed(transactions: &[TransactionId]) -> String {
    let texts: Vec<String> = transactions.iter().map(ToString::to_string).collect();
    texts.join(", ")
}
