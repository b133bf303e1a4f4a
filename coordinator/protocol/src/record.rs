//! What a log record holds, and its encoding: a protobuf message, so that fields can be added.
//!
//! The log's batches carry the checksum and the chain; a record carries its format version.

mod message;

use std::cmp::Ordering;

use prost::Message;
use sha2::{Digest, Sha256};

use crate::branch::HeuristicKind;
use crate::by_hand::{Repair, Settlement};
use crate::id::{Epoch, IdError, ParticipantName, TransactionId};
use crate::purchase::{Entry, Item, Purchase, Refusal, sku_and_pool};
use crate::time::Timestamp;
use crate::totals::ParticipantTotals;

/// The newest format that this version writes and reads; it reads all before it too.
///
/// 1: as first released. 2: a decision on purchases that carry attributes, line ids, untracked items or
/// pools; totals of stocks in pools. A record has the lowest that tells all of it, so that an earlier version
/// goes on with a log in which nothing of that is used, and refuses one of which it would leave something out.
pub(crate) const RECORD_FORMAT: u32 = 2;

/// Bytes of a refusal's detail that the log keeps.
pub(crate) const REFUSAL_DETAIL_BYTES_MAX: usize = 160;

/// A record of the decision log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Record {
    /// A coordinator starts; forced before it asks any participant anything.
    EpochStarted {
        /// The new epoch.
        epoch: Epoch,
        instance_id: String,
        time: Timestamp,
    },
    /// The decision to commit; forced before any commit and any reply.
    Decided(Decision),
    /// Final refusals of a transaction in which nothing survived; forced before any reply, so
    /// that the same request gets the same answer.
    Refused {
        transaction: TransactionId,
        time: Timestamp,
        /// Who and why.
        refused: Vec<RefusedPurchase>,
    },
    /// Every branch of a committed transaction has ended; never forced.
    Ended {
        transaction: TransactionId,
        /// Whether the totals hold what it has deducted from here on: not so where a version that
        /// kept none has ended it.
        counted: bool,
    },
    /// An operator's word on a branch; forced.
    Settled {
        /// What he said.
        settlement: Settlement,
        time: Timestamp,
    },
    /// A branch was found ended against the decision.
    Heuristic {
        transaction: TransactionId,
        participant: ParticipantName,
        /// How it ended.
        kind: HeuristicKind,
        detail: String,
        /// When it was found.
        time: Timestamp,
    },
    /// An operator's order to redo a branch from the decision; forced before the store is asked.
    RepairOrdered {
        /// What he said.
        repair: Repair,
        time: Timestamp,
    },
    /// Everything before a transaction, but for what has not ended, is forgotten.
    Forgotten {
        /// The epoch that runs: older records of it may go.
        epoch: Epoch,
        /// The first transaction that is remembered.
        before: TransactionId,
    },
    /// What ended transactions have deducted in all, those included that the log has forgotten. It
    /// stands for what the records before it say of these skus; never forced.
    Totals(ParticipantTotals),
}

/// The decision to commit, with everything that is needed to carry it out again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    pub transaction: TransactionId,
    /// When it began: the time of its purchases in whatever is written of them. Of a version that kept no
    /// such time it is [`decide_time`](Self::decide_time).
    pub begin_time: Timestamp,
    /// When it was decided.
    pub decide_time: Timestamp,
    /// Who must carry it out.
    pub participants: Vec<ParticipantName>,
    /// The entries that survived.
    pub entries: Vec<Entry>,
    /// Final refusals of the entries that did not.
    pub refused: Vec<RefusedPurchase>,
    /// Whether the totals count it as deducted when it has ended. Not so a decision of a version
    /// that kept no totals: its stores may have carried it out before they counted.
    pub counts: bool,
}

/// A final refusal, as the log keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RefusedPurchase {
    /// The idempotency key.
    pub purchase_id: String,
    /// [`fingerprint`] of the content.
    pub fingerprint: Fingerprint,
    pub participant: ParticipantName,
    pub refusal: Refusal,
}

/// The first 16 bytes of a SHA-256: equal only for equal contents.
pub type Fingerprint = [u8; 16];

/// Fingerprint of a purchase's whole content, its id included: of its fields, with the items sorted,
/// since their order does not make it another purchase.
pub fn fingerprint(purchase: &Purchase) -> Fingerprint {
    let in_order = |a: &Item, b: &Item| a.content().cmp(&b.content());
    if purchase
        .items
        .is_sorted_by(|a, b| in_order(a, b) != Ordering::Greater)
    {
        return as_submitted(purchase);
    }
    let mut sorted = purchase.clone();
    sorted.items.sort_by(in_order);
    as_submitted(&sorted)
}

