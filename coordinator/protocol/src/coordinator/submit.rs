//! Clients: submissions, replies, deadlines.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Coordinator;
use crate::action::Action;
use crate::event::WaitFor;
use crate::id::{RequestId, TransactionId};
use crate::in_flight::{InFlight, Place, Waiter};
use crate::index::Outcome;
use crate::purchase::Purchase;
use crate::record::{fingerprint, is_taken_of};
use crate::reply::{RETRY_AFTER, Reply};
use crate::time::Timestamp;
use crate::transaction::State;

/// Calls that wait for the same purchase, at most. They have no place in the queue, which the purchase
/// itself has once.
const WAITERS_PER_PURCHASE_MAX: usize = 64;

impl Coordinator {
    pub(super) fn submitted(
        &mut self,
        now: Timestamp,
        request: RequestId,
        purchase: Arc<Purchase>,
        wait_for: WaitFor,
        deadline: Timestamp,
    ) {
        let fingerprint = fingerprint(&purchase);
        let waiter = Waiter {
            request,
            wait_for,
            deadline,
        };
        if let Some(in_flight) = self.in_flight.get_mut(&purchase.purchase_id) {
            if in_flight.fingerprint != fingerprint {
                return self.reply(request, Reply::Reused);
            }
            if in_flight.waiters.len() >= WAITERS_PER_PURCHASE_MAX {
                let reply = self.known_so_far(&purchase.purchase_id, wait_for);
                return self.reply(request, reply);
            }
            in_flight.waiters.push(waiter);
            let known = in_flight.purchase.clone();
            self.deadlines.insert((deadline, request), known);
            return self.reply_if_decided(&purchase.purchase_id);
        }
        if let Some(reply) = self.past_reply(&purchase) {
            return self.reply(request, reply);
        }
        if self.draining {
            return self.reply(request, Reply::ShuttingDown);
        }
        if let Some(detail) = self.down_for_long(now) {
            return self.reply(request, Reply::unavailable(detail));
        }
        if self.queue.len() >= self.settings.queue_purchases_max {
            let retry_after = RETRY_AFTER;
            return self.reply(request, Reply::QueueFull { retry_after });
        }
        self.deadlines.insert((deadline, request), purchase.clone());
        let lane = self.contended.lane_of(&purchase);
        self.queue.push(lane, purchase.clone());
        self.in_flight.insert(
            purchase.purchase_id.clone(),
            InFlight {
                purchase,
                fingerprint,
                place: Place::Queued,
                waiters: vec![waiter],
            },
        );
    }

    /// The answer that the log remembers for a purchase.
    fn past_reply(&self, purchase: &Purchase) -> Option<Reply> {
        let (transaction, decide_time, past) = self.transactions.past(&purchase.purchase_id)?;
        if !is_taken_of(&past.fingerprint, purchase) {
            return Some(Reply::Reused);
        }
        Some(match &past.outcome {
            Outcome::Committed => Reply::Committed {
                decide_time,
                transaction,
                applied: true,
            },
            Outcome::Refused(refused) => Reply::Refused {
                transaction,
                participant: refused.0.clone(),
                refusal: refused.1.clone(),
            },
        })
    }

    /// The answer to a call that can't wait for the outcome of a purchase that is under way.
    fn known_so_far(&self, purchase_id: &str, wait_for: WaitFor) -> Reply {
        let retry_after = RETRY_AFTER;
        match (self.committed_by(purchase_id), wait_for) {
            (None, WaitFor::Applied | WaitFor::Decided) => Reply::Crowded { retry_after },
            (Some((transaction, decide_time)), WaitFor::Decided) => Reply::Committed {
                transaction,
                decide_time,
                applied: false,
            },
            (Some((transaction, decide_time)), WaitFor::Applied) => Reply::OutcomeCommitted {
                transaction,
                decide_time,
            },
        }
    }

