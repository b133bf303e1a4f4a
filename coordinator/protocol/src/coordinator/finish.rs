//! Carrying decisions out: acknowledgements, failures, retries, ends.

use std::time::Duration;

use super::{Coordinator, Held, Link, Place, Storing};
use crate::action::Action;
use crate::branch::{CommitEvidence, Debt, Failure, FailureKind, HeuristicKind};
use crate::event::{Call, Ending};
use crate::history::{ByHand, Fate};
use crate::id::{ParticipantName, TransactionId};
use crate::note::Note;
use crate::purchase::Entry;
use crate::record::Record;
use crate::reply::Reply;
use crate::time::Timestamp;
use crate::totals::Counts;
use crate::transaction::{Branch, Branches, Committing, Progress, Promise, State, Transaction};

/// Longest pause before a branch that only a person can end is looked at again.
const STUCK_RETRY: Duration = Duration::from_secs(30);

impl Coordinator {
    /// Turns a transaction without a decision into one that is rolled back wherever something is
    /// or may be prepared; gives its entries. `None` if it has a decision or is rolled back
    /// already.
    pub(super) fn roll_back(&mut self, id: &TransactionId) -> Option<Vec<Entry>> {
        let transaction = self.transactions.get_mut(id)?;
        let State::Preparing(preparing) = &mut transaction.state else {
            return None;
        };
        let held: Vec<(ParticipantName, Held)> = preparing
            .prepared_at()
            .map(|(name, held)| (name.clone(), held))
            .collect();
        let entries = std::mem::take(&mut preparing.entries);
        let branches = held
            .iter()
            .map(|(name, _)| (name.clone(), Branch::new(Progress::Asked)))
            .collect();
        transaction.state = State::Aborting(branches);
        for (participant, held) in held {
            self.is_to_be_released(id, &participant, held);
            self.actions.push(Action::RollBack {
                participant,
                transaction: id.clone(),
            });
        }
        self.end_if_done(id);
        Some(entries)
    }

    /// Takes an unfinished decision over from the log: every branch is asked again.
    pub(super) fn adopt(&mut self, transaction: Transaction) {
        let id = transaction.id.clone();
        let branches = match &transaction.state {
            State::Committing(committing) => {
                for entry in &committing.entries {
                    let purchase = entry.purchase.clone();
                    self.in_flight.insert(
                        purchase.purchase_id.clone(),
                        super::InFlight {
                            fingerprint: crate::record::fingerprint(&purchase),
                            purchase,
                            place: Place::In(id.clone()),
                            waiters: Vec::new(),
                        },
                    );
                }
                let participants = committing.branches.keys();
                self.totals.begin(participants, &committing.entries);
                &committing.branches
            }
            State::Aborting(branches) => branches,
            State::Preparing(_) | State::Deciding(_) => return,
        };
        for (name, branch) in branches {
            if let (Some(retry_time), Some(member)) =
                (branch.retry_time(), self.members.get_mut(name))
            {
                member.due.insert((retry_time, id.clone()));
            }
        }
        self.transactions.insert(id.clone(), transaction);
        self.end_if_done(&id);
    }

    pub(super) fn acknowledged(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
        ending: Ending,
        evidence: Option<CommitEvidence>,
        debts: Vec<Debt>,
    ) {
        self.call_returned(id, participant);
        let Some(branch) = self.branch_mut(id, participant, ending) else {
            return;
        };
        if branch.has_ended() {
            return;
        }
        // The answer to a call that was given up comes late and is as good.
        let retry_time = branch.retry_time();
        branch.progress = Progress::Done;
        if let (Some(retry_time), Some(member)) = (retry_time, self.members.get_mut(participant)) {
            member.due.remove(&(retry_time, id.clone()));
        }
        self.releases.end(participant, id);
        self.is_carried_out(now, id, participant, evidence, &debts);
        self.order_is_overtaken(id, participant);
        if evidence == Some(CommitEvidence::Redone) {
            self.note(Note::Redone {
                transaction: id.clone(),
                participant: participant.clone(),
            });
        }
        if !debts.is_empty() {
            self.note(Note::Debts {
                transaction: id.clone(),
                participant: participant.clone(),
                debts,
            });
        }
        self.end_if_done(id);
    }

