//! What one store is known to remember of what it has acknowledged, and what it has again of the rest.

use std::collections::BTreeSet;

use crate::branch::{CommitEvidence, Debt};
use crate::id::TransactionId;
use crate::time::Timestamp;

/// Forgotten transactions of one store whose decisions are in memory or on their way there, at
/// most.
const REDO_TRANSACTIONS_MAX: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Recall {
    progress: RecallProgress,
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
    seen: BTreeSet<TransactionId>,
    /// What it lost when it was last found to have lost something.
    loss: Option<Loss>,
}

/// How far a store was asked what it remembers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
enum RecallProgress {
    /// Not at all: it has not been enlisted by this process.
    #[default]
    Due,
    Asked(Page),
    /// All of it, in this life of the store.
    Through {
        incarnation: String,
    },
}

/// The page that a store is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Page {
    /// The last transaction on it.
    pub(crate) oldest: Option<TransactionId>,
    pub(crate) is_last: bool,
    /// How many were found forgotten on the pages before it.
    pub(crate) found: u64,
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

/// How far it can be trusted that a store remembers, for an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecallView {
    /// Whether the store is still being asked what it remembers.
    pub is_asked: bool,
    /// Transactions that are still to be carried out before new purchases are taken.
    pub to_redo: usize,
    /// What it lost when it was last found to have lost something.
    pub loss: Option<Loss>,
}

impl Recall {
    /// Whether the store can be offered new purchases.
    pub(super) fn is_whole(&self) -> bool {
        self.is_looked_through() && self.redoing.is_empty() && self.unseen.is_empty()
    }

    /// Whether everything that the store forgot is known, and its decisions are in memory.
    pub(super) fn is_looked_through(&self) -> bool {
        !self.is_asked() && self.forgotten.is_empty() && self.reading.is_empty()
    }

    /// Whether it is not known yet what the store forgot.
    fn is_asked(&self) -> bool {
        !matches!(self.progress, RecallProgress::Through { .. })
    }

    /// Whether all of it was asked in this life of the store. A store that reports no lives is asked
    /// at each enlistment, since any of them may be of another server.
    pub(crate) fn is_through(&self, life: &str) -> bool {
        match &self.progress {
            RecallProgress::Through { incarnation } => !life.is_empty() && incarnation == life,
            RecallProgress::Due | RecallProgress::Asked(_) => false,
        }
    }

    /// The page with this number, if it is the one that the store is asked for.
    pub(crate) fn asked(&self, number: u64) -> Option<&Page> {
        match &self.progress {
            RecallProgress::Asked(page) => (self.page == number).then_some(page),
            RecallProgress::Due | RecallProgress::Through { .. } => None,
        }
    }

    /// Whether it is known already that the store has forgotten a transaction.
    pub(crate) fn is_missing(&self, id: &TransactionId) -> bool {
        self.forgotten.contains(id) || self.reading.contains(id)
    }

    pub(super) fn view(&self) -> RecallView {
        let sets = [&self.forgotten, &self.reading, &self.redoing, &self.unseen];
        RecallView {
            is_asked: self.is_asked(),
            to_redo: sets.into_iter().map(BTreeSet::len).sum(),
            loss: self.loss.clone(),
        }
    }

    /// Begins anew: what was found in another life is found again in this one, or is there again.
    pub(crate) fn begin(&mut self) {
        self.forgotten.clear();
    }

    /// Asks for a page; gives its number.
    pub(crate) fn ask(&mut self, page: Page) -> u64 {
        self.page += 1;
        self.progress = RecallProgress::Asked(page);
        self.page
    }

    /// Takes all of it for asked in this life of the store.
    pub(crate) fn end(&mut self, incarnation: String) {
        self.progress = RecallProgress::Through { incarnation };
    }

    /// Notes that the store has lost so many transactions.
    pub(crate) fn lose(
        &mut self,
        now: Timestamp,
        transactions: u64,
        unchecked: Option<(Option<TransactionId>, TransactionId)>,
    ) {
        self.loss = Some(Loss {
            time: now,
            transactions,
            redone: 0,
            still_there: 0,
            debt: 0,
            end_time: None,
            unchecked,
        });
    }

    /// Takes a transaction, of which only the log has the decision, for one to be read back.
    pub(crate) fn forget(&mut self, id: &TransactionId) {
        self.forgotten.insert(id.clone());
    }

    /// Takes a transaction, whose decision is in memory, for one to be carried out before anything new.
    pub(crate) fn redo(&mut self, id: &TransactionId) {
        self.redoing.insert(id.clone());
    }

    /// The same of one that an operator has ordered, if the store has not said yet whether it
    /// remembers that.
    pub(crate) fn order(&mut self, id: &TransactionId) {
        if !self.is_looked_through() {
            self.unseen.insert(id.clone());
        }
    }

    /// Takes out the next transaction that is to be read back, if there is room for it.
    pub(super) fn next_forgotten(&mut self) -> Option<TransactionId> {
        let has_room = self.reading.len() + self.redoing.len() < REDO_TRANSACTIONS_MAX;
        let is_ready = !self.is_asked() && has_room;
        is_ready.then(|| self.forgotten.pop_first()).flatten()
    }

