//! The operator's word on a branch.

use super::Coordinator;
use crate::action::Action;
use crate::branch::Ending;
use crate::by_hand::Settlement;
use crate::id::{BranchId, Position, RequestId};
use crate::note::Note;
use crate::record::Record;
use crate::reply::SettleError;
use crate::tail::Storing;
use crate::time::Timestamp;
use crate::transaction::{Progress, State};

impl Coordinator {
    /// What settling a branch would mean: whether it contradicts the decision.
    pub fn settlement(&self, branch: &BranchId, ending: Ending) -> Result<bool, SettleError> {
        let id = &branch.transaction;
        let known = self.transactions.get(id);
        let known = known.ok_or_else(|| SettleError::UnknownTransaction(id.clone()))?;
        let (decided, branches) = match &known.state {
            State::Preparing(_) | State::Deciding(_) => {
                return Err(SettleError::Undecided(id.clone()));
            }
            State::Committing(committing) => (Ending::Commit, &committing.branches),
            State::Aborting(branches) => (Ending::RollBack, branches),
        };
        let known = branches
            .get(&branch.participant)
            .ok_or_else(|| SettleError::UnknownBranch(branch.clone()))?;
        if known.has_ended() {
            return Err(SettleError::Ended(branch.clone()));
        }
        Ok(decided != ending)
    }

    pub(super) fn settle(
        &mut self,
        now: Timestamp,
        request: RequestId,
        settlement: Settlement,
        force: bool,
    ) {
        let branch = settlement.branch();
        let contradicts = match self.settlement(&branch, settlement.ending) {
            Ok(contradicts) => contradicts,
            Err(error) => return self.reply_settled(request, Err(error)),
        };
        if contradicts && !force {
            let decision = match settlement.ending {
                Ending::Commit => "abort",
                Ending::RollBack => "commit",
            };
            let error = SettleError::Contradicts(branch, decision);
            return self.reply_settled(request, Err(error));
        }
        self.transactions.expect_in_log(now, &branch.transaction);
        let record = Record::Settled {
            settlement: settlement.clone(),
            time: now,
        };
        let then = Storing::Settlement {
            request,
            settlement,
        };
        self.store(record, true, then);
    }

    pub(super) fn settlement_stored(
        &mut self,
        now: Timestamp,
        request: RequestId,
        settlement: Settlement,
        position: Position,
    ) {
        let id = settlement.branch();
        self.transactions.place(&id.transaction, position);
        // The branch may have ended, or another word may have come, while this one was stored.
        if let Err(error) = self.settlement(&id, settlement.ending) {
            self.settle_late(&id, settlement);
            return self.reply_settled(request, Err(error));
        }
        if let Some(branch) = self.transactions.branch_mut(&id) {
            let retry_time = branch.retry_time();
            branch.progress = Progress::Settled(Box::new(settlement.clone()));
            self.participants.cancel(&id, retry_time);
            self.releases.end(&id);
            self.overtake_order(&id);
            self.stop_waiting_for(now, &id);
            self.end_if_done(&id.transaction);
        }
        self.reply_settled(request, Ok(()));
        self.note(Note::Settled { settlement });
    }

    /// What was said of a branch is in the log, and the branch has ended meanwhile. A replay believes the
    /// word that stands before the end, so it is believed here too: else the totals would part.
    fn settle_late(&mut self, id: &BranchId, settlement: Settlement) {
        let branch = self.transactions.branch_mut(id);
        if let Some(branch) = branch.filter(|branch| branch.progress == Progress::Done) {
            branch.progress = Progress::Settled(Box::new(settlement));
        }
        self.end_if_done(&id.transaction);
    }

    fn reply_settled(&mut self, request: RequestId, result: Result<(), SettleError>) {
        self.actions.push(Action::ReplySettled { request, result });
    }
}