    pub(super) fn call_failed(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
        call: Call,
        failure: Failure,
    ) {
        if failure.kind == FailureKind::Fenced {
            return self.refused_by(participant, &failure.detail);
        }
        match call {
            Call::Prepare => {
                if !self.is_asked(id, participant) {
                    return;
                }
                if failure.kind == FailureKind::Stuck {
                    return self.abort_misconfigured(id, participant, failure.detail);
                }
                let detail = format!("{participant} could not prepare: {}", failure.detail);
                self.abort(id, &detail);
            }
            Call::End(ending) => {
                self.call_returned(id, participant);
                self.ending_failed(now, id, participant, ending, false, failure);
            }
            Call::Repair => {
                self.call_returned(id, participant);
                self.ending_failed(now, id, participant, Ending::Commit, true, failure);
            }
        }
    }

    /// Calls again what has waited long enough, as far as each participant's bound allows.
    pub(super) fn retry_due(&mut self, now: Timestamp) {
        let names: Vec<ParticipantName> = self.members.keys().cloned().collect();
        for name in names {
            while let Some(id) = self.next_due(now, &name) {
                self.ask_again(&id, &name);
            }
        }
    }

    /// Makes a branch due at `time`, whatever it waited for.
    pub(super) fn make_due(
        &mut self,
        id: &TransactionId,
        participant: &ParticipantName,
        time: Timestamp,
    ) {
        let Some(transaction) = self.transactions.get_mut(id) else {
            return;
        };
        let Some(branch) = branches_mut(transaction).and_then(|b| b.get_mut(participant)) else {
            return;
        };
        let Some(member) = self.members.get_mut(participant) else {
            return;
        };
        if let Some(retry_time) = branch.retry_time() {
            member.due.remove(&(retry_time, id.clone()));
        }
        branch.progress = match branch.progress {
            Progress::Stuck { .. } => Progress::Stuck { retry_time: time },
            Progress::Waiting { .. }
            | Progress::Asked
            | Progress::Done
            | Progress::Heuristic(_)
            | Progress::Settled(_) => Progress::Waiting { retry_time: time },
        };
        member.due.insert((time, id.clone()));
    }

    /// Ends a transaction of which every branch has ended.
    pub(super) fn end_if_done(&mut self, id: &TransactionId) {
        let Some(transaction) = self.transactions.get(id) else {
            return;
        };
        let Some(branches) = branches(transaction) else {
            return;
        };
        let is_done = branches.values().all(Branch::has_ended);
        // Its end comes behind what is being stored of it, in the log as in memory.
        if !is_done || self.is_being_settled(id) {
            return;
        }
        self.pipeline.remove(id);
        let Some(transaction) = self.transactions.remove(id) else {
            return;
        };
        let words = by_hand(&transaction);
        let State::Committing(committing) = transaction.state else {
            self.begin_again(id);
            // An abort is not stored, nor is its end, unless something about it was.
            if let Some(kept) = self.history.transaction(id)
                && kept.fate == Fate::Aborting
            {
                self.store_end(id, words);
            }
            return;
        };
        self.count(id, &committing);
        self.store_end(id, words);
        self.note(Note::Ended {
            transaction: id.clone(),
        });
        for entry in committing.entries {
            self.reply_all(
                &entry.purchase.purchase_id,
                Reply::Committed {
                    transaction: id.clone(),
                    decide_time: committing.decide_time,
                    applied: true,
                },
            );
        }
    }

    /// Adds what an ended transaction has deducted to the totals, as the record of its end does.
    fn count(&mut self, id: &TransactionId, committing: &Committing) {
        let entries = &committing.entries;
        self.totals.leave(committing.branches.keys(), entries);
        // A decision that is written again just now is not stored before what is known to be.
        let begins = self.history.begins(id).unwrap_or(self.next_position);
        self.totals.add(counts(committing), entries, begins);
    }

    fn store_end(&mut self, id: &TransactionId, words: Vec<ByHand>) {
        self.history.end(id, words);
        // Never forced: what is lost with it is only that the participants are asked once more.
        let record = Record::Ended {
            transaction: id.clone(),
            counted: true,
        };
        self.store(record, false, Storing::Nothing);
    }

