//! The idempotency index: every purchase with an outcome that the log holds, by its id.

use std::hash::{Hash, Hasher};

use crate::id::{CoordinatorId, Epoch, ParticipantName, TransactionId};
use crate::purchase::Refusal;
use crate::record::{Fingerprint, RefusedPurchase, digest};
use crate::unordered::UnorderedMap;

/// A purchase with an outcome that the log holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Past {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) outcome: Outcome,
    // Its transaction, without the coordinator's id, which is the same for all.
    epoch: Epoch,
    sequence: u64,
}

impl Past {
    pub(crate) fn new(fingerprint: Fingerprint, of: &TransactionId, outcome: Outcome) -> Past {
        Past {
            fingerprint,
            outcome,
            epoch: of.epoch,
            sequence: of.sequence,
        }
    }

    /// The transaction that decided it, of the coordinator whose history this is.
    pub(crate) fn transaction(&self, coordinator: &CoordinatorId) -> TransactionId {
        TransactionId {
            coordinator: coordinator.clone(),
            epoch: self.epoch,
            sequence: self.sequence,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Committed,
    Refused(Box<(ParticipantName, Refusal)>),
}

/// A purchase with its outcome, for the index.
pub(crate) type WithOutcome = (PurchaseKey, Fingerprint, Outcome);

/// What is remembered of a refusal.
pub(crate) fn past_refusal(refused: &RefusedPurchase) -> WithOutcome {
    let by = (refused.participant.clone(), refused.refusal.clone());
    let key = PurchaseKey::of(&refused.purchase_id);
    (key, refused.fingerprint, Outcome::Refused(Box::new(by)))
}

/// The first 16 bytes of the SHA-256 of a purchase id, which may itself be 64 bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PurchaseKey([u8; 16]);

impl PurchaseKey {
    pub(crate) fn of(purchase_id: &str) -> PurchaseKey {
        PurchaseKey(digest(purchase_id.as_bytes()))
    }

    fn head(self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

impl Hash for PurchaseKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.head());
    }
}

/// What is hashed is the head of a digest already.
#[derive(Debug, Clone, Default)]
struct Digested(u64);

impl Hasher for Digested {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, head: u64) {
        self.0 = head;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Index {
    purchases: UnorderedMap<PurchaseKey, Past, Digested>,
    /// While it is filled: what is put off, by the part of the map that it belongs into.
    later: Option<Vec<Vec<(PurchaseKey, Past)>>>,
}

/// Parts of the map that are filled one after the other. A part of a map of ten million, the most
/// that are remembered, stays within the processor's nearer caches.
const PARTS: usize = 256;

impl Index {
    /// An index that puts insertions off until [`Index::filled`].
    ///
    /// Ten million insertions as they come wait 0.5 us each, for memory; part by part, 0.15.
    pub(crate) fn filling() -> Index {
        Index {
            later: Some(Vec::new()),
            ..Index::default()
        }
    }

    /// Makes an index that was filled ready to be asked.
    pub(crate) fn filled(&mut self) {
        self.catch_up();
        self.later = None;
    }

    /// The purchase with this id. Not for an index that is being filled.
    pub(crate) fn get(&self, key: &PurchaseKey) -> Option<&Past> {
        debug_assert!(self.later.is_none(), "what is put off can't be seen");
        self.purchases.get(key)
    }

    pub(crate) fn insert(&mut self, key: PurchaseKey, past: Past) {
        let Some(parts) = &mut self.later else {
            self.purchases.insert(key, past);
            return;
        };
        if parts.is_empty() {
            parts.resize_with(PARTS, Vec::new);
        }
        // The map takes the hash's low bits for the place. These are the highest of the 24 that it
        // takes with ten million.
        let part = usize::from(key.0[2]);
        if let Some(part) = parts.get_mut(part) {
            part.push((key, past));
        }
    }

    /// Inserts what was put off. The same key is always in the same part, so the last one stays.
    fn catch_up(&mut self) {
        let later = self.later.as_mut().map(std::mem::take).unwrap_or_default();
        self.purchases.reserve(later.iter().map(Vec::len).sum());
        for (key, past) in later.into_iter().flatten() {
            self.purchases.insert(key, past);
        }
    }

    /// Removes the purchase with this id if it belongs to a transaction: a refused id may have come
    /// again and been decided anew.
    pub(crate) fn remove_if_of(&mut self, key: &PurchaseKey, transaction: &TransactionId) {
        self.catch_up();
        let is_of =
            |past: &Past| (past.epoch, past.sequence) == (transaction.epoch, transaction.sequence);
        if self.purchases.get(key).is_some_and(is_of) {
            self.purchases.remove(key);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.purchases.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(sequence: u64) -> Past {
        Past {
            fingerprint: [7; 16],
            outcome: Outcome::Committed,
            epoch: Epoch(1),
            sequence,
        }
    }

    #[test]
    fn what_was_put_off_is_there_as_if_it_had_not_been() {
        let (mut at_once, mut later) = (Index::default(), Index::filling());
        for sequence in 0..5_000 {
            // Each id comes five times.
            let key = PurchaseKey::of(&format!("p-{}", sequence % 1_000));
            at_once.insert(key, past(sequence));
            later.insert(key, past(sequence));
        }
        later.filled();
        assert_eq!(later, at_once);
        assert_eq!(later.len(), 1_000);
        assert_eq!(later.get(&PurchaseKey::of("p-3")), Some(&past(4_003)));
    }
}
