//! Votes: what is asked of whom, and what follows from the answers.

use std::collections::BTreeMap;

use super::Coordinator;
use super::locks::locked;
use crate::action::Action;
use crate::branch::Vote;
use crate::id::{BranchId, ParticipantName, TransactionId};
use crate::time::Timestamp;
use crate::transaction::{PreparingStep, Promise, Refused};

impl Coordinator {
    pub(super) fn voted(&mut self, now: Timestamp, branch: &BranchId, vote: Vote) {
        let (id, participant) = (&branch.transaction, &branch.participant);
        let Some(preparing) = self.transactions.preparing_mut(id) else {
            // A vote that comes after an abort needs nothing: the roll back was asked for.
            return;
        };
        let is_asked = preparing.is_asked(participant);
        let locked = locked(&vote);
        match preparing.vote(participant, vote) {
            Ok(()) => {
                if is_asked {
                    self.learn_locks(now, branch, &locked);
                }
                self.note_refusals(id);
                self.advance_preparing(now, id);
            }
            Err(detail) => self.abort(id, &detail),
        }
    }

    pub(super) fn expire_prepares(&mut self, now: Timestamp) {
        let late = self.transactions.preparing();
        let late = late.filter(|(_, preparing)| preparing.deadline <= now);
        let late: Vec<(TransactionId, String)> = late
            .map(|(id, preparing)| {
                let missing: Vec<&str> = preparing
                    .promises
                    .iter()
                    .filter(|(_, promise)| matches!(promise, Promise::Asked { .. }))
                    .map(|(name, _)| name.as_str())
                    .collect();
                let missing = missing.join(", ");
                (id.clone(), format!("no vote in time from {missing}"))
            })
            .collect();
        for (id, detail) in late {
            self.abort(&id, &detail);
        }
    }

    /// Asks for what a transaction needs next, or decides it.
    pub(super) fn advance_preparing(&mut self, now: Timestamp, id: &TransactionId) {
        let begin_time = self.transactions.get(id).map(|known| known.begin_time);
        let preparing = self.transactions.preparing_mut(id);
        let (Some(begin_time), Some(preparing)) = (begin_time, preparing) else {
            return debug_assert!(false, "{id} is not being prepared and is to be");
        };
        let (participants, releases) = (&self.participants, &self.releases);
        let refuses_singly = |name: &ParticipantName| participants.refuses_singly(name);
        match preparing.advance(refuses_singly, |name| releases.at(name)) {
            PreparingStep::Wait => {}
            PreparingStep::Ask(participants, entries) => {
                for participant in participants {
                    self.actions.push(Action::Prepare {
                        participant,
                        transaction: id.clone(),
                        entries: entries.clone(),
                        begin_time,
                        deadline: preparing.deadline,
                    });
                }
            }
            PreparingStep::Decide(entries) => self.decide(now, id, entries),
            PreparingStep::Again(survivors) => {
                let refused = std::mem::take(&mut preparing.refused);
                let all = preparing.entries.clone();
                self.refuse(now, id, &all, refused);
                self.again.insert(id.clone(), survivors);
                self.roll_back(id);
            }
            PreparingStep::AllRefused => {
                let refused = std::mem::take(&mut preparing.refused);
                let all = preparing.entries.clone();
                self.refuse(now, id, &all, refused);
                self.roll_back(id);
            }
        }
    }

    /// Keeps count of transactions without a refusal that others could have been spared: such ones come
    /// in runs, when goods run out.
    fn note_refusals(&mut self, id: &TransactionId) {
        let transaction = self.transactions.get(id);
        let preparing = transaction.and_then(|transaction| transaction.preparing());
        if preparing.is_some_and(|preparing| self.spares_others(&preparing.refused)) {
            self.caution = self.settings.cautious_transactions;
        }
    }

    /// Whether one of these refusals spares other participants an entry, if its own is asked first: one
    /// whose branch is all or nothing then need not begin again.
    pub(super) fn spares_others(&self, refused: &BTreeMap<u32, Refused>) -> bool {
        let mut by = refused.values().map(|refused| &refused.participant);
        by.any(|name| self.participants.refuses_singly(name))
    }
}
