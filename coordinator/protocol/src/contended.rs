//! What was locked at a store a moment ago.
//!
//! Which row another session holds is the store's secret. Known are the purchases that found it
//! locked: it may be their own row, their customer's, or one of their skus'. So all of these are
//! suspected, but for what another purchase of the same branch has in common, since the store took
//! that one; and if one of them is suspected already, it explains the lock, and the others are not.
//!
//! A suspicion ends by itself after a while. It ends at once where the store takes another purchase
//! that touches the same and would have found it locked: one of the open lane, or one beside a purchase
//! that did find a lock. What goes through the contended lane while nothing is locked there clears
//! nobody, or purchases that lock a row for each other would be sent to and fro; but when the lock is
//! found again, it was none of what went through since, unless everything did.

use std::collections::BTreeSet;
use std::time::Duration;

use indexmap::Equivalent;

use crate::id::ParticipantName;
use crate::lanes::Lane;
use crate::purchase::Purchase;
use crate::time::Timestamp;
use crate::unordered::UnorderedMap;

/// How long after a lock was found that what it may be about stays suspected.
const SUSPECTED_FOR: Duration = Duration::from_secs(10);

/// How much is suspected at once, at most; beyond, the oldest suspicions end.
const SUSPECTS_MAX: usize = 4_096;

/// What a purchase needs rows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Touched<S> {
    /// The purchase itself.
    Purchase(S),
    Customer(S),
    Sku(S),
}

impl Touched<&str> {
    fn to_owned(self) -> Touched<String> {
        match self {
            Touched::Purchase(id) => Touched::Purchase(id.to_owned()),
            Touched::Customer(id) => Touched::Customer(id.to_owned()),
            Touched::Sku(sku) => Touched::Sku(sku.to_owned()),
        }
    }
}

impl Equivalent<Touched<String>> for Touched<&str> {
    fn equivalent(&self, key: &Touched<String>) -> bool {
        match (self, key) {
            (Touched::Purchase(a), Touched::Purchase(b))
            | (Touched::Customer(a), Touched::Customer(b))
            | (Touched::Sku(a), Touched::Sku(b)) => a == b,
            (Touched::Purchase(_) | Touched::Customer(_) | Touched::Sku(_), _) => false,
        }
    }
}

fn touched(purchase: &Purchase) -> impl Iterator<Item = Touched<&str>> {
    let skus = purchase
        .items
        .iter()
        .map(|item| Touched::Sku(item.sku.as_str()));
    [
        Touched::Purchase(purchase.purchase_id.as_str()),
        Touched::Customer(purchase.customer_id.as_str()),
    ]
    .into_iter()
    .chain(skus)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Suspicion {
    /// Whose store has the row.
    participant: ParticipantName,
    until: Timestamp,
    /// Whether the store has since taken a purchase that touches it.
    was_taken: bool,
}

/// All that is suspected to be locked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Contended {
    suspects: UnorderedMap<Touched<String>, Suspicion>,
    /// When each suspicion ends.
    ends: BTreeSet<(Timestamp, Touched<String>)>,
}

impl Contended {
    /// The lane that a purchase belongs into.
    pub(crate) fn lane_of(&self, purchase: &Purchase) -> Lane {
        let is_suspected = |touched| self.suspects.get(&touched).is_some();
        match !self.suspects.is_empty() && touched(purchase).any(is_suspected) {
            true => Lane::Contended,
            false => Lane::Open,
        }
    }