/// Whether a fingerprint was taken of a purchase's content.
///
/// Refusals in the log may have one from when the order of the items counted. It is the one of the
/// content as it was submitted then, and no other content has it, so that it needs no mark of its
/// version: who asks again as he did gets the answer that he got.
pub(crate) fn is_taken_of(known: &Fingerprint, purchase: &Purchase) -> bool {
    *known == fingerprint(purchase) || *known == as_submitted(purchase)
}

/// The digest of a purchase's fields, with the items in their own order.
fn as_submitted(purchase: &Purchase) -> Fingerprint {
    digest(&purchase.encode_to_vec())
}

/// The first 16 bytes of `bytes`' SHA-256.
pub(crate) fn digest(bytes: &[u8]) -> Fingerprint {
    let mut short = [0; 16];
    short.copy_from_slice(&Sha256::digest(bytes)[..16]);
    short
}

/// Bytes that an entry takes in a decision at most, whether it survives or is refused.
pub fn entry_bytes(purchase: &Purchase) -> usize {
    // A refusal holds the id, the fingerprint, a participant's name, a reason, a detail, and
    // about 20 bytes of tags and lengths.
    let refused = purchase.purchase_id.len() + 16 + 32 + 20 + REFUSAL_DETAIL_BYTES_MAX + 20;
    // Its fields, its number, and the tag and length before both.
    let survives = purchase.encoded_len() + 6 + 4;
    refused.max(survives)
}

/// A record that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not this message at all.
    #[error("the record is not a protobuf message of this format: {0}")]
    Encoding(String),
    /// Written by another version.
    #[error("the record has format {0}; this version reads formats 1 to {RECORD_FORMAT}")]
    Format(u32),
    /// A field is missing or has no meaning.
    #[error("the record's field {0} is missing or has no meaning")]
    Field(&'static str),
    /// An identity is malformed.
    #[error("the record holds a malformed identity: {0}")]
    Id(IdError),
}

impl From<IdError> for RecordError {
    fn from(error: IdError) -> Self {
        RecordError::Id(error)
    }
}

impl Record {
    /// The lowest format that tells all of it.
    pub(crate) fn format(&self) -> u32 {
        let is_newer = match self {
            Record::Decided(decision) => {
                let carries_more = |entry: &Entry| entry.purchase.carries_more();
                decision.entries.iter().any(carries_more)
            }
            Record::Totals(totals) => totals.skus.iter().any(|total| {
                let (_, pool) = sku_and_pool(&total.sku);
                !pool.is_empty()
            }),
            Record::EpochStarted { .. }
            | Record::Refused { .. }
            | Record::Ended { .. }
            | Record::Settled { .. }
            | Record::Heuristic { .. }
            | Record::RepairOrdered { .. }
            | Record::Forgotten { .. } => false,
        };
        if is_newer { 2 } else { 1 }
    }

    /// The transaction that the record speaks of, if it is about one.
    pub fn transaction(&self) -> Option<&TransactionId> {
        match self {
            Record::EpochStarted { .. } | Record::Totals(_) => None,
            Record::Decided(decision) => Some(&decision.transaction),
            Record::Settled { settlement, .. } => Some(&settlement.transaction),
            Record::RepairOrdered { repair, .. } => Some(&repair.transaction),
            Record::Refused { transaction, .. }
            | Record::Ended { transaction, .. }
            | Record::Heuristic { transaction, .. } => Some(transaction),
            Record::Forgotten { before, .. } => Some(before),
        }
    }

