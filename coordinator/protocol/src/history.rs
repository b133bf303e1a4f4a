//! What the log still remembers of decided transactions: the idempotency index and the order in
//! which they are forgotten.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use crate::branch::Ending;
use crate::by_hand::ByHand;
use crate::id::{ParticipantName, Position, TransactionId};
use crate::index::{Index, Outcome, Past, PurchaseKey, WithOutcome, past_refusal};
use crate::record::{Decision, Fingerprint};
use crate::time::Timestamp;
use crate::totals::Counts;

/// A transaction that the log remembers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Kept {
    pub(crate) decide_time: Timestamp,
    pub(crate) fate: Fate,
    /// What persons said of its branches; known once the transaction has ended.
    pub(crate) by_hand: Vec<ByHand>,
    /// Who carries out its decision, if it has one.
    participants: Arc<[ParticipantName]>,
    /// Where its decision stands, or its refusals.
    outcome: Option<Position>,
    purchases: Vec<PurchaseKey>,
    /// Where its first record that is still needed stands; `None` while it is on its way.
    position: Option<Position>,
}

/// What has become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fate {
    /// Decided; not carried out everywhere yet.
    Committing,
    /// Carried out everywhere.
    Committed,
    /// Without a decision for ever, not released everywhere yet, and in the log: a participant
    /// did not keep to it, or it has outlived what came after it.
    Aborting,
    /// Without effect for ever; its refusals are kept. Its branches may still wait to be released.
    Refused,
}

impl Fate {
    pub(crate) fn is_committed(self) -> bool {
        matches!(self, Fate::Committing | Fate::Committed)
    }

    fn has_ended(self) -> bool {
        matches!(self, Fate::Committed | Fate::Refused)
    }
}

impl Kept {
    /// Where its decision stands in the log, or the refusals of one that commits nothing.
    pub(crate) fn outcome(&self) -> Option<Position> {
        self.outcome
    }

    /// Where its decision stands in the log, if it has one.
    pub(crate) fn decision(&self) -> Option<Position> {
        self.outcome.filter(|_| self.fate.is_committed())
    }

    /// How each participant's branch counts in the totals, of a transaction that has ended.
    pub(crate) fn counted<'a>(
        &self,
        participants: &'a [ParticipantName],
    ) -> Vec<(&'a ParticipantName, Counts)> {
        let how = |name: &ParticipantName| match self.by_hand.iter().any(|word| word.settles(name))
        {
            true => Counts::Unsure,
            false => Counts::Deducted,
        };
        participants.iter().map(|name| (name, how(name))).collect()
    }

    /// How a person has said that a participant's branch ended, of a transaction that has ended.
    pub(crate) fn settled_at(&self, participant: &ParticipantName) -> Option<Ending> {
        let mut words = self.by_hand.iter();
        words.find_map(|word| word.settlement(participant))
    }

    /// Whether a participant has or had to carry out its decision, and no person has said how its
    /// branch there ended.
    pub(crate) fn is_committed_at(&self, participant: &ParticipantName) -> bool {
        self.fate.is_committed()
            && self.participants.contains(participant)
            && !self.by_hand.iter().any(|word| word.settles(participant))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct History {
    purchases: Index,
    transactions: BTreeMap<TransactionId, Kept>,
    /// Where the transactions' records begin in the log, oldest first. An entry counts only while
    /// its transaction is kept with this position.
    order: VecDeque<(Position, TransactionId)>,
    /// Purchases of transactions that have ended: what retention may forget.
    ended_purchases: usize,
    /// The participants of the last decision.
    participants: Arc<[ParticipantName]>,
}

/// What retention does with the oldest record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Retire {
    /// It has ended and is forgotten.
    Forgot(TransactionId),
    /// It has not ended: its record is to be written again at the log's end, so that the records
    /// between can go.
    Carry(TransactionId),
    Keep,
}

impl History {
    /// A history that a replay of the log fills, during which nobody asks for a purchase.
    pub(crate) fn filling() -> History {
        History {
            purchases: Index::filling(),
            ..History::default()
        }
    }

    /// Makes a history that was filled ready to be asked.
    pub(crate) fn filled(&mut self) {
        self.purchases.filled();
    }

    pub(crate) fn purchase(&self, purchase_id: &str) -> Option<&Past> {
        self.purchases.get(&PurchaseKey::of(purchase_id))
    }

    pub(crate) fn transaction(&self, id: &TransactionId) -> Option<&Kept> {
        self.transactions.get(id)
    }

    pub(crate) fn fate(&self, id: &TransactionId) -> Option<Fate> {
        self.transactions.get(id).map(|kept| kept.fate)
    }

