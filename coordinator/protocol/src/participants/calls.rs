//! The calls of one participant that end branches, after the first: which wait and which are under way.

use std::collections::BTreeSet;

use crate::id::TransactionId;
use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Calls {
    under_way: BTreeSet<TransactionId>,
    due: BTreeSet<(Timestamp, TransactionId)>,
}

impl Calls {
    /// How many wait or are under way.
    pub(super) fn len(&self) -> usize {
        self.due.len() + self.under_way.len()
    }

    /// When the next one is due, if less than `max` are under way.
    pub(super) fn next_time(&self, max: usize) -> Option<Timestamp> {
        let (time, _) = self.due.first()?;
        (self.under_way.len() < max).then_some(*time)
    }

    /// Transactions whose calls wait until after a moment.
    pub(super) fn due_after(&self, now: Timestamp) -> Vec<TransactionId> {
        let later = self.due.iter().filter(|(time, _)| *time > now);
        later.map(|(_, id)| id.clone()).collect()
    }

    pub(super) fn wait(&mut self, id: &TransactionId, time: Timestamp) {
        self.due.insert((time, id.clone()));
    }

    /// Drops a call that waits until `time`.
    pub(super) fn cancel(&mut self, id: &TransactionId, time: Timestamp) {
        self.due.remove(&(time, id.clone()));
    }

    /// Takes the next call that is due for one that is under way, if less than `max` are.
    pub(super) fn begin(&mut self, now: Timestamp, max: usize) -> Option<TransactionId> {
        self.next_time(max).filter(|time| *time <= now)?;
        let (_, id) = self.due.pop_first()?;
        self.under_way.insert(id.clone());
        Some(id)
    }

    /// Takes a call for answered; first calls are not counted here.
    pub(super) fn end(&mut self, id: &TransactionId) {
        self.under_way.remove(id);
    }

    /// Whether a call waits until `time`.
    #[cfg(debug_assertions)]
    pub(super) fn is_waiting(&self, id: &TransactionId, time: Timestamp) -> bool {
        self.due.contains(&(time, id.clone()))
    }

    /// When each waiting call is due.
    #[cfg(debug_assertions)]
    pub(super) fn waiting(&self) -> impl ExactSizeIterator<Item = &(Timestamp, TransactionId)> {
        self.due.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(sequence: u64) -> TransactionId {
        format!("shop.1.{sequence}").parse().expect("well formed")
    }

    #[test]
    fn calls_begin_when_they_are_due_and_there_is_room() {
        let mut calls = Calls::default();
        calls.wait(&id(1), Timestamp(20));
        calls.wait(&id(2), Timestamp(10));
        assert_eq!(calls.next_time(1), Some(Timestamp(10)));
        assert_eq!(calls.begin(Timestamp(9), 1), None);
        assert_eq!(calls.begin(Timestamp(30), 1), Some(id(2)));
        // The other one is due too, and there is no room for it until the first is answered.
        assert_eq!(calls.begin(Timestamp(30), 1), None);
        assert_eq!((calls.next_time(1), calls.len()), (None, 2));
        calls.end(&id(2));
        assert_eq!(calls.begin(Timestamp(30), 1), Some(id(1)));
    }

    #[test]
    fn only_the_call_that_waits_until_then_is_dropped() {
        let mut calls = Calls::default();
        calls.wait(&id(1), Timestamp(20));
        calls.cancel(&id(1), Timestamp(10));
        assert_eq!(calls.due_after(Timestamp(19)), [id(1)]);
        assert!(calls.due_after(Timestamp(20)).is_empty());
        calls.cancel(&id(1), Timestamp(20));
        assert_eq!(calls, Calls::default());
    }
}