    /// When what it says was found, said or decided; not every record has that.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Record::Decided(decision) => Some(decision.decide_time),
            Record::EpochStarted { time, .. }
            | Record::Refused { time, .. }
            | Record::Settled { time, .. }
            | Record::Heuristic { time, .. }
            | Record::RepairOrdered { time, .. } => Some(*time),
            Record::Ended { .. } | Record::Forgotten { .. } | Record::Totals(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray;

    use super::*;
    use crate::purchase::Reason;

    fn purchase(skus: &[&str]) -> Purchase {
        let item = |sku: &&str| Item {
            sku: (*sku).into(),
            quantity: 1,
            unit_price_minor: 5,
            ..Default::default()
        };
        Purchase {
            purchase_id: "order-1".into(),
            customer_id: "ann".into(),
            currency: "EUR".into(),
            items: skus.iter().map(item).collect(),
            ..Default::default()
        }
    }

    /// A name that no start could read would stop every start.
    #[test]
    fn every_reason_and_heuristic_reads_back_from_the_log() {
        let transaction: TransactionId = "shop.1.1".parse().expect("well formed");
        let participant: ParticipantName = "stock".parse().expect("well formed");
        let refused = |reason: &Reason| RefusedPurchase {
            purchase_id: "order-1".into(),
            fingerprint: fingerprint(&purchase(&["a"])),
            participant: participant.clone(),
            refusal: Refusal {
                reason: *reason,
                detail: "as the store said".into(),
            },
        };
        let heuristic = |kind: &HeuristicKind| Record::Heuristic {
            transaction: transaction.clone(),
            participant: participant.clone(),
            kind: *kind,
            detail: String::new(),
            time: Timestamp(1),
        };
        let refusals = Record::Refused {
            transaction: transaction.clone(),
            time: Timestamp(1),
            refused: Reason::VARIANTS.iter().map(refused).collect(),
        };
        let records = HeuristicKind::VARIANTS.iter().map(heuristic);
        for record in records.chain([refusals]) {
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }

    /// An earlier version would carry out a decision without what it does not know of.
    #[test]
    fn only_what_needs_the_newer_format_has_it() {
        let decided = |change: fn(&mut Purchase)| {
            let mut purchase = purchase(&["a"]);
            change(&mut purchase);
            let record = Record::Decided(Decision {
                transaction: "shop.1.1".parse().expect("well formed"),
                begin_time: Timestamp(1),
                decide_time: Timestamp(2),
                participants: Vec::new(),
                entries: vec![Entry {
                    number: 0,
                    purchase: purchase.into(),
                }],
                refused: Vec::new(),
                counts: true,
            });
            assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
            record.format()
        };
        assert_eq!(decided(|_| {}), 1);
        assert_eq!(decided(|p| p.items[0].line_id = "1".into()), 2);
        assert_eq!(decided(|p| p.items[0].untracked = true), 2);
        assert_eq!(decided(|p| p.items[0].pool = "paris".into()), 2);
        let totals = |sku: &str| {
            let total = crate::totals::SkuTotal {
                sku: sku.into(),
                deducted: 1,
                unsure: 0,
            };
            let record = Record::Totals(ParticipantTotals {
                participant: "stock".parse().expect("well formed"),
                skus: vec![total],
            });
            assert_eq!(Record::decode(&record.encode()), Ok(record.clone()));
            record.format()
        };
        assert_eq!((totals("tea"), totals("tea{paris}")), (1, 2));
        assert_eq!(
            decided(|p| p.attributes = [("note".into(), String::new())].into()),
            2
        );
    }

    #[test]
    fn all_that_a_purchase_carries_is_its_content() {
        let plain = purchase(&["a", "b"]);
        for change in [
            |p: &mut Purchase| p.items[0].line_id = "1".into(),
            |p: &mut Purchase| p.items[0].untracked = true,
            |p: &mut Purchase| p.items[0].pool = "paris".into(),
            |p: &mut Purchase| p.attributes = [("note".into(), String::new())].into(),
        ] {
            let mut other = plain.clone();
            change(&mut other);
            assert_ne!(fingerprint(&plain), fingerprint(&other));
        }
    }

    #[test]
    fn order_of_items_does_not_count() {
        let (one, other) = (purchase(&["a", "b"]), purchase(&["b", "a"]));
        assert_eq!(fingerprint(&one), fingerprint(&other));
        assert_ne!(fingerprint(&one), fingerprint(&purchase(&["a", "c"])));
        assert_ne!(fingerprint(&one), fingerprint(&purchase(&["a"])));
        let mut more = other.clone();
        more.items[0].quantity = 2;
        assert_ne!(fingerprint(&one), fingerprint(&more));
    }

    /// The digest that records have which were written while the order counted: of the content as it was
    /// submitted, in the encoding of records, here written out by hand.
    #[test]
    fn fingerprint_from_when_the_order_counted_is_known_again() {
        let known = digest(
            b"\x12\x07order-1\x1a\x03ann\x22\x03EUR\x2a\x07\x0a\x01b\x10\x01\x18\x05\x2a\x07\x0a\x01a\x10\x01\x18\x05",
        );
        assert_ne!(known, fingerprint(&purchase(&["b", "a"])));
        assert!(is_taken_of(&known, &purchase(&["b", "a"])));
        assert!(!is_taken_of(&known, &purchase(&["b", "c"])));
        assert!(is_taken_of(
            &fingerprint(&purchase(&["a", "b"])),
            &purchase(&["b", "a"])
        ));
    }
}
