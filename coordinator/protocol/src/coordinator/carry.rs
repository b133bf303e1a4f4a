//! Writing again, at the log's end, what the log must keep.

use super::Coordinator;
use crate::id::{ParticipantName, TransactionId};
use crate::record::Record;
use crate::tail::Storing;
use crate::time::Timestamp;
use crate::transaction::{Branches, Progress, State, Transaction};

impl Coordinator {
    /// Writes what the log must keep about an unfinished transaction again, at the log's end.
    pub(crate) fn carry(&mut self, now: Timestamp, id: &TransactionId) {
        let known = self.transactions.get(id);
        let decision = known.and_then(Transaction::decision);
        let first = match (decision, known.map(|known| &known.state)) {
            (Some(decision), _) => Record::Decided(decision),
            // An abort has no record, but below the floor one without any would be taken for
            // something that was forgotten.
            (None, Some(State::Aborting(_))) => Record::Refused {
                transaction: id.clone(),
                time: now,
                refused: Vec::new(),
            },
            (None, _) => {
                return debug_assert!(false, "{id} is written again, and is not being ended");
            }
        };
        let branches = known.and_then(|known| known.branches());
        let participants = branches.into_iter().flat_map(Branches::keys);
        let participants: Vec<ParticipantName> = participants.cloned().collect();
        let words = branches.map(|branches| words(now, id, branches));
        if matches!(first, Record::Refused { .. }) {
            self.transactions.keep_abort(now, id);
        }
        for record in [first].into_iter().chain(words.into_iter().flatten()) {
            let then = if matches!(record, Record::Decided(_)) {
                Storing::Carried(id.clone(), participants.clone())
            } else {
                Storing::Keep(id.clone())
            };
            self.store(record, false, then);
        }
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
