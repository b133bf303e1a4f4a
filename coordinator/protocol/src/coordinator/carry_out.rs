//! Carrying decisions out: what participants answer.

use super::Coordinator;
use crate::branch::{CallFailure, CallFailureKind, CommitEvidence, Debt, Ending, HeuristicKind};
use crate::event::Call;
use crate::id::BranchId;
use crate::note::Note;
use crate::record::Record;
use crate::tail::Storing;
use crate::time::Timestamp;
use crate::transaction::{Branch, Progress};

impl Coordinator {
    pub(super) fn acknowledged(
        &mut self,
        now: Timestamp,
        id: &BranchId,
        ending: Ending,
        evidence: Option<CommitEvidence>,
        debts: Vec<Debt>,
    ) {
        self.participants.end_call(id);
        let branch = self.transactions.branch_of(id, ending);
        let Some(branch) = branch.filter(|branch| !branch.has_ended()) else {
            // A repeated answer, or one that comes when all is over.
            return;
        };
        // The answer to a call that was given up comes late and is as good.
        let retry_time = branch.retry_time();
        branch.progress = Progress::Done;
        self.participants.cancel(id, retry_time);
        self.releases.end(id);
        self.count_redone(now, id, evidence, &debts);
        self.overtake_order(id);
        let (transaction, participant) = (id.transaction.clone(), id.participant.clone());
        if evidence == Some(CommitEvidence::Redone) {
            self.note(Note::Redone {
                transaction,
                participant,
            });
        }
        self.note_debts(id, debts);
        self.end_if_done(&id.transaction);
    }

    pub(super) fn note_debts(&mut self, id: &BranchId, debts: Vec<Debt>) {
        if !debts.is_empty() {
            self.note(Note::Debts {
                transaction: id.transaction.clone(),
                participant: id.participant.clone(),
                debts,
            });
        }
    }

    pub(super) fn call_failed(
        &mut self,
        now: Timestamp,
        id: &BranchId,
        call: Call,
        failure: CallFailure,
    ) {
        if failure.kind == CallFailureKind::Fenced {
            return self.refused_by(&id.participant, &failure.detail);
        }
        match call {
            Call::Prepare => self.prepare_failed(id, failure),
            Call::End(ending) => {
                self.participants.end_call(id);
                self.ending_failed(now, id, ending, false, failure);
            }
            Call::Repair => {
                self.participants.end_call(id);
                self.ending_failed(now, id, Ending::Commit, true, failure);
            }
        }
    }

    fn prepare_failed(&mut self, id: &BranchId, failure: CallFailure) {
        let preparing = self.transactions.preparing_mut(&id.transaction);
        if !preparing.is_some_and(|preparing| preparing.is_asked(&id.participant)) {
            // The transaction is given up already, or the vote has come before.
            return;
        }
        if failure.kind == CallFailureKind::Stuck {
            return self.abort_misconfigured(id, failure.detail);
        }
        let detail = format!("{} could not prepare: {}", id.participant, failure.detail);
        self.abort(&id.transaction, &detail);
    }

    fn ending_failed(
        &mut self,
        now: Timestamp,
        id: &BranchId,
        ending: Ending,
        by_order: bool,
        failure: CallFailure,
    ) {
        let is_asked = |branch: &Branch| {
            branch.progress == Progress::Asked && branch.order.is_some() == by_order
        };
        let branch = self.transactions.branch_of(id, ending);
        let Some(branch) = branch.filter(|branch| is_asked(branch)) else {
            // The answer to a call that was given up; or what failed before the branch was to be
            // redone, which says nothing about redoing it.
            return;
        };
        branch.failures = branch.failures.saturating_add(1);
        // A state is noted when it changes, not each time that it is found again.
        let is_known = branch.failures > 1 && branch.last_failure == failure.detail;
        branch.last_failure.clone_from(&failure.detail);
        let failures = branch.failures;
        if matches!(
            failure.kind,
            CallFailureKind::Stuck | CallFailureKind::Heuristic(_)
        ) {
            self.fail_order(id, &failure.detail);
        }
        self.transactions.free_slot(&id.transaction);
        self.give_up_again(&id.transaction, &failure.detail);
        match failure.kind {
            CallFailureKind::Unavailable | CallFailureKind::Busy | CallFailureKind::Fenced => {
                self.try_later(now, id, failures);
                if !is_known {
                    self.note(Note::Waiting {
                        transaction: id.transaction.clone(),
                        participant: id.participant.clone(),
                        detail: failure.detail,
                    });
                }
            }
            CallFailureKind::Stuck => {
                self.stop_waiting_for(now, id);
                self.try_stuck_later(now, id);
                if !is_known {
                    self.note(Note::Stuck {
                        transaction: id.transaction.clone(),
                        participant: id.participant.clone(),
                        detail: failure.detail,
                    });
                }
            }
            CallFailureKind::Heuristic(kind) => {
                self.end_heuristically(now, id, kind, failure.detail)
            }
        }
    }

    /// Keeps a branch that was ended against the decision until a person has said what to do.
    fn end_heuristically(
        &mut self,
        now: Timestamp,
        id: &BranchId,
        kind: HeuristicKind,
        detail: String,
    ) {
        if let Some(branch) = self.transactions.branch_mut(id) {
            branch.progress = Progress::Heuristic(kind);
            // Redoing it again takes another look, and another order.
            branch.order = None;
        }
        self.releases.end(id);
        self.stop_waiting_for(now, id);
        let (transaction, participant) = (id.transaction.clone(), id.participant.clone());
        // Forced, so that a restart does not have to find the damage anew.
        let record = Record::Heuristic {
            transaction: transaction.clone(),
            participant: participant.clone(),
            kind,
            detail: detail.clone(),
            time: now,
        };
        self.transactions.expect_in_log(now, &transaction);
        self.store(record, true, Storing::Keep(transaction.clone()));
        self.note(Note::Heuristic {
            transaction,
            participant,
            kind,
            detail,
        });
    }
}
