//! Refusals: which are answered at once, and which are stored first.

use std::collections::BTreeMap;

use super::Coordinator;
use crate::id::{Position, TransactionId};
use crate::note::Note;
use crate::purchase::{Entry, Reason};
use crate::record::{REFUSAL_DETAIL_BYTES_MAX, Record, RefusedPurchase, fingerprint};
use crate::reply::Reply;
use crate::tail::Storing;
use crate::time::Timestamp;
use crate::transaction::Refused;

impl Coordinator {
    /// Refuses entries of a transaction that commits none of them.
    pub(super) fn refuse(
        &mut self,
        now: Timestamp,
        id: &TransactionId,
        entries: &[Entry],
        refused: BTreeMap<u32, Refused>,
    ) {
        let refused = self.final_refusals(id, entries, refused);
        if refused.is_empty() {
            // All are answered, and none of the answers has to be kept.
            return;
        }
        let record = Record::Refused {
            transaction: id.clone(),
            time: now,
            refused: refused.clone(),
        };
        let then = Storing::Refusals {
            transaction: id.clone(),
            time: now,
            refused,
        };
        self.store(record, true, then);
    }

    pub(super) fn refusals_stored(
        &mut self,
        id: &TransactionId,
        time: Timestamp,
        refused: Vec<RefusedPurchase>,
        position: Position,
    ) {
        self.transactions.refuse(id, time, &refused, position);
        self.note(Note::Decided {
            transaction: id.clone(),
            committed: Vec::new(),
            refused: reasons(&refused),
        });
        for refused in refused {
            self.reply_refused(id, refused);
        }
    }

    /// Replies to the refusals that are not remembered or were not true, and gives the others, for
    /// the log.
    pub(super) fn final_refusals(
        &mut self,
        id: &TransactionId,
        entries: &[Entry],
        refused: BTreeMap<u32, Refused>,
    ) -> Vec<RefusedPurchase> {
        let mut finals = Vec::new();
        for entry in entries {
            let Some(refused) = refused.get(&entry.number) else {
                // Nobody has refused it.
                continue;
            };
            if refused.is_doubtful {
                // Refused for want of units that are being given back.
                let detail = format!(
                    "{} had too few units, and some are being given back by purchases that do not \
                     happen",
                    refused.participant
                );
                self.reply_all(&entry.purchase.purchase_id, Reply::unavailable(detail));
                continue;
            }
            let mut refusal = refused.refusal.clone();
            truncate(&mut refusal.detail, REFUSAL_DETAIL_BYTES_MAX);
            let refused = RefusedPurchase {
                purchase_id: entry.purchase.purchase_id.clone(),
                fingerprint: fingerprint(&entry.purchase),
                participant: refused.participant.clone(),
                refusal,
            };
            if refused.refusal.reason.is_final() {
                finals.push(refused);
            } else {
                self.reply_refused(id, refused);
            }
        }
        finals
    }

    pub(super) fn reply_refused(&mut self, id: &TransactionId, refused: RefusedPurchase) {
        self.reply_all(
            &refused.purchase_id,
            Reply::Refused {
                transaction: id.clone(),
                participant: refused.participant,
                refusal: refused.refusal,
            },
        );
    }
}

/// Who was refused, and why.
pub(super) fn reasons(refused: &[RefusedPurchase]) -> Vec<(String, Reason)> {
    let each = refused.iter();
    each.map(|refused| (refused.purchase_id.clone(), refused.refusal.reason))
        .collect()
}

pub(super) fn truncate(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let mut end = bytes_max;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
}