    /// Ends suspicions that are old; gives whether there were any.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        let before = self.ends.len();
        while let Some((until, _)) = self.ends.first()
            && *until <= now
        {
            self.end_oldest();
        }
        self.ends.len() < before
    }

    /// Takes what a store has found locked, and what it has taken in the same branch; gives whether
    /// anything is suspected now that was not, or the other way round.
    pub(crate) fn find(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        lane: Lane,
        locked: &[&Purchase],
        taken: &[&Purchase],
    ) -> bool {
        if locked.is_empty() && self.suspects.is_empty() {
            // Nothing is to be suspected, and nothing to be cleared.
            return false;
        }
        let taken: BTreeSet<Touched<&str>> = taken.iter().flat_map(|p| touched(p)).collect();
        let mut has_changed = false;
        for touched in &taken {
            if locked.is_empty() && lane == Lane::Contended {
                self.clear_later(*touched, participant);
            } else {
                has_changed |= self.clear(*touched, participant);
            }
        }
        for purchase in locked {
            let left = touched(purchase).filter(|touched| !taken.contains(touched));
            has_changed |= self.suspect(now, participant, left.collect());
        }
        has_changed
    }

    /// Suspects what a purchase touches that has found a lock; gives whether anything has changed but
    /// times.
    fn suspect(
        &mut self,
        now: Timestamp,
        participant: &ParticipantName,
        all: Vec<Touched<&str>>,
    ) -> bool {
        let known = all
            .iter()
            .filter(|touched| self.is_suspected(**touched, participant));
        let known: Vec<Touched<&str>> = known.copied().collect();
        if known.is_empty() {
            for touched in all {
                self.insert(touched, participant, now + SUSPECTED_FOR);
            }
            return true;
        }
        let was_taken = |touched: &Touched<&str>| {
            let suspicion = self.suspects.get(touched);
            suspicion.is_some_and(|suspicion| suspicion.was_taken)
        };
        let were_all_taken = known.iter().all(was_taken);
        let (innocent, explain): (Vec<_>, Vec<_>) = known
            .into_iter()
            .partition(|touched| was_taken(touched) && !were_all_taken);
        for touched in explain {
            self.insert(touched, participant, now + SUSPECTED_FOR);
        }
        for touched in &innocent {
            self.clear(*touched, participant);
        }
        !innocent.is_empty()
    }

    fn insert(&mut self, touched: Touched<&str>, participant: &ParticipantName, until: Timestamp) {
        let suspicion = Suspicion {
            participant: participant.clone(),
            until,
            was_taken: false,
        };
        let touched = touched.to_owned();
        if let Some(before) = self.suspects.insert(touched.clone(), suspicion) {
            self.ends.remove(&(before.until, touched.clone()));
        }
        self.ends.insert((until, touched));
        if self.ends.len() > SUSPECTS_MAX {
            self.end_oldest();
        }
    }

    fn clear_later(&mut self, touched: Touched<&str>, participant: &ParticipantName) {
        if let Some(suspicion) = self.suspects.get_mut(&touched)
            && suspicion.participant == *participant
        {
            suspicion.was_taken = true;
        }
    }

    fn is_suspected(&self, touched: Touched<&str>, participant: &ParticipantName) -> bool {
        let suspicion = self.suspects.get(&touched);
        suspicion.is_some_and(|suspicion| suspicion.participant == *participant)
    }

    fn clear(&mut self, touched: Touched<&str>, participant: &ParticipantName) -> bool {
        if !self.is_suspected(touched, participant) {
            return false;
        }
        if let Some(suspicion) = self.suspects.remove(&touched) {
            self.ends.remove(&(suspicion.until, touched.to_owned()));
        }
        true
    }

    fn end_oldest(&mut self) {
        if let Some((_, oldest)) = self.ends.pop_first() {
            self.suspects.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::purchase::Item;

    fn purchase(id: &str, customer: &str, sku: &str) -> Purchase {
        Purchase {
            purchase_id: id.into(),
            customer_id: customer.into(),
            currency: "EUR".into(),
            items: vec![Item {
                sku: sku.into(),
                quantity: 1,
                unit_price_minor: 100,
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn waits_apart(contended: &Contended, customer: &str, sku: &str) -> bool {
        contended.lane_of(&purchase("another", customer, sku)) == Lane::Contended
    }

    /// One store's locks, found and not found in this order by purchases alone in their branch.
    fn after(found: &[(Lane, Purchase, bool)]) -> Contended {
        let mut contended = Contended::default();
        let mysql = "mysql".parse().expect("a name");
        for (lane, purchase, is_locked) in found {
            let (locked, taken): (&[_], &[_]) = match is_locked {
                true => (&[purchase], &[]),
                false => (&[], &[purchase]),
            };
            contended.find(Timestamp(0), &mysql, *lane, locked, taken);
        }
        contended
    }

    #[test]
    fn lock_is_suspected_of_all_that_its_purchase_touches() {
        let contended = after(&[(Lane::Open, purchase("p-1", "ann", "tea"), true)]);
        assert!(waits_apart(&contended, "ann", "mug"));
        assert!(waits_apart(&contended, "bob", "tea"));
        assert!(!waits_apart(&contended, "bob", "mug"));
        let same = purchase("p-1", "bob", "mug");
        assert_eq!(contended.lane_of(&same), Lane::Contended);
    }

    #[test]
    fn what_is_suspected_explains_the_next_lock() {
        let contended = after(&[
            (Lane::Open, purchase("p-1", "ann", "tea"), true),
            (Lane::Contended, purchase("p-2", "ann", "mug"), true),
        ]);
        assert!(waits_apart(&contended, "ann", "pot"));
        assert!(!waits_apart(&contended, "bob", "mug"));
    }

    #[test]
    fn open_lane_clears_and_quiet_contended_lane_does_not() {
        let locked = (Lane::Open, purchase("p-1", "ann", "tea"), true);
        for (lane, waits) in [(Lane::Open, false), (Lane::Contended, true)] {
            let taken = (lane, purchase("p-2", "bob", "tea"), false);
            let contended = after(&[locked.clone(), taken]);
            assert_eq!(waits_apart(&contended, "cem", "tea"), waits, "{lane:?}");
            assert!(waits_apart(&contended, "ann", "mug"));
        }
    }

    /// A row that every purchase of tea changes: they would lock it for each other in the open lane.
    #[test]
    fn what_all_went_through_stays_suspected_when_the_lock_is_found_again() {
        let contended = after(&[
            (Lane::Open, purchase("p-1", "ann", "tea"), true),
            (Lane::Contended, purchase("p-1", "ann", "tea"), false),
            (Lane::Contended, purchase("p-2", "bob", "tea"), true),
        ]);
        assert!(waits_apart(&contended, "cem", "tea"));
        assert!(!waits_apart(&contended, "bob", "mug"));
    }

    #[test]
    fn only_the_store_that_found_a_lock_clears_it() {
        let mut contended = after(&[(Lane::Open, purchase("p-1", "ann", "tea"), true)]);
        let redis = "redis".parse().expect("a name");
        let taken = purchase("p-2", "bob", "tea");
        contended.find(Timestamp(1), &redis, Lane::Open, &[], &[&taken]);
        assert!(waits_apart(&contended, "bob", "tea"));
    }

    #[test]
    fn suspicions_end_and_are_bounded() {
        let mut contended = Contended::default();
        let mysql = "mysql".parse().expect("a name");
        for number in 0..2 * SUSPECTS_MAX {
            let (id, now) = (number.to_string(), Timestamp(number as u64));
            let locked = purchase(&id, &id, &id);
            contended.find(now, &mysql, Lane::Open, &[&locked], &[]);
            assert_eq!(contended.suspects.len(), contended.ends.len());
        }
        assert_eq!(contended.ends.len(), SUSPECTS_MAX);
        let last = Timestamp(2 * SUSPECTS_MAX as u64 - 1) + SUSPECTED_FOR;
        assert!(contended.expire(last));
        assert_eq!(contended, Contended::default());
        assert!(!contended.expire(last));
    }
}
