//! Units that transactions without a decision may still hold, until their stores have released them.
//!
//! A store that counts them can refuse a purchase for want of units which are free a moment later. Such
//! a refusal is no answer: it would be final, and remembered.

use std::collections::{BTreeMap, BTreeSet};

use super::Coordinator;
use super::submit::RETRY_AFTER;
use crate::id::{ParticipantName, TransactionId};
use crate::purchase::{Entry, Purchase, Reason, Refusal};
use crate::reply::Reply;
use crate::transaction::State;

/// What is held at a store and is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    /// Units of these.
    Skus(BTreeSet<String>),
    /// Nobody knows of what: the branch was found prepared, and is of an earlier process.
    Anything,
}

impl Default for Held {
    fn default() -> Held {
        Held::Skus(BTreeSet::new())
    }
}

impl Held {
    /// What a branch with these entries holds.
    pub(crate) fn by<'a>(entries: impl Iterator<Item = &'a Entry>) -> Held {
        let items = entries.flat_map(|entry| &entry.purchase.items);
        Held::Skus(items.map(|item| item.sku.clone()).collect())
    }

    pub(crate) fn add(&mut self, other: &Held) {
        match (&mut *self, other) {
            (Held::Skus(skus), Held::Skus(others)) => skus.extend(others.iter().cloned()),
            (Held::Skus(_), Held::Anything) => *self = Held::Anything,
            (Held::Anything, _) => {}
        }
    }

    /// Whether this refusal of a purchase may be for want of units that are held here.
    pub(crate) fn may_explain(&self, purchase: &Purchase, refusal: &Refusal) -> bool {
        let is_wanted = match self {
            Held::Skus(skus) => purchase.items.iter().any(|item| skus.contains(&item.sku)),
            Held::Anything => true,
        };
        refusal.reason == Reason::InsufficientStock && is_wanted
    }
}

/// What is still to be given back, by store and transaction.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Releases(BTreeMap<ParticipantName, BTreeMap<TransactionId, Held>>);

impl Releases {
    /// All that is still to be given back at a store.
    pub(super) fn at(&self, participant: &ParticipantName) -> Held {
        let mut all = Held::default();
        for held in self
            .0
            .get(participant)
            .into_iter()
            .flat_map(BTreeMap::values)
        {
            all.add(held);
        }
        all
    }

    /// The first transaction that a store may still hold something for.
    pub(super) fn first(&self) -> Option<&TransactionId> {
        let each = self.0.values().filter_map(|here| here.keys().next());
        each.min()
    }

    fn begin(&mut self, participant: &ParticipantName, id: &TransactionId, held: Held) {
        let here = self.0.entry(participant.clone()).or_default();
        here.insert(id.clone(), held);
    }

    /// A store holds nothing for a transaction any more, as far as that can come by itself.
    pub(super) fn end(&mut self, participant: &ParticipantName, id: &TransactionId) {
        if let Some(here) = self.0.get_mut(participant) {
            here.remove(id);
        }
    }
}

impl Coordinator {
    /// A transaction is to be rolled back at a participant. Whoever has been asked for a promise there
    /// may be refused on its account.
    pub(super) fn is_to_be_released(
        &mut self,
        id: &TransactionId,
        participant: &ParticipantName,
        held: Held,
    ) {
        for other in self.pipeline.keys() {
            let state = self.transactions.get_mut(other).map(|t| &mut t.state);
            if let Some(State::Preparing(preparing)) = state {
                preparing.doubt(participant, &held);
            }
        }
        self.releases.begin(participant, id, held);
    }

    /// Answers a purchase that was refused for want of units which are being given back.
    pub(super) fn turn_away_for_now(&mut self, entry: &Entry, participant: &ParticipantName) {
        let detail = format!(
            "{participant} had too few units, and some are being given back by purchases that do not \
             happen"
        );
        let retry_after = RETRY_AFTER;
        self.reply_all(
            &entry.purchase.purchase_id,
            Reply::Unavailable {
                detail,
                retry_after,
            },
        );
    }
}