    /// Answers those who have waited as long as they can.
    pub(super) fn expire_requests(&mut self, now: Timestamp) {
        let mut dropped = BTreeSet::new();
        while let Some(first) = self.deadlines.first_entry()
            && first.key().0 <= now
        {
            let ((_, request), purchase) = first.remove_entry();
            let purchase_id = &purchase.purchase_id;
            let reply = match self.committed_by(purchase_id) {
                Some((transaction, decide_time)) => Reply::OutcomeCommitted {
                    transaction,
                    decide_time,
                },
                None => Reply::OutcomeUnknown,
            };
            self.reply(request, reply);
            let Some(in_flight) = self.in_flight.get_mut(purchase_id) else {
                // Another transaction has decided it too: two processes have written to the log.
                continue;
            };
            in_flight.waiters.retain(|waiter| waiter.request != request);
            // Nobody waits and nothing has been asked of any store: the purchase is dropped.
            if in_flight.waiters.is_empty() && in_flight.place == Place::Queued {
                self.in_flight.remove(purchase_id);
                dropped.insert(purchase_id.clone());
            }
        }
        if !dropped.is_empty() {
            self.queue
                .retain(|queued| !dropped.contains(&queued.purchase_id));
        }
    }

    /// Turns queued purchases away when a participant has been down for too long.
    pub(super) fn turn_away(&mut self, now: Timestamp) {
        if let Some(detail) = self.down_for_long(now) {
            while let Some(purchase) = self.queue.pop_any() {
                let reply = Reply::unavailable(detail.as_str());
                self.reply_all(&purchase.purchase_id, reply);
            }
        }
    }

    /// Answers everyone who waits for a purchase and lets go of it.
    pub(super) fn reply_all(&mut self, purchase_id: &str, reply: Reply) {
        if let Some(in_flight) = self.in_flight.remove(purchase_id) {
            self.reply_waiters(in_flight.waiters, &reply);
        }
    }

    /// Answers those who wait for a decision only, if the purchase's decision is stored.
    pub(super) fn reply_if_decided(&mut self, purchase_id: &str) {
        let committed = self.committed_by(purchase_id);
        let in_flight = self.in_flight.get_mut(purchase_id);
        let (Some((transaction, decide_time)), Some(in_flight)) = (committed, in_flight) else {
            // It is not decided yet, and who waits goes on waiting.
            return;
        };
        let (decided, applied) = std::mem::take(&mut in_flight.waiters)
            .into_iter()
            .partition(|waiter| waiter.wait_for == WaitFor::Decided);
        in_flight.waiters = applied;
        let reply = Reply::Committed {
            transaction,
            decide_time,
            applied: false,
        };
        self.reply_waiters(decided, &reply);
    }

    pub(super) fn reply(&mut self, request: RequestId, reply: Reply) {
        self.actions.push(Action::Reply { request, reply });
    }

    fn reply_waiters(&mut self, waiters: Vec<Waiter>, reply: &Reply) {
        for waiter in waiters {
            self.deadlines.remove(&(waiter.deadline, waiter.request));
            self.reply(waiter.request, reply.clone());
        }
    }

    /// The transaction that has this purchase in its stored decision and has not ended.
    pub(crate) fn committed_by(&self, purchase_id: &str) -> Option<(TransactionId, Timestamp)> {
        let Place::In(id) = &self.in_flight.get(purchase_id)?.place else {
            return None;
        };
        match &self.transactions.get(id)?.state {
            State::Committing(committing) => Some((id.clone(), committing.decide_time)),
            State::Preparing(_) | State::Deciding(_) | State::Aborting(_) => None,
        }
    }

    /// The transaction that a purchase without a stored decision is in; `None` inside when it is
    /// still queued.
    pub(crate) fn pending_in(&self, purchase_id: &str) -> Option<Option<TransactionId>> {
        match &self.in_flight.get(purchase_id)?.place {
            Place::Queued => Some(None),
            Place::In(id) => Some(Some(id.clone())),
        }
    }

    /// Why no purchase can be served now, if a participant has been down for longer than the
    /// grace.
    fn down_for_long(&self, now: Timestamp) -> Option<String> {
        let grace = self.settings.unavailable_grace;
        self.participants.down_for(now, grace)
    }
}
