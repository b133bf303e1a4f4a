//! Stores that forget what they have acknowledged: a lagging replica that was promoted, an old copy
//! that was restored, a memory that was deleted.
//!
//! When a participant is enlisted in another life of its store than the one before, its store is
//! asked, page by page, newest first, which of the transactions that it has acknowledged it still
//! remembers. Those that it does not are carried out again: their decisions are read back from the
//! log, and the ordinary commit goes to that participant alone, which answers on its own evidence.
//! Until that is done no new transaction begins, since the store offers units that are sold.

use std::collections::BTreeSet;

use super::finish::{branches, branches_mut};
use super::{Coordinator, Link};
use crate::branch::{CommitEvidence, Debt};
use crate::event::{Action, Note};
use crate::history::Fate;
use crate::id::{ParticipantName, TransactionId};
use crate::planted::Bug;
use crate::record::Decision;
use crate::time::Timestamp;
use crate::transaction::{Branch, Committing, Progress, Promise, State, Transaction};

/// Transactions that a store is asked about in one call, at most.
const PAGE_TRANSACTIONS_MAX: usize = 1_000;

/// Forgotten transactions of one store whose decisions are in memory or on their way there, at
/// most.
const REDO_TRANSACTIONS_MAX: usize = 128;

/// What is known of a store's memory of what it has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Memory {
    look: Look,
    /// The page that was asked for last.
    page: u64,
    /// Forgotten, and not read back yet.
    forgotten: BTreeSet<TransactionId>,
    /// Forgotten, and being read back.
    reading: BTreeSet<TransactionId>,
    /// Decided, and to be carried out before the store is offered anything new.
    redoing: BTreeSet<TransactionId>,
    /// Decided, and maybe lost with an earlier life of the store, and the units held for it too:
    /// carried out before it is offered anything new, unless a sweep finds the branch.
    unseen: BTreeSet<TransactionId>,
    /// Decided, and found prepared by the list that comes before the store is enlisted.
    pub(super) seen: BTreeSet<TransactionId>,
    /// What it lost when it was last found to have lost something.
    loss: Option<Loss>,
}

/// How far a store's memory is looked through.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
enum Look {
    /// Not at all: it has not been enlisted by this process.
    #[default]
    Due,
    /// The page that ends with `oldest` is asked for.
    Asked {
        oldest: Option<TransactionId>,
        is_last: bool,
        found: u64,
        /// Whether a first page without a gap is enough.
        is_again: bool,
    },
    /// All of it, in this life of the store.
    Through { incarnation: String },
}

/// What a store was found to have lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Loss {
    /// When that was found.
    pub time: Timestamp,
    /// Transactions that it had acknowledged and did not remember.
    pub transactions: u64,
    /// Transactions that were carried out again from their decisions.
    pub redone: u64,
    /// Transactions of which only the memory was lost: their effect was still there.
    pub still_there: u64,
    /// Units that could not be deducted again, and are kept as debt.
    pub debt: u64,
    /// When all was carried out again.
    pub end_time: Option<Timestamp>,
    /// Transactions of which nobody can tell whether they were lost too: from the first, or the
    /// coordinator's beginning, to before the second.
    pub unchecked: Option<(Option<TransactionId>, TransactionId)>,
}

/// How far a store's memory can be trusted, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryView {
    /// Whether the store is still being asked what it remembers.
    pub is_asked: bool,
    /// Transactions that are still to be carried out before new purchases are taken.
    pub to_redo: usize,
    /// What it lost when it was last found to have lost something.
    pub loss: Option<Loss>,
}

impl Memory {
    /// Whether the store can be offered new purchases.
    fn is_whole(&self) -> bool {
        self.is_looked_through() && self.redoing.is_empty() && self.unseen.is_empty()
    }

    /// Whether everything that the store forgot is known, and its decisions are in memory.
    pub(super) fn is_looked_through(&self) -> bool {
        matches!(self.look, Look::Through { .. })
            && self.forgotten.is_empty()
            && self.reading.is_empty()
    }

