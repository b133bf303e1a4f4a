//! What each record of the log changes of what is known.

use super::error::ReplayError;
use super::recovered::{Recovered, Unfinished};
use crate::history::Fate;
use crate::id::{Epoch, ParticipantName, Position, TransactionId};
use crate::index::past_refusal;
use crate::record::{Decision, Fingerprint, Record, RefusedPurchase};
use crate::time::Timestamp;
use crate::transaction::{Branch, Branches, Order, Progress, State, Transaction};

impl Recovered {
    pub(super) fn apply(
        &mut self,
        unfinished: &mut Unfinished,
        position: Position,
        record: Record,
        fingerprints: Vec<Fingerprint>,
    ) -> Result<(), ReplayError> {
        self.latest = self.latest.max(record.time().unwrap_or_default());
        match record {
            Record::EpochStarted {
                epoch, instance_id, ..
            } => {
                self.saw_epoch(epoch);
                self.instance_id = Some(instance_id);
            }
            Record::Decided(decision) => {
                self.decided(unfinished, position, decision, fingerprints)?;
            }
            Record::Refused {
                transaction,
                time,
                refused,
            } => self.refused(unfinished, position, transaction, time, &refused)?,
            Record::Ended {
                transaction,
                counted,
            } => self.ended(unfinished, position, &transaction, counted),
            Record::Settled { settlement, time } => {
                let id = &settlement.transaction;
                self.worded(unfinished, position, id, time);
                if let Some(branch) = branch_mut(unfinished, id, &settlement.participant) {
                    branch.progress = Progress::Settled(Box::new(settlement));
                }
            }
            Record::Heuristic {
                transaction,
                participant,
                kind,
                detail,
                time,
            } => {
                self.worded(unfinished, position, &transaction, time);
                if let Some(branch) = branch_mut(unfinished, &transaction, &participant) {
                    branch.progress = Progress::Heuristic(kind);
                    branch.last_failure = detail;
                    branch.order = None;
                }
            }
            Record::RepairOrdered { repair, time } => {
                let id = &repair.transaction;
                self.worded(unfinished, position, id, time);
                if let Some(branch) = branch_mut(unfinished, id, &repair.participant) {
                    // Whether the store was asked before the crash nobody knows: it is asked again.
                    branch.progress = Progress::Waiting {
                        retry_time: Timestamp(0),
                    };
                    branch.order = Some(Box::new(Order {
                        repair,
                        request: None,
                    }));
                }
            }
            Record::Totals(totals) => self.totals.read(&totals, position),
            Record::Forgotten { epoch, before } => {
                self.saw_epoch(epoch.max(before.epoch));
                self.history.forget_before(&before);
                self.floor = self.floor.take().max(Some(before));
            }
        }
        Ok(())
    }

    fn decided(
        &mut self,
        unfinished: &mut Unfinished,
        position: Position,
        decision: Decision,
        fingerprints: Vec<Fingerprint>,
    ) -> Result<(), ReplayError> {
        let id = decision.transaction.clone();
        self.saw_epoch(id.epoch);
        // What was only presumed aborted had a decision that is released, and this is it again.
        if self.history.fate(&id) == Some(Fate::Refused) && !self.presumed.remove(&id) {
            let transaction = id;
            return Err(ReplayError::Contradiction {
                position,
                transaction,
            });
        }
        let mut words = match unfinished.remove(&id) {
            None => Branches::new(),
            Some(Transaction {
                state: State::Aborting(branches),
                ..
            }) => branches,
            // Written again by retention: what is known of it stands.
            Some(known) => {
                unfinished.insert(id.clone(), known);
                let participants = &decision.participants;
                self.history.place_decision(&id, participants, position);
                return Ok(());
            }
        };
        let kept = self.history.transaction(&id).filter(|_| decision.counts);
        if let Some(kept) = kept.filter(|kept| kept.fate == Fate::Committed) {
            // Carried out again for a store that lost it.
            let begins = self.history.begins(&id).unwrap_or(position);
            let counted = kept.counted(&decision.participants);
            self.totals.take_back(counted, &decision.entries, begins);
        }
        self.history
            .decide(&decision, fingerprints.into_iter(), position);
        let retry_time = Timestamp(0);
        let due = || Branch::new(Progress::Waiting { retry_time });
        let transaction =
            Transaction::committing(decision, |name| words.remove(name).unwrap_or_else(due));
        unfinished.insert(id, transaction);
        Ok(())
    }

