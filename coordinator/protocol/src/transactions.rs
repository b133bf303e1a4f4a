//! All transactions of one coordinator: those under way, and what the log remembers of those that have
//! ended. What is known of any id is known here.

#[cfg(debug_assertions)]
mod invariants;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::time::Duration;

use crate::branch::Ending;
use crate::held::Held;
use crate::history::{Fate, History, Kept, Retire};
use crate::id::{BranchId, CoordinatorId, Epoch, ParticipantName, Position, TransactionId};
use crate::index::{Past, past_refusal};
use crate::lanes::Lane;
use crate::purchase::Entry;
use crate::record::{Decision, Fingerprint, RefusedPurchase};
use crate::time::Timestamp;
use crate::transaction::{Branch, Branches, Committing, Preparing, Progress, State, Transaction};

/// See [`Transactions::known`].
#[derive(Debug, Clone, Copy)]
pub(crate) enum Knowledge<'a> {
    NotOurs,
    /// Its number has not been given out yet, by this epoch or by any before.
    NotBegun,
    UnderWay(&'a Transaction),
    /// It has ended, and the log remembers how.
    Ended(&'a Kept),
    /// So old that the log has forgotten what became of it.
    Forgotten,
    /// No decision is stored, and none can be any more.
    PresumedAborted,
}

impl Knowledge<'_> {
    /// Whether the log says or has said something of it, if this coordinator has begun it. A commit of
    /// any other says that the log is not the newest.
    pub(crate) fn is_explained(self) -> bool {
        !matches!(self, Knowledge::NotBegun | Knowledge::PresumedAborted)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Transactions {
    coordinator: CoordinatorId,
    epoch: Epoch,
    next_sequence: u64,
    under_way: BTreeMap<TransactionId, Transaction>,
    /// Those that occupy a slot, and of which lane: until they end, or one of their calls fails.
    slots: BTreeMap<TransactionId, Lane>,
    history: History,
    /// Everything before this transaction that has ended is forgotten. It only rises.
    floor: TransactionId,
}

impl Transactions {
    /// None but what the log remembers.
    pub(crate) fn new(
        coordinator: CoordinatorId,
        epoch: Epoch,
        history: History,
        floor: Option<TransactionId>,
    ) -> Transactions {
        let first = || TransactionId {
            coordinator: coordinator.clone(),
            epoch: Epoch(0),
            sequence: 0,
        };
        Transactions {
            floor: floor.unwrap_or_else(first),
            coordinator,
            epoch,
            next_sequence: 1,
            under_way: BTreeMap::new(),
            slots: BTreeMap::new(),
            history,
        }
    }

    pub(crate) fn coordinator(&self) -> &CoordinatorId {
        &self.coordinator
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(crate) fn floor(&self) -> &TransactionId {
        &self.floor
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// The id that the next transaction gets.
    pub(crate) fn next_id(&self) -> TransactionId {
        TransactionId {
            coordinator: self.coordinator.clone(),
            epoch: self.epoch,
            sequence: self.next_sequence,
        }
    }

    /// What is known of a transaction.
    pub(crate) fn known(&self, id: &TransactionId) -> Knowledge<'_> {
        if id.coordinator != self.coordinator {
            return Knowledge::NotOurs;
        }
        if (id.epoch, id.sequence) >= (self.epoch, self.next_sequence) {
            return Knowledge::NotBegun;
        }
        match (self.under_way.get(id), self.history.transaction(id)) {
            (Some(transaction), _) => Knowledge::UnderWay(transaction),
            (None, Some(kept)) => Knowledge::Ended(kept),
            (None, None) if *id < self.floor => Knowledge::Forgotten,
            (None, None) => Knowledge::PresumedAborted,
        }
    }

    /// Whether a participant has acknowledged that it carried a decision out, and was not allowed to
    /// forget that.
    pub(crate) fn is_acknowledged(&self, branch: &BranchId) -> bool {
        match self.known(&branch.transaction) {
            Knowledge::UnderWay(_) => {
                let branch = self.branch(branch);
                branch.is_some_and(|branch| branch.progress == Progress::Done)
            }
            // Behind the floor the store was allowed to forget it.
            Knowledge::Ended(kept) => {
                branch.transaction >= self.floor && kept.is_committed_at(&branch.participant)
            }
            Knowledge::NotOurs
            | Knowledge::NotBegun
            | Knowledge::Forgotten
            | Knowledge::PresumedAborted => false,
        }
    }

    /// Whether a person has said how a branch ended.
    pub(crate) fn is_settled(&self, branch: &BranchId) -> bool {
        let progress = self.branch(branch).map(|branch| &branch.progress);
        let kept = self.history.transaction(&branch.transaction);
        matches!(progress, Some(Progress::Settled(_)))
            || kept.is_some_and(|kept| kept.settled_at(&branch.participant).is_some())
    }

    /// What the log remembers of a purchase: by which transaction it was decided, when, and how.
    pub(crate) fn past(&self, purchase_id: &str) -> Option<(TransactionId, Timestamp, &Past)> {
        let past = self.history.purchase(purchase_id)?;
        let id = past.transaction(&self.coordinator);
        let kept = self.history.transaction(&id);
        debug_assert!(kept.is_some(), "a purchase outlives its transaction {id}");
        let decide_time = kept.map(|kept| kept.decide_time);
        Some((id, decide_time.unwrap_or_default(), past))
    }

    /// Those under way, oldest first.
    pub(crate) fn under_way(&self) -> impl ExactSizeIterator<Item = &Transaction> {
        self.under_way.values()
    }

    /// Those under way up to `last`, or all, newest first.
    pub(crate) fn under_way_up_to(
        &self,
        last: Option<&TransactionId>,
    ) -> impl Iterator<Item = &Transaction> {
        let bound = last.map_or(Bound::Unbounded, Bound::Included);
        let up_to = self
            .under_way
            .range::<TransactionId, _>((Bound::Unbounded, bound));
        up_to.rev().map(|(_, transaction)| transaction)
    }

    /// Those under way before `id`, oldest first.
    pub(crate) fn under_way_before(
        &self,
        id: &TransactionId,
    ) -> impl Iterator<Item = &TransactionId> {
        self.under_way.range(..id.clone()).map(|(id, _)| id)
    }

    pub(crate) fn is_under_way(&self, id: &TransactionId) -> bool {
        self.under_way.contains_key(id)
    }

    pub(crate) fn get(&self, id: &TransactionId) -> Option<&Transaction> {
        self.under_way.get(id)
    }

    /// Those that occupy a slot of a lane, oldest first.
    pub(crate) fn in_lane(&self, lane: Lane) -> impl Iterator<Item = &Transaction> {
        let slots = self.slots.iter().filter(move |(_, of)| **of == lane);
        slots.filter_map(|(id, _)| self.under_way.get(id))
    }

    /// The lane whose slot a transaction occupies.
    pub(crate) fn lane(&self, id: &TransactionId) -> Option<Lane> {
        self.slots.get(id).copied()
    }

    /// The oldest that occupies a slot.
    pub(crate) fn first_in_slots(&self) -> Option<&TransactionId> {
        self.slots.keys().next()
    }

    /// Those that are being prepared, oldest first.
    pub(crate) fn preparing(&self) -> impl Iterator<Item = (&TransactionId, &Preparing)> {
        let slots = self.slots.keys();
        slots.filter_map(|id| Some((id, self.under_way.get(id)?.preparing()?)))
    }

    /// One of them.
    pub(crate) fn preparing_mut(&mut self, id: &TransactionId) -> Option<&mut Preparing> {
        match &mut self.under_way.get_mut(id)?.state {
            State::Preparing(preparing) => Some(preparing),
            State::Deciding(_) | State::Committing(_) | State::Aborting(_) => None,
        }
    }

    /// Whoever has been asked for a promise at a participant may be refused for want of what is held
    /// there for others.
    pub(crate) fn doubt(&mut self, participant: &ParticipantName, held: &Held) {
        for id in self.slots.keys() {
            let state = self.under_way.get_mut(id).map(|known| &mut known.state);
            if let Some(State::Preparing(preparing)) = state {
                preparing.doubt(participant, held);
            }
        }
    }

    /// A decision that is being carried out.
    pub(crate) fn committing_mut(&mut self, id: &TransactionId) -> Option<&mut Committing> {
        match &mut self.under_way.get_mut(id)?.state {
            State::Committing(committing) => Some(committing),
            State::Preparing(_) | State::Deciding(_) | State::Aborting(_) => None,
        }
    }

    /// A branch that is being ended, or has been, of a transaction that is under way.
    pub(crate) fn branch(&self, branch: &BranchId) -> Option<&Branch> {
        let branches = self.under_way.get(&branch.transaction)?.branches()?;
        branches.get(&branch.participant)
    }

    pub(crate) fn branch_mut(&mut self, branch: &BranchId) -> Option<&mut Branch> {
        let transaction = self.under_way.get_mut(&branch.transaction)?;
        let (_, branches) = transaction.ending_mut()?;
        branches.get_mut(&branch.participant)
    }

    /// The same, of a transaction that is being ended in this way.
    pub(crate) fn branch_of(&mut self, branch: &BranchId, ending: Ending) -> Option<&mut Branch> {
        let transaction = self.under_way.get_mut(&branch.transaction)?;
        let (_, branches) = transaction.ending_mut().filter(|(how, _)| *how == ending)?;
        branches.get_mut(&branch.participant)
    }

    /// Gives out the next number.
    pub(crate) fn take_id(&mut self) -> TransactionId {
        let id = self.next_id();
        self.next_sequence += 1;
        id
    }

    /// Begins to prepare a transaction in a slot of a lane.
    pub(crate) fn begin(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        lane: Lane,
        preparing: Preparing,
    ) {
        let transaction = Transaction {
            id: id.clone(),
            begin_time: now,
            state: State::Preparing(preparing),
        };
        self.slots.insert(id.clone(), lane);
        self.under_way.insert(id.clone(), transaction);
    }

    /// Sends what was being prepared to the log.
    pub(crate) fn decide(&mut self, decision: Decision) {
        let transaction = self.under_way.get_mut(&decision.transaction);
        debug_assert!(transaction.is_some(), "a decision is of what is under way");
        if let Some(transaction) = transaction {
            transaction.state = State::Deciding(decision);
        }
    }

    /// Takes a decision that was on its way to the log for stored, and all its participants for asked
    /// to commit; gives the decision.
    pub(crate) fn commit(
        &mut self,
        id: &TransactionId,
        position: Position,
        fingerprint: impl Fn(&Entry) -> Fingerprint,
    ) -> Option<Decision> {
        let transaction = self.under_way.get_mut(id)?;
        let State::Deciding(decision) = &transaction.state else {
            return None;
        };
        let decision = decision.clone();
        let asked = |_: &ParticipantName| Branch::new(Progress::Asked);
        *transaction = Transaction::committing(decision.clone(), asked);
        let fingerprints = decision.entries.iter().map(fingerprint);
        self.history.decide(&decision, fingerprints, position);
        Some(decision)
    }

    /// Turns a transaction without a decision into one whose branches are asked to roll back, wherever
    /// something is or may be prepared. Gives its entries, and what may be held where; `None` if it has
    /// a decision or is rolled back already.
    #[expect(
        clippy::type_complexity,
        reason = "two lists that are taken apart at once"
    )]
    pub(crate) fn abort(
        &mut self,
        id: &TransactionId,
    ) -> Option<(Vec<Entry>, Vec<(ParticipantName, Held)>)> {
        let transaction = self.under_way.get_mut(id)?;
        let State::Preparing(preparing) = &mut transaction.state else {
            return None;
        };
        let held: Vec<(ParticipantName, Held)> = preparing
            .prepared_at()
            .map(|(name, held)| (name.clone(), held))
            .collect();
        let entries = std::mem::take(&mut preparing.entries);
        let asked = |(name, _): &(ParticipantName, _)| (name.clone(), Branch::new(Progress::Asked));
        transaction.state = State::Aborting(held.iter().map(asked).collect());
        Some((entries, held))
    }

    /// Has a transaction carried out that the log holds and that is not under way.
    pub(crate) fn take_up(&mut self, transaction: Transaction) {
        self.history.redo(&transaction.id);
        self.under_way.insert(transaction.id.clone(), transaction);
    }

    /// The branches of a transaction that is rolled back, begun if it is not known; `None` if it is
    /// anything else.
    pub(crate) fn aborting(&mut self, now: Timestamp, id: &TransactionId) -> Option<&mut Branches> {
        let begun = || Transaction::aborting(id.clone(), now);
        let transaction = self.under_way.entry(id.clone()).or_insert_with(begun);
        match &mut transaction.state {
            State::Aborting(branches) => Some(branches),
            State::Preparing(_) | State::Deciding(_) | State::Committing(_) => None,
        }
    }

    /// Frees the slot of a transaction that may have to wait: it must not hold up those that can go on.
    pub(crate) fn free_slot(&mut self, id: &TransactionId) {
        self.slots.remove(id);
    }

    /// Takes a transaction for ended of which every branch has. Gives it, and whether its end is to be
    /// stored: an abort is not stored, nor is its end, unless something about it was.
    pub(crate) fn end(&mut self, id: &TransactionId) -> Option<(Transaction, bool)> {
        self.slots.remove(id);
        let transaction = self.under_way.remove(id)?;
        let is_in_log = self.history.end(id, transaction.by_hand());
        Some((transaction, is_in_log))
    }

    /// Remembers the refusals of a transaction in which nothing survived.
    pub(crate) fn refuse(
        &mut self,
        id: &TransactionId,
        time: Timestamp,
        refused: &[RefusedPurchase],
        position: Position,
    ) {
        let fate = match self.history.transaction(id).map(|kept| kept.fate) {
            Some(Fate::Aborting) => Fate::Aborting,
            Some(Fate::Committing | Fate::Committed | Fate::Refused) | None => Fate::Refused,
        };
        let refused = refused.iter().map(past_refusal);
        self.history.insert(id, time, fate, refused);
        self.history.place_refusals(id, position);
    }

    /// Notes that the log is about to hold something on a branch of a transaction that has not
    /// ended, so that its end has to be there too: an abort has none otherwise.
    pub(crate) fn expect_in_log(&mut self, now: Timestamp, id: &TransactionId) {
        if self.history.transaction(id).is_none() {
            self.keep_abort(now, id);
        }
        self.history.reopen(id);
    }

    /// Notes that the log is about to hold of a transaction only that it is being rolled back.
    pub(crate) fn keep_abort(&mut self, now: Timestamp, id: &TransactionId) {
        let nothing = std::iter::empty();
        self.history.insert(id, now, Fate::Aborting, nothing);
    }

    /// Notes where a record of a transaction stands.
    pub(crate) fn place(&mut self, id: &TransactionId, position: Position) {
        self.history.place(id, position);
    }

    /// Notes where a decision stands that was written again, and who carries it out.
    pub(crate) fn place_decision(
        &mut self,
        id: &TransactionId,
        participants: &[ParticipantName],
        position: Position,
    ) {
        self.history.place_decision(id, participants, position);
    }

    /// See [`History::retire`]. Forgetting never passes a transaction that may still be decided:
    /// decisions are made in another order than transactions begin.
    pub(crate) fn retire(
        &mut self,
        now: Timestamp,
        age_min: Duration,
        age_max: Duration,
        purchases_max: usize,
    ) -> Retire {
        let slots = &self.slots;
        let may_forget = |id: &TransactionId| slots.range(..id.clone()).next().is_none();
        self.history
            .retire(now, age_min, age_max, purchases_max, may_forget)
    }

    /// Puts the floor behind the newest transaction that was forgotten: below it only what has not
    /// ended is known. Gives those that the log has to keep from now on: without any record they would
    /// be taken for something that was forgotten.
    pub(crate) fn raise_floor(&mut self, newest: TransactionId) -> Vec<TransactionId> {
        let floor = TransactionId {
            sequence: newest.sequence.saturating_add(1),
            ..newest
        };
        // An old transaction that has ended only now is forgotten behind the floor.
        if floor > self.floor {
            self.history.forget_before(&floor);
            self.floor = floor;
        }
        let below = self.under_way.range(..self.floor.clone());
        below
            .map(|(id, _)| id)
            .filter(|id| self.history.transaction(id).is_none())
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests;
