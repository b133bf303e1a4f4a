//! How far a branch is on its way to its end.

use std::collections::BTreeMap;

use crate::branch::{Ending, HeuristicKind};
use crate::by_hand::{ByHand, Repair, Settlement};
use crate::id::{ParticipantName, RequestId};
use crate::time::Timestamp;

pub(crate) type Branches = BTreeMap<ParticipantName, Branch>;

/// A branch that is to be ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Branch {
    pub(crate) progress: Progress,
    /// Calls that failed.
    pub(crate) failures: u32,
    /// What the last failed call said; kept after success, for the operator.
    pub(crate) last_failure: String,
    /// The stored order to redo it, by which it is carried out from then on.
    pub(crate) order: Option<Box<Order>>,
}

/// An operator's order to redo a branch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    pub(crate) repair: Repair,
    /// Who waits for what comes of it.
    pub(crate) request: Option<RequestId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    Waiting { retry_time: Timestamp },
    Stuck { retry_time: Timestamp },
    Asked,
    Done,
    Heuristic(HeuristicKind),
    Settled(Box<Settlement>),
}

impl Progress {
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Progress::Done | Progress::Settled(_))
    }
}

impl Branch {
    pub(crate) fn new(progress: Progress) -> Branch {
        Branch {
            progress,
            failures: 0,
            last_failure: String::new(),
            order: None,
        }
    }

    /// A branch of a transaction that had ended, with what persons have said of it. What is to be
    /// carried out has not ended, whatever was said of it.
    pub(crate) fn taken_up(
        participant: &ParticipantName,
        progress: Progress,
        by_hand: &[ByHand],
    ) -> Branch {
        let mut branch = Branch::new(progress);
        for word in by_hand {
            match word {
                ByHand::Settled(settlement) => {
                    if settlement.participant == *participant && branch.has_ended() {
                        branch.progress = Progress::Settled(Box::new(settlement.clone()));
                    }
                }
                ByHand::Repaired(repair) => {
                    if repair.participant == *participant {
                        branch.order = Some(Box::new(Order {
                            repair: repair.clone(),
                            request: None,
                        }));
                    }
                }
            }
        }
        branch
    }

    /// The person's word by which it ended, if it was one.
    pub(super) fn by_hand(&self) -> Option<ByHand> {
        match (&self.progress, &self.order) {
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
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.progress.has_ended()
    }

    /// Whether it was carried out, or a person has said so, of a decision to commit.
    pub(crate) fn is_committed(&self) -> bool {
        match &self.progress {
            Progress::Done => true,
            Progress::Settled(settlement) => settlement.ending == Ending::Commit,
            Progress::Waiting { .. }
            | Progress::Stuck { .. }
            | Progress::Asked
            | Progress::Heuristic(_) => false,
        }
    }

    /// When it is to be tried again, if it waits for that.
    pub(crate) fn retry_time(&self) -> Option<Timestamp> {
        match self.progress {
            Progress::Waiting { retry_time } | Progress::Stuck { retry_time } => Some(retry_time),
            Progress::Asked | Progress::Done | Progress::Heuristic(_) | Progress::Settled(_) => {
                None
            }
        }
    }
}
