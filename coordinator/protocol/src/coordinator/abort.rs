//! Giving a transaction up that has no decision.

use super::Coordinator;
use super::refuse::truncate;
use crate::action::Action;
use crate::held::Held;
use crate::id::{BranchId, TransactionId};
use crate::note::Note;
use crate::purchase::{Entry, Reason, Refusal};
use crate::record::REFUSAL_DETAIL_BYTES_MAX;
use crate::reply::Reply;

impl Coordinator {
    /// Gives a transaction up that has no decision: presumed abort, so nothing is stored.
    pub(super) fn abort(&mut self, id: &TransactionId, detail: &str) {
        self.give_up(id, detail, Reply::unavailable(detail));
    }

    /// Gives a transaction up that a participant can't take as it is: asking again does not help
    /// until a person has mended that. None of its purchases is to blame, so nothing is remembered.
    pub(super) fn abort_misconfigured(&mut self, branch: &BranchId, mut detail: String) {
        let note = format!("{} can't prepare: {detail}", branch.participant);
        truncate(&mut detail, REFUSAL_DETAIL_BYTES_MAX);
        let reply = Reply::Refused {
            transaction: branch.transaction.clone(),
            participant: branch.participant.clone(),
            refusal: Refusal {
                reason: Reason::Misconfigured,
                detail,
            },
        };
        self.give_up(&branch.transaction, &note, reply);
    }

    fn give_up(&mut self, id: &TransactionId, detail: &str, reply: Reply) {
        let entries = self.roll_back(id);
        self.note(Note::Aborted {
            transaction: id.clone(),
            purchases: purchase_ids(&entries),
            detail: detail.to_owned(),
        });
        for entry in entries {
            self.reply_all(&entry.purchase.purchase_id, reply.clone());
        }
    }

    /// Rolls a transaction that is being prepared back wherever something is or may be prepared; gives
    /// its entries.
    pub(super) fn roll_back(&mut self, id: &TransactionId) -> Vec<Entry> {
        let Some((entries, held)) = self.transactions.abort(id) else {
            debug_assert!(false, "{id} is given up, and is not being prepared");
            return Vec::new();
        };
        for (participant, held) in held {
            self.begin_release(&id.at(&participant), held);
            self.actions.push(Action::RollBack {
                participant,
                transaction: id.clone(),
            });
        }
        self.end_if_done(id);
        entries
    }

    /// A branch is to be rolled back. Whoever has been asked for a promise there may be refused on its
    /// account.
    pub(crate) fn begin_release(&mut self, branch: &BranchId, held: Held) {
        self.transactions.doubt(&branch.participant, &held);
        self.releases.begin(branch, held);
    }
}

pub(super) fn purchase_ids(entries: &[Entry]) -> Vec<String> {
    entries
        .iter()
        .map(|entry| entry.purchase.purchase_id.clone())
        .collect()
}