    pub(crate) fn begin_reading(&mut self, id: &TransactionId) {
        self.reading.insert(id.clone());
    }

    /// Whether a transaction was being read back, which it is not any more.
    pub(super) fn end_reading(&mut self, id: &TransactionId) -> bool {
        self.reading.remove(id)
    }

    /// Takes a transaction for carried out, or for one that nothing new needs to wait for. Gives
    /// whether anything did.
    pub(crate) fn settle(&mut self, id: &TransactionId) -> bool {
        let is_unseen = self.unseen.remove(id);
        self.redoing.remove(id) || is_unseen
    }

    /// Counts what was found when a transaction was carried out again.
    pub(crate) fn count(&mut self, evidence: Option<CommitEvidence>, debts: &[Debt]) {
        if let Some(loss) = &mut self.loss
            && loss.end_time.is_none()
        {
            match evidence {
                Some(CommitEvidence::Redone | CommitEvidence::Applied) => loss.redone += 1,
                Some(CommitEvidence::AlreadyApplied) => loss.still_there += 1,
                None => {}
            }
            loss.debt += debts.iter().map(|debt| debt.quantity).sum::<u64>();
        }
    }

    /// Ends the loss if nothing of it is left; gives it if this is when it ends.
    pub(crate) fn end_loss(&mut self, now: Timestamp) -> Option<&Loss> {
        let is_whole = self.is_whole();
        let loss = self.loss.as_mut()?;
        if !is_whole || loss.end_time.is_some() {
            return None;
        }
        loss.end_time = Some(now);
        Some(loss)
    }

    /// Takes these for maybe lost with an earlier life of the store.
    pub(crate) fn doubt(&mut self, unseen: BTreeSet<TransactionId>) {
        self.unseen = unseen;
    }

    /// Keeps what was found prepared by the list that comes before the store is enlisted.
    pub(super) fn see_before(&mut self, seen: BTreeSet<TransactionId>) {
        self.seen = seen;
    }

    pub(super) fn take_seen(&mut self) -> BTreeSet<TransactionId> {
        std::mem::take(&mut self.seen)
    }

    /// Takes what is found prepared in the store's present life for not lost.
    pub(super) fn see(&mut self, seen: &BTreeSet<TransactionId>) {
        self.unseen.retain(|id| !seen.contains(id));
    }

    /// What new purchases wait for, of what is decided.
    #[cfg(debug_assertions)]
    pub(super) fn awaited(&self) -> impl Iterator<Item = &TransactionId> {
        self.redoing.iter().chain(&self.unseen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sequence: u64) -> TransactionId {
        format!("shop.1.{sequence}").parse().expect("well formed")
    }

    fn through() -> Recall {
        let mut recall = Recall::default();
        recall.end("life-1".into());
        recall
    }

    #[test]
    fn store_is_whole_when_all_that_it_forgot_is_carried_out_again() {
        let mut recall = through();
        assert!(recall.is_whole());
        recall.lose(Timestamp(1), 1, None);
        recall.forget(&id(1));
        assert!(!recall.is_looked_through());
        assert_eq!(recall.next_forgotten(), Some(id(1)));
        recall.begin_reading(&id(1));
        assert!(recall.is_missing(&id(1)) && !recall.is_looked_through());
        assert!(recall.end_reading(&id(1)));
        recall.redo(&id(1));
        assert!(recall.is_looked_through() && !recall.is_whole());
        assert_eq!(recall.end_loss(Timestamp(2)), None);
        assert!(recall.settle(&id(1)));
        recall.count(Some(CommitEvidence::Redone), &[]);
        let redone = recall.end_loss(Timestamp(3)).map(|loss| loss.redone);
        assert_eq!(redone, Some(1));
        // It ends once.
        assert_eq!(recall.end_loss(Timestamp(4)), None);
    }

    #[test]
    fn nothing_is_read_back_before_all_was_asked() {
        let mut recall = Recall::default();
        let page = Page {
            oldest: Some(id(1)),
            is_last: true,
            found: 0,
        };
        assert_eq!(recall.ask(page.clone()), 1);
        recall.forget(&id(1));
        assert_eq!(recall.next_forgotten(), None);
        assert_eq!((recall.asked(1), recall.asked(2)), (Some(&page), None));
        recall.end("life-1".into());
        assert_eq!(recall.asked(1), None);
        assert!(recall.is_through("life-1") && !recall.is_through("life-2"));
        assert_eq!(recall.next_forgotten(), Some(id(1)));
    }

    #[test]
    fn what_a_sweep_finds_is_not_waited_for() {
        let mut recall = through();
        recall.doubt([id(1), id(2)].into());
        recall.see(&[id(2)].into());
        assert!(recall.awaited().eq(&[id(1)]));
    }

    #[test]
    fn decisions_in_memory_are_bounded() {
        let mut recall = through();
        let most = REDO_TRANSACTIONS_MAX as u64;
        (0..most).for_each(|sequence| recall.redo(&id(sequence)));
        recall.forget(&id(most));
        assert_eq!(recall.next_forgotten(), None);
        recall.settle(&id(0));
        assert_eq!(recall.next_forgotten(), Some(id(most)));
    }
}