    /// Where the first record stands that is still needed of a transaction; `None` while it is on
    /// its way.
    pub(crate) fn begins(&self, id: &TransactionId) -> Option<Position> {
        self.transactions.get(id)?.position
    }

    /// Remembers a transaction of which a record is stored or on its way.
    pub(crate) fn insert(
        &mut self,
        id: &TransactionId,
        decide_time: Timestamp,
        fate: Fate,
        purchases: impl Iterator<Item = WithOutcome>,
    ) {
        let known = self.forget(id);
        let position = known.as_ref().and_then(|kept| kept.position);
        let mut keys = Vec::new();
        for (key, fingerprint, outcome) in purchases {
            let past = Past::new(fingerprint, id, outcome);
            self.purchases.insert(key, past);
            keys.push(key);
        }
        if fate.has_ended() {
            self.ended_purchases += keys.len();
        }
        self.transactions.insert(
            id.clone(),
            Kept {
                decide_time,
                fate,
                by_hand: Vec::new(),
                participants: Arc::default(),
                outcome: None,
                purchases: keys,
                position,
            },
        );
    }

    /// Notes where a record of a transaction stands in the log. Positions come in their order, so
    /// the first one stands for all that follow it.
    pub(crate) fn place(&mut self, id: &TransactionId, position: Position) {
        if let Some(kept) = self.transactions.get_mut(id)
            && kept.position.is_none()
        {
            kept.position = Some(position);
            self.order.push_back((position, id.clone()));
        }
    }

    /// Remembers a stored decision, with the fingerprints of the purchases that it commits. Of one that
    /// is carried out again for a store that lost it, what is known of its purchases stands.
    pub(crate) fn decide(
        &mut self,
        decision: &Decision,
        fingerprints: impl Iterator<Item = Fingerprint>,
        position: Position,
    ) {
        let id = &decision.transaction;
        if self.fate(id) == Some(Fate::Committed) {
            self.redo(id);
        } else {
            let ids = decision
                .entries
                .iter()
                .map(|entry| &entry.purchase.purchase_id);
            let committed = ids.zip(fingerprints);
            let committed = committed
                .map(|(id, fingerprint)| (PurchaseKey::of(id), fingerprint, Outcome::Committed));
            let refused = decision.refused.iter().map(past_refusal);
            let purchases = committed.chain(refused);
            self.insert(id, decision.decide_time, Fate::Committing, purchases);
        }
        self.place_decision(id, &decision.participants, position);
    }

    /// Notes who carries out a decision, and where it stands in the log if that is known.
    pub(crate) fn place_decision(
        &mut self,
        id: &TransactionId,
        participants: &[ParticipantName],
        position: Position,
    ) {
        // Almost all have the same ones, which are kept once.
        let shared = match &self.participants {
            shared if **shared == *participants => Arc::clone(shared),
            _ => participants.into(),
        };
        self.participants = Arc::clone(&shared);
        if let Some(kept) = self.transactions.get_mut(id) {
            kept.participants = shared;
            kept.outcome = Some(position);
        }
        self.place(id, position);
    }

    /// Notes where the refusals of a transaction stand that commits nothing.
    pub(crate) fn place_refusals(&mut self, id: &TransactionId, position: Position) {
        if let Some(kept) = self.transactions.get_mut(id) {
            kept.outcome = Some(position);
        }
        self.place(id, position);
    }

    /// Transactions before `below`, or all, that are decided and may be remembered by a
    /// participant's store, newest first.
    pub(crate) fn committed_at(
        &self,
        participant: &ParticipantName,
        below: Option<&TransactionId>,
    ) -> impl Iterator<Item = &TransactionId> {
        let bound = below.map_or(Bound::Unbounded, Bound::Excluded);
        self.transactions
            .range::<TransactionId, _>((Bound::Unbounded, bound))
            .rev()
            .filter(|(_, kept)| kept.is_committed_at(participant))
            .map(|(id, _)| id)
    }

    /// Notes that what had ended committed is to be carried out again.
    pub(crate) fn redo(&mut self, id: &TransactionId) {
        if let Some(kept) = self.transactions.get_mut(id)
            && kept.fate == Fate::Committed
        {
            kept.fate = Fate::Committing;
            self.ended_purchases -= kept.purchases.len();
        }
    }

    /// Notes that a transaction has ended, and which of its branches by a person's word. Gives whether
    /// it was remembered as one that had not.
    pub(crate) fn end(&mut self, id: &TransactionId, by_hand: Vec<ByHand>) -> bool {
        let kept = self.transactions.get_mut(id);
        let Some(kept) = kept.filter(|kept| !kept.fate.has_ended()) else {
            return false;
        };
        kept.fate = match kept.fate {
            Fate::Committing | Fate::Committed => Fate::Committed,
            Fate::Aborting | Fate::Refused => Fate::Refused,
        };
        kept.by_hand = by_hand;
        self.ended_purchases += kept.purchases.len();
        true
    }