    fn ending_failed(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        participant: &ParticipantName,
        ending: Ending,
        by_order: bool,
        failure: Failure,
    ) {
        // What failed before the branch was to be redone says nothing about redoing it.
        let is_asked = |branch: &mut Branch| {
            branch.progress == Progress::Asked && branch.order.is_some() == by_order
        };
        if !self
            .branch_mut(id, participant, ending)
            .is_some_and(is_asked)
        {
            return;
        }
        if matches!(failure.kind, FailureKind::Stuck | FailureKind::Heuristic(_)) {
            self.order_failed(id, participant, &failure.detail);
        }
        // What waits is not in the pipeline: it must not hold up those that can go on.
        self.pipeline.remove(id);
        self.give_up_again(id, &failure.detail);
        let (base, cap) = (self.settings.retry_base, self.settings.retry_cap);
        let Some(branch) = self.branch_mut(id, participant, ending) else {
            return;
        };
        branch.failures = branch.failures.saturating_add(1);
        // A state is noted when it changes, not each time that it is found again.
        let known = branch.failures > 1 && branch.last_failure == failure.detail;
        branch.last_failure.clone_from(&failure.detail);
        let pause = pause(id, branch.failures, base, cap);
        let (transaction, participant) = (id.clone(), participant.clone());
        let detail = failure.detail;
        match failure.kind {
            FailureKind::Unavailable | FailureKind::Busy | FailureKind::Fenced => {
                branch.progress = Progress::Waiting {
                    retry_time: now + pause,
                };
                self.make_due(&transaction, &participant, now + pause);
                if !known {
                    self.note(Note::Waiting {
                        transaction,
                        participant,
                        detail,
                    });
                }
            }
            FailureKind::Stuck => {
                let retry_time = now + STUCK_RETRY;
                branch.progress = Progress::Stuck { retry_time };
                self.waits_for_a_person(now, &transaction, &participant);
                self.make_due(&transaction, &participant, retry_time);
                if !known {
                    self.note(Note::Stuck {
                        transaction,
                        participant,
                        detail,
                    });
                }
            }
            FailureKind::Heuristic(kind) => {
                branch.progress = Progress::Heuristic(kind);
                // Redoing it again takes another look, and another order.
                branch.order = None;
                self.releases.end(&participant, &transaction);
                self.waits_for_a_person(now, &transaction, &participant);
                self.found_heuristic(now, transaction, participant, kind, detail);
            }
        }
    }

    fn found_heuristic(
        &mut self,
        now: Timestamp,
        transaction: TransactionId,
        participant: ParticipantName,
        kind: HeuristicKind,
        detail: String,
    ) {
        // Forced, so that a restart does not have to find the damage anew.
        let record = Record::Heuristic {
            transaction: transaction.clone(),
            participant: participant.clone(),
            kind,
            detail: detail.clone(),
            time: now,
        };
        self.will_be_in_log(now, &transaction);
        let then = Storing::Keep(transaction.clone());
        self.store(record, true, then);
        self.note(Note::Heuristic {
            transaction,
            participant,
            kind,
            detail,
        });
    }

    /// Notes that the log is about to hold something on a branch of a transaction that has not
    /// ended, so that its end has to be there too: an abort has none otherwise.
    pub(super) fn will_be_in_log(&mut self, now: Timestamp, id: &TransactionId) {
        if self.history.transaction(id).is_none() {
            self.history
                .insert(id, now, Fate::Aborting, std::iter::empty());
        }
        self.history.reopen(id);
    }

    /// Whether a participant's promise is being waited for.
    fn is_asked(&self, id: &TransactionId, participant: &ParticipantName) -> bool {
        match self.transactions.get(id).map(|t| &t.state) {
            Some(State::Preparing(preparing)) => matches!(
                preparing.promises.get(participant),
                Some(Promise::Asked { .. })
            ),
            Some(State::Deciding(_) | State::Committing(_) | State::Aborting(_)) | None => false,
        }
    }

    pub(super) fn call_returned(&mut self, id: &TransactionId, participant: &ParticipantName) {
        if let Some(member) = self.members.get_mut(participant) {
            member.retries.remove(id);
        }
    }

    fn next_due(&mut self, now: Timestamp, name: &ParticipantName) -> Option<TransactionId> {
        let bound = self.settings.retries_in_flight_max;
        let member = self.members.get_mut(name)?;
        let ready = matches!(member.link, Link::Up)
            && member.retries.len() < bound
            && member.due.first().is_some_and(|(time, _)| *time <= now);
        if !ready {
            return None;
        }
        let (_, id) = member.due.pop_first()?;
        member.retries.insert(id.clone());
        Some(id)
    }

