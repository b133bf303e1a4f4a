//! Asking stores what they remember of what they have acknowledged.
//!
//! When a participant is enlisted in another life of its store than the one before, its store is
//! asked, page by page, newest first, which of the transactions that it has acknowledged it still
//! remembers. What it forgot is `redo`'s.

use std::collections::BTreeSet;

use super::Coordinator;
use crate::action::Action;
use crate::id::{ParticipantName, TransactionId};
use crate::note::Note;
use crate::participants::Page;
use crate::time::Timestamp;

/// Transactions that a store is asked about in one call, at most.
const PAGE_TRANSACTIONS_MAX: usize = 1_000;

impl Coordinator {
    /// Begins to ask a store what it remembers, unless this life of it was asked before: the next
    /// page follows each answer at once, until all of it was asked. A store that reports no lives is
    /// asked at each enlistment, since any of them may be of another server, and what that lost may
    /// lie behind thousands that it has. `before` is its life until now, `seen` what its list of
    /// prepared branches has just shown.
    pub(super) fn begin_recall(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        before: &str,
        seen: &BTreeSet<TransactionId>,
    ) {
        let life = self.participants.incarnation(participant);
        let life = life.unwrap_or_default().to_owned();
        let recall = self.participants.recall(participant);
        if recall.is_some_and(|recall| recall.is_through(&life)) {
            // It was away and is the same.
            return;
        }
        let is_other = !life.is_empty() && before != life;
        if is_other && !before.is_empty() {
            self.void_promises(participant);
        }
        if is_other {
            self.redo_first(participant, seen);
        }
        if let Some(recall) = self.participants.recall_mut(participant) {
            recall.begin();
        }
        if !self.ask_page(participant, None, 0) {
            self.end_recall(now, participant, 0, None);
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
        let recall = self.participants.recall(participant);
        let Some(page) = recall.and_then(|recall| recall.asked(page)).cloned() else {
            // Asked before the store was enlisted anew: another page is asked for since.
            return;
        };
        let mut found = page.found;
        for branch in forgotten.iter().map(|id| id.at(participant)) {
            if self.transactions.is_acknowledged(&branch) {
                found += 1;
                self.forget(now, &branch);
            }
        }
        if page.is_last || !self.ask_page(participant, page.oldest.as_ref(), found) {
            self.end_recall(now, participant, found, remembers_from);
        }
    }

    /// A store was asked about everything and does not remember so much of it.
    fn end_recall(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        found: u64,
        remembers_from: Option<TransactionId>,
    ) {
        let life = self.participants.incarnation(participant);
        let life = life.unwrap_or_default().to_owned();
        let Some(recall) = self.participants.recall_mut(participant) else {
            return debug_assert!(false, "{participant} was asked, and is not configured");
        };
        recall.end(life);
        if found == 0 {
            // It remembers all.
            return;
        }
        // Below the floor only the store knows what it has committed, and it has just been found
        // to have lost something.
        let floor = self.transactions.floor();
        let is_unchecked = remembers_from.as_ref().is_none_or(|first| first < floor)
            && (floor.epoch.0, floor.sequence) > (0, 0);
        let unchecked = is_unchecked.then(|| (remembers_from, floor.clone()));
        recall.lose(now, found, unchecked.clone());
        self.note(Note::Forgot {
            participant: participant.clone(),
            transactions: found,
        });
        // It may have lost too what it was allowed to forget, and would carry out a late repeat of it.
        let let_go = self.let_go.clone();
        if (let_go.epoch.0, let_go.sequence) > (0, 0) {
            self.let_forget(participant, &let_go);
        }
        if let Some((from, before)) = unchecked {
            self.note(Note::Unchecked {
                participant: participant.clone(),
                from,
                before,
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
        let decided = self.transactions.history();
        let transactions: Vec<TransactionId> = decided
            .committed_at(participant, below)
            .filter(|id| self.transactions.is_acknowledged(&id.at(participant)))
            .take(PAGE_TRANSACTIONS_MAX)
            .cloned()
            .collect();
        let recall = self.participants.recall_mut(participant);
        let Some(recall) = recall.filter(|_| !transactions.is_empty()) else {
            return false;
        };
        let page = recall.ask(Page {
            oldest: transactions.last().cloned(),
            is_last: transactions.len() < PAGE_TRANSACTIONS_MAX,
            found,
        });
        self.actions.push(Action::Recall {
            participant: participant.clone(),
            page,
            transactions,
        });
        true
    }
}
