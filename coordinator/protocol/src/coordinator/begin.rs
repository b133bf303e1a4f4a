//! From the queue to a transaction.

use super::Coordinator;
use crate::id::TransactionId;
use crate::in_flight::Place;
use crate::lanes::Lane;
use crate::purchase::Entry;
use crate::record::entry_bytes;
use crate::reply::Reply;
use crate::time::Timestamp;
use crate::transaction::{Preparing, State, Transaction};

/// Transactions of the contended lane under way at once; they are not counted with the others.
pub(super) const CONTENDED_TRANSACTIONS_MAX: usize = 1;

/// A transaction hangs that is being prepared for so many times as long as the last one was: more than
/// transactions differ by their size.
const HANGS_AFTER: u32 = 8;

impl Coordinator {
    /// Begins transactions while there are purchases and slots: whatever waits in a lane, up to the
    /// maximum, shares one. Under light load that is one purchase, at once, and a purchase waits
    /// for others only while another transaction is under way.
    pub(super) fn fill_pipeline(&mut self, now: Timestamp) {
        self.fill_open_slots(now);
        while self.may_begin(Lane::Contended) {
            self.begin(now, Lane::Contended);
        }
    }

    fn fill_open_slots(&mut self, now: Timestamp) {
        while self.may_begin(Lane::Open) {
            if !self.may_take_slot(now) {
                // A slot is held for more purchases.
                return;
            }
            self.begin(now, Lane::Open);
        }
        self.slot_held_until = None;
    }

    pub(super) fn may_begin(&self, lane: Lane) -> bool {
        let slots = match lane {
            Lane::Open => self.settings.pipeline_transactions_max,
            Lane::Contended => CONTENDED_TRANSACTIONS_MAX,
        };
        self.queue.len_of(lane) > 0
            && self.transactions.in_lane(lane).count() < slots
            && self.transactions.under_way().len() < self.settings.unfinished_transactions_max
            && self.participants.are_all_up()
            && self.participants.remember_all()
    }

    /// Whether the open lane would make a transaction at least as large as the largest of its that is
    /// under way, or has waited for that for about as long as a transaction takes.
    ///
    /// Without this the first few of many purchases that come in together take the free slot, and
    /// the others wait for the next one: transactions of 93, 3 and 32 purchases in turn were seen.
    /// And without an end to it one large transaction that hangs would keep all later purchases
    /// waiting beside free slots.
    fn may_take_slot(&mut self, now: Timestamp) -> bool {
        let is_large = self
            .transactions
            .in_lane(Lane::Open)
            .filter(|transaction| !self.hangs(now, transaction))
            .all(|transaction| self.queue.len_of(Lane::Open) >= transaction.size());
        let until = *self
            .slot_held_until
            .get_or_insert(now + 2 * self.prepare_took);
        if is_large || until <= now {
            self.slot_held_until = None;
            return true;
        }
        false
    }

    /// Whether a transaction is being prepared for so long that it seems to wait for a lock: nobody
    /// should wait for it.
    fn hangs(&self, now: Timestamp, transaction: &Transaction) -> bool {
        matches!(transaction.state, State::Preparing(_))
            && now.since(transaction.begin_time) > HANGS_AFTER * self.prepare_took
    }

    fn begin(&mut self, now: Timestamp, lane: Lane) {
        let id = self.transactions.take_id();
        let entries = self.take_queued(&id, lane);
        if entries.is_empty() {
            // What waited is answered already.
            return;
        }
        let preparing = Preparing::new(
            entries,
            now + self.settings.prepare_timeout,
            self.caution > 0,
            self.participants.names(),
        );
        self.transactions.begin(now, &id, lane, preparing);
        self.advance_preparing(now, &id);
    }

    fn take_queued(&mut self, id: &TransactionId, lane: Lane) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let again = self.queue.front(lane).is_some_and(|first| first.again);
        while entries.len() < self.settings.transaction_purchases_max {
            let Some(waiting) = self.queue.front(lane).filter(|next| next.again == again) else {
                break;
            };
            let Some(in_flight) = self.in_flight.get_mut(&waiting.purchase.purchase_id) else {
                // Answered by another transaction, which has decided it too: two processes have
                // written to the log.
                self.queue.pop_front(lane);
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
            self.queue.pop_front(lane);
        }
        entries
    }

    /// Begins again with the purchases of a transaction that was rolled back for them.
    pub(super) fn begin_again(&mut self, id: &TransactionId) {
        for entry in self.again.remove(id).into_iter().flatten().rev() {
            let purchase_id = &entry.purchase.purchase_id;
            // Another transaction may have answered it, if two processes have written to the log.
            if let Some(in_flight) = self.in_flight.get_mut(purchase_id) {
                in_flight.place = Place::Queued;
                let lane = self.contended.lane_of(&entry.purchase);
                self.queue.push_again(lane, entry.purchase);
            }
        }
    }

    /// Turns away the purchases that wait for a roll back which can't be had now.
    pub(super) fn give_up_again(&mut self, id: &TransactionId, detail: &str) {
        for entry in self.again.remove(id).into_iter().flatten() {
            self.reply_all(&entry.purchase.purchase_id, Reply::unavailable(detail));
        }
    }
}
