//! The operator's orders to redo a branch from the stored decision.
//!
//! The order is stored before the store is asked. From then on it is carried out like a commit:
//! tried again until it is done, also after a restart.

use super::Coordinator;
use crate::action::Action;
use crate::branch::{HeuristicKind, Repaired};
use crate::by_hand::Repair;
use crate::id::{BranchId, Position, RequestId};
use crate::note::Note;
use crate::record::{Decision, Record};
use crate::reply::RepairError;
use crate::tail::Storing;
use crate::time::Timestamp;
use crate::transaction::{Branch, Order, Progress, State, Transaction};
use crate::transactions::Knowledge;

/// Why a branch may be redone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The participant has said so.
    Heuristic(HeuristicKind),
    /// Only a person says so: the participant has acknowledged it.
    Said,
    /// So has the whole transaction: its decision is to be read back from the log, where it stands
    /// here.
    Ended(Option<Position>),
}

impl Coordinator {
    /// Whether a branch may be redone from the decision, and why.
    pub fn damage(&self, branch: &BranchId) -> Result<Damage, RepairError> {
        let no_decision = || Err(RepairError::NoDecision(branch.clone()));
        let id = &branch.transaction;
        let transaction = match self.transactions.known(id) {
            Knowledge::UnderWay(transaction) => transaction,
            Knowledge::Ended(kept) if kept.fate.is_committed() => {
                return Ok(Damage::Ended(kept.decision()));
            }
            Knowledge::Ended(_) => return no_decision(),
            Knowledge::NotOurs
            | Knowledge::NotBegun
            | Knowledge::Forgotten
            | Knowledge::PresumedAborted => {
                return Err(RepairError::UnknownTransaction(id.clone()));
            }
        };
        let branches = match &transaction.state {
            State::Preparing(_) | State::Deciding(_) => {
                return Err(RepairError::Undecided(id.clone()));
            }
            State::Aborting(_) => return no_decision(),
            State::Committing(committing) => &committing.branches,
        };
        let known = branches
            .get(&branch.participant)
            .ok_or_else(|| RepairError::UnknownBranch(branch.clone()))?;
        match (&known.progress, &known.order) {
            (Progress::Heuristic(kind), _) => Ok(Damage::Heuristic(*kind)),
            (Progress::Done, _) => Ok(Damage::Said),
            (Progress::Settled(_), _) => Err(RepairError::Ended(branch.clone())),
            (Progress::Waiting { .. } | Progress::Stuck { .. } | Progress::Asked, Some(_)) => {
                Err(RepairError::UnderWay(branch.clone()))
            }
            (Progress::Waiting { .. } | Progress::Stuck { .. } | Progress::Asked, None) => {
                Err(RepairError::NotDamaged(branch.clone()))
            }
        }
    }

