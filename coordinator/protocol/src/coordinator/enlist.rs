//! Participants that come and go.

use std::collections::BTreeSet;

use super::Coordinator;
use crate::action::Action;
use crate::id::{BranchId, ParticipantName, TransactionId};
use crate::recovery::KnownBranch;
use crate::stale::Stale;
use crate::time::Timestamp;
use crate::transaction::{Progress, Promise, State, Transaction};

impl Coordinator {
    /// Enlists a participant whose store has committed nothing that this log does not know.
    pub(super) fn may_enlist(
        &mut self,
        participant: &ParticipantName,
        newest_committed: &[TransactionId],
    ) {
        if !self.stop_if_stale(participant, newest_committed) {
            let participant = participant.clone();
            self.actions.push(Action::Enlist { participant });
        }
    }

    /// Stops if a store has committed what this log does not know; gives whether it has.
    fn stop_if_stale(
        &mut self,
        participant: &ParticipantName,
        newest_committed: &[TransactionId],
    ) -> bool {
        let mut newest = newest_committed.iter();
        let Some(unknown) = newest.find(|id| !self.transactions.known(id).is_explained()) else {
            return false;
        };
        let stale = Stale::UnknownCommit {
            participant: participant.clone(),
            transaction: unknown.clone(),
        };
        let reason = format!(
            "{stale}. Nothing was touched. Start the coordinator on the newest log folder, not on an \
             old copy of it."
        );
        self.actions.push(Action::Halt { reason });
        true
    }

    pub(super) fn enlisted(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        incarnation: String,
        newest_committed: &[TransactionId],
        refuses_singly: bool,
    ) {
        // It may have committed more between the first question and the enlistment.
        if self.stop_if_stale(participant, newest_committed) {
            return;
        }
        let enlisted = self
            .participants
            .enlist(participant, incarnation, refuses_singly);
        let Some((before, seen)) = enlisted else {
            return debug_assert!(false, "{participant} is enlisted, and is not configured");
        };
        // What waited for its back-off has no reason to wait any more.
        for id in self.participants.due_after(now, participant) {
            self.make_due(&id.at(participant), now);
        }
        for id in newest_committed {
            self.question_commit(now, &id.at(participant));
        }
        self.release_held_back(now);
        self.begin_recall(now, participant, &before, &seen);
    }

    /// Looks at a commit that a store remembers. If the log says that there is none, somebody has
    /// made it by hand: the answer to a roll back names it.
    fn question_commit(&mut self, now: Timestamp, branch: &BranchId) {
        let is_aborted = self.transactions.known_branch(branch) == KnownBranch::Aborted;
        if is_aborted && !self.transactions.is_settled(branch) {
            self.roll_back_found(now, branch);
        }
    }

    /// Rolls back what was held back, once it is known that the log is the newest.
    fn release_held_back(&mut self, now: Timestamp) {
        if self.participants.are_all_enlisted() {
            for branch in self.participants.take_held_back() {
                self.roll_back_found(now, &branch);
            }
        }
    }

    /// Stops: a participant refuses this coordinator for good.
    pub(super) fn refused_by(&mut self, participant: &ParticipantName, detail: &str) {
        let reason = format!(
            "participant {participant} refuses this coordinator: {detail}. Nothing was touched. \
             Start the coordinator on the newest log folder, not on an old copy of it."
        );
        self.actions.push(Action::Halt { reason });
    }

    /// Gives up what is being prepared at a store that lives another life: what it promised may be
    /// gone, and what it promises now it does not know to be sold.
    pub(super) fn void_promises(&mut self, participant: &ParticipantName) {
        let preparing = self.transactions.preparing();
        let void = preparing.filter(|(_, preparing)| {
            let promise = preparing.promises.get(participant);
            promise.is_some_and(|promise| *promise != Promise::NotAsked)
        });
        let void: Vec<TransactionId> = void.map(|(id, _)| id.clone()).collect();
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
                let branch = committing.branches.get(participant);
                branch.is_some_and(|branch| match branch.progress {
                    Progress::Waiting { .. } | Progress::Asked => true,
                    Progress::Stuck { .. }
                    | Progress::Done
                    | Progress::Heuristic(_)
                    | Progress::Settled(_) => false,
                })
            }
            State::Preparing(_) | State::Aborting(_) => false,
        };
        let open = self.transactions.under_way().filter(|known| is_open(known));
        let ids = open.map(|transaction| &transaction.id);
        let unseen = ids.filter(|id| !seen.contains(id)).cloned().collect();
        if let Some(recall) = self.participants.recall_mut(participant) {
            recall.doubt(unseen);
        }
    }
}
