//! What a log record holds, and its encoding: a protobuf message, so that fields can be added.
//!
//! The log's batches carry the checksum and the chain; a record carries its format version.

use prost::Message;
use sha2::{Digest, Sha256};

use crate::branch::HeuristicKind;
use crate::event::{Ending, Repair, Settlement};
use crate::id::{CoordinatorId, Epoch, IdError, ParticipantName, TransactionId};
use crate::purchase::{Entry, Purchase, Reason, Refusal};
use crate::time::Timestamp;
use crate::totals::{ParticipantTotals, SkuTotal};

/// The format that this version writes; it reads this one only, until there is a second.
pub(crate) const RECORD_FORMAT: u32 = 1;

/// Bytes of a refusal's detail that the log keeps.
pub(crate) const REFUSAL_DETAIL_BYTES_MAX: usize = 160;

/// A record of the decision log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Record {
    /// A coordinator starts; forced before it asks any participant anything.
    EpochStarted {
        /// The new epoch.
        epoch: Epoch,
        /// The process.
        instance_id: String,
        /// When.
        time: Timestamp,
    },
    /// The decision to commit; forced before any commit and any reply.
    Decided(Decision),
    /// Final refusals of a transaction in which nothing survived; forced before any reply, so
    /// that the same request gets the same answer.
    Refused {
        /// The transaction.
        transaction: TransactionId,
        /// When.
        time: Timestamp,
        /// Who and why.
        refused: Vec<RefusedPurchase>,
    },
    /// Every branch of a committed transaction has ended; never forced.
    Ended {
        /// The transaction.
        transaction: TransactionId,
        /// Whether the totals hold what it has deducted from here on: not so where a version that
        /// kept none has ended it.
        counted: bool,
    },
    /// An operator's word on a branch; forced.
    Settled {
        /// What he said.
        settlement: Settlement,
        /// When.
        time: Timestamp,
    },
    /// A branch was found ended against the decision.
    Heuristic {
        /// The transaction.
        transaction: TransactionId,
        /// Where.
        participant: ParticipantName,
        /// How it ended.
        kind: HeuristicKind,
        /// The evidence.
        detail: String,
        /// When it was found.
        time: Timestamp,
    },
    /// An operator's order to redo a branch from the decision; forced before the store is asked.
    RepairOrdered {
        /// What he said.
        repair: Repair,
        /// When.
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
    /// The transaction.
    pub transaction: TransactionId,
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
    /// Who refused.
    pub participant: ParticipantName,
    /// Why.
    pub refusal: Refusal,
}

/// The first 16 bytes of a SHA-256: equal only for equal contents.
pub type Fingerprint = [u8; 16];

/// Fingerprint of a purchase's whole content, its id included.
pub fn fingerprint(purchase: &Purchase) -> Fingerprint {
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
    #[error("the record has format {0}; this version reads format {RECORD_FORMAT}")]
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
    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        RecordMessage {
            format: RECORD_FORMAT,
            kind: Some(Kind::from_record(self)),
        }
        .encode_to_vec()
    }

    /// Reads a record's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        let message = RecordMessage::decode(bytes)
            .map_err(|error| RecordError::Encoding(error.to_string()))?;
        if message.format != RECORD_FORMAT {
            return Err(RecordError::Format(message.format));
        }
        message
            .kind
            .ok_or(RecordError::Field("kind"))?
            .into_record()
    }
}

#[derive(Clone, PartialEq, Message)]
struct RecordMessage {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Kind {
    #[prost(message, tag = "2")]
    EpochStarted(EpochStartedMessage),
    #[prost(message, tag = "3")]
    Decided(DecidedMessage),
    #[prost(message, tag = "4")]
    Refused(RefusedMessage),
    #[prost(message, tag = "5")]
    Ended(EndedMessage),
    #[prost(message, tag = "6")]
    Settled(SettledMessage),
    #[prost(message, tag = "7")]
    Heuristic(HeuristicMessage),
    #[prost(message, tag = "8")]
    Forgotten(ForgottenMessage),
    #[prost(message, tag = "9")]
    RepairOrdered(RepairOrderedMessage),
    #[prost(message, tag = "10")]
    Totals(TotalsMessage),
}

#[derive(Clone, PartialEq, Message)]
struct EpochStartedMessage {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(string, tag = "2")]
    instance_id: String,
    #[prost(uint64, tag = "3")]
    time_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct TransactionMessage {
    #[prost(string, tag = "1")]
    coordinator: String,
    #[prost(uint64, tag = "2")]
    epoch: u64,
    #[prost(uint64, tag = "3")]
    sequence: u64,
}

#[derive(Clone, PartialEq, Message)]
struct DecidedMessage {
    #[prost(message, optional, tag = "1")]
    transaction: Option<TransactionMessage>,
    #[prost(uint64, tag = "2")]
    decide_time_ms: u64,
    #[prost(string, repeated, tag = "3")]
    participants: Vec<String>,
    #[prost(message, repeated, tag = "4")]
    entries: Vec<Entry>,
    #[prost(message, repeated, tag = "5")]
    refused: Vec<RefusedPurchaseMessage>,
    #[prost(bool, tag = "6")]
    counts: bool,
}

#[derive(Clone, PartialEq, Message)]
struct RefusedPurchaseMessage {
    #[prost(string, tag = "1")]
    purchase_id: String,
    #[prost(bytes = "vec", tag = "2")]
    fingerprint: Vec<u8>,
    #[prost(string, tag = "3")]
    participant: String,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(string, tag = "5")]
    detail: String,
}