    pub(super) fn view(&self) -> MemoryView {
        MemoryView {
            is_asked: !matches!(self.look, Look::Through { .. }),
            to_redo: self.forgotten.len()
                + self.reading.len()
                + self.redoing.len()
                + self.unseen.len(),
            loss: self.loss.clone(),
        }
    }

    /// Takes a transaction for carried out, or for one that nothing new needs to wait for. Gives
    /// whether anything did.
    fn settle(&mut self, id: &TransactionId) -> bool {
        let is_unseen = self.unseen.remove(id);
        self.redoing.remove(id) || is_unseen
    }
}

impl Coordinator {
    /// Whether every store has again what it acknowledged.
    pub(super) fn remembers_all(&self) -> bool {
        self.members.values().all(|member| member.memory.is_whole())
            || self.has(Bug::NewPurchasesOvertakeRedo)
    }

    /// Begins to ask a store what it remembers, unless this life of it was asked before. `before`
    /// is its life until now, `seen` what its list of prepared branches has just shown.
    pub(super) fn look_through_memory(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        before: &str,
        seen: &BTreeSet<TransactionId>,
    ) {
        let is_ignored = self.has(Bug::AnotherLifeIsNotLookedThrough);
        let Some(member) = self.members.get(participant) else {
            return;
        };
        let incarnation = &member.incarnation;
        let has_lives = !incarnation.is_empty();
        let is_again = match &member.memory.look {
            Look::Through { incarnation: known } if known == incarnation => {
                if has_lives {
                    return;
                }
                true
            }
            Look::Through { .. } if is_ignored => return,
            Look::Through { .. } | Look::Due | Look::Asked { .. } => false,
        };
        let is_other = has_lives && before != incarnation;
        if is_other && !before.is_empty() && !self.has(Bug::VoidVoteCounts) {
            self.void_promises(participant);
        }
        if is_other {
            self.redo_first(participant, seen);
        }
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        // What was found in another life is found again in this one, or is there again.
        member.memory.forgotten.clear();
        if !self.ask_page(participant, None, 0, is_again) {
            self.is_looked_through(now, participant, 0, None);
        }
    }

    /// Takes a store's answer about one page.
    pub(super) fn recalled(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        page: u64,
        forgotten: &[TransactionId],
        remembers_from: Option<TransactionId>,
    ) {
        let Some(member) = self.members.get(participant) else {
            return;
        };
        let Look::Asked {
            oldest,
            is_last,
            found,
            is_again,
        } = &member.memory.look
        else {
            return;
        };
        if member.memory.page != page {
            return;
        }
        let (oldest, is_again, mut found) = (oldest.clone(), *is_again, *found);
        let is_last = *is_last || is_again && forgotten.is_empty();
        for id in forgotten {
            if self.has_acknowledged(id, participant) && !self.has(Bug::RedoIsSkipped) {
                found += 1;
                self.was_forgotten(now, id, participant);
            }
        }
        if is_last || !self.ask_page(participant, oldest.as_ref(), found, false) {
            self.is_looked_through(now, participant, found, remembers_from);
        }
    }

