//! The operator: retry now, settle by hand.

use super::finish::{branches, branches_mut};
use super::{Coordinator, Storing};
use crate::action::Action;
use crate::event::{Ending, Position, RequestId, Settlement};
use crate::id::{ParticipantName, TransactionId};
use crate::note::Note;
use crate::record::Record;
use crate::reply::SettleError;
use crate::time::Timestamp;
use crate::transaction::{Progress, State};

impl Coordinator {
    /// What settling a branch would mean: whether it contradicts the decision.
    pub fn settlement(
        &self,
        id: &TransactionId,
        participant: &ParticipantName,
        ending: Ending,
    ) -> Result<bool, SettleError> {
        let transaction = self
            .transactions
            .get(id)
            .ok_or_else(|| SettleError::UnknownTransaction(id.clone()))?;
        let decided = match &transaction.state {
            State::Preparing(_) | State::Deciding(_) => {
                return Err(SettleError::Undecided(id.clone()));
            }
            State::Committing(_) => Ending::Commit,
            State::Aborting(_) => Ending::RollBack,
        };
        let branch = branches(transaction)
            .and_then(|branches| branches.get(participant))
            .ok_or_else(|| SettleError::UnknownBranch(id.clone(), participant.clone()))?;
        if branch.has_ended() {
            return Err(SettleError::Ended(id.clone(), participant.clone()));
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
        let (id, participant) = (&settlement.transaction, &settlement.participant);
        let contradicts = match self.settlement(id, participant, settlement.ending) {
            Ok(contradicts) => contradicts,
            Err(error) => return self.reply_settled(request, Err(error)),
        };
        if contradicts && !force {
            let decision = match settlement.ending {
                Ending::Commit => "abort",
                Ending::RollBack => "commit",
            };
            let error = SettleError::Contradicts(id.clone(), participant.clone(), decision);
            return self.reply_settled(request, Err(error));
        }
        self.will_be_in_log(now, id);
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
        let (id, participant) = (&settlement.transaction, &settlement.participant);
        self.history.place(id, position);
        // The branch may have ended, or another word may have come, while this one was stored.
        if let Err(error) = self.settlement(id, participant, settlement.ending) {
            self.settled_late(&settlement);
            return self.reply_settled(request, Err(error));
        }
        if let Some(branch) = self
            .transactions
            .get_mut(id)
            .and_then(branches_mut)
            .and_then(|branches| branches.get_mut(participant))
        {
            if let (Some(retry_time), Some(member)) =
                (branch.retry_time(), self.members.get_mut(participant))
            {
                member.due.remove(&(retry_time, id.clone()));
            }
            branch.progress = Progress::Settled(Box::new(settlement.clone()));
            self.releases.end(participant, id);
            self.order_is_overtaken(id, participant);
            self.waits_for_a_person(now, id, participant);
            self.end_if_done(id);
        }
        self.reply_settled(request, Ok(()));
        self.note(Note::Settled { settlement });
    }

    /// What was said of a branch is in the log, and the branch has ended meanwhile. A replay believes the
    /// word that stands before the end, so it is believed here too: else the totals would part.
    fn settled_late(&mut self, settlement: &Settlement) {
        let id = &settlement.transaction;
        let branches = self.transactions.get_mut(id).and_then(branches_mut);
        if let Some(branch) = branches.and_then(|all| all.get_mut(&settlement.participant))
            && branch.progress == Progress::Done
        {
            branch.progress = Progress::Settled(Box::new(settlement.clone()));
        }
        self.end_if_done(id);
    }

    /// Whether a person's word about a transaction is on its way to the log.
    pub(super) fn is_being_settled(&self, id: &TransactionId) -> bool {
        self.storing.values().any(|storing| {
            matches!(storing, Storing::Settlement { settlement, .. } if settlement.transaction == *id)
        })
    }

    pub(super) fn retry_now(&mut self, now: Timestamp, id: &TransactionId) {
        let waiting: Vec<ParticipantName> = self
            .transactions
            .get(id)
            .and_then(branches)
            .into_iter()
            .flatten()
            .filter(|(_, branch)| branch.retry_time().is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in waiting {
            self.make_due(id, &name, now);
        }
    }

    fn reply_settled(&mut self, request: RequestId, result: Result<(), SettleError>) {
        self.actions.push(Action::ReplySettled { request, result });
    }
}
