//! Units that transactions without a decision may still hold, until their stores have released them.
//!
//! A store that counts them can refuse a purchase for want of units which are free a moment later. Such
//! a refusal is no answer: it would be final, and remembered.

use std::collections::BTreeMap;

use crate::held::Held;
use crate::id::{BranchId, ParticipantName, TransactionId};

/// What is still to be given back, by store and transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Releases(BTreeMap<ParticipantName, BTreeMap<TransactionId, Held>>);

impl Releases {
    /// All that is still to be given back at a store.
    pub(crate) fn at(&self, participant: &ParticipantName) -> Held {
        let mut all = Held::default();
        let here = self.0.get(participant);
        for held in here.into_iter().flat_map(BTreeMap::values) {
            all.add(held);
        }
        all
    }

    /// The first transaction that a store may still hold something for.
    pub(crate) fn first(&self) -> Option<&TransactionId> {
        let each = self.0.values().filter_map(|here| here.keys().next());
        each.min()
    }

    /// A store may hold units for a transaction until it has rolled it back.
    pub(crate) fn begin(&mut self, branch: &BranchId, held: Held) {
        let here = self.0.entry(branch.participant.clone()).or_default();
        here.insert(branch.transaction.clone(), held);
    }

    /// A store holds nothing for a transaction any more, as far as that can come by itself.
    pub(crate) fn end(&mut self, branch: &BranchId) {
        if let Some(here) = self.0.get_mut(&branch.participant) {
            here.remove(&branch.transaction);
        }
    }

    /// The branches for which a store may still hold something.
    #[cfg(debug_assertions)]
    pub(crate) fn branches(&self) -> impl Iterator<Item = BranchId> {
        let each = self.0.iter();
        each.flat_map(|(name, here)| here.keys().map(|id| id.at(name)))
    }
}
