//! What holds after every event, whatever has happened. It is checked in debug builds, so that a mistake
//! is found where it is made, not where it harms.

use super::Coordinator;
use super::begin::CONTENDED_TRANSACTIONS_MAX;
use crate::lanes::Lane;
use crate::tail::Storing;
use crate::time::Timestamp;
use crate::transaction::{Progress, State};

impl Coordinator {
    /// Panics with the name of an invariant that does not hold. Takes time by what is under way.
    pub(super) fn check(&self, now: Timestamp) {
        self.transactions.check();
        self.check_calls(now);
        self.check_slots(now);
        self.check_decisions();
        self.check_roll_backs();
        self.check_recalls();
        let first = self.deadlines.keys().next();
        assert!(
            first.is_none_or(|(deadline, _)| *deadline > now),
            "invariant_nobody_waits_beyond_the_deadline: {first:?}"
        );
        assert!(
            self.let_go <= *self.transactions.floor(),
            "invariant_stores_forget_after_the_log: {} may be forgotten",
            self.let_go
        );
    }

    fn check_calls(&self, now: Timestamp) {
        let calls_max = self.settings.retries_in_flight_max;
        let next = self.participants.next_call(calls_max);
        assert!(
            next.is_none_or(|time| time > now),
            "invariant_what_is_due_is_called: {next:?}"
        );
        for (branch, time) in self.participants.waiting() {
            let known = self.transactions.branch(&branch);
            assert!(
                known.and_then(|known| known.retry_time()) == Some(time),
                "invariant_calls_are_of_what_waits: {branch} at {time:?}, and it is {known:?}"
            );
        }
        for transaction in self.transactions.under_way() {
            for (name, branch) in transaction.branches().into_iter().flatten() {
                let id = transaction.id.at(name);
                let time = branch.retry_time();
                let is_due = time.is_none_or(|time| self.participants.is_waiting(&id, time));
                assert!(
                    is_due || !self.participants.contains(name),
                    "invariant_what_waits_has_a_call: {id}"
                );
            }
        }
    }

    fn check_slots(&self, now: Timestamp) {
        for (id, preparing) in self.transactions.preparing() {
            assert!(
                preparing.deadline > now,
                "invariant_nothing_is_prepared_beyond_its_deadline: {id}"
            );
            assert!(
                preparing.refused.len() <= preparing.entries.len(),
                "invariant_refusals_are_of_entries: {id}"
            );
        }
        let slots_max = self.settings.pipeline_transactions_max;
        assert!(
            self.transactions.in_lane(Lane::Open).count() <= slots_max
                && self.transactions.in_lane(Lane::Contended).count() <= CONTENDED_TRANSACTIONS_MAX,
            "invariant_slots_are_bounded"
        );
        let is_held = self.slot_held_until.is_some_and(|until| until > now);
        assert!(
            !self.may_begin(Lane::Contended) && (is_held || !self.may_begin(Lane::Open)),
            "invariant_no_purchase_waits_beside_a_free_slot"
        );
        let closed = self.closing.told();
        let first = self.transactions.first_in_slots();
        assert!(
            first.is_none() || closed <= first,
            "invariant_nothing_closed_is_prepared: {first:?} before {closed:?}"
        );
    }

    fn check_decisions(&self) {
        let on_its_way = self.tail.storing().filter_map(|storing| match storing {
            Storing::Decision(id) => Some(id),
            Storing::Refusals { .. }
            | Storing::Settlement { .. }
            | Storing::Repair { .. }
            | Storing::Keep(_)
            | Storing::Carried(..)
            | Storing::Forgotten { .. }
            | Storing::Totals(_)
            | Storing::Nothing => None,
        });
        let mut on_its_way: Vec<_> = on_its_way.collect();
        on_its_way.sort();
        let all = self.transactions.under_way();
        let deciding = all.filter(|known| matches!(known.state, State::Deciding(_)));
        assert!(
            deciding.map(|known| &known.id).eq(on_its_way),
            "invariant_what_is_being_decided_is_on_its_way_to_the_log"
        );
    }

    fn check_roll_backs(&self) {
        for branch in self.releases.branches() {
            let transaction = self.transactions.get(&branch.transaction);
            let is_aborting = transaction.is_some_and(|t| matches!(t.state, State::Aborting(_)));
            let is_live = self.transactions.branch(&branch).is_some_and(|known| {
                !known.has_ended() && !matches!(known.progress, Progress::Heuristic(_))
            });
            assert!(
                is_aborting && is_live,
                "invariant_only_what_is_rolled_back_is_given_back: {branch}"
            );
        }
        for id in self.again.keys() {
            let transaction = self.transactions.get(id);
            assert!(
                transaction.is_some_and(|t| matches!(t.state, State::Aborting(_))),
                "invariant_what_begins_again_is_rolled_back_first: {id}"
            );
        }
    }

    /// Else no new purchase would ever be taken.
    fn check_recalls(&self) {
        for branch in self.participants.awaited() {
            let known = self.transactions.branch(&branch);
            assert!(
                self.transactions.is_under_way(&branch.transaction)
                    && known.is_none_or(|known| !known.has_ended()),
                "invariant_what_is_waited_for_is_under_way: {branch}"
            );
        }
    }
}
