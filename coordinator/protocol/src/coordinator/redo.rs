//! Stores that forget what they have acknowledged: a lagging replica that was promoted, an old copy
//! that was restored, a memory that was deleted.
//!
//! Transactions that a store does not remember (see `memory`) are carried out again: their decisions
//! are read back from the log, and the ordinary commit goes to that participant alone, which answers
//! on its own evidence. Until that is done no new transaction begins, since the store offers units
//! that are sold.

use std::collections::BTreeSet;

use super::finish::branches_mut;
use super::{Coordinator, Link};
use crate::action::Action;
use crate::branch::{CommitEvidence, Debt};
use crate::history::Fate;
use crate::id::{ParticipantName, TransactionId};
use crate::note::Note;
use crate::record::Decision;
use crate::time::Timestamp;
use crate::transaction::{Branch, Committing, Progress, Promise, State, Transaction};

/// Forgotten transactions of one store whose decisions are in memory or on their way there, at
/// most.
const REDO_TRANSACTIONS_MAX: usize = 128;

impl Coordinator {
    /// Reads forgotten decisions back, as many as there is room for.
    pub(super) fn redo(&mut self, now: Timestamp) {
        let names: Vec<ParticipantName> = self.members.keys().cloned().collect();
        for name in names {
            while let Some(id) = self.next_forgotten(&name) {
                if self.transactions.contains_key(&id) {
                    // Another store had forgotten it too, and it is here already.
                    self.was_forgotten(now, &id, &name);
                    continue;
                }
                let kept = self.history.transaction(&id);
                let Some(position) = kept.and_then(|kept| kept.decision()) else {
                    continue;
                };
                if let Some(member) = self.members.get_mut(&name) {
                    member.memory.reading.insert(id.clone());
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
        let mut forgot = Vec::new();
        for (name, member) in &mut self.members {
            if member.memory.reading.remove(id) {
                forgot.push(name.clone());
            }
        }
        if forgot.is_empty() {
            return;
        }
        if self.transactions.contains_key(id) {
            // An operator's order has taken it up meanwhile.
            for name in &forgot {
                self.was_forgotten(now, id, name);
            }
            return;
        }
        let kept = self.history.transaction(id);
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
        let branch = |name: &ParticipantName| {
            let progress = match forgot.contains(name) {
                true => Progress::Waiting { retry_time: now },
                false => Progress::Done,
            };
            Branch::taken_up(name, progress, &by_hand)
        };
        let branches = decision
            .participants
            .iter()
            .map(|name| (name.clone(), branch(name)))
            .collect();
        self.take_back(id, &decision);
        self.history.redo(id);
        for name in &forgot {
            if let Some(member) = self.members.get_mut(name) {
                member.memory.redoing.insert(id.clone());
            }
        }
        self.adopt(Transaction {
            id: id.clone(),
            begin_time: now,
            state: State::Committing(Committing {
                entries: decision.entries,
                decide_time: decision.decide_time,
                counts: decision.counts,
                branches,
            }),
        });
        // The log said that it has ended. What is found or said of it from here on needs its
        // decision before it, after a restart too.
        self.carry(now, id);
    }

    /// Takes back what a transaction that has ended and is to be carried out once more has deducted:
    /// its next end adds it.
    pub(super) fn take_back(&mut self, id: &TransactionId, decision: &Decision) {
        if let Some(kept) = self.history.transaction(id)
            && decision.counts
        {
            let begins = self.history.begins(id).unwrap_or(self.next_position);
            let counted = kept.counted(&decision.participants);
            self.totals.take_back(counted, &decision.entries, begins);
        }
    }

    /// An operator's order takes up what a participant has acknowledged. Where the store has not
    /// said yet whether it remembers that, nothing new comes before it.
    pub(super) fn is_ordered(&mut self, id: &TransactionId, participant: &ParticipantName) {
        if let Some(member) = self.members.get_mut(participant)
            && !member.memory.is_looked_through()
        {
            member.memory.unseen.insert(id.clone());
        }
    }

    /// A branch is carried out, on this evidence.
    pub(super) fn is_carried_out(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
        evidence: Option<CommitEvidence>,
        debts: &[Debt],
    ) {
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        if !member.memory.settle(id) {
            return;
        }
        if let Some(loss) = &mut member.memory.loss
            && loss.end_time.is_none()
        {
            match evidence {
                Some(CommitEvidence::Redone | CommitEvidence::Applied) => loss.redone += 1,
                Some(CommitEvidence::AlreadyApplied) => loss.still_there += 1,
                None => {}
            }
            loss.debt += debts.iter().map(|debt| debt.quantity).sum::<u64>();
        }
        self.end_loss(now, participant);
    }

    /// A branch can't end without a person, so nothing new waits for it.
    pub(super) fn waits_for_a_person(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
    ) {
        if let Some(member) = self.members.get_mut(participant)
            && member.memory.settle(id)
        {
            self.end_loss(now, participant);
        }
    }

    /// A list shows that branches of decisions are prepared in the store's present life: what they
    /// need is held for them.
    pub(super) fn are_held(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        seen: BTreeSet<TransactionId>,
    ) {
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        // The list that an enlistment begins with comes before it.
        if matches!(member.link, Link::Down { .. }) {
            member.memory.seen = seen;
            return;
        }
        member.memory.unseen.retain(|id| !seen.contains(id));
        self.end_loss(now, participant);
    }

    fn end_loss(&mut self, now: Timestamp, participant: &ParticipantName) {
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        let is_whole = member.memory.is_whole();
        let Some(loss) = &mut member.memory.loss else {
            return;
        };
        if !is_whole || loss.end_time.is_some() {
            return;
        }
        loss.end_time = Some(now);
        let note = Note::Remembers {
            participant: participant.clone(),
            redone: loss.redone,
            still_there: loss.still_there,
        };
        self.note(note);
    }

    /// Has something carried out again that a participant had acknowledged.
    pub(super) fn was_forgotten(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
    ) {
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        match self.transactions.get_mut(id).and_then(branches_mut) {
            Some(branches) => {
                if let Some(branch) = branches.get_mut(participant)
                    && branch.is_committed()
                {
                    member.memory.redoing.insert(id.clone());
                    self.make_due(id, participant, now);
                }
            }
            None => {
                member.memory.forgotten.insert(id.clone());
            }
        }
    }

    fn next_forgotten(&mut self, participant: &ParticipantName) -> Option<TransactionId> {
        let member = self.members.get_mut(participant)?;
        let memory = &mut member.memory;
        let has_room = memory.reading.len() + memory.redoing.len() < REDO_TRANSACTIONS_MAX;
        let ready = matches!(member.link, Link::Up) && !memory.is_asked() && has_room;
        ready.then(|| memory.forgotten.pop_first()).flatten()
    }

    /// Gives up what is being prepared at a store that lives another life: what it promised may be
    /// gone, and what it promises now it does not know to be sold.
    pub(super) fn void_promises(&mut self, participant: &ParticipantName) {
        let is_promised = |transaction: &Transaction| match &transaction.state {
            State::Preparing(preparing) => preparing
                .promises
                .get(participant)
                .is_some_and(|promise| *promise != Promise::NotAsked),
            State::Deciding(_) | State::Committing(_) | State::Aborting(_) => false,
        };
        let void: Vec<TransactionId> = self
            .pipeline
            .keys()
            .filter(|id| self.transactions.get(*id).is_some_and(is_promised))
            .cloned()
            .collect();
        for id in void {
            let detail = format!("the store of {participant} was restarted after it was asked");
            self.abort(&id, &detail);
        }
    }

    /// What is decided and not carried out comes before anything new, unless it is found prepared:
    /// the store may have lost the units that it held for it.
    pub(super) fn redo_first(
        &mut self,
        participant: &ParticipantName,
        seen: &BTreeSet<TransactionId>,
    ) {
        let is_open = |transaction: &Transaction| match &transaction.state {
            State::Deciding(decision) => decision.participants.contains(participant),
            State::Committing(committing) => {
                committing
                    .branches
                    .get(participant)
                    .is_some_and(|branch| match branch.progress {
                        Progress::Waiting { .. } | Progress::Asked => true,
                        Progress::Stuck { .. }
                        | Progress::Done
                        | Progress::Heuristic(_)
                        | Progress::Settled(_) => false,
                    })
            }
            State::Preparing(_) | State::Aborting(_) => false,
        };
        let unseen = self
            .transactions
            .values()
            .filter(|transaction| is_open(transaction) && !seen.contains(&transaction.id))
            .map(|transaction| transaction.id.clone())
            .collect();
        if let Some(member) = self.members.get_mut(participant) {
            member.memory.unseen = unseen;
        }
    }
}
