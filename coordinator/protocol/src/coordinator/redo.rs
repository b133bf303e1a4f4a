//! Stores that forget what they have acknowledged: a lagging replica that was promoted, an old copy
//! that was restored, a memory that was deleted.
//!
//! Transactions that a store does not remember (see `recall`) are carried out again: their decisions
//! are read back from the log, and the ordinary commit goes to that participant alone, which answers
//! on its own evidence. Until that is done no new transaction begins, since the store offers units
//! that are sold.

use super::Coordinator;
use crate::action::Action;
use crate::branch::{CommitEvidence, Debt};
use crate::history::Fate;
use crate::id::{BranchId, ParticipantName, TransactionId};
use crate::note::Note;
use crate::record::Decision;
use crate::time::Timestamp;
use crate::transaction::{Branch, Progress, Transaction};

impl Coordinator {
    /// Reads forgotten decisions back, as many as there is room for.
    pub(super) fn redo(&mut self, now: Timestamp) {
        for name in self.participants.names() {
            while let Some(id) = self.participants.next_forgotten(&name) {
                if self.transactions.is_under_way(&id) {
                    // Another store had forgotten it too, and it is here already.
                    self.forget(now, &id.at(&name));
                    continue;
                }
                let kept = self.transactions.history().transaction(&id);
                let Some(position) = kept.and_then(|kept| kept.decision()) else {
                    // The log forgets nothing while a store has forgotten something.
                    debug_assert!(false, "{id} was acknowledged, and has no decision");
                    continue;
                };
                if let Some(recall) = self.participants.recall_mut(&name) {
                    recall.begin_reading(&id);
                }
                self.actions.push(Action::ReadDecision {
                    transaction: id,
                    position,
                });
            }
        }
    }

    /// Takes a forgotten decision back from the log and has it carried out where it was forgotten.
    pub(super) fn decision_read(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        decision: Option<Decision>,
    ) {
        let forgot = self.participants.end_reading(id);
        if forgot.is_empty() {
            // A repeated answer: the first one served all stores that had forgotten it.
            return;
        }
        if self.transactions.is_under_way(id) {
            // An operator's order has taken it up meanwhile.
            for name in &forgot {
                self.forget(now, &id.at(name));
            }
            return;
        }
        let kept = self.transactions.history().transaction(id);
        let is_ended = kept.is_some_and(|kept| kept.fate == Fate::Committed);
        let by_hand = kept.map(|kept| kept.by_hand.clone()).unwrap_or_default();
        let decision = decision.filter(|decision| decision.transaction == *id);
        let (Some(decision), true) = (decision, is_ended) else {
            if is_ended {
                self.note(Note::Unreadable {
                    transaction: id.clone(),
                    participants: forgot.clone(),
                });
            }
            for name in &forgot {
                self.end_loss(now, name);
            }
            return;
        };
        for name in &forgot {
            if let Some(recall) = self.participants.recall_mut(name) {
                recall.redo(id);
            }
        }
        self.take_back(&decision);
        let transaction = Transaction::committing(decision, |name| {
            let progress = match forgot.contains(name) {
                true => Progress::Waiting { retry_time: now },
                false => Progress::Done,
            };
            Branch::taken_up(name, progress, &by_hand)
        });
        self.adopt(transaction);
        // The log said that it has ended. What is found or said of it from here on needs its
        // decision before it, after a restart too.
        self.carry(now, id);
    }

    /// Takes back what a transaction that has ended and is to be carried out once more has deducted:
    /// its next end adds it.
    pub(super) fn take_back(&mut self, decision: &Decision) {
        let history = self.transactions.history();
        let kept = history.transaction(&decision.transaction);
        if let Some(kept) = kept.filter(|_| decision.counts) {
            let begins = history.begins(&decision.transaction);
            let begins = begins.unwrap_or(self.tail.next_position());
            let counted = kept.counted(&decision.participants);
            self.totals.take_back(counted, &decision.entries, begins);
        }
    }

    /// An operator's order takes up what a participant has acknowledged. Where the store has not
    /// said yet whether it remembers that, nothing new comes before it.
    pub(super) fn put_order_first(&mut self, branch: &BranchId) {
        if let Some(recall) = self.participants.recall_mut(&branch.participant) {
            recall.order(&branch.transaction);
        }
    }

    /// Counts a branch that is carried out, on this evidence, if new purchases waited for it.
    pub(super) fn count_redone(
        &mut self,
        now: Timestamp,
        branch: &BranchId,
        evidence: Option<CommitEvidence>,
        debts: &[Debt],
    ) {
        if let Some(recall) = self.participants.recall_mut(&branch.participant)
            && recall.settle(&branch.transaction)
        {
            recall.count(evidence, debts);
            self.end_loss(now, &branch.participant);
        }
    }

    /// Has nothing new wait for a branch any more, that can't end without a person.
    pub(super) fn stop_waiting_for(&mut self, now: Timestamp, branch: &BranchId) {
        if let Some(recall) = self.participants.recall_mut(&branch.participant)
            && recall.settle(&branch.transaction)
        {
            self.end_loss(now, &branch.participant);
        }
    }

    /// Takes new purchases again if a store has again all that it had lost.
    pub(crate) fn end_loss(&mut self, now: Timestamp, participant: &ParticipantName) {
        let recall = self.participants.recall_mut(participant);
        if let Some(loss) = recall.and_then(|recall| recall.end_loss(now)) {
            let note = Note::Remembers {
                participant: participant.clone(),
                redone: loss.redone,
                still_there: loss.still_there,
            };
            self.note(note);
        }
    }

    /// Has something carried out again that a participant had acknowledged.
    pub(crate) fn forget(&mut self, now: Timestamp, branch: &BranchId) {
        let Some(recall) = self.participants.recall_mut(&branch.participant) else {
            return debug_assert!(false, "{branch} was forgotten, and is not configured");
        };
        if !self.transactions.is_under_way(&branch.transaction) {
            return recall.forget(&branch.transaction);
        }
        let known = self.transactions.branch(branch);
        if known.is_some_and(|known| known.is_committed()) {
            recall.redo(&branch.transaction);
            self.make_due(branch, now);
        }
    }
}
