//! The end of a transaction.

use super::Coordinator;
use crate::id::{Position, TransactionId};
use crate::note::Note;
use crate::record::Record;
use crate::reply::Reply;
use crate::tail::Storing;
use crate::transaction::{Branch, Committing, State};

impl Coordinator {
    /// Ends a transaction of which every branch has ended.
    pub(crate) fn end_if_done(&mut self, id: &TransactionId) {
        let branches = self.transactions.get(id).and_then(|known| known.branches());
        let is_done = branches.is_some_and(|all| all.values().all(Branch::has_ended));
        // Its end comes behind what is being stored of it, in the log as in memory.
        if !is_done || self.tail.is_settling(id) {
            return;
        }
        let begins = self.transactions.history().begins(id);
        let Some((transaction, is_in_log)) = self.transactions.end(id) else {
            return debug_assert!(false, "{id} ends, and is not under way");
        };
        let State::Committing(committing) = transaction.state else {
            self.begin_again(id);
            if is_in_log {
                self.store_end(id);
            }
            return;
        };
        debug_assert!(
            is_in_log,
            "{id} is committed, and has no decision in the log"
        );
        // A decision that is written again just now is not stored before what is known to be.
        self.count(&committing, begins.unwrap_or(self.tail.next_position()));
        self.store_end(id);
        self.note(Note::Ended {
            transaction: id.clone(),
        });
        for entry in committing.entries {
            self.reply_all(
                &entry.purchase.purchase_id,
                Reply::Committed {
                    transaction: id.clone(),
                    decide_time: committing.decide_time,
                    applied: true,
                },
            );
        }
    }

    /// Adds what an ended transaction has deducted to the totals, as the record of its end does.
    fn count(&mut self, committing: &Committing, begins: Position) {
        let entries = &committing.entries;
        self.totals.leave(committing.branches.keys(), entries);
        self.totals.add(committing.counted(), entries, begins);
    }

    fn store_end(&mut self, id: &TransactionId) {
        // Never forced: what is lost with it is only that the participants are asked once more.
        let record = Record::Ended {
            transaction: id.clone(),
            counted: true,
        };
        self.store(record, false, Storing::Nothing);
    }
}
