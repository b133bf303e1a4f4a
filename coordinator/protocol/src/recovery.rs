//! Recovery: from the log's records to what is known, and what a prepared branch that was found
//! at a participant means. Pure functions; the shell and the table only carry them out.

use std::collections::{BTreeMap, BTreeSet};

use crate::branch::PreparedId;
use crate::coordinator::{TransactionView, branches_mut, by_hand, counts, past_refusal, view};
use crate::event::Position;
use crate::history::{Fate, History};
use crate::id::{CoordinatorId, Epoch, ParticipantName, TransactionId};
use crate::index::{Outcome, PurchaseKey};
use crate::record::{Decision, Fingerprint, Record, RecordError, fingerprint};
use crate::time::Timestamp;
use crate::totals::Totals;
use crate::transaction::{Branch, Branches, Committing, Order, Progress, State, Transaction};

/// What is known of a prepared branch's transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// It belongs to another coordinator, or is not tandem's at all.
    NotOurs,
    /// Its number has not been given out yet, by this epoch or by any before.
    NotBegun,
    /// Under way, no stored decision.
    Undecided,
    /// Decided commit, being carried out there.
    Committing,
    /// Decided commit, and the branch was found ended against that.
    EndedOtherwise,
    /// Decided commit, and the participant has acknowledged it, or a person has said so; remembered.
    Committed,
    /// Decided commit, and a person has said, against that, that it was rolled back there.
    SettledAsRolledBack,
    /// No decision is stored, and none can be any more.
    Aborted,
    /// The same, and a roll back is under way there.
    BeingRolledBack,
    /// So old that the log has forgotten what became of it.
    Forgotten,
}

/// What is to be done with a prepared branch that a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What must be done is under way already.
    Leave,
    /// Commit it after all: what was done against the decision has not lasted.
    Commit,
    /// Commit it again if the next list still shows it: the store was put back to before its commit.
    CommitIfItStays,
    /// Release it: no stored decision means abort.
    RollBack,
    /// Release it, as a person has said of it: what he said of what could not be asked was not so yet.
    RollBackAsSettled,
    /// Show it to the operator and touch nothing.
    Report,
    /// Going on would be unsafe.
    Stop,
}

pub(crate) fn verdict(id: &PreparedId, known: Known) -> Verdict {
    debug_assert!(matches!(id, PreparedId::Transaction(_)) || known == Known::NotOurs);
    match known {
        Known::NotOurs => Verdict::Report,
        Known::NotBegun => Verdict::Stop,
        // A commit that is being carried out finds the branch by itself.
        Known::Undecided | Known::Committing | Known::BeingRolledBack => Verdict::Leave,
        // A list may have been read before the answer came that its branches were committed; the
        // next one was not.
        Known::Committed => Verdict::CommitIfItStays,
        // A roll back by hand is not forced to the disk (measured on MariaDB 10.11): a crash of the
        // server takes it back, and nobody else would end the branch then.
        Known::EndedOtherwise => Verdict::Commit,
        Known::Aborted => Verdict::RollBack,
        Known::SettledAsRolledBack => Verdict::RollBackAsSettled,
        // Presumed abort holds only for what the log can still speak about.
        Known::Forgotten => Verdict::Report,
    }
}

/// What the log says, read from its first record to its last.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The last epoch that was started; `None` in a new log.
    pub epoch: Option<Epoch>,
    /// The latest moment that a record names. What is written from here on is not before it.
    pub latest: Timestamp,
    /// The process that started it, if its record was not released.
    pub(crate) instance_id: Option<String>,
    pub(crate) floor: Option<TransactionId>,
    pub(crate) history: History,
    pub(crate) totals: Totals,
    pub(crate) unfinished: Vec<Transaction>,
    /// Transactions that were presumed aborted, as no record before the first about them said
    /// anything else.
    presumed: BTreeSet<TransactionId>,
    /// Where the log goes on.
    pub(crate) next_position: Position,
}

/// A record of the log, as the replay takes it in.
#[derive(Debug)]
pub struct LogRecord {
    position: Position,
    record: Record,
    /// Of the purchases that it commits, in their order.
    fingerprints: Vec<Fingerprint>,
}

