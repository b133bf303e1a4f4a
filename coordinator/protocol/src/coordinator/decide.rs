//! From votes to a stored decision.

use std::collections::BTreeMap;

use super::contended::locked;
use super::lanes::Lane;
use super::submit::RETRY_AFTER;
use super::{Coordinator, Storing};
use crate::action::Action;
use crate::branch::Vote;
use crate::event::Position;
use crate::history::Fate;
use crate::id::{ParticipantName, TransactionId};
use crate::index::{Outcome, PurchaseKey};
use crate::note::Note;
use crate::purchase::{Entry, Reason, Refusal};
use crate::record::{
    Decision, Fingerprint, REFUSAL_DETAIL_BYTES_MAX, Record, RefusedPurchase, fingerprint,
};
use crate::reply::Reply;
use crate::time::Timestamp;
use crate::transaction::{Branch, Committing, Progress, Promise, Refused, State, Step};

impl Coordinator {
    pub(super) fn voted(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
        vote: Vote,
    ) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        // A vote that comes after an abort needs nothing: the roll back was asked for.
        let State::Preparing(preparing) = &mut transaction.state else {
            return;
        };
        let is_asked = matches!(
            preparing.promises.get(participant),
            Some(Promise::Asked { .. })
        );
        let locked = locked(&vote);
        match preparing.vote(participant, vote) {
            Ok(()) => {
                if is_asked {
                    self.learn_locks(now, id, participant, &locked);
                }
                self.note_refusals(id);
                self.step(now, id);
            }
            Err(detail) => self.abort(id, &detail),
        }
    }

    pub(super) fn expire_prepares(&mut self, now: Timestamp) {
        let late: Vec<(TransactionId, String)> = self
            .pipeline
            .keys()
            .filter_map(|id| match &self.transactions.get(id)?.state {
                State::Preparing(preparing) if preparing.deadline <= now => {
                    let missing: Vec<&str> = preparing
                        .promises
                        .iter()
                        .filter(|(_, promise)| matches!(promise, Promise::Asked { .. }))
                        .map(|(name, _)| name.as_str())
                        .collect();
                    let missing = missing.join(", ");
                    Some((id.clone(), format!("no vote in time from {missing}")))
                }
                State::Preparing(_)
                | State::Deciding(_)
                | State::Committing(_)
                | State::Aborting(_) => None,
            })
            .collect();
        for (id, detail) in late {
            self.abort(&id, &detail);
        }
    }

    /// Gives a transaction up that has no decision: presumed abort, so nothing is stored.
    pub(super) fn abort(&mut self, id: &TransactionId, detail: &str) {
        let reply = Reply::Unavailable {
            detail: detail.to_owned(),
            retry_after: RETRY_AFTER,
        };
        self.give_up(id, detail, reply);
    }

    /// Gives a transaction up that a participant can't take as it is: asking again does not help
    /// until a person has mended that. None of its purchases is to blame, so nothing is remembered.
    pub(super) fn abort_misconfigured(
        &mut self,
        id: &TransactionId,
        participant: &ParticipantName,
        mut detail: String,
    ) {
        let note = format!("{participant} can't prepare: {detail}");
        truncate(&mut detail, REFUSAL_DETAIL_BYTES_MAX);
        let reply = Reply::Refused {
            transaction: id.clone(),
            participant: participant.clone(),
            refusal: Refusal {
                reason: Reason::Misconfigured,
                detail,
            },
        };
        self.give_up(id, &note, reply);
    }

    fn give_up(&mut self, id: &TransactionId, detail: &str, reply: Reply) {
        let Some(entries) = self.roll_back(id) else {
            return;
        };
        self.note(Note::Aborted {
            transaction: id.clone(),
            purchases: purchase_ids(&entries),
            detail: detail.to_owned(),
        });
        for entry in entries {
            self.reply_all(&entry.purchase.purchase_id, reply.clone());
        }
    }

    pub(super) fn decision_stored(&mut self, id: &TransactionId, position: Position) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        let State::Deciding(decision) = &transaction.state else {
            return;
        };
        let decision = decision.clone();
        transaction.state = State::Committing(Committing {
            entries: decision.entries.clone(),
            decide_time: decision.decide_time,
            counts: decision.counts,
            branches: decision
                .participants
                .iter()
                .map(|name| (name.clone(), Branch::new(Progress::Asked)))
                .collect(),
        });
        self.totals.begin(&decision.participants, &decision.entries);
        self.remember(&decision, position);
        self.note(Note::Decided {
            transaction: id.clone(),
            committed: purchase_ids(&decision.entries),
            refused: decision
                .refused
                .iter()
                .map(|refused| (refused.purchase_id.clone(), refused.refusal.reason))
                .collect(),
        });
        for participant in &decision.participants {
            self.actions.push(Action::Commit {
                participant: participant.clone(),
                transaction: id.clone(),
                entries: decision.entries.clone(),
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

    pub(super) fn refusals_stored(
        &mut self,
        id: &TransactionId,
        time: Timestamp,
        refused: Vec<RefusedPurchase>,
        position: Position,
    ) {
        let fate = match self.history.transaction(id).map(|kept| kept.fate) {
            Some(Fate::Aborting) => Fate::Aborting,
            Some(Fate::Committing | Fate::Committed | Fate::Refused) | None => Fate::Refused,
        };
        self.history
            .insert(id, time, fate, refused.iter().map(past_refusal));
        self.history.place(id, position);
        self.note(Note::Decided {
            transaction: id.clone(),
            committed: Vec::new(),
            refused: refused
                .iter()
                .map(|refused| (refused.purchase_id.clone(), refused.refusal.reason))
                .collect(),
        });
        for refused in refused {
            self.reply_refused(id, refused);
        }
    }

    pub(super) fn step(&mut self, now: Timestamp, id: &TransactionId) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        let State::Preparing(preparing) = &mut transaction.state else {
            return;
        };
        let (members, releases) = (&self.members, &self.releases);
        let refuses_singly = |name: &ParticipantName| {
            members
                .get(name)
                .is_some_and(|member| member.refuses_singly)
        };
        match preparing.step(refuses_singly, |name| releases.at(name)) {
            Step::Wait => {}
            Step::Ask(participants, entries) => {
                for participant in participants {
                    self.actions.push(Action::Prepare {
                        participant,
                        transaction: id.clone(),
                        entries: entries.clone(),
                        deadline: preparing.deadline,
                    });
                }
            }
            Step::Decide(entries) => self.decide(now, id, entries),
            Step::Again(survivors) => {
                let refused = std::mem::take(&mut preparing.refused);
                let all = preparing.entries.clone();
                self.refuse(now, id, &all, refused);
                self.again.insert(id.clone(), survivors);
                self.roll_back(id);
            }
            Step::AllRefused => {
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
        let spares = match self.transactions.get(id).map(|t| &t.state) {
            Some(State::Preparing(preparing)) => self.spares_others(&preparing.refused),
            Some(State::Deciding(_) | State::Committing(_) | State::Aborting(_)) | None => false,
        };
        if spares {
            self.caution = self.settings.cautious_transactions;
        }
    }

    /// Whether one of these refusals spares other participants an entry, if its own is asked first: one
    /// whose branch is all or nothing then need not begin again.
    fn spares_others(&self, refused: &BTreeMap<u32, Refused>) -> bool {
        let refuses_singly = |name: &ParticipantName| {
            let member = self.members.get(name);
            member.is_some_and(|member| member.refuses_singly)
        };
        refused
            .values()
            .any(|refused| refuses_singly(&refused.participant))
    }

    fn decide(&mut self, now: Timestamp, id: &TransactionId, entries: Vec<Entry>) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        let State::Preparing(preparing) = &mut transaction.state else {
            return;
        };
        // A vote is a promise of the store's life that gave it. A store that was restarted from
        // elsewhere since may have lost the promise.
        let void = preparing.promises.iter().find(|(name, promise)| {
            let Promise::Yes { incarnation, .. } = promise else {
                return true;
            };
            !incarnation.is_empty()
                && self
                    .members
                    .get(*name)
                    .is_none_or(|member| member.incarnation != *incarnation)
        });
        if let Some((name, _)) = void {
            let detail = format!("the store of {name} was restarted after its vote");
            return self.abort(id, &detail);
        }
        let waited = self.pipeline.get(id) != Some(&Lane::Open)
            || preparing
                .refused
                .values()
                .any(|refused| refused.refusal.reason == Reason::Locked);
        if !waited {
            self.prepare_took = now.since(transaction.begin_time);
        }
        let refused = std::mem::take(&mut preparing.refused);
        let all = std::mem::take(&mut preparing.entries);
        let participants = preparing.promises.keys().cloned().collect();
        if !self.spares_others(&refused) {
            self.caution = self.caution.saturating_sub(1);
        }
        let decision = Decision {
            transaction: id.clone(),
            decide_time: now,
            participants,
            entries,
            refused: Vec::new(),
            counts: true,
        };
        let decision = Decision {
            refused: self.final_refusals(id, &all, refused),
            ..decision
        };
        if let Some(transaction) = self.transactions.get_mut(id) {
            transaction.state = State::Deciding(decision.clone());
        }
        self.store(
            Record::Decided(decision),
            true,
            Storing::Decision(id.clone()),
        );
    }

    /// Refuses entries of a transaction that commits none of them.
    fn refuse(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        entries: &[Entry],
        refused: BTreeMap<u32, Refused>,
    ) {
        let refused = self.final_refusals(id, entries, refused);
        if refused.is_empty() {
            return;
        }
        let record = Record::Refused {
            transaction: id.clone(),
            time: now,
            refused: refused.clone(),
        };
        let then = Storing::Refusals {
            transaction: id.clone(),
            time: now,
            refused,
        };
        self.store(record, true, then);
    }

    /// Replies to the refusals that are not remembered or were not true, and gives the others, for
    /// the log.
    fn final_refusals(
        &mut self,
        id: &TransactionId,
        entries: &[Entry],
        refused: BTreeMap<u32, Refused>,
    ) -> Vec<RefusedPurchase> {
        let mut finals = Vec::new();
        for entry in entries {
            let Some(refused) = refused.get(&entry.number) else {
                continue;
            };
            if refused.is_doubtful {
                self.turn_away_for_now(entry, &refused.participant);
                continue;
            }
            let mut refusal = refused.refusal.clone();
            truncate(&mut refusal.detail, REFUSAL_DETAIL_BYTES_MAX);
            let refused = RefusedPurchase {
                purchase_id: entry.purchase.purchase_id.clone(),
                fingerprint: fingerprint(&entry.purchase),
                participant: refused.participant.clone(),
                refusal,
            };
            if refused.refusal.reason.is_final() {
                finals.push(refused);
            } else {
                self.reply_refused(id, refused);
            }
        }
        finals
    }

    fn reply_refused(&mut self, id: &TransactionId, refused: RefusedPurchase) {
        self.reply_all(
            &refused.purchase_id,
            Reply::Refused {
                transaction: id.clone(),
                participant: refused.participant,
                refusal: refused.refusal,
            },
        );
    }

    /// Adds a stored decision to the memory of outcomes.
    fn remember(&mut self, decision: &Decision, position: Position) {
        let committed = decision.entries.iter().map(|entry| {
            let purchase_id = &entry.purchase.purchase_id;
            let fingerprint = match self.in_flight.get(purchase_id) {
                Some(in_flight) => in_flight.fingerprint,
                None => fingerprint(&entry.purchase),
            };
            (
                PurchaseKey::of(purchase_id),
                fingerprint,
                Outcome::Committed,
            )
        });
        let refused = decision.refused.iter().map(past_refusal);
        self.history.insert(
            &decision.transaction,
            decision.decide_time,
            Fate::Committing,
            committed.chain(refused),
        );
        self.history
            .decided(&decision.transaction, &decision.participants, position);
    }
}

pub(crate) fn past_refusal(refused: &RefusedPurchase) -> (PurchaseKey, Fingerprint, Outcome) {
    (
        PurchaseKey::of(&refused.purchase_id),
        refused.fingerprint,
        Outcome::Refused(Box::new((
            refused.participant.clone(),
            refused.refusal.clone(),
        ))),
    )
}

fn purchase_ids(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| entry.purchase.purchase_id.clone())
        .collect()
}

fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}
