//! What votes say of locks.

use std::collections::BTreeSet;

use super::Coordinator;
use crate::branch::Vote;
use crate::id::BranchId;
use crate::purchase::{Purchase, Reason};
use crate::time::Timestamp;
use crate::transaction::Promise;

impl Coordinator {
    /// Learns from a vote, which was asked for and has been taken, what is locked at a store: `locked`
    /// are the numbers of the entries that it refuses for that.
    pub(super) fn learn_locks(
        &mut self,
        now: Timestamp,
        branch: &BranchId,
        locked: &BTreeSet<u32>,
    ) {
        let (id, participant) = (&branch.transaction, &branch.participant);
        let transaction = self.transactions.get(id);
        let preparing = transaction.and_then(|transaction| transaction.preparing());
        let (Some(lane), Some(preparing)) = (self.transactions.lane(id), preparing) else {
            return debug_assert!(false, "{id} has voted and occupies no slot");
        };
        let promised = match preparing.promises.get(participant) {
            Some(Promise::Yes { entries, .. }) => entries,
            Some(Promise::Empty | Promise::NotAsked | Promise::Asked { .. }) | None => {
                &BTreeSet::new()
            }
        };
        let of = |numbers: &BTreeSet<u32>| -> Vec<&Purchase> {
            let entries = preparing.entries.iter();
            let entries = entries.filter(|entry| numbers.contains(&entry.number));
            entries.map(|entry| &*entry.purchase).collect()
        };
        let (locked, taken) = (of(locked), of(promised));
        let contended = &mut self.contended;
        if contended.find(now, participant, lane, &locked, &taken) {
            self.sort_lanes();
        }
    }

    /// Forgets what was locked too long ago.
    pub(super) fn forget_locks(&mut self, now: Timestamp) {
        if self.contended.expire(now) {
            self.sort_lanes();
        }
    }

    fn sort_lanes(&mut self) {
        let contended = &self.contended;
        self.queue.sort(|purchase| contended.lane_of(purchase));
    }
}

/// The numbers of the entries that a vote refuses because another session holds a row.
pub(super) fn locked(vote: &Vote) -> BTreeSet<u32> {
    let refused = match vote {
        Vote::Yes { refused, .. } => refused.as_slice(),
        Vote::No { .. } => &[],
    };
    let locked = refused
        .iter()
        .filter(|entry| entry.refusal.reason == Reason::Locked);
    locked.map(|entry| entry.number).collect()
}