impl LogRecord {
    /// Reads a record by itself: the costly half of a replay, and the one that can be done for
    /// many records at once.
    pub fn read(position: Position, bytes: &[u8]) -> Result<LogRecord, ReplayError> {
        let record =
            Record::decode(bytes).map_err(|source| ReplayError::Record { position, source })?;
        let fingerprints = if let Record::Decided(decision) = &record {
            let entries = decision.entries.iter();
            entries.map(|entry| fingerprint(&entry.purchase)).collect()
        } else {
            Vec::new()
        };
        Ok(LogRecord {
            position,
            record,
            fingerprints,
        })
    }
}

/// A log whose records do not make sense together.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A record can't be read.
    #[error("record {position} of the decision log can't be read")]
    Record {
        /// Its number.
        position: Position,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// A record belongs to another coordinator.
    #[error(
        "record {position} of the decision log belongs to coordinator {found}, not to {expected}: \
         each coordinator needs a log folder of its own"
    )]
    OtherCoordinator {
        /// Its number.
        position: Position,
        /// Whose it is.
        found: CoordinatorId,
        /// Whose it should be.
        expected: CoordinatorId,
    },
    /// There is no epoch after the one that a record names.
    #[error(
        "record {position} of the decision log names the last epoch that there can be: no \
         coordinator has written it. Start the coordinator on a log folder that only it has written"
    )]
    NoEpochLeft {
        /// Its number.
        position: Position,
    },
    /// A transaction is both decided and refused.
    #[error(
        "record {position} of the decision log contradicts an earlier record about transaction \
         {transaction}: two processes have written to this log, or it was put together by hand. \
         Start the coordinator on a log folder that only it has written"
    )]
    Contradiction {
        /// Its number.
        position: Position,
        /// Of which transaction.
        transaction: TransactionId,
    },
}

impl Recovered {
    /// Reads a log's records, in their order.
    pub fn replay<'a>(
        coordinator: &CoordinatorId,
        records: impl IntoIterator<Item = (Position, &'a [u8])>,
    ) -> Result<Recovered, ReplayError> {
        let read = |(position, bytes)| LogRecord::read(position, bytes);
        Recovered::replay_read(coordinator, records.into_iter().map(read))
    }

    /// Takes in a log's records, in their order, that were read before.
    pub fn replay_read(
        coordinator: &CoordinatorId,
        records: impl IntoIterator<Item = Result<LogRecord, ReplayError>>,
    ) -> Result<Recovered, ReplayError> {
        let mut recovered = Recovered {
            history: History::filling(),
            ..Recovered::default()
        };
        let mut unfinished = BTreeMap::new();
        for record in records {
            let LogRecord {
                position,
                record,
                fingerprints,
            } = record?;
            if let Some(id) = record.transaction()
                && id.coordinator != *coordinator
            {
                return Err(ReplayError::OtherCoordinator {
                    position,
                    found: id.coordinator.clone(),
                    expected: coordinator.clone(),
                });
            }
            recovered.apply(&mut unfinished, position, record, fingerprints)?;
            if recovered.epoch == Some(Epoch(u64::MAX)) {
                return Err(ReplayError::NoEpochLeft { position });
            }
            recovered.next_position = position.saturating_add(1);
        }
        recovered.history.filled();
        recovered.unfinished = unfinished.into_values().collect();
        Ok(recovered)
    }

    /// The epoch that the next start begins.
    pub fn next_epoch(&self) -> Epoch {
        Epoch(self.epoch.map_or(0, |epoch| epoch.0) + 1)
    }

    /// What has a decision, or was ended against one, and has not ended.
    pub fn unfinished(&self) -> impl ExactSizeIterator<Item = TransactionView> {
        self.unfinished.iter().map(view)
    }

    /// How many purchases with an outcome are remembered.
    pub fn purchases(&self) -> usize {
        self.history.purchases()
    }

    /// The newest transaction that the log remembers.
    pub fn newest(&self) -> Option<&TransactionId> {
        self.history.newest()
    }

