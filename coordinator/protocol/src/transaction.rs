//! One transaction: its votes, its decision, the ends of its branches.

mod preparing;
mod progress;

pub(crate) use preparing::{Preparing, PreparingStep, Promise, Refused};
pub(crate) use progress::{Branch, Branches, Order, Progress};

use crate::branch::Ending;
use crate::by_hand::ByHand;
use crate::id::{ParticipantName, TransactionId};
use crate::purchase::Entry;
use crate::record::Decision;
use crate::time::Timestamp;
use crate::totals::Counts;

/// A transaction that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) begin_time: Timestamp,
    pub(crate) state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Preparing(Preparing),
    /// Its decision is on the way to the disk. Nothing can change it any more, and nothing may
    /// act on it yet.
    Deciding(Decision),
    Committing(Committing),
    Aborting(Branches),
}

/// Carrying out a stored decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Committing {
    pub(crate) entries: Vec<Entry>,
    pub(crate) decide_time: Timestamp,
    /// [`Decision::counts`].
    pub(crate) counts: bool,
    pub(crate) branches: Branches,
}

impl Transaction {
    /// One whose stored decision is to be carried out; `branch` says how far that is at each of its
    /// participants.
    pub(crate) fn committing(
        decision: Decision,
        mut branch: impl FnMut(&ParticipantName) -> Branch,
    ) -> Transaction {
        let participants = decision.participants.into_iter();
        let branches = participants.map(|name| {
            let branch = branch(&name);
            (name, branch)
        });
        Transaction {
            id: decision.transaction,
            begin_time: decision.begin_time,
            state: State::Committing(Committing {
                branches: branches.collect(),
                entries: decision.entries,
                decide_time: decision.decide_time,
                counts: decision.counts,
            }),
        }
    }

    /// The stored decision that is being carried out, for a record that is written once more.
    pub(crate) fn decision(&self) -> Option<Decision> {
        let State::Committing(committing) = &self.state else {
            return None;
        };
        Some(Decision {
            transaction: self.id.clone(),
            begin_time: self.begin_time,
            decide_time: committing.decide_time,
            participants: committing.branches.keys().cloned().collect(),
            entries: committing.entries.clone(),
            refused: Vec::new(),
            counts: committing.counts,
        })
    }

    /// One without a decision, of which no branch is known yet that is to be rolled back.
    pub(crate) fn aborting(id: TransactionId, begin_time: Timestamp) -> Transaction {
        Transaction {
            id,
            begin_time,
            state: State::Aborting(Branches::new()),
        }
    }

    /// How many purchases it carries to their end.
    pub(crate) fn size(&self) -> usize {
        match &self.state {
            State::Preparing(preparing) => preparing.entries.len(),
            State::Deciding(decision) => decision.entries.len(),
            State::Committing(committing) => committing.entries.len(),
            State::Aborting(_) => 0,
        }
    }

    /// What was asked of whom, while it is being prepared.
    pub(crate) fn preparing(&self) -> Option<&Preparing> {
        match &self.state {
            State::Preparing(preparing) => Some(preparing),
            State::Deciding(_) | State::Committing(_) | State::Aborting(_) => None,
        }
    }

    /// Its branches, once they are being ended.
    pub(crate) fn branches(&self) -> Option<&Branches> {
        match &self.state {
            State::Committing(committing) => Some(&committing.branches),
            State::Aborting(branches) => Some(branches),
            State::Preparing(_) | State::Deciding(_) => None,
        }
    }

    /// The same, and how they are ended.
    pub(crate) fn ending_mut(&mut self) -> Option<(Ending, &mut Branches)> {
        match &mut self.state {
            State::Committing(committing) => Some((Ending::Commit, &mut committing.branches)),
            State::Aborting(branches) => Some((Ending::RollBack, branches)),
            State::Preparing(_) | State::Deciding(_) => None,
        }
    }

    /// Which of its branches ended by a person's word.
    pub(crate) fn by_hand(&self) -> Vec<ByHand> {
        let branches = self.branches().into_iter().flatten();
        branches
            .filter_map(|(_, branch)| branch.by_hand())
            .collect()
    }
}

impl Committing {
    /// How its branches count in the totals when it ends.
    pub(crate) fn counted(&self) -> Vec<(&ParticipantName, Counts)> {
        let how = |branch: &Branch| match &branch.progress {
            Progress::Settled(_) => Counts::Unsure,
            Progress::Waiting { .. }
            | Progress::Stuck { .. }
            | Progress::Asked
            | Progress::Done
            | Progress::Heuristic(_) => match self.counts {
                true => Counts::Deducted,
                false => Counts::Unsure,
            },
        };
        let branches = self.branches.iter();
        branches.map(|(name, branch)| (name, how(branch))).collect()
    }
}