    fn ask_again(&mut self, id: &TransactionId, participant: &ParticipantName) {
        let action = match self.transactions.get_mut(id).map(|t| &mut t.state) {
            Some(State::Committing(committing)) => {
                let mut by_order = false;
                if let Some(branch) = committing.branches.get_mut(participant) {
                    branch.progress = Progress::Asked;
                    by_order = branch.order.is_some();
                }
                let (participant, transaction) = (participant.clone(), id.clone());
                let entries = committing.entries.clone();
                let decide_time = committing.decide_time;
                if by_order {
                    Action::Repair {
                        participant,
                        transaction,
                        entries,
                        decide_time,
                    }
                } else {
                    Action::Commit {
                        participant,
                        transaction,
                        entries,
                        decide_time,
                    }
                }
            }
            Some(State::Aborting(branches)) => {
                if let Some(branch) = branches.get_mut(participant) {
                    branch.progress = Progress::Asked;
                }
                Action::RollBack {
                    participant: participant.clone(),
                    transaction: id.clone(),
                }
            }
            Some(State::Preparing(_) | State::Deciding(_)) | None => {
                self.call_returned(id, participant);
                return;
            }
        };
        self.actions.push(action);
    }

    /// The branch of a transaction that is being ended in this way.
    fn branch_mut(
        &mut self,
        id: &TransactionId,
        participant: &ParticipantName,
        ending: Ending,
    ) -> Option<&mut Branch> {
        match (&mut self.transactions.get_mut(id)?.state, ending) {
            (State::Committing(committing), Ending::Commit) => {
                committing.branches.get_mut(participant)
            }
            (State::Aborting(branches), Ending::RollBack) => branches.get_mut(participant),
            (
                State::Preparing(_)
                | State::Deciding(_)
                | State::Committing(_)
                | State::Aborting(_),
                Ending::Commit | Ending::RollBack,
            ) => None,
        }
    }
}

/// The branches of a transaction that is being ended.
pub(super) fn branches(transaction: &Transaction) -> Option<&Branches> {
    match &transaction.state {
        State::Committing(committing) => Some(&committing.branches),
        State::Aborting(branches) => Some(branches),
        State::Preparing(_) | State::Deciding(_) => None,
    }
}

pub(crate) fn branches_mut(transaction: &mut Transaction) -> Option<&mut Branches> {
    match &mut transaction.state {
        State::Committing(committing) => Some(&mut committing.branches),
        State::Aborting(branches) => Some(branches),
        State::Preparing(_) | State::Deciding(_) => None,
    }
}

/// How the branches of a transaction that ends count in the totals.
pub(crate) fn counts(committing: &Committing) -> Vec<(&ParticipantName, Counts)> {
    let how = |branch: &Branch| match &branch.progress {
        Progress::Settled(_) => Counts::Unsure,
        Progress::Waiting { .. }
        | Progress::Stuck { .. }
        | Progress::Asked
        | Progress::Done
        | Progress::Heuristic(_) => match committing.counts {
            true => Counts::Deducted,
            false => Counts::Unsure,
        },
    };
    let branches = committing.branches.iter();
    branches.map(|(name, branch)| (name, how(branch))).collect()
}

/// Which branches of a transaction ended by a person's word.
pub(crate) fn by_hand(transaction: &Transaction) -> Vec<ByHand> {
    let branches = branches(transaction).into_iter().flatten();
    branches
        .filter_map(|(_, branch)| match (&branch.progress, &branch.order) {
            (Progress::Settled(settlement), _) => Some(ByHand::Settled((**settlement).clone())),
            (Progress::Done, Some(order)) => Some(ByHand::Repaired(order.repair.clone())),
            (
                Progress::Waiting { .. }
                | Progress::Stuck { .. }
                | Progress::Asked
                | Progress::Done
                | Progress::Heuristic(_),
                _,
            ) => None,
        })
        .collect()
}

/// Pause before the next try: doubled each time, capped, and spread over its upper half by the
/// transaction's own id, since the core has no randomness and needs none for this.
fn pause(id: &TransactionId, failures: u32, base: Duration, cap: Duration) -> Duration {
    let doubled = base
        .checked_mul(1 << failures.saturating_sub(1).min(16))
        .unwrap_or(cap)
        .min(cap);
    // A multiplicative hash (Knuth, The Art of Computer Programming, 6.4) is spread enough.
    let mixed = (id.sequence ^ (u64::from(failures) << 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let fraction = f64::from((mixed >> 40) as u32) / f64::from(1_u32 << 24);
    doubled.mul_f64(0.5 + fraction / 2.0)
}
