//! What holds of all transactions, whatever has happened.

use super::Transactions;
use crate::history::Fate;
use crate::transaction::State;

/// A history up to this long is checked wholly, after every event.
const CHECKED_MAX: usize = 16;

impl Transactions {
    /// Panics with the name of an invariant that does not hold.
    pub(crate) fn check(&self) {
        let next = self.next_id();
        assert!(
            self.floor <= next,
            "invariant_floor_is_not_above_what_was_begun: {}",
            self.floor
        );
        for id in self.slots.keys() {
            assert!(
                self.under_way.contains_key(id),
                "invariant_slots_are_of_what_is_under_way: {id}"
            );
        }
        for (id, transaction) in &self.under_way {
            assert!(*id < next, "invariant_numbers_are_given_out_once: {id}");
            let fate = self.history.fate(id);
            match &transaction.state {
                State::Preparing(_) | State::Deciding(_) => assert!(
                    fate.is_none() && self.slots.contains_key(id),
                    "invariant_undecided_is_in_a_slot_and_not_in_the_log: {id}, {fate:?}"
                ),
                State::Committing(_) => assert!(
                    fate == Some(Fate::Committing),
                    "invariant_nothing_is_carried_out_without_its_decision: {id}, {fate:?}"
                ),
                State::Aborting(_) => assert!(
                    !fate.is_some_and(Fate::is_committed),
                    "invariant_nothing_is_rolled_back_against_its_decision: {id}, {fate:?}"
                ),
            }
            assert!(
                *id >= self.floor || fate.is_some(),
                "invariant_log_keeps_what_is_unfinished_below_the_floor: {id}"
            );
        }
        if self.history.len() <= CHECKED_MAX {
            self.history.check();
            for (id, kept) in self.history.behind(None) {
                let is_open = matches!(kept.fate, Fate::Committing | Fate::Aborting);
                assert!(
                    !is_open || self.under_way.contains_key(id),
                    "invariant_what_has_not_ended_is_under_way: {id}"
                );
            }
        }
    }
}
