//! The operator's orders to redo a branch from the stored decision.
//!
//! The order is stored before the store is asked. From then on it is carried out like a commit:
//! tried again until it is done, also after a restart.

use super::finish::{branches, branches_mut};
use super::{Coordinator, Storing};
use crate::action::Action;
use crate::branch::{HeuristicKind, Repaired};
use crate::event::{Position, Repair, RequestId};
use crate::id::{ParticipantName, TransactionId};
use crate::note::Note;
use crate::record::{Decision, Record};
use crate::reply::RepairError;
use crate::time::Timestamp;
use crate::transaction::{Branch, Branches, Committing, Order, Progress, State, Transaction};

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
    pub fn damage(
        &self,
        id: &TransactionId,
        participant: &ParticipantName,
    ) -> Result<Damage, RepairError> {
        let no_decision = || RepairError::NoDecision(id.clone(), participant.clone());
        let Some(transaction) = self.transactions.get(id) else {
            return match self.history.transaction(id) {
                Some(kept) if kept.fate.is_committed() => Ok(Damage::Ended(kept.decision())),
                Some(_) => Err(no_decision()),
                None => Err(RepairError::UnknownTransaction(id.clone())),
            };
        };
        match &transaction.state {
            State::Preparing(_) | State::Deciding(_) => {
                return Err(RepairError::Undecided(id.clone()));
            }
            State::Aborting(_) => return Err(no_decision()),
            State::Committing(_) => {}
        }
        let branch = branches(transaction)
            .and_then(|branches| branches.get(participant))
            .ok_or_else(|| RepairError::UnknownBranch(id.clone(), participant.clone()))?;
        match (&branch.progress, &branch.order) {
            (Progress::Heuristic(kind), _) => Ok(Damage::Heuristic(*kind)),
            (Progress::Done, _) => Ok(Damage::Said),
            (Progress::Settled(_), _) => Err(RepairError::Ended(id.clone(), participant.clone())),
            (Progress::Waiting { .. } | Progress::Stuck { .. } | Progress::Asked, Some(_)) => {
                Err(RepairError::UnderWay(id.clone(), participant.clone()))
            }
            (Progress::Waiting { .. } | Progress::Stuck { .. } | Progress::Asked, None) => {
                Err(RepairError::NotDamaged(id.clone(), participant.clone()))
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
        let (id, participant) = (&repair.transaction, &repair.participant);
        let damage = match self.damage(id, participant) {
            Ok(Damage::Ended(_)) => self.begin_redo(now, id, participant, decision),
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
        id: &TransactionId,
        participant: &ParticipantName,
        decision: Option<Decision>,
    ) -> Result<(), RepairError> {
        let decision = decision
            .filter(|decision| decision.transaction == *id)
            .ok_or_else(|| RepairError::DecisionMissing(id.clone()))?;
        if !decision.participants.contains(participant) {
            return Err(RepairError::UnknownBranch(id.clone(), participant.clone()));
        }
        self.take_back(id, &decision);
        self.totals.begin(&decision.participants, &decision.entries);
        let kept = self.history.transaction(id);
        let by_hand = kept.map(|kept| kept.by_hand.as_slice()).unwrap_or_default();
        let mut branches: Branches = decision
            .participants
            .iter()
            .map(|name| {
                let branch = Branch::taken_up(name, Progress::Done, by_hand);
                (name.clone(), branch)
            })
            .collect();
        // Not ended until the order is stored, so that nothing ends the transaction before.
        let damaged = Progress::Heuristic(HeuristicKind::RolledBack);
        branches.insert(participant.clone(), Branch::new(damaged));
        let committing = Committing {
            entries: decision.entries,
            decide_time: decision.decide_time,
            counts: decision.counts,
            branches,
        };
        let transaction = Transaction {
            id: id.clone(),
            begin_time: decision.decide_time,
            state: State::Committing(committing),
        };
        self.transactions.insert(id.clone(), transaction);
        self.is_ordered(id, participant);
        self.history.redo(id);
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
        self.history.place(&repair.transaction, position);
        self.carry_out_order(now, request, repair);
    }

    fn carry_out_order(&mut self, now: Timestamp, request: RequestId, repair: Repair) {
        let (id, participant) = (&repair.transaction, &repair.participant);
        // The branch may have been settled, or another order may have come, while this one was
        // stored.
        match self.damage(id, participant) {
            Ok(Damage::Heuristic(_) | Damage::Said) => {}
            Ok(Damage::Ended(_)) => {
                let error = RepairError::Ended(id.clone(), participant.clone());
                return self.reply_repaired(request, Err(error));
            }
            Err(error) => return self.reply_repaired(request, Err(error)),
        }
        let branch = self.transactions.get_mut(id).and_then(branches_mut);
        if let Some(branch) = branch.and_then(|branches| branches.get_mut(participant)) {
            branch.order = Some(Box::new(Order {
                repair: repair.clone(),
                request: Some(request),
            }));
            self.is_ordered(id, participant);
            self.make_due(id, participant, now);
        }
        self.note(Note::RepairOrdered { repair });
    }

    pub(super) fn repaired(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
        repaired: Repaired,
    ) {
        self.call_returned(id, participant);
        let Some(State::Committing(committing)) =
            self.transactions.get_mut(id).map(|t| &mut t.state)
        else {
            return;
        };
        let Some(branch) = committing.branches.get_mut(participant) else {
            return;
        };
        let Some(order) = branch
            .order
            .as_mut()
            .filter(|_| !branch.progress.has_ended())
        else {
            return;
        };
        let request = order.request.take();
        let retry_time = branch.retry_time();
        branch.progress = Progress::Done;
        let present = committing
            .entries
            .iter()
            .filter(|entry| repaired.present.contains(&entry.number))
            .map(|entry| entry.purchase.purchase_id.clone())
            .collect();
        if let (Some(retry_time), Some(member)) = (retry_time, self.members.get_mut(participant)) {
            member.due.remove(&(retry_time, id.clone()));
        }
        let evidence = Some(repaired.evidence);
        self.is_carried_out(now, id, participant, evidence, &repaired.debts);
        self.note(Note::Repaired {
            transaction: id.clone(),
            participant: participant.clone(),
            present,
        });
        if !repaired.debts.is_empty() {
            self.note(Note::Debts {
                transaction: id.clone(),
                participant: participant.clone(),
                debts: repaired.debts.clone(),
            });
        }
        if let Some(request) = request {
            self.reply_repaired(request, Ok(repaired));
        }
        self.end_if_done(id);
    }

    /// The branch has ended another way: who waits for its repair is told.
    pub(super) fn order_is_overtaken(&mut self, id: &TransactionId, participant: &ParticipantName) {
        if let Some(request) = self.take_request(id, participant) {
            let error = RepairError::Ended(id.clone(), participant.clone());
            self.reply_repaired(request, Err(error));
        }
    }

    /// A person is needed once more: who waits for the repair is told.
    pub(super) fn order_failed(
        &mut self,
        id: &TransactionId,
        participant: &ParticipantName,
        detail: &str,
    ) {
        if let Some(request) = self.take_request(id, participant) {
            let (id, participant) = (id.clone(), participant.clone());
            let error = RepairError::Failed(id, participant, detail.to_owned());
            self.reply_repaired(request, Err(error));
        }
    }

    fn take_request(
        &mut self,
        id: &TransactionId,
        participant: &ParticipantName,
    ) -> Option<RequestId> {
        let branches = branches_mut(self.transactions.get_mut(id)?)?;
        branches
            .get_mut(participant)?
            .order
            .as_mut()?
            .request
            .take()
    }

    fn reply_repaired(&mut self, request: RequestId, result: Result<Repaired, RepairError>) {
        self.actions.push(Action::ReplyRepaired { request, result });
    }
}
