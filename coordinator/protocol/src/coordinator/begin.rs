//! From the queue to a transaction.

use super::submit::RETRY_AFTER;
use super::{Coordinator, Link, Place};
use crate::event::Reply;
use crate::id::TransactionId;
use crate::purchase::Entry;
use crate::record::entry_bytes;
use crate::time::Timestamp;
use crate::transaction::{Preparing, State, Transaction};

impl Coordinator {
    /// Begins transactions while there are purchases and slots: whatever is queued, up to the
    /// maximum, shares one. Under light load that is one purchase, at once, and a purchase waits
    /// for others only while another transaction is under way.
    pub(super) fn fill_pipeline(&mut self, now: Timestamp) {
        while self.may_begin() {
            if !self.fills_a_slot(now) {
                return;
            }
            self.begin(now);
        }
        self.slot_held_until = None;
    }

    fn may_begin(&self) -> bool {
        !self.queue.is_empty()
            && self.pipeline.len() < self.settings.pipeline_transactions_max
            && self.transactions.len() < self.settings.unfinished_transactions_max
            && self.members.values().all(|m| matches!(m.link, Link::Up))
            && self.remembers_all()
    }

    /// Whether the queue would make a transaction at least as large as the largest under way, or
    /// has waited for that for about as long as a transaction takes.
    ///
    /// Without this the first few of many purchases that come in together take the free slot, and
    /// the others wait for the next one: transactions of 93, 3 and 32 purchases in turn were seen.
    /// And without an end to it one large transaction that hangs would keep all later purchases
    /// waiting beside free slots.
    fn fills_a_slot(&mut self, now: Timestamp) -> bool {
        let is_large = self
            .pipeline
            .iter()
            .filter_map(|id| self.transactions.get(id))
            .all(|transaction| self.queue.len() >= transaction.size());
        let until = *self
            .slot_held_until
            .get_or_insert(now + 2 * self.prepare_took);
        if is_large || until <= now {
            self.slot_held_until = None;
            return true;
        }
        false
    }

    fn begin(&mut self, now: Timestamp) {
        let id = TransactionId {
            coordinator: self.id.clone(),
            epoch: self.epoch,
            sequence: self.next_sequence,
        };
        self.next_sequence += 1;
        let entries = self.take_queued(&id);
        if entries.is_empty() {
            return;
        }
        let preparing = Preparing::new(
            entries,
            now + self.settings.prepare_timeout,
            self.caution > 0,
            self.members.keys().cloned(),
        );
        self.pipeline.insert(id.clone());
        self.transactions.insert(
            id.clone(),
            Transaction {
                id: id.clone(),
                begin_time: now,
                state: State::Preparing(preparing),
            },
        );
        self.step(now, &id);
    }

    fn take_queued(&mut self, id: &TransactionId) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        while entries.len() < self.settings.transaction_purchases_max {
            let Some(purchase) = self.queue.front() else {
                break;
            };
            let Some(in_flight) = self.in_flight.get_mut(&purchase.purchase_id) else {
                self.queue.pop_front();
                continue;
            };
            bytes += entry_bytes(&in_flight.purchase);
            if bytes > self.settings.transaction_bytes_max && !entries.is_empty() {
                break;
            }
            in_flight.place = Place::In(id.clone());
            entries.push(Entry {
                number: u32::try_from(entries.len()).unwrap_or(u32::MAX),
                purchase: in_flight.purchase.clone(),
            });
            self.queue.pop_front();
        }
        entries
    }

    /// Begins again with the purchases of a transaction that was rolled back for them.
    pub(super) fn begin_again(&mut self, id: &TransactionId) {
        for entry in self.again.remove(id).into_iter().flatten().rev() {
            let purchase_id = &entry.purchase.purchase_id;
            if let Some(in_flight) = self.in_flight.get_mut(purchase_id) {
                in_flight.place = Place::Queued;
                self.queue.push_front(entry.purchase);
            }
        }
    }

    /// Turns away the purchases that wait for a roll back which can't be had now.
    pub(super) fn give_up_again(&mut self, id: &TransactionId, detail: &str) {
        for entry in self.again.remove(id).into_iter().flatten() {
            self.reply_all(
                &entry.purchase.purchase_id,
                Reply::Unavailable {
                    detail: detail.to_owned(),
                    retry_after: RETRY_AFTER,
                },
            );
        }
    }
}