    fn apply(
        &mut self,
        unfinished: &mut BTreeMap<TransactionId, Transaction>,
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
                self.decided(unfinished, position, decision, fingerprints)?
            }
            Record::Refused {
                transaction,
                time,
                refused,
            } => {
                self.saw_epoch(transaction.epoch);
                self.presumed.remove(&transaction);
                if self.fate(&transaction).is_some_and(Fate::is_committed) {
                    return Err(ReplayError::Contradiction {
                        position,
                        transaction,
                    });
                }
                // Without any refusal it says only that the transaction has no decision.
                if refused.is_empty() {
                    abort(unfinished, &transaction, time);
                }
                let fate = if unfinished.contains_key(&transaction) {
                    Fate::Aborting
                } else {
                    Fate::Refused
                };
                let purchases = refused.iter().map(past_refusal);
                self.history.insert(&transaction, time, fate, purchases);
                self.history.place(&transaction, position);
            }
            Record::Ended {
                transaction,
                counted,
            } => {
                let known = unfinished.remove(&transaction);
                let words = known.as_ref().map(by_hand).unwrap_or_default();
                if counted && let Some(State::Committing(committing)) = known.map(|t| t.state) {
                    let begins = self.history.begins(&transaction).unwrap_or(position);
                    let branches = counts(&committing);
                    self.totals.add(branches, &committing.entries, begins);
                }
                self.history.end(&transaction, words);
            }
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
                self.saw_epoch(epoch);
                self.history.forget_before(&before);
                self.floor = self.floor.take().max(Some(before));
            }
        }
        Ok(())
    }

    fn decided(
        &mut self,
        unfinished: &mut BTreeMap<TransactionId, Transaction>,
        position: Position,
        decision: Decision,
        fingerprints: Vec<Fingerprint>,
    ) -> Result<(), ReplayError> {
        let id = decision.transaction;
        self.saw_epoch(id.epoch);
        // What was only presumed aborted had a decision that is released, and this is it again.
        if self.fate(&id) == Some(Fate::Refused) && !self.presumed.remove(&id) {
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
                self.history.decided(&id, &decision.participants, position);
                return Ok(());
            }
        };
        let committed = decision.entries.iter().zip(fingerprints);
        let committed = committed.map(|(entry, fingerprint)| {
            let key = PurchaseKey::of(&entry.purchase.purchase_id);
            (key, fingerprint, Outcome::Committed)
        });
        let refused = decision.refused.iter().map(past_refusal);
        let purchases = committed.chain(refused);
        if let Some(kept) = self.history.transaction(&id)
            && kept.fate == Fate::Committed
        {
            // Carried out again for a store that lost it. What is known of its purchases stands.
            if decision.counts {
                let begins = self.history.begins(&id).unwrap_or(position);
                let counted = kept.counted(&decision.participants);
                self.totals.take_back(counted, &decision.entries, begins);
            }
            self.history.redo(&id);
        } else {
            self.history
                .insert(&id, decision.decide_time, Fate::Committing, purchases);
        }
        self.history.decided(&id, &decision.participants, position);
        let due = || {
            Branch::new(Progress::Waiting {
                retry_time: Timestamp(0),
            })
        };
        let branches = decision
            .participants
            .into_iter()
            .map(|name| {
                let branch = words.remove(&name).unwrap_or_else(due);
                (name, branch)
            })
            .collect();
        let transaction = Transaction {
            id: id.clone(),
            begin_time: decision.decide_time,
            state: State::Committing(Committing {
                entries: decision.entries,
                decide_time: decision.decide_time,
                counts: decision.counts,
                branches,
            }),
        };
        unfinished.insert(id, transaction);
        Ok(())
    }

    fn fate(&self, id: &TransactionId) -> Option<Fate> {
        self.history.transaction(id).map(|kept| kept.fate)
    }

    /// Takes note that something was found or said of one branch of a transaction.
    ///
    /// Without a decision before it, it is about an abort that a participant did not keep; or the
    /// decision follows, since it was written again while this was on its way to the log, and what
    /// was before both is released.
    fn worded(
        &mut self,
        unfinished: &mut BTreeMap<TransactionId, Transaction>,
        position: Position,
        id: &TransactionId,
        time: Timestamp,
    ) {
        self.saw_epoch(id.epoch);
        let fate = self.fate(id);
        if !fate.is_some_and(Fate::is_committed) {
            abort(unfinished, id, time);
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
fn abort(
    unfinished: &mut BTreeMap<TransactionId, Transaction>,
    id: &TransactionId,
    begin_time: Timestamp,
) {
    unfinished.entry(id.clone()).or_insert_with(|| Transaction {
        id: id.clone(),
        begin_time,
        state: State::Aborting(Branches::new()),
    });
}

/// A branch of a transaction that has not ended, unless the branch itself has: the first word on
/// it stands, as it did when it was stored.
fn branch_mut<'a>(
    unfinished: &'a mut BTreeMap<TransactionId, Transaction>,
    id: &TransactionId,
    participant: &ParticipantName,
) -> Option<&'a mut Branch> {
    let branch = branches_mut(unfinished.get_mut(id)?)?
        .entry(participant.clone())
        .or_insert_with(|| Branch::new(Progress::Asked));
    (!branch.has_ended()).then_some(branch)
}