    pub(super) fn order_repair(
        &mut self,
        now: Timestamp,
        request: RequestId,
        repair: Repair,
        decision: Option<Decision>,
    ) {
        let branch = repair.branch();
        let damage = match self.damage(&branch) {
            Ok(Damage::Ended(_)) => self.begin_redo(now, &branch, decision),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = damage {
            return self.reply_repaired(request, Err(error));
        }
        let record = Record::RepairOrdered {
            repair: repair.clone(),
            time: now,
        };
        self.store(record, true, Storing::Repair { request, repair });
    }

    /// Takes up a transaction that has ended, as one of which a single branch is not carried out.
    /// Its decision is written again, with what persons said of the other branches: after a
    /// restart nothing else would say what to redo.
    fn begin_redo(
        &mut self,
        now: Timestamp,
        branch: &BranchId,
        decision: Option<Decision>,
    ) -> Result<(), RepairError> {
        let id = &branch.transaction;
        let decision = decision
            .filter(|decision| decision.transaction == *id)
            .ok_or_else(|| RepairError::DecisionMissing(id.clone()))?;
        if !decision.participants.contains(&branch.participant) {
            return Err(RepairError::UnknownBranch(branch.clone()));
        }
        self.take_back(&decision);
        self.totals.begin(&decision.participants, &decision.entries);
        let kept = self.transactions.history().transaction(id);
        let by_hand = kept.map(|kept| kept.by_hand.as_slice()).unwrap_or_default();
        let transaction = Transaction::committing(decision, |name| {
            if *name == branch.participant {
                // Not ended until the order is stored, so that nothing ends the transaction before.
                return Branch::new(Progress::Heuristic(HeuristicKind::RolledBack));
            }
            Branch::taken_up(name, Progress::Done, by_hand)
        });
        self.transactions.take_up(transaction);
        self.put_order_first(branch);
        self.carry(now, id);
        Ok(())
    }

    pub(super) fn repair_stored(
        &mut self,
        now: Timestamp,
        request: RequestId,
        repair: Repair,
        position: Position,
    ) {
        self.transactions.place(&repair.transaction, position);
        let id = repair.branch();
        // The branch may have been settled, or another order may have come, while this one was
        // stored.
        match self.damage(&id) {
            Ok(Damage::Heuristic(_) | Damage::Said) => {}
            Ok(Damage::Ended(_)) => {
                return self.reply_repaired(request, Err(RepairError::Ended(id)));
            }
            Err(error) => return self.reply_repaired(request, Err(error)),
        }
        if let Some(branch) = self.transactions.branch_mut(&id) {
            branch.order = Some(Box::new(Order {
                repair: repair.clone(),
                request: Some(request),
            }));
            self.put_order_first(&id);
            self.make_due(&id, now);
        }
        self.note(Note::RepairOrdered { repair });
    }

    pub(super) fn repaired(&mut self, now: Timestamp, id: &BranchId, repaired: Repaired) {
        self.participants.end_call(id);
        let committing = self.transactions.committing_mut(&id.transaction);
        let parts = committing.and_then(|committing| {
            let branch = committing.branches.get_mut(&id.participant)?;
            let is_ordered = branch.order.is_some() && !branch.has_ended();
            is_ordered.then_some((&committing.entries, branch))
        });
        let Some((entries, branch)) = parts else {
            // A repeated answer, or the branch has ended another way: whoever waited was told.
            return;
        };
        let request = branch.order.as_mut().and_then(|order| order.request.take());
        let retry_time = branch.retry_time();
        branch.progress = Progress::Done;
        let present = entries
            .iter()
            .filter(|entry| repaired.present.contains(&entry.number))
            .map(|entry| entry.purchase.purchase_id.clone())
            .collect();
        self.participants.cancel(id, retry_time);
        self.count_redone(now, id, Some(repaired.evidence), &repaired.debts);
        self.note(Note::Repaired {
            transaction: id.transaction.clone(),
            participant: id.participant.clone(),
            present,
        });
        self.note_debts(id, repaired.debts.clone());
        if let Some(request) = request {
            self.reply_repaired(request, Ok(repaired));
        }
        self.end_if_done(&id.transaction);
    }

    /// The branch has ended another way: who waits for its repair is told.
    pub(super) fn overtake_order(&mut self, branch: &BranchId) {
        if let Some(request) = self.take_request(branch) {
            self.reply_repaired(request, Err(RepairError::Ended(branch.clone())));
        }
    }

    /// A person is needed once more: who waits for the repair is told.
    pub(super) fn fail_order(&mut self, branch: &BranchId, detail: &str) {
        if let Some(request) = self.take_request(branch) {
            let error = RepairError::Failed(branch.clone(), detail.to_owned());
            self.reply_repaired(request, Err(error));
        }
    }

    fn take_request(&mut self, branch: &BranchId) -> Option<RequestId> {
        let branch = self.transactions.branch_mut(branch)?;
        branch.order.as_mut()?.request.take()
    }

    fn reply_repaired(&mut self, request: RequestId, result: Result<Repaired, RepairError>) {
        self.actions.push(Action::ReplyRepaired { request, result });
    }
}
