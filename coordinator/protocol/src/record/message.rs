//! A record as the message that the log holds.

use prost::Message;

use super::{Decision, RECORD_FORMAT, Record, RecordError, RefusedPurchase};
use crate::branch::Ending;
use crate::by_hand::{Repair, Settlement};
use crate::id::{CoordinatorId, Epoch, TransactionId};
use crate::purchase::{Entry, Refusal};
use crate::time::Timestamp;
use crate::totals::{ParticipantTotals, SkuTotal};

impl Record {
    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        RecordMessage {
            format: self.format(),
            content: Some(RecordContent::from_record(self)),
        }
        .encode_to_vec()
    }

    /// Reads a record's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        let message = RecordMessage::decode(bytes)
            .map_err(|error| RecordError::Encoding(error.to_string()))?;
        if !(1..=RECORD_FORMAT).contains(&message.format) {
            return Err(RecordError::Format(message.format));
        }
        let content = message.content.ok_or(RecordError::Field("kind"))?;
        content.into_record()
    }
}

#[derive(Clone, PartialEq, Message)]
struct RecordMessage {
    #[prost(uint32, tag = "1")]
    format: u32,
    #[prost(oneof = "RecordContent", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10")]
    content: Option<RecordContent>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum RecordContent {
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
    #[prost(uint64, optional, tag = "7")]
    begin_time_ms: Option<u64>,
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

impl RecordContent {
    fn from_record(record: &Record) -> RecordContent {
        match record {
            Record::EpochStarted {
                epoch,
                instance_id,
                time,
            } => RecordContent::EpochStarted(EpochStartedMessage {
                epoch: epoch.0,
                instance_id: instance_id.clone(),
                time_ms: time.0,
            }),
            Record::Decided(decision) => RecordContent::Decided(DecidedMessage {
                transaction: Some((&decision.transaction).into()),
                begin_time_ms: Some(decision.begin_time.0),
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
            } => RecordContent::Refused(RefusedMessage {
                transaction: Some(transaction.into()),
                time_ms: time.0,
                refused: refused.iter().map(Into::into).collect(),
            }),
            Record::Ended {
                transaction,
                counted,
            } => RecordContent::Ended(EndedMessage {
                transaction: Some(transaction.into()),
                counted: *counted,
            }),
            Record::Settled { settlement, time } => RecordContent::Settled(SettledMessage {
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
            } => RecordContent::Heuristic(HeuristicMessage {
                transaction: Some(transaction.into()),
                participant: participant.to_string(),
                kind: kind.to_string(),
                detail: detail.clone(),
                time_ms: time.0,
            }),
            Record::RepairOrdered { repair, time } => {
                RecordContent::RepairOrdered(RepairOrderedMessage {
                    transaction: Some((&repair.transaction).into()),
                    participant: repair.participant.to_string(),
                    reason: repair.reason.clone(),
                    operator: repair.operator.clone(),
                    time_ms: time.0,
                })
            }
            Record::Forgotten { epoch, before } => RecordContent::Forgotten(ForgottenMessage {
                epoch: epoch.0,
                before: Some(before.into()),
            }),
            Record::Totals(totals) => RecordContent::Totals(totals.into()),
        }
    }

    fn into_record(self) -> Result<Record, RecordError> {
        Ok(match self {
            RecordContent::EpochStarted(m) => Record::EpochStarted {
                epoch: Epoch(m.epoch),
                instance_id: m.instance_id,
                time: Timestamp(m.time_ms),
            },
            RecordContent::Decided(m) => Record::Decided(Decision {
                transaction: transaction(m.transaction)?,
                begin_time: Timestamp(m.begin_time_ms.unwrap_or(m.decide_time_ms)),
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
            RecordContent::Refused(m) => Record::Refused {
                transaction: transaction(m.transaction)?,
                time: Timestamp(m.time_ms),
                refused: refused(m.refused)?,
            },
            RecordContent::Ended(m) => Record::Ended {
                transaction: transaction(m.transaction)?,
                counted: m.counted,
            },
            RecordContent::Settled(m) => Record::Settled {
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
            RecordContent::Heuristic(m) => Record::Heuristic {
                transaction: transaction(m.transaction)?,
                participant: m.participant.parse()?,
                kind: m.kind.parse().map_err(|_| RecordError::Field("kind"))?,
                detail: m.detail,
                time: Timestamp(m.time_ms),
            },
            RecordContent::RepairOrdered(m) => Record::RepairOrdered {
                repair: Repair {
                    transaction: transaction(m.transaction)?,
                    participant: m.participant.parse()?,
                    reason: m.reason,
                    operator: m.operator,
                },
                time: Timestamp(m.time_ms),
            },
            RecordContent::Forgotten(m) => Record::Forgotten {
                epoch: Epoch(m.epoch),
                before: transaction(m.before)?,
            },
            RecordContent::Totals(m) => Record::Totals(m.try_into()?),
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
            reason: refused.refusal.reason.to_string(),
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
                    reason: m.reason.parse().map_err(|_| RecordError::Field("reason"))?,
                    detail: m.detail,
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of a version that kept no time of the beginning.
    #[test]
    fn a_decision_of_an_older_version_began_when_it_was_decided() {
        let message = RecordMessage {
            format: RECORD_FORMAT,
            content: Some(RecordContent::Decided(DecidedMessage {
                transaction: Some(TransactionMessage {
                    coordinator: "shop".into(),
                    epoch: 1,
                    sequence: 1,
                }),
                decide_time_ms: 7,
                ..DecidedMessage::default()
            })),
        };
        let Ok(Record::Decided(decision)) = Record::decode(&message.encode_to_vec()) else {
            panic!("it is a decision");
        };
        assert_eq!(decision.begin_time, Timestamp(7));
    }
}