impl Record {
    /// The transaction that the record speaks of, if it is about one.
    pub fn transaction(&self) -> Option<&TransactionId> {
        match self {
            Record::EpochStarted { .. } | Record::Totals(_) => None,
            Record::Decided(decision) => Some(&decision.transaction),
            Record::Settled { settlement, .. } => Some(&settlement.transaction),
            Record::RepairOrdered { repair, .. } => Some(&repair.transaction),
            Record::Refused { transaction, .. }
            | Record::Ended { transaction, .. }
            | Record::Heuristic { transaction, .. } => Some(transaction),
            Record::Forgotten { before, .. } => Some(before),
        }
    }

    /// When what it says was found, said or decided; not every record has that.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Record::Decided(decision) => Some(decision.decide_time),
            Record::EpochStarted { time, .. }
            | Record::Refused { time, .. }
            | Record::Settled { time, .. }
            | Record::Heuristic { time, .. }
            | Record::RepairOrdered { time, .. } => Some(*time),
            Record::Ended { .. } | Record::Forgotten { .. } | Record::Totals(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_after_which_no_epoch_can_begin_is_refused() {
        let coordinator: CoordinatorId = "shop".parse().expect("well formed");
        let replay = |epoch| {
            let record = Record::EpochStarted {
                epoch: Epoch(epoch),
                instance_id: "instance-1".into(),
                time: Timestamp(1),
            };
            Recovered::replay(&coordinator, [(7, record.encode().as_slice())])
        };
        let before = replay(u64::MAX - 1).expect("one epoch is left");
        assert_eq!(before.next_epoch(), Epoch(u64::MAX));
        let refused = replay(u64::MAX);
        assert!(matches!(
            refused,
            Err(ReplayError::NoEpochLeft { position: 7 })
        ));
    }

    /// Retention releases a decision that was written again, and may leave what was said between.
    #[test]
    fn decision_after_what_was_left_of_an_earlier_one_is_read() {
        let transaction: TransactionId = "shop.1.1".parse().expect("well formed");
        let ledger: ParticipantName = "ledger".parse().expect("well formed");
        let heuristic = Record::Heuristic {
            transaction: transaction.clone(),
            participant: ledger.clone(),
            kind: crate::HeuristicKind::RolledBack,
            detail: "no marker row".into(),
            time: Timestamp(1),
        };
        let ended = Record::Ended {
            transaction: transaction.clone(),
            counted: true,
        };
        let again = Record::Decided(Decision {
            transaction: transaction.clone(),
            decide_time: Timestamp(1),
            participants: vec![ledger],
            entries: Vec::new(),
            refused: Vec::new(),
            counts: true,
        });
        let refused = Record::Refused {
            transaction: transaction.clone(),
            time: Timestamp(1),
            refused: Vec::new(),
        };
        let replay = |records: &[&Record]| {
            let records: Vec<Vec<u8>> = records.iter().map(|record| record.encode()).collect();
            let numbered = (7..).zip(records.iter().map(Vec::as_slice));
            Recovered::replay(&transaction.coordinator, numbered)
        };
        let read = replay(&[&heuristic, &ended, &again]).expect("one decision, written twice");
        let unfinished: Vec<_> = read.unfinished().map(|view| view.state).collect();
        assert_eq!(unfinished, [crate::TransactionState::Committing]);
        // What says that there is no decision contradicts one all the same.
        assert!(matches!(
            replay(&[&heuristic, &refused, &ended, &again]),
            Err(ReplayError::Contradiction { position: 10, .. })
        ));
    }
}
