//! Forgetting: what has ended and is old enough leaves the core, the log and the participants.

use std::time::Duration;

use super::Coordinator;
use crate::action::Action;
use crate::history::Retire;
use crate::id::{ParticipantName, Position, TransactionId};
use crate::record::Record;
use crate::tail::Storing;
use crate::time::Timestamp;

/// Pause between two rounds.
const RETIRE_INTERVAL: Duration = Duration::from_secs(1);

/// Transactions that one round forgets or carries at most, so that no event waits for long.
const RETIRE_ROUND_MAX: usize = 2_000;

/// Unfinished transactions that a participant is told to keep beyond the rest; with more of
/// them, forgetting at the participants waits.
const EXCEPT_MAX: usize = 1_000;

impl Coordinator {
    pub(super) fn retire(&mut self, now: Timestamp) {
        if now < self.next_retire {
            // A round was made a moment ago.
            return;
        }
        self.next_retire = now + RETIRE_INTERVAL;
        // What an earlier epoch left prepared is known only after a sweep of each participant,
        // and what is forgotten can't be told from it any more.
        if !self.participants.are_all_enlisted() || !self.participants.are_all_swept() {
            return;
        }
        self.close(now);
        // What a store may have forgotten is done again from what the log still holds.
        if !self.participants.are_all_looked_through() {
            return;
        }
        // One that began earlier, and is forgotten with it, may have been decided later by this much.
        let age_min = self.settings.retention_age_min + self.settings.prepare_timeout;
        let age_max = self.settings.retention_age;
        let purchases_max = self.settings.retention_purchases_max;
        let mut newest = None;
        for _ in 0..RETIRE_ROUND_MAX {
            let transactions = &mut self.transactions;
            match transactions.retire(now, age_min, age_max, purchases_max) {
                Retire::Keep => break,
                Retire::Forgot(id) => newest = newest.max(Some(id)),
                Retire::Carry(id) => self.carry(now, &id),
            }
        }
        let has_forgotten = newest.is_some();
        if let Some(newest) = newest {
            for id in self.transactions.raise_floor(newest) {
                self.carry(now, &id);
            }
            // Records that are on their way have positions from `next_position` on.
            let first = self.transactions.history().first_position();
            self.unneeded = first.unwrap_or(self.tail.next_position());
        }
        let has_rewritten = self.rewrite_totals(self.unneeded);
        if has_forgotten || has_rewritten {
            self.release();
        }
    }

    /// Lets the log's beginning go once it is stored that it is forgotten.
    fn release(&mut self) {
        let record = Record::Forgotten {
            epoch: self.transactions.epoch(),
            before: self.transactions.floor().clone(),
        };
        // What is released when this is stored was replaced before it in the log's order, or is
        // forgotten by it.
        let needed = self.totals.first_position();
        let release = needed.unwrap_or(self.unneeded).min(self.unneeded);
        let before = self.transactions.floor().clone();
        self.store(record, false, Storing::Forgotten { release, before });
    }

    pub(super) fn forgotten_stored(&mut self, release: Position, before: TransactionId) {
        self.actions.push(Action::Release { before: release });
        self.let_go = self.let_go.clone().max(before.clone());
        for name in self.participants.names() {
            self.let_forget(&name, &before);
        }
    }

    /// Closes what began long enough ago and is neither under way nor still to be rolled back.
    fn close(&mut self, now: Timestamp) {
        let age = self.settings.closing_age;
        let is_old = |time: Timestamp| now.since(time) >= age;
        let next = self.transactions.next_id();
        let Some(begun) = self.closing.begin(now, next, is_old) else {
            // Nothing has begun so long ago.
            return;
        };
        let open = self.transactions.first_in_slots().into_iter();
        let open = open.chain(self.releases.first()).min();
        let closed = open.map_or(begun.clone(), |open| begun.min(open.clone()));
        if !self.closing.is_due(now, &closed, age) {
            // The participants were told as much, or so a short time ago.
            return;
        }
        self.closing.tell(now, closed);
        for name in self.participants.names() {
            self.let_forget(&name, &self.let_go.clone());
        }
    }

    /// Lets a participant forget what is before a transaction and has ended, and roll backs of what is
    /// closed.
    pub(super) fn let_forget(&mut self, participant: &ParticipantName, before: &TransactionId) {
        let except = self.transactions.under_way_before(before);
        let except: Vec<TransactionId> = except.cloned().collect();
        if self.participants.is_up(participant) && except.len() <= EXCEPT_MAX {
            self.actions.push(Action::Forget {
                participant: participant.clone(),
                before: before.clone(),
                except,
                closed: self.closing.told().cloned(),
            });
        }
    }
}
