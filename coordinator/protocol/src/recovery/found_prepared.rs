//! What a sweep leads to.

use super::known::KnownBranch;
use super::verdict::Verdict;
use crate::action::Action;
use crate::branch::{Ending, PreparedBranch, PreparedId};
use crate::coordinator::Coordinator;
use crate::held::Held;
use crate::id::{BranchId, ParticipantName};
use crate::note::Note;
use crate::participants::Swept;
use crate::time::Timestamp;
use crate::transaction::{Branch, Progress};

impl Coordinator {
    /// Carries out recovery's plan for what a sweep found.
    pub(crate) fn found_prepared(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        found: Vec<PreparedBranch>,
    ) {
        let mut swept = Swept::default();
        let is_newest = self.participants.are_all_enlisted();
        for prepared in found {
            let PreparedId::Transaction(id) = &prepared.id else {
                swept.foreign.push(prepared);
                continue;
            };
            let branch = id.at(participant);
            let known = self.transactions.known_branch(&branch);
            if known == KnownBranch::Committing {
                swept.seen.insert(id.clone());
            }
            let is_of_this_epoch = id.epoch == self.transactions.epoch();
            match known.verdict() {
                Verdict::Leave => {}
                Verdict::Report => swept.foreign.push(prepared),
                // If it is not back, after all, the answer says so by the store's own evidence.
                Verdict::Commit => self.make_due(&branch, now),
                Verdict::CommitIfItStays => {
                    swept.back.insert(branch.transaction);
                }
                Verdict::RollBackAsSettled => self.roll_back_as_settled(branch),
                Verdict::RollBack if is_newest || is_of_this_epoch => {
                    self.roll_back_found(now, &branch);
                }
                Verdict::RollBack => {
                    swept.held_back.insert(branch.transaction);
                }
                Verdict::Stop => self.stop_for_stranger(&branch),
            }
        }
        for id in self.participants.sweep(participant, swept) {
            self.commit_again(now, &id.at(participant));
        }
        if self.participants.is_up(participant) {
            self.end_loss(now, participant);
        }
    }

    /// Stops, as a transaction is prepared whose number has not been given out.
    fn stop_for_stranger(&mut self, branch: &BranchId) {
        let reason = format!(
            "participant {} holds a prepared branch of {}, which this coordinator ({} in epoch {}) \
             has not begun: another process runs or ran with the same coordinator id. Stop it, and \
             start on the newest log folder.",
            branch.participant,
            branch.transaction,
            self.transactions.coordinator(),
            self.transactions.epoch()
        );
        self.actions.push(Action::Halt { reason });
    }

    /// Has a branch released of which a person has said that it was, against the decision. Nobody waits
    /// for the answer: a list that still shows it asks once more.
    fn roll_back_as_settled(&mut self, branch: BranchId) {
        let BranchId {
            transaction,
            participant,
        } = branch;
        self.note(Note::FoundSettled {
            transaction: transaction.clone(),
            participant: participant.clone(),
            ending: Ending::RollBack,
        });
        self.actions.push(Action::RollBack {
            participant,
            transaction,
        });
    }

    /// Has a branch committed again that is prepared although its commit was acknowledged: the
    /// store was put back in time, in a way that no new life of it has shown. So is what a person has
    /// said to be committed while the store could not be asked.
    fn commit_again(&mut self, now: Timestamp, branch: &BranchId) {
        let recall = self.participants.recall(&branch.participant);
        if recall.is_some_and(|recall| recall.is_missing(&branch.transaction)) {
            // It is known to be forgotten, and its decision is being read back.
            return;
        }
        let is_settled = self.transactions.is_settled(branch);
        self.forget(now, branch);
        let (transaction, participant) = (branch.transaction.clone(), branch.participant.clone());
        self.note(match is_settled {
            true => Note::FoundSettled {
                transaction,
                participant,
                ending: Ending::Commit,
            },
            false => Note::FoundCommitted {
                transaction,
                participant,
            },
        });
    }

    /// Rolls back a branch without a decision that a store has or speaks of, unless its transaction has
    /// come to something else since it was found.
    pub(crate) fn roll_back_found(&mut self, now: Timestamp, id: &BranchId) {
        let Some(branches) = self.transactions.aborting(now, &id.transaction) else {
            return debug_assert!(
                false,
                "{id} is rolled back, and has a decision or may have one"
            );
        };
        let due = Branch::new(Progress::Waiting { retry_time: now });
        let before = branches.insert(id.participant.clone(), due);
        let retry_time = before.and_then(|branch| branch.retry_time());
        self.participants.cancel(id, retry_time);
        self.begin_release(id, Held::Anything);
        self.make_due(id, now);
        self.note(Note::FoundUndecided {
            transaction: id.transaction.clone(),
            participant: id.participant.clone(),
        });
    }
}
