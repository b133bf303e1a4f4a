//! Forgetting: what has ended and is old enough leaves memory, the log, and the participants.

use std::time::Duration;

use super::finish::branches;
use super::{Coordinator, Link, Storing};
use crate::event::{Action, Position};
use crate::history::Retire;
use crate::id::TransactionId;
use crate::record::Record;
use crate::time::Timestamp;
use crate::transaction::Progress;

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
        let mut forgot = false;
        for _ in 0..RETIRE_ROUND_MAX {
            let transactions = &self.transactions;
            let step = self.history.retire(
                now,
                self.settings.retention_age,
                self.settings.retention_purchases_max,
                |id| transactions.contains_key(id),
            );
            match step {
                Retire::Keep => break,
                Retire::Forgot => forgot = true,
                Retire::Carry(id) => self.carry(now, id),
            }
        }
        if forgot {
            let before = self.first_remembered();
            let record = Record::Forgotten {
                epoch: self.epoch,
                before: before.clone(),
            };
            // What is released when this is stored was replaced before it in the log's order.
            let release = self.history.first_position();
            self.store(record, false, Storing::Forgotten { release, before });
        }
    }

    pub(super) fn forgotten_stored(&mut self, release: Position, before: TransactionId) {
        self.actions.push(Action::Release { before: release });
        self.floor = before.clone();
        let except = self.history.carried();
        if except.len() > EXCEPT_MAX {
            return;
        }
        let except: Vec<TransactionId> = except.iter().cloned().collect();
        for (name, member) in &self.members {
            if matches!(member.link, Link::Up) {
                self.actions.push(Action::Forget {
                    participant: name.clone(),
                    before: before.clone(),
                    except: except.clone(),
                });
            }
        }
    }

    /// Writes what the log must keep about an unfinished transaction again, at the log's end.
    fn carry(&mut self, now: Timestamp, id: TransactionId) {
        if let Some(decision) = self.decision_of(&id) {
            self.store(Record::Decided(decision), false, Storing::Keep(id.clone()));
        }
        let words: Vec<Record> = self
            .transactions
            .get(&id)
            .and_then(branches)
            .into_iter()
            .flatten()
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
                Progress::Waiting { .. }
                | Progress::Stuck { .. }
                | Progress::Asked
                | Progress::Done => None,
            })
            .collect();
        for record in words {
            self.store(record, false, Storing::Keep(id.clone()));
        }
    }

    /// Everything before this is forgotten, but for what was carried.
    fn first_remembered(&self) -> TransactionId {
        let next = TransactionId {
            coordinator: self.id.clone(),
            epoch: self.epoch,
            sequence: self.next_sequence,
        };
        let live = self
            .transactions
            .keys()
            .find(|id| !self.history.carried().contains(*id));
        [self.history.first(), live]
            .into_iter()
            .flatten()
            .min()
            .cloned()
            .unwrap_or(next)
    }
}