    /// A store was asked about everything and does not remember so much of it.
    fn is_looked_through(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        found: u64,
        remembers_from: Option<TransactionId>,
    ) {
        let floor = self.floor.clone();
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        let incarnation = member.incarnation.clone();
        member.memory.look = Look::Through { incarnation };
        if found == 0 {
            return;
        }
        // Below the floor only the store knows what it has committed, and it has just been found
        // to have lost something.
        let is_unchecked = remembers_from.as_ref().is_none_or(|first| *first < floor)
            && (floor.epoch.0, floor.sequence) > (0, 0);
        let unchecked = is_unchecked.then(|| (remembers_from.clone(), floor.clone()));
        member.memory.loss = Some(Loss {
            time: now,
            transactions: found,
            redone: 0,
            still_there: 0,
            debt: 0,
            end_time: None,
            unchecked,
        });
        self.note(Note::Forgot {
            participant: participant.clone(),
            transactions: found,
        });
        // It may have lost too what it was allowed to forget, and would carry out a late repeat of it.
        if (floor.epoch.0, floor.sequence) > (0, 0) {
            self.forget_at(participant, &floor);
        }
        if is_unchecked {
            self.note(Note::Unchecked {
                participant: participant.clone(),
                from: remembers_from,
                before: floor,
            });
        }
    }

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
                branches,
            }),
        });
        // The log said that it has ended. What is found or said of it from here on needs its
        // decision before it, after a restart too.
        self.carry(now, id);
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

    /// A sweep has found the branch of a decision in the store's present life: what it needs is
    /// held for it.
    pub(super) fn is_held(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
    ) {
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        // The list that an enlistment begins with comes before it.
        if matches!(member.link, Link::Down { .. }) {
            member.memory.seen.insert(id.clone());
        } else if member.memory.unseen.remove(id) {
            self.end_loss(now, participant);
        }
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

    /// Asks about the newest transactions before `below` that the participant has acknowledged, if
    /// there are any.
    fn ask_page(
        &mut self,
        participant: &ParticipantName,
        below: Option<&TransactionId>,
        found: u64,
        is_again: bool,
    ) -> bool {
        let transactions: Vec<TransactionId> = self
            .history
            .committed_at(participant, below)
            .filter(|id| self.has_acknowledged(id, participant))
            .take(PAGE_TRANSACTIONS_MAX)
            .cloned()
            .collect();
        let Some(member) = self.members.get_mut(participant) else {
            return false;
        };
        if transactions.is_empty() {
            return false;
        }
        member.memory.page += 1;
        member.memory.look = Look::Asked {
            oldest: transactions.last().cloned(),
            is_last: transactions.len() < PAGE_TRANSACTIONS_MAX,
            found,
            is_again,
        };
        self.actions.push(Action::Recall {
            participant: participant.clone(),
            page: member.memory.page,
            transactions,
        });
        true
    }

    /// Whether a participant has acknowledged that it carried a decision out.
    fn has_acknowledged(&self, id: &TransactionId, participant: &ParticipantName) -> bool {
        match self.transactions.get(id) {
            Some(transaction) => branches(transaction)
                .and_then(|branches| branches.get(participant))
                .is_some_and(|branch| branch.progress == Progress::Done),
            // Behind the floor the store was allowed to forget it.
            None => {
                let kept = self.history.transaction(id);
                *id >= self.floor && kept.is_some_and(|kept| kept.is_committed_at(participant))
            }
        }
    }

    /// Has something carried out again that a participant had acknowledged.
    fn was_forgotten(&mut self, now: Timestamp, id: &TransactionId, participant: &ParticipantName) {
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        match self.transactions.get_mut(id).and_then(branches_mut) {
            Some(branches) => {
                if let Some(branch) = branches.get_mut(participant)
                    && branch.progress == Progress::Done
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
        let ready = matches!(member.link, Link::Up)
            && matches!(memory.look, Look::Through { .. })
            && has_room;
        ready.then(|| memory.forgotten.pop_first()).flatten()
    }

    /// Gives up what is being prepared at a store that lives another life: what it promised may be
    /// gone, and what it promises now it does not know to be sold.
    fn void_promises(&mut self, participant: &ParticipantName) {
        let is_promised = |transaction: &Transaction| match &transaction.state {
            State::Preparing(preparing) => preparing
                .promises
                .get(participant)
                .is_some_and(|promise| *promise != Promise::NotAsked),
            State::Deciding(_) | State::Committing(_) | State::Aborting(_) => false,
        };
        let void: Vec<TransactionId> = self
            .pipeline
            .iter()
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
    fn redo_first(&mut self, participant: &ParticipantName, seen: &BTreeSet<TransactionId>) {
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
        let open: BTreeSet<TransactionId> = self
            .transactions
            .values()
            .filter(|transaction| is_open(transaction))
            .map(|transaction| transaction.id.clone())
            .collect();
        if let Some(member) = self.members.get_mut(participant) {
            member.memory.unseen = open.difference(seen).cloned().collect();
        }
    }
}