    fn refused(
        &mut self,
        unfinished: &mut Unfinished,
        position: Position,
        transaction: TransactionId,
        time: Timestamp,
        refused: &[RefusedPurchase],
    ) -> Result<(), ReplayError> {
        self.saw_epoch(transaction.epoch);
        self.presumed.remove(&transaction);
        let fate = self.history.fate(&transaction);
        if fate.is_some_and(Fate::is_committed) {
            return Err(ReplayError::Contradiction {
                position,
                transaction,
            });
        }
        // Without any refusal it says only that the transaction has no decision.
        if refused.is_empty() {
            presume_abort(unfinished, &transaction, time);
        }
        let fate = match unfinished.contains_key(&transaction) {
            true => Fate::Aborting,
            false => Fate::Refused,
        };
        let purchases = refused.iter().map(past_refusal);
        self.history.insert(&transaction, time, fate, purchases);
        // One without refusals only says that there is no decision.
        if refused.is_empty() {
            self.history.place(&transaction, position);
        } else {
            self.history.place_refusals(&transaction, position);
        }
        Ok(())
    }

    fn ended(
        &mut self,
        unfinished: &mut Unfinished,
        position: Position,
        id: &TransactionId,
        counted: bool,
    ) {
        let known = unfinished.remove(id);
        let words = known.as_ref().map(Transaction::by_hand);
        if counted && let Some(State::Committing(committing)) = known.map(|t| t.state) {
            let begins = self.history.begins(id).unwrap_or(position);
            let branches = committing.counted();
            self.totals.add(branches, &committing.entries, begins);
        }
        self.history.end(id, words.unwrap_or_default());
    }

    /// Takes note that something was found or said of one branch of a transaction.
    ///
    /// Without a decision before it, it is about an abort that a participant did not keep; or the
    /// decision follows, since it was written again while this was on its way to the log, and what
    /// was before both is released.
    fn worded(
        &mut self,
        unfinished: &mut Unfinished,
        position: Position,
        id: &TransactionId,
        time: Timestamp,
    ) {
        self.saw_epoch(id.epoch);
        let fate = self.history.fate(id);
        if !fate.is_some_and(Fate::is_committed) {
            presume_abort(unfinished, id, time);
            if fate.is_none() {
                self.history
                    .insert(id, time, Fate::Aborting, std::iter::empty());
                self.presumed.insert(id.clone());
            }
            self.history.reopen(id);
        }
        self.history.place(id, position);
    }

    fn saw_epoch(&mut self, epoch: Epoch) {
        if Some(epoch) > self.epoch {
            self.epoch = Some(epoch);
            self.instance_id = None;
        }
    }
}

/// A transaction that has no decision and is not known to be released everywhere. Where it may be
/// prepared the sweeps find out.
fn presume_abort(unfinished: &mut Unfinished, id: &TransactionId, begin_time: Timestamp) {
    let begun = || Transaction::aborting(id.clone(), begin_time);
    unfinished.entry(id.clone()).or_insert_with(begun);
}

/// A branch of a transaction that has not ended, unless the branch itself has: the first word on
/// it stands, as it did when it was stored.
fn branch_mut<'a>(
    unfinished: &'a mut Unfinished,
    id: &TransactionId,
    participant: &ParticipantName,
) -> Option<&'a mut Branch> {
    let (_, branches) = unfinished.get_mut(id)?.ending_mut()?;
    let branch = branches
        .entry(participant.clone())
        .or_insert_with(|| Branch::new(Progress::Asked));
    (!branch.has_ended()).then_some(branch)
}