    /// Notes that what had ended without effect has a branch again that is not released.
    pub(crate) fn reopen(&mut self, id: &TransactionId) {
        if let Some(kept) = self.transactions.get_mut(id)
            && kept.fate == Fate::Refused
        {
            kept.fate = Fate::Aborting;
            self.ended_purchases -= kept.purchases.len();
        }
    }

    /// Looks at the oldest record. What was decided within `age_min` stays, whatever its number.
    /// `may_forget` says whether forgetting may pass a transaction.
    pub(crate) fn retire(
        &mut self,
        now: Timestamp,
        age_min: Duration,
        age_max: Duration,
        purchases_max: usize,
        may_forget: impl Fn(&TransactionId) -> bool,
    ) -> Retire {
        let (id, kept) = loop {
            let Some((position, id)) = self.order.front() else {
                return Retire::Keep;
            };
            match self.transactions.get_mut(id) {
                Some(kept) if kept.position == Some(*position) => break (id.clone(), kept),
                Some(_) | None => self.order.pop_front(),
            };
        };
        let age = now.since(kept.decide_time);
        let old = age > age_max;
        // With nothing ended, carrying would only write the same records round and round.
        let due = old && self.ended_purchases > 0 || self.ended_purchases > purchases_max;
        if age < age_min || !due || !may_forget(&id) {
            return Retire::Keep;
        }
        self.order.pop_front();
        if kept.fate.has_ended() {
            self.forget(&id);
            return Retire::Forgot(id);
        }
        kept.position = None;
        Retire::Carry(id)
    }

    /// Forgets every ended transaction before `before`.
    pub(crate) fn forget_before(&mut self, before: &TransactionId) {
        let ended: Vec<TransactionId> = self
            .transactions
            .range(..before.clone())
            .filter(|(_, kept)| kept.fate.has_ended())
            .map(|(id, _)| id.clone())
            .collect();
        for id in &ended {
            self.forget(id);
        }
    }

    /// Position of the oldest record that is still needed, of those that are stored.
    pub(crate) fn first_position(&self) -> Option<Position> {
        self.order
            .iter()
            .find(|(position, id)| {
                let kept = self.transactions.get(id);
                kept.is_some_and(|kept| kept.position == Some(*position))
            })
            .map(|(position, _)| *position)
    }

    /// The oldest transaction from `first` on.
    pub(crate) fn oldest_from(&self, first: &TransactionId) -> Option<&Kept> {
        let (_, kept) = self.transactions.range(first..).next()?;
        Some(kept)
    }

    /// Transactions behind `after`, oldest first.
    pub(crate) fn behind(
        &self,
        after: Option<&TransactionId>,
    ) -> impl Iterator<Item = (&TransactionId, &Kept)> {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.transactions
            .range::<TransactionId, _>((begin, Bound::Unbounded))
    }

    /// Transactions up to `last`, or all, newest first.
    pub(crate) fn up_to(
        &self,
        last: Option<&TransactionId>,
    ) -> impl Iterator<Item = (&TransactionId, &Kept)> {
        let bound = last.map_or(Bound::Unbounded, Bound::Included);
        self.transactions
            .range::<TransactionId, _>((Bound::Unbounded, bound))
            .rev()
    }

    pub(crate) fn newest(&self) -> Option<&TransactionId> {
        self.transactions.keys().next_back()
    }

    pub(crate) fn purchases(&self) -> usize {
        self.purchases.len()
    }

    /// How many transactions are remembered.
    #[cfg(debug_assertions)]
    pub(crate) fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Panics with the name of an invariant that does not hold.
    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        let all = self.transactions.values();
        let ended = all.clone().filter(|kept| kept.fate.has_ended());
        assert_eq!(
            ended.map(|kept| kept.purchases.len()).sum::<usize>(),
            self.ended_purchases,
            "invariant_what_may_be_forgotten_is_counted"
        );
        assert!(
            self.purchases.len() <= all.map(|kept| kept.purchases.len()).sum(),
            "invariant_no_purchase_outlives_its_transaction"
        );
    }

    fn forget(&mut self, id: &TransactionId) -> Option<Kept> {
        let kept = self.transactions.remove(id)?;
        if kept.fate.has_ended() {
            self.ended_purchases -= kept.purchases.len();
        }
        for key in &kept.purchases {
            self.purchases.remove_if_of(key, id);
        }
        Some(kept)
    }
}
