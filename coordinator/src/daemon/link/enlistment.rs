//! The present enlistment at a store, and what the store has acknowledged in its present life.
//!
//! A store that is put back in time need not show it. So it is told with each prepare and each
//! enlistment what it has acknowledged, and one that does not know that begins another life.

use tandem_participant::{Acknowledged, Enlisted, KnownCoordinator};
use tandem_protocol::TransactionId;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Which enlistment is the present one, in which life of the store, and what was heard in it.
#[derive(Debug, Default)]
pub(super) struct Enlistment {
    /// How often the participant was enlisted by this process.
    number: u64,
    incarnation: String,
    acknowledged: Acknowledged,
    /// The commits that the last sweep has found there. However much is acknowledged until the next one,
    /// that asks for them again: a participant that tells nothing of its store's lives, and can't prove
    /// at a prepare what it knows, is found out by it.
    found: Vec<TransactionId>,
    /// The store may have forgotten what is before this.
    let_go: Option<TransactionId>,
    /// The calls under way that have told all of `acknowledged`.
    told: TaskTracker,
}

impl Enlistment {
    /// The participant is enlisted. What was heard in another life of its store is no part of this
    /// one: what that lost is found by asking for all of it. What it names as committed now it will
    /// know.
    pub(super) fn begin(&mut self, enlisted: &Enlisted) {
        let is_other = self.number == 0 || self.incarnation != enlisted.incarnation;
        self.number += 1;
        if is_other {
            self.incarnation.clone_from(&enlisted.incarnation);
            self.acknowledged = Acknowledged::default();
            self.found.clear();
            let mut newest = enlisted.newest_committed.clone();
            newest.sort_unstable();
            newest.iter().for_each(|id| self.hear_commit(id));
        }
        self.hear(self.number, enlisted.changes);
    }

    /// Names the present enlistment: an answer counts only in the one in which it was asked for.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The store's present life.
    pub(super) fn incarnation(&self) -> &str {
        &self.incarnation
    }

    /// What the store must know, to be told with a call, and what is held as long as that is under way.
    pub(super) fn acknowledged(&self) -> (Acknowledged, TaskTrackerToken) {
        (self.acknowledged.clone(), self.told.token())
    }

    /// The same for a sweep.
    pub(super) fn to_be_found(&self) -> (Acknowledged, TaskTrackerToken) {
        let (mut acknowledged, told) = self.acknowledged();
        let found = self.found.iter();
        let found = found.filter(|id| !self.acknowledged.committed.contains(id));
        acknowledged.committed.extend(found.cloned());
        (acknowledged, told)
    }

    /// A sweep has found all that it asked for in an enlistment, and what had been acknowledged by then.
    pub(super) fn found(&mut self, asked_in: u64, acknowledged: Acknowledged) {
        if asked_in == self.number {
            self.found = acknowledged.committed;
            self.found.truncate(Acknowledged::COMMITTED_MAX);
            self.forget_what_is_let_go();
        }
    }

    fn is_let_go(&self, transaction: &TransactionId) -> bool {
        let let_go = self.let_go.as_ref();
        let_go.is_some_and(|let_go| transaction < let_go)
    }

    fn forget_what_is_let_go(&mut self) {
        let Some(let_go) = &self.let_go else { return };
        self.acknowledged.committed.retain(|id| id >= let_go);
        self.found.retain(|id| id >= let_go);
    }

    /// Takes the number of changes of an answer. Answers overtake each other, so a lower one says
    /// nothing.
    pub(super) fn hear(&mut self, asked_in: u64, changes: u64) {
        if asked_in == self.number {
            self.acknowledged.changes = self.acknowledged.changes.max(changes);
        }
    }

    /// Takes the acknowledgement of a commit that was asked for in this enlistment.
    pub(super) fn hear_commit(&mut self, transaction: &TransactionId) {
        let is_let_go = self.is_let_go(transaction);
        let committed = &mut self.acknowledged.committed;
        if is_let_go || committed.contains(transaction) {
            return;
        }
        if committed.len() >= Acknowledged::COMMITTED_MAX {
            committed.remove(0);
        }
        committed.push(transaction.clone());
    }

    /// The store may forget what is before a transaction, once the calls have ended that were told of
    /// it: to one that arrives behind, the store would seem to be put back in time.
    pub(super) fn let_go(&mut self, before: &TransactionId) -> TaskTracker {
        self.let_go = self.let_go.take().max(Some(before.clone()));
        self.forget_what_is_let_go();
        let told = std::mem::take(&mut self.told);
        told.close();
        told
    }
}

