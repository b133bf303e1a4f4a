//! Forgetting: what has ended and is old enough leaves memory, the log, and the participants.

use std::collections::BTreeMap;
use std::time::Duration;

use super::finish::branches;
use super::{Coordinator, Link, Storing};
use crate::action::Action;
use crate::event::Position;
use crate::history::{Fate, Retire};
use crate::id::{ParticipantName, TransactionId};
use crate::record::{Decision, Record};
use crate::time::Timestamp;
use crate::transaction::{Branches, Committing, Progress, State};

/// Pause between two rounds.
const RETIRE_INTERVAL: Duration = Duration::from_secs(1);

/// Transactions that one round forgets or carries at most, so that no event waits for long.
const RETIRE_ROUND_MAX: usize = 2_000;

/// Unfinished transactions that a participant is told to keep beyond the rest; with more of
/// them, forgetting at the participants waits.
const EXCEPT_MAX: usize = 1_000;

impl Coordinator {
    pub(super) fn retire(&mut self, now: Timestamp) {
        if now < self.next_retire {
            return;
        }
        self.next_retire = now + RETIRE_INTERVAL;
        // What an earlier epoch left prepared is known only after a sweep of each participant,
        // and what is forgotten can't be told from it any more.
        if !self.members.values().all(|m| m.enlisted && m.swept) {
            return;
        }
        self.close(now);
        // What a store may have forgotten is done again from what the log still holds.
        if !self.members.values().all(|m| m.memory.is_looked_through()) {
            return;
        }
        // One that began earlier, and is forgotten with it, may have been decided later by this much.
        let age_min = self.settings.retention_age_min + self.settings.prepare_timeout;
        let mut newest = None;
        for _ in 0..RETIRE_ROUND_MAX {
            // Forgetting never passes a transaction that may still be decided: decisions are made
            // in another order than transactions begin.
            let pipeline = &self.pipeline;
            let step = self.history.retire(
                now,
                age_min,
                self.settings.retention_age,
                self.settings.retention_purchases_max,
                |id| pipeline.range(..id.clone()).next().is_none(),
            );
            match step {
                Retire::Keep => break,
                Retire::Forgot(id) => newest = newest.max(Some(id)),
                Retire::Carry(id) => self.carry(now, &id),
            }
        }
        let has_forgotten = newest.is_some();
        if let Some(newest) = newest {
            self.raise_floor(now, newest);
            // Records that are on their way have positions from `next_position` on.
            let first = self.history.first_position();
            self.unneeded = first.unwrap_or(self.next_position);
        }
        let has_rewritten = self.rewrite_totals(self.unneeded);
        if has_forgotten || has_rewritten {
            self.release();
        }
    }

    /// Lets the log's beginning go once it is stored that it is forgotten.
    fn release(&mut self) {
        let record = Record::Forgotten {
            epoch: self.epoch,
            before: self.floor.clone(),
        };
        // What is released when this is stored was replaced before it in the log's order, or is
        // forgotten by it.
        let needed = self.totals.first_position();
        let release = needed.unwrap_or(self.unneeded).min(self.unneeded);
        let before = self.floor.clone();
        self.store(record, false, Storing::Forgotten { release, before });
    }

    pub(super) fn forgotten_stored(&mut self, release: Position, before: TransactionId) {
        self.actions.push(Action::Release { before: release });
        self.let_go = self.let_go.clone().max(before.clone());
        let names: Vec<ParticipantName> = self.members.keys().cloned().collect();
        for name in names {
            self.forget_at(&name, &before);
        }
    }

    /// Lets a participant forget what is before a transaction and has ended, and roll backs of what is
    /// closed.
    pub(super) fn forget_at(&mut self, participant: &ParticipantName, before: &TransactionId) {
        let except: Vec<TransactionId> = self
            .transactions
            .range(..before.clone())
            .map(|(id, _)| id.clone())
            .collect();
        let member = self.members.get(participant);
        let is_up = member.is_some_and(|member| matches!(member.link, Link::Up));
        if is_up && except.len() <= EXCEPT_MAX {
            self.actions.push(Action::Forget {
                participant: participant.clone(),
                before: before.clone(),
                except,
                closed: self.closing.told().cloned(),
            });
        }
    }

    /// Puts the floor behind the newest transaction that was forgotten: below it memory holds
    /// only what has not ended.
    fn raise_floor(&mut self, now: Timestamp, newest: TransactionId) {
        let floor = TransactionId {
            sequence: newest.sequence.saturating_add(1),
            ..newest
        };
        // An old transaction that has ended only now is forgotten behind the floor.
        if floor > self.floor {
            self.history.forget_before(&floor);
            self.floor = floor;
        }
        let aborting: Vec<TransactionId> = self
            .transactions
            .range(..self.floor.clone())
            .filter(|(id, _)| self.history.transaction(id).is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in aborting {
            self.carry(now, &id);
        }
    }

    /// Writes what the log must keep about an unfinished transaction again, at the log's end.
    pub(super) fn carry(&mut self, now: Timestamp, id: &TransactionId) {
        let Some(transaction) = self.transactions.get(id) else {
            return;
        };
        let participants: Vec<ParticipantName> = branches(transaction)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .cloned()
            .collect();
        let mut records = match &transaction.state {
            State::Committing(committing) => vec![Record::Decided(decision(id, committing))],
            // An abort has no record, but below the floor one without any would be taken for
            // something that was forgotten.
            State::Aborting(_) => {
                self.history
                    .insert(id, now, Fate::Aborting, std::iter::empty());
                vec![Record::Refused {
                    transaction: id.clone(),
                    time: now,
                    refused: Vec::new(),
                }]
            }
            State::Preparing(_) | State::Deciding(_) => return,
        };
        records.extend(
            branches(transaction)
                .map(|branches| words(now, id, branches))
                .into_iter()
                .flatten(),
        );
        for record in records {
            let then = if matches!(record, Record::Decided(_)) {
                Storing::Carried(id.clone(), participants.clone())
            } else {
                Storing::Keep(id.clone())
            };
            self.store(record, false, then);
        }
    }
}

/// The record that says everything about a decision that is not carried out yet.
fn decision(id: &TransactionId, committing: &Committing) -> Decision {
    Decision {
        transaction: id.clone(),
        decide_time: committing.decide_time,
        participants: committing.branches.keys().cloned().collect(),
        entries: committing.entries.clone(),
        refused: Vec::new(),
        counts: committing.counts,
    }
}

/// What was found or said of single branches.
fn words(now: Timestamp, id: &TransactionId, branches: &Branches) -> Vec<Record> {
    branches
        .iter()
        .filter_map(|(name, branch)| match &branch.progress {
            Progress::Heuristic(kind) => Some(Record::Heuristic {
                transaction: id.clone(),
                participant: name.clone(),
                kind: *kind,
                detail: branch.last_failure.clone(),
                time: now,
            }),
            Progress::Settled(settlement) => Some(Record::Settled {
                settlement: (**settlement).clone(),
                time: now,
            }),
            Progress::Waiting { .. } | Progress::Stuck { .. } | Progress::Asked => {
                let order = branch.order.as_ref()?;
                Some(Record::RepairOrdered {
                    repair: order.repair.clone(),
                    time: now,
                })
            }
            Progress::Done => None,
        })
        .collect()
}
