//! Units that are held at a store and are to be given back.

use std::collections::BTreeSet;

use crate::purchase::{Entry, Purchase, Reason, Refusal};

/// What is held at a store and is to be given back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Held {
    /// Units of these, of whatever pool.
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
        let items = entries.flat_map(|entry| entry.purchase.tracked());
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
            Held::Skus(skus) => purchase.tracked().any(|item| skus.contains(&item.sku)),
            Held::Anything => true,
        };
        refusal.reason == Reason::InsufficientStock && is_wanted
    }
}
