//! From votes to a stored decision.

use super::Coordinator;
use super::abort::purchase_ids;
use super::refuse::reasons;
use crate::action::Action;
use crate::id::{ParticipantName, Position, TransactionId};
use crate::lanes::Lane;
use crate::note::Note;
use crate::purchase::{Entry, Reason};
use crate::record::{Decision, Record, fingerprint};
use crate::tail::Storing;
use crate::time::Timestamp;
use crate::transaction::Promise;

impl Coordinator {
    /// Sends a transaction's decision to the log: all have promised these entries.
    pub(super) fn decide(&mut self, now: Timestamp, id: &TransactionId, entries: Vec<Entry>) {
        if let Some(name) = self.void_promise(id) {
            let detail = format!("the store of {name} was restarted after its vote");
            return self.abort(id, &detail);
        }
        self.learn_duration(now, id);
        let begin_time = self.transactions.get(id).map(|known| known.begin_time);
        let preparing = self.transactions.preparing_mut(id);
        let (Some(begin_time), Some(preparing)) = (begin_time, preparing) else {
            return debug_assert!(false, "{id} is decided, and is not being prepared");
        };
        let refused = std::mem::take(&mut preparing.refused);
        let all = std::mem::take(&mut preparing.entries);
        let participants = preparing.promises.keys().cloned().collect();
        if !self.spares_others(&refused) {
            self.caution = self.caution.saturating_sub(1);
        }
        let decision = Decision {
            transaction: id.clone(),
            begin_time,
            decide_time: now,
            participants,
            entries,
            refused: self.final_refusals(id, &all, refused),
            counts: true,
        };
        self.transactions.decide(decision.clone());
        let record = Record::Decided(decision);
        self.store(record, true, Storing::Decision(id.clone()));
    }

    /// Who has promised nothing that counts. A vote is a promise of the store's life that gave it: a
    /// store that was restarted from elsewhere since may have lost the promise.
    fn void_promise(&self, id: &TransactionId) -> Option<ParticipantName> {
        let preparing = self.transactions.get(id)?.preparing()?;
        let is_void = |name: &ParticipantName, promise: &Promise| match promise {
            Promise::Yes { incarnation, .. } => {
                !incarnation.is_empty() && self.participants.incarnation(name) != Some(incarnation)
            }
            Promise::NotAsked | Promise::Asked { .. } | Promise::Empty => true,
        };
        let mut promises = preparing.promises.iter();
        let void = promises.find(|(name, promise)| is_void(name, promise));
        void.map(|(name, _)| name.clone())
    }

    /// Learns how long it takes to prepare, from one that waited for no lock.
    fn learn_duration(&mut self, now: Timestamp, id: &TransactionId) {
        let is_open = self.transactions.lane(id) == Some(Lane::Open);
        let Some(transaction) = self.transactions.get(id).filter(|_| is_open) else {
            // What shares the contended lane waits for locks.
            return;
        };
        let refused = transaction.preparing().map(|preparing| &preparing.refused);
        let mut refused = refused.into_iter().flatten();
        let waited = refused.any(|(_, refused)| refused.refusal.reason == Reason::Locked);
        if !waited {
            self.prepare_took = now.since(transaction.begin_time);
        }
    }

    pub(super) fn decision_stored(&mut self, id: &TransactionId, position: Position) {
        let in_flight = &self.in_flight;
        let fingerprint = |entry: &Entry| {
            let known = in_flight.get(&entry.purchase.purchase_id);
            known.map_or_else(|| fingerprint(&entry.purchase), |known| known.fingerprint)
        };
        let Some(decision) = self.transactions.commit(id, position, fingerprint) else {
            return debug_assert!(false, "{id} is decided once, and ends after that only");
        };
        self.totals.begin(&decision.participants, &decision.entries);
        self.note(Note::Decided {
            transaction: id.clone(),
            committed: purchase_ids(&decision.entries),
            refused: reasons(&decision.refused),
        });
        for participant in &decision.participants {
            self.actions.push(Action::Commit {
                participant: participant.clone(),
                transaction: id.clone(),
                entries: decision.entries.clone(),
                begin_time: decision.begin_time,
                decide_time: decision.decide_time,
            });
        }
        for refused in decision.refused {
            self.reply_refused(id, refused);
        }
        for entry in &decision.entries {
            self.reply_if_decided(&entry.purchase.purchase_id);
        }
    }
}
