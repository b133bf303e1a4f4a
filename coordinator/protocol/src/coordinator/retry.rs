//! Calling again what has not ended.

use std::time::Duration;

use super::Coordinator;
use crate::action::Action;
use crate::id::{BranchId, TransactionId};
use crate::time::Timestamp;
use crate::transaction::{Progress, State};

/// Longest pause before a branch that only a person can end is looked at again.
const STUCK_RETRY: Duration = Duration::from_secs(30);

impl Coordinator {
    /// Calls again what has waited long enough, as far as each participant's bound allows.
    pub(super) fn retry_due(&mut self, now: Timestamp) {
        let calls_max = self.settings.retries_in_flight_max;
        for name in self.participants.names() {
            while let Some(branch) = self.participants.begin_call(now, &name, calls_max) {
                self.ask_again(&branch);
            }
        }
    }

    /// Makes a branch due at `time`, whatever it waited for.
    pub(crate) fn make_due(&mut self, id: &BranchId, time: Timestamp) {
        if !self.participants.contains(&id.participant) {
            // The configuration had it once, and the log has the branch: a person has to end it.
            return;
        }
        let Some(branch) = self.transactions.branch_mut(id) else {
            return debug_assert!(false, "{id} is due, and there is no such branch");
        };
        let before = branch.retry_time();
        branch.progress = match branch.progress {
            Progress::Stuck { .. } => Progress::Stuck { retry_time: time },
            Progress::Waiting { .. }
            | Progress::Asked
            | Progress::Done
            | Progress::Heuristic(_)
            | Progress::Settled(_) => Progress::Waiting { retry_time: time },
        };
        self.participants.cancel(id, before);
        self.participants.wait(id, time);
    }

    /// Tries a branch again after a pause that grows with the failures.
    pub(super) fn try_later(&mut self, now: Timestamp, id: &BranchId, failures: u32) {
        let (base, cap) = (self.settings.retry_base, self.settings.retry_cap);
        let pause = pause(&id.transaction, failures, base, cap);
        self.make_due(id, now + pause);
    }

    /// Tries a branch again now and then that only a person can end.
    pub(super) fn try_stuck_later(&mut self, now: Timestamp, id: &BranchId) {
        let retry_time = now + STUCK_RETRY;
        if let Some(branch) = self.transactions.branch_mut(id) {
            branch.progress = Progress::Stuck { retry_time };
        }
        self.make_due(id, retry_time);
    }

    pub(super) fn retry_now(&mut self, now: Timestamp, id: &TransactionId) {
        let branches = self.transactions.get(id).and_then(|known| known.branches());
        let branches = branches.into_iter().flatten();
        let waiting: Vec<BranchId> = branches
            .filter(|(_, branch)| branch.retry_time().is_some())
            .map(|(name, _)| id.at(name))
            .collect();
        for branch in waiting {
            self.make_due(&branch, now);
        }
    }

    fn ask_again(&mut self, id: &BranchId) {
        let Some(branch) = self.transactions.branch_mut(id) else {
            debug_assert!(false, "{id} is called again, and there is no such branch");
            return self.participants.end_call(id);
        };
        branch.progress = Progress::Asked;
        let by_order = branch.order.is_some();
        let (participant, transaction) = (id.participant.clone(), id.transaction.clone());
        let known = self.transactions.get(&id.transaction);
        let action = match known.map(|known| (known, &known.state)) {
            Some((known, State::Committing(committing))) => {
                let entries = committing.entries.clone();
                let (begin_time, decide_time) = (known.begin_time, committing.decide_time);
                match by_order {
                    true => Action::Repair {
                        participant,
                        transaction,
                        entries,
                        begin_time,
                        decide_time,
                    },
                    false => Action::Commit {
                        participant,
                        transaction,
                        entries,
                        begin_time,
                        decide_time,
                    },
                }
            }
            Some((_, State::Aborting(_) | State::Preparing(_) | State::Deciding(_))) | None => {
                Action::RollBack {
                    participant,
                    transaction,
                }
            }
        };
        self.actions.push(action);
    }
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