/// A store's memory of an enlistment, in the core's words.
pub(in crate::daemon) fn known(known: &KnownCoordinator) -> tandem_protocol::Enlistment {
    tandem_protocol::Enlistment {
        log_id: known.log_id.clone(),
        epoch: known.epoch,
        instance_id: known.instance_id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn enlisted(incarnation: &str, changes: u64) -> Enlisted {
        Enlisted {
            incarnation: incarnation.into(),
            changes,
            newest_committed: Vec::new(),
            refuses_singly: false,
        }
    }

    fn id(sequence: usize) -> TransactionId {
        format!("shop.1.{sequence}").parse().expect("well formed")
    }

    #[test]
    fn newest_acknowledgements_are_kept_within_one_life() {
        let mut enlistment = Enlistment::default();
        enlistment.begin(&enlisted("life-1", 7));
        for sequence in 1..=Acknowledged::COMMITTED_MAX + 2 {
            enlistment.hear_commit(&id(sequence));
            enlistment.hear_commit(&id(sequence));
        }
        let newest: Vec<_> = (3..=Acknowledged::COMMITTED_MAX + 2).map(id).collect();
        assert_eq!(enlistment.acknowledged.committed, newest);

        enlistment.hear(1, 9);
        enlistment.hear(1, 8);
        assert_eq!(enlistment.acknowledged.changes, 9);
        enlistment.let_go(&id(5));
        assert_eq!(enlistment.acknowledged.committed[0], id(5));

        // The link was lost for a moment; the store is the same.
        enlistment.begin(&enlisted("life-1", 9));
        assert_eq!(enlistment.acknowledged.committed[0], id(5));
    }

    #[test]
    fn what_is_let_go_is_forgotten_after_the_calls_that_told_of_it() {
        let mut enlistment = Enlistment::default();
        enlistment.begin(&enlisted("life-1", 7));
        (1..4).for_each(|sequence| enlistment.hear_commit(&id(sequence)));
        let (told, before) = enlistment.acknowledged();
        let (_, other) = enlistment.acknowledged();
        let heard = enlistment.let_go(&id(3));
        let (told_since, _since) = enlistment.acknowledged();
        assert_eq!((told.committed.len(), told_since.committed.len()), (3, 1));

        drop(before);
        assert!(heard.wait().now_or_never().is_none());
        drop(other);
        assert!(heard.wait().now_or_never().is_some());

        // Whoever names it later, late answers or another life of the store, has it forgotten too.
        enlistment.hear_commit(&id(2));
        enlistment.begin(&Enlisted {
            newest_committed: (1..4).map(id).collect(),
            ..enlisted("life-2", 3)
        });
        assert_eq!(enlistment.acknowledged.committed, [id(3)]);
    }

    #[test]
    fn what_a_sweep_has_found_is_asked_for_again() {
        let mut enlistment = Enlistment::default();
        enlistment.begin(&enlisted("", 0));
        (1..4).for_each(|sequence| enlistment.hear_commit(&id(sequence)));
        let (told, _) = enlistment.to_be_found();
        enlistment.found(1, told);
        let busy = 10..10 + Acknowledged::COMMITTED_MAX;
        busy.clone()
            .for_each(|sequence| enlistment.hear_commit(&id(sequence)));
        let newest: Vec<_> = busy.map(id).collect();
        let (told, _) = enlistment.acknowledged();
        assert_eq!(told.committed, newest);
        let (told, _) = enlistment.to_be_found();
        let older: Vec<_> = (1..4).map(id).collect();
        assert_eq!(told.committed, [newest.as_slice(), &older].concat());

        enlistment.let_go(&id(3));
        let (told, _) = enlistment.to_be_found();
        assert_eq!(told.committed, [newest.as_slice(), &[id(3)]].concat());
        enlistment.found(1, told);
        let (told, _) = enlistment.to_be_found();
        assert_eq!(told.committed, newest);
    }

    #[test]
    fn another_life_is_held_to_what_it_says_itself() {
        let mut enlistment = Enlistment::default();
        enlistment.begin(&enlisted("life-1", 700));
        enlistment.hear_commit(&id(1));
        let named = Enlisted {
            newest_committed: (1..20).rev().map(id).collect(),
            ..enlisted("life-2", 3)
        };
        enlistment.begin(&named);
        // An answer of the life before comes late.
        enlistment.hear(1, 701);
        let acknowledged = Acknowledged {
            changes: 3,
            committed: (12..20).map(id).collect(),
        };
        assert_eq!(enlistment.acknowledged, acknowledged);
    }
}
