//! What each store is known to remember of what it has acknowledged.
//!
//! When a participant is enlisted in another life of its store than the one before, its store is
//! asked, page by page, newest first, which of the transactions that it has acknowledged it still
//! remembers. What it forgot is `redo`'s.

use std::collections::BTreeSet;

use super::Coordinator;
use super::finish::branches;
use crate::action::Action;
use crate::id::{ParticipantName, TransactionId};
use crate::note::Note;
use crate::time::Timestamp;
use crate::transaction::Progress;

/// Transactions that a store is asked about in one call, at most.
const PAGE_TRANSACTIONS_MAX: usize = 1_000;

/// What is known of a store's memory of what it has acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Memory {
    look: Look,
    /// The page that was asked for last.
    page: u64,
    /// Forgotten, and not read back yet.
    pub(super) forgotten: BTreeSet<TransactionId>,
    /// Forgotten, and being read back.
    pub(super) reading: BTreeSet<TransactionId>,
    /// Decided, and to be carried out before the store is offered anything new.
    pub(super) redoing: BTreeSet<TransactionId>,
    /// Decided, and maybe lost with an earlier life of the store, and the units held for it too:
    /// carried out before it is offered anything new, unless a sweep finds the branch.
    pub(super) unseen: BTreeSet<TransactionId>,
    /// Decided, and found prepared by the list that comes before the store is enlisted.
    pub(super) seen: BTreeSet<TransactionId>,
    /// What it lost when it was last found to have lost something.
    pub(super) loss: Option<Loss>,
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
    pub(super) fn is_whole(&self) -> bool {
        self.is_looked_through() && self.redoing.is_empty() && self.unseen.is_empty()
    }

    /// Whether everything that the store forgot is known, and its decisions are in memory.
    pub(super) fn is_looked_through(&self) -> bool {
        !self.is_asked() && self.forgotten.is_empty() && self.reading.is_empty()
    }

    /// Whether it is not known yet what the store forgot.
    pub(super) fn is_asked(&self) -> bool {
        !matches!(self.look, Look::Through { .. })
    }

    pub(super) fn view(&self) -> MemoryView {
        MemoryView {
            is_asked: self.is_asked(),
            to_redo: self.forgotten.len()
                + self.reading.len()
                + self.redoing.len()
                + self.unseen.len(),
            loss: self.loss.clone(),
        }
    }

    /// Takes a transaction for carried out, or for one that nothing new needs to wait for. Gives
    /// whether anything did.
    pub(super) fn settle(&mut self, id: &TransactionId) -> bool {
        let is_unseen = self.unseen.remove(id);
        self.redoing.remove(id) || is_unseen
    }
}

impl Coordinator {
    /// Whether every store has again what it acknowledged.
    pub(super) fn remembers_all(&self) -> bool {
        self.members.values().all(|member| member.memory.is_whole())
    }

    /// Begins to ask a store what it remembers, unless this life of it was asked before: the next
    /// page follows each answer at once, until all of it was asked. A store that reports no lives is
    /// asked at each enlistment, since any of them may be of another server, and what that lost may
    /// lie behind thousands that it has. `before` is its life until now, `seen` what its list of
    /// prepared branches has just shown.
    pub(super) fn look_through_memory(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        before: &str,
        seen: &BTreeSet<TransactionId>,
    ) {
        let Some(member) = self.members.get(participant) else {
            return;
        };
        let incarnation = &member.incarnation;
        let has_lives = !incarnation.is_empty();
        match &member.memory.look {
            Look::Through { incarnation: known } if has_lives && known == incarnation => return,
            Look::Through { .. } | Look::Due | Look::Asked { .. } => {}
        }
        let is_other = has_lives && before != incarnation;
        if is_other && !before.is_empty() {
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
        if !self.ask_page(participant, None, 0) {
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
        } = &member.memory.look
        else {
            return;
        };
        if member.memory.page != page {
            return;
        }
        let (oldest, is_last, mut found) = (oldest.clone(), *is_last, *found);
        for id in forgotten {
            if self.has_acknowledged(id, participant) {
                found += 1;
                self.was_forgotten(now, id, participant);
            }
        }
        if is_last || !self.ask_page(participant, oldest.as_ref(), found) {
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
        let let_go = self.let_go.clone();
        if (let_go.epoch.0, let_go.sequence) > (0, 0) {
            self.forget_at(participant, &let_go);
        }
        if is_unchecked {
            self.note(Note::Unchecked {
                participant: participant.clone(),
                from: remembers_from,
                before: floor,
            });
        }
    }

    /// Asks about the newest transactions before `below` that the participant has acknowledged, if
    /// there are any.
    fn ask_page(
        &mut self,
        participant: &ParticipantName,
        below: Option<&TransactionId>,
        found: u64,
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
        };
        self.actions.push(Action::Recall {
            participant: participant.clone(),
            page: member.memory.page,
            transactions,
        });
        true
    }

    /// Whether a participant has acknowledged that it carried a decision out.
    pub(super) fn has_acknowledged(
        &self,
        id: &TransactionId,
        participant: &ParticipantName,
    ) -> bool {
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
}