#[derive(Clone, PartialEq, Message)]
struct RefusedMessage {
    #[prost(message, optional, tag = "1")]
    transaction: Option<TransactionMessage>,
    #[prost(uint64, tag = "2")]
    time_ms: u64,
    #[prost(message, repeated, tag = "3")]
    refused: Vec<RefusedPurchaseMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct EndedMessage {
    #[prost(message, optional, tag = "1")]
    transaction: Option<TransactionMessage>,
    #[prost(bool, tag = "2")]
    counted: bool,
}

#[derive(Clone, PartialEq, Message)]
struct SettledMessage {
    #[prost(message, optional, tag = "1")]
    transaction: Option<TransactionMessage>,
    #[prost(string, tag = "2")]
    participant: String,
    #[prost(bool, tag = "3")]
    committed: bool,
    #[prost(string, tag = "4")]
    reason: String,
    #[prost(string, tag = "5")]
    operator: String,
    #[prost(uint64, tag = "6")]
    time_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct HeuristicMessage {
    #[prost(message, optional, tag = "1")]
    transaction: Option<TransactionMessage>,
    #[prost(string, tag = "2")]
    participant: String,
    #[prost(string, tag = "3")]
    kind: String,
    #[prost(string, tag = "4")]
    detail: String,
    #[prost(uint64, tag = "5")]
    time_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct RepairOrderedMessage {
    #[prost(message, optional, tag = "1")]
    transaction: Option<TransactionMessage>,
    #[prost(string, tag = "2")]
    participant: String,
    #[prost(string, tag = "3")]
    reason: String,
    #[prost(string, tag = "4")]
    operator: String,
    #[prost(uint64, tag = "5")]
    time_ms: u64,
}

#[derive(Clone, PartialEq, Message)]
struct ForgottenMessage {
    #[prost(uint64, tag = "1")]
    epoch: u64,
    #[prost(message, optional, tag = "2")]
    before: Option<TransactionMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct TotalsMessage {
    #[prost(string, tag = "1")]
    participant: String,
    #[prost(message, repeated, tag = "2")]
    skus: Vec<SkuTotalMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct SkuTotalMessage {
    #[prost(string, tag = "1")]
    sku: String,
    #[prost(uint64, tag = "2")]
    deducted: u64,
    #[prost(uint64, tag = "3")]
    unsure: u64,
}

impl Kind {
    fn from_record(record: &Record) -> Kind {
        match record {
            Record::EpochStarted {
                epoch,
                instance_id,
                time,
            } => Kind::EpochStarted(EpochStartedMessage {
                epoch: epoch.0,
                instance_id: instance_id.clone(),
                time_ms: time.0,
            }),
            Record::Decided(decision) => Kind::Decided(DecidedMessage {
                transaction: Some((&decision.transaction).into()),
                decide_time_ms: decision.decide_time.0,
                participants: decision
                    .participants
                    .iter()
                    .map(ToString::to_string)
                    .collect(),
                entries: decision.entries.clone(),
                refused: decision.refused.iter().map(Into::into).collect(),
                counts: decision.counts,
            }),
            Record::Refused {
                transaction,
                time,
                refused,
            } => Kind::Refused(RefusedMessage {
                transaction: Some(transaction.into()),
                time_ms: time.0,
                refused: refused.iter().map(Into::into).collect(),
            }),
            Record::Ended {
                transaction,
                counted,
            } => Kind::Ended(EndedMessage {
                transaction: Some(transaction.into()),
                counted: *counted,
            }),
            Record::Settled { settlement, time } => Kind::Settled(SettledMessage {
                transaction: Some((&settlement.transaction).into()),
                participant: settlement.participant.to_string(),
                committed: settlement.ending == Ending::Commit,
                reason: settlement.reason.clone(),
                operator: settlement.operator.clone(),
                time_ms: time.0,
            }),
            Record::Heuristic {
                transaction,
                participant,
                kind,
                detail,
                time,
            } => Kind::Heuristic(HeuristicMessage {
                transaction: Some(transaction.into()),
                participant: participant.to_string(),
                kind: kind.as_str().to_owned(),
                detail: detail.clone(),
                time_ms: time.0,
            }),
            Record::RepairOrdered { repair, time } => Kind::RepairOrdered(RepairOrderedMessage {
                transaction: Some((&repair.transaction).into()),
                participant: repair.participant.to_string(),
                reason: repair.reason.clone(),
                operator: repair.operator.clone(),
                time_ms: time.0,
            }),
            Record::Forgotten { epoch, before } => Kind::Forgotten(ForgottenMessage {
                epoch: epoch.0,
                before: Some(before.into()),
            }),
            Record::Totals(totals) => Kind::Totals(totals.into()),
        }
    }

    fn into_record(self) -> Result<Record, RecordError> {
        Ok(match self {
            Kind::EpochStarted(m) => Record::EpochStarted {
                epoch: Epoch(m.epoch),
                instance_id: m.instance_id,
                time: Timestamp(m.time_ms),
            },
            Kind::Decided(m) => Record::Decided(Decision {
                transaction: transaction(m.transaction)?,
                decide_time: Timestamp(m.decide_time_ms),
                participants: m
                    .participants
                    .iter()
                    .map(|name| name.parse().map_err(RecordError::from))
                    .collect::<Result<_, _>>()?,
                entries: m.entries,
                refused: refused(m.refused)?,
                counts: m.counts,
            }),
            Kind::Refused(m) => Record::Refused {
                transaction: transaction(m.transaction)?,
                time: Timestamp(m.time_ms),
                refused: refused(m.refused)?,
            },
            Kind::Ended(m) => Record::Ended {
                transaction: transaction(m.transaction)?,
                counted: m.counted,
            },
            Kind::Settled(m) => Record::Settled {
                settlement: Settlement {
                    transaction: transaction(m.transaction)?,
                    participant: m.participant.parse()?,
                    ending: if m.committed {
                        Ending::Commit
                    } else {
                        Ending::RollBack
                    },
                    reason: m.reason,
                    operator: m.operator,
                },
                time: Timestamp(m.time_ms),
            },
            Kind::Heuristic(m) => Record::Heuristic {
                transaction: transaction(m.transaction)?,
                participant: m.participant.parse()?,
                kind: HeuristicKind::from_text(&m.kind).ok_or(RecordError::Field("kind"))?,
                detail: m.detail,
                time: Timestamp(m.time_ms),
            },
            Kind::RepairOrdered(m) => Record::RepairOrdered {
                repair: Repair {
                    transaction: transaction(m.transaction)?,
                    participant: m.participant.parse()?,
                    reason: m.reason,
                    operator: m.operator,
                },
                time: Timestamp(m.time_ms),
            },
            Kind::Forgotten(m) => Record::Forgotten {
                epoch: Epoch(m.epoch),
                before: transaction(m.before)?,
            },
            Kind::Totals(m) => Record::Totals(m.try_into()?),
        })
    }
}

impl From<&ParticipantTotals> for TotalsMessage {
    fn from(totals: &ParticipantTotals) -> Self {
        let skus = totals.skus.iter().map(|total| SkuTotalMessage {
            sku: total.sku.clone(),
            deducted: total.deducted,
            unsure: total.unsure,
        });
        TotalsMessage {
            participant: totals.participant.to_string(),
            skus: skus.collect(),
        }
    }
}

impl TryFrom<TotalsMessage> for ParticipantTotals {
    type Error = RecordError;

    fn try_from(m: TotalsMessage) -> Result<Self, RecordError> {
        let skus = m.skus.into_iter().map(|total| SkuTotal {
            sku: total.sku,
            deducted: total.deducted,
            unsure: total.unsure,
        });
        Ok(ParticipantTotals {
            participant: m.participant.parse()?,
            skus: skus.collect(),
        })
    }
}

impl From<&TransactionId> for TransactionMessage {
    fn from(id: &TransactionId) -> Self {
        TransactionMessage {
            coordinator: id.coordinator.to_string(),
            epoch: id.epoch.0,
            sequence: id.sequence,
        }
    }
}

fn transaction(message: Option<TransactionMessage>) -> Result<TransactionId, RecordError> {
    let message = message.ok_or(RecordError::Field("transaction"))?;
    Ok(TransactionId {
        coordinator: message.coordinator.parse::<CoordinatorId>()?,
        epoch: Epoch(message.epoch),
        sequence: message.sequence,
    })
}

impl From<&RefusedPurchase> for RefusedPurchaseMessage {
    fn from(refused: &RefusedPurchase) -> Self {
        RefusedPurchaseMessage {
            purchase_id: refused.purchase_id.clone(),
            fingerprint: refused.fingerprint.to_vec(),
            participant: refused.participant.to_string(),
            reason: refused.refusal.reason.as_str().to_owned(),
            detail: refused.refusal.detail.clone(),
        }
    }
}

fn refused(messages: Vec<RefusedPurchaseMessage>) -> Result<Vec<RefusedPurchase>, RecordError> {
    messages
        .into_iter()
        .map(|m| {
            Ok(RefusedPurchase {
                purchase_id: m.purchase_id,
                fingerprint: m
                    .fingerprint
                    .try_into()
                    .map_err(|_| RecordError::Field("fingerprint"))?,
                participant: m.participant.parse()?,
                refusal: Refusal {
                    reason: Reason::from_text(&m.reason).ok_or(RecordError::Field("reason"))?,
                    detail: m.detail,
                },
            })
        })
        .collect()
}
