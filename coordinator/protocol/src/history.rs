//! What the log still remembers of decided transactions: the idempotency index and the order in
//! which they are forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::event::Position;
use crate::id::{ParticipantName, TransactionId};
use crate::purchase::Refusal;
use crate::record::{Fingerprint, digest};
use crate::time::Timestamp;

/// A purchase with an outcome that the log holds.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) transaction: TransactionId,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    Committed,
    Refused(Box<(ParticipantName, Refusal)>),
}

/// A transaction that the log remembers.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) decide_time: Timestamp,
    pub(crate) committed: bool,
    pub(crate) ended: bool,
    purchases: Vec<PurchaseKey>,
}

/// The first 16 bytes of the SHA-256 of a purchase id, which may itself be 64 bytes long.
type PurchaseKey = [u8; 16];

#[derive(Debug, Default)]
pub(crate) struct History {
    purchases: BTreeMap<PurchaseKey, Past>,
    transactions: BTreeMap<TransactionId, Kept>,
    /// Where each retained transaction's record stands in the log, oldest record first.
    order: VecDeque<(Position, TransactionId)>,
    /// Unfinished ones that were overtaken by forgetting; their records were written again.
    carried: BTreeSet<TransactionId>,
    /// Purchases of transactions that have ended: what retention may forget.
    ended_purchases: usize,
}

/// What retention does with the oldest record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Retire {
    /// Forgotten.
    Forgot,
    /// It has not ended: its record is to be written again at the log's end, so that the records
    /// between can go.
    Carry(TransactionId),
    /// It stays.
    Keep,
}

impl History {
    pub(crate) fn purchase(&self, purchase_id: &str) -> Option<&Past> {
        self.purchases.get(&digest(purchase_id.as_bytes()))
    }

    pub(crate) fn transaction(&self, id: &TransactionId) -> Option<&Kept> {
        self.transactions.get(id)
    }

    /// Remembers a transaction whose record is stored.
    pub(crate) fn insert(
        &mut self,
        id: &TransactionId,
        decide_time: Timestamp,
        committed: bool,
        purchases: impl Iterator<Item = (String, Fingerprint, Outcome)>,
    ) {
        let mut keys = Vec::new();
        for (purchase_id, fingerprint, outcome) in purchases {
            let key = digest(purchase_id.as_bytes());
            let past = Past {
                fingerprint,
                transaction: id.clone(),
                outcome,
            };
            self.purchases.insert(key, past);
            keys.push(key);
        }
        if !committed {
            self.ended_purchases += keys.len();
        }
        self.transactions.insert(
            id.clone(),
            Kept {
                decide_time,
                committed,
                ended: !committed,
                purchases: keys,
            },
        );
    }

    /// Notes where a transaction's record stands in the log; again when it was carried.
    pub(crate) fn place(&mut self, id: TransactionId, position: Position) {
        self.order.push_back((position, id));
    }

    pub(crate) fn end(&mut self, id: &TransactionId) {
        if let Some(kept) = self.transactions.get_mut(id)
            && !kept.ended
        {
            kept.ended = true;
            self.ended_purchases += kept.purchases.len();
        }
        self.carried.remove(id);
    }

    /// Looks at the oldest record. `is_unfinished` says whether the table still has a transaction.
    pub(crate) fn retire(
        &mut self,
        now: Timestamp,
        age_max: Duration,
        purchases_max: usize,
        is_unfinished: impl Fn(&TransactionId) -> bool,
    ) -> Retire {
        let Some((_, id)) = self.order.front() else {
            return Retire::Keep;
        };
        let kept = self.transactions.get(id);
        let old = kept.is_none_or(|kept| now.since(kept.decide_time) > age_max);
        // With nothing ended, carrying would only write the same records round and round.
        let due = old && self.ended_purchases > 0 || self.ended_purchases > purchases_max;
        if !due {
            return Retire::Keep;
        }
        let id = id.clone();
        self.order.pop_front();
        if is_unfinished(&id) {
            self.carried.insert(id.clone());
            return Retire::Carry(id);
        }
        self.forget(&id);
        Retire::Forgot
    }

    /// Forgets every ended transaction before `before`, as a record of the log says.
    pub(crate) fn forget_before(&mut self, before: &TransactionId) {
        let ended: Vec<TransactionId> = self
            .transactions
            .range(..before.clone())
            .filter(|(_, kept)| kept.ended)
            .map(|(id, _)| id.clone())
            .collect();
        for id in &ended {
            self.forget(id);
        }
        let transactions = &self.transactions;
        self.order
            .retain(|(_, id)| id >= before || transactions.contains_key(id));
    }

    /// The first transaction that is remembered, but for those that were carried.
    pub(crate) fn first(&self) -> Option<&TransactionId> {
        self.transactions
            .keys()
            .find(|id| !self.carried.contains(*id))
    }

    /// Takes over which unfinished transactions were overtaken by forgetting.
    pub(crate) fn carry(&mut self, carried: impl IntoIterator<Item = TransactionId>) {
        self.carried.extend(carried);
    }

    pub(crate) fn carried(&self) -> &BTreeSet<TransactionId> {
        &self.carried
    }

    /// Position of the oldest record that is still needed.
    pub(crate) fn first_position(&self) -> Option<Position> {
        self.order.front().map(|(position, _)| *position)
    }

    pub(crate) fn newest(&self) -> Option<&TransactionId> {
        self.transactions.keys().next_back()
    }

    pub(crate) fn purchases(&self) -> usize {
        self.purchases.len()
    }

    fn forget(&mut self, id: &TransactionId) {
        let Some(kept) = self.transactions.remove(id) else {
            return;
        };
        if kept.ended {
            self.ended_purchases -= kept.purchases.len();
        }
        for key in kept.purchases {
            // A refused id may have come again and been decided anew.
            if self
                .purchases
                .get(&key)
                .is_some_and(|past| past.transaction == *id)
            {
                self.purchases.remove(&key);
            }
        }
    }
}
