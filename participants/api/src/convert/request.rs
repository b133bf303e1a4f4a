//! What coordinators ask.

use std::time::Duration;

use tandem_proto::v1;
use tandem_protocol::{CoordinatorId, Epoch, IdError, ParticipantName, TransactionId};

use super::purchase::entries_from_wire;
use super::{
    entry_to_wire, identity, invalid, required, timestamp_from_wire, timestamp_to_wire, transaction,
};
use crate::{Acknowledged, Commit, Enlist, Error, Forget, Look, Prepare, Recall, RollBack, clock};

impl From<&Look> for v1::LookRequest {
    fn from(look: &Look) -> Self {
        Self {
            coordinator_id: look.coordinator.to_string(),
        }
    }
}

impl TryFrom<v1::LookRequest> for Look {
    type Error = Error;

    fn try_from(request: v1::LookRequest) -> Result<Self, Error> {
        Ok(Self {
            coordinator: coordinator(&request.coordinator_id)?,
        })
    }
}

impl From<&Acknowledged> for v1::Acknowledged {
    fn from(acknowledged: &Acknowledged) -> Self {
        Self {
            changes: acknowledged.changes,
            committed_transaction_ids: texts(&acknowledged.committed),
        }
    }
}

fn acknowledged(of: &CoordinatorId, acknowledged: v1::Acknowledged) -> Result<Acknowledged, Error> {
    let field = "acknowledged.committed_transaction_ids";
    let committed = acknowledged.committed_transaction_ids;
    if committed.len() > Acknowledged::COMMITTED_MAX {
        let rule = format!("must hold at most {}", Acknowledged::COMMITTED_MAX);
        return Err(invalid(field, rule));
    }
    Ok(Acknowledged {
        changes: acknowledged.changes,
        committed: transactions_of(of, field, &committed)?,
    })
}

impl From<&Enlist> for v1::EnlistRequest {
    fn from(enlist: &Enlist) -> Self {
        Self {
            coordinator_id: enlist.coordinator.to_string(),
            log_id: enlist.log_id.clone(),
            epoch: enlist.epoch.0,
            instance_id: enlist.instance_id.clone(),
            acknowledged: Some((&enlist.acknowledged).into()),
        }
    }
}

impl TryFrom<v1::EnlistRequest> for Enlist {
    type Error = Error;

    fn try_from(request: v1::EnlistRequest) -> Result<Self, Error> {
        let coordinator = coordinator(&request.coordinator_id)?;
        Ok(Self {
            log_id: identity("log_id", request.log_id)?,
            epoch: epoch("epoch", request.epoch)?,
            instance_id: identity("instance_id", request.instance_id)?,
            acknowledged: match request.acknowledged {
                Some(told) => acknowledged(&coordinator, told)?,
                None => return Err(older(&coordinator)),
            },
            coordinator,
        })
    }
}

/// A coordinator that does not say what it has been told: what it sells would be counted at the store and
/// not in its log.
fn older(coordinator: &CoordinatorId) -> Error {
    Error::Invalid {
        detail: format!(
            "field acknowledged must be there: coordinator {coordinator} is older than this \
             participant, which serves none that does not say what it has been told: stop it and start \
             it as the version of its participants"
        ),
    }
}

impl From<&Prepare> for v1::PrepareRequest {
    fn from(prepare: &Prepare) -> Self {
        Self {
            transaction_id: prepare.transaction.to_string(),
            entries: prepare.entries.iter().map(entry_to_wire).collect(),
            timeout: Some(duration_to_wire(prepare.timeout)),
            participants: texts(&prepare.participants),
            incarnation: prepare.incarnation.clone(),
            acknowledged: Some((&prepare.acknowledged).into()),
            begin_time: Some(timestamp_to_wire(prepare.begin_time)),
        }
    }
}

impl TryFrom<v1::PrepareRequest> for Prepare {
    type Error = Error;

    fn try_from(request: v1::PrepareRequest) -> Result<Self, Error> {
        let timeout = required("timeout", request.timeout)?;
        let transaction = transaction("transaction_id", &request.transaction_id)?;
        Ok(Self {
            participants: participants(&request.participants)?,
            incarnation: request.incarnation,
            acknowledged: acknowledged(
                &transaction.coordinator,
                request.acknowledged.unwrap_or_default(),
            )?,
            transaction,
            entries: entries_from_wire(request.entries)?,
            begin_time: match request.begin_time {
                Some(time) => timestamp_from_wire("begin_time", time)?,
                None => clock::now(),
            },
            timeout: Duration::try_from(timeout)
                .map_err(|_| invalid("timeout", "must be a duration of 0 or more"))?,
        })
    }
}

impl From<&Commit> for v1::CommitRequest {
    fn from(commit: &Commit) -> Self {
        Self {
            transaction_id: commit.transaction.to_string(),
            caller_epoch: commit.caller_epoch.0,
            entries: commit.entries.iter().map(entry_to_wire).collect(),
            begin_time: Some(timestamp_to_wire(commit.begin_time)),
            decide_time: Some(timestamp_to_wire(commit.decide_time)),
        }
    }
}

impl TryFrom<v1::CommitRequest> for Commit {
    type Error = Error;

    fn try_from(request: v1::CommitRequest) -> Result<Self, Error> {
        let decide_time = required("decide_time", request.decide_time)?;
        let decide_time = timestamp_from_wire("decide_time", decide_time)?;
        Ok(Self {
            transaction: transaction("transaction_id", &request.transaction_id)?,
            caller_epoch: epoch("caller_epoch", request.caller_epoch)?,
            entries: entries_from_wire(request.entries)?,
            begin_time: match request.begin_time {
                Some(time) => timestamp_from_wire("begin_time", time)?,
                None => decide_time,
            },
            decide_time,
        })
    }
}

impl From<&RollBack> for v1::RollBackRequest {
    fn from(roll_back: &RollBack) -> Self {
        Self {
            transaction_id: roll_back.transaction.to_string(),
            caller_epoch: roll_back.caller_epoch.0,
        }
    }
}

impl TryFrom<v1::RollBackRequest> for RollBack {
    type Error = Error;

    fn try_from(request: v1::RollBackRequest) -> Result<Self, Error> {
        Ok(Self {
            transaction: transaction("transaction_id", &request.transaction_id)?,
            caller_epoch: epoch("caller_epoch", request.caller_epoch)?,
        })
    }
}

impl From<&Forget> for v1::ForgetRequest {
    fn from(forget: &Forget) -> Self {
        Self {
            coordinator_id: forget.before.coordinator.to_string(),
            caller_epoch: forget.caller_epoch.0,
            before_transaction_id: forget.before.to_string(),
            except_transaction_ids: texts(&forget.except),
            closed_transaction_id: forget
                .closed
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::ForgetRequest> for Forget {
    type Error = Error;

    fn try_from(request: v1::ForgetRequest) -> Result<Self, Error> {
        let before = transaction("before_transaction_id", &request.before_transaction_id)?;
        if before.coordinator.as_str() != request.coordinator_id {
            let rule = "must be the coordinator of before_transaction_id";
            return Err(invalid("coordinator_id", rule));
        }
        let of = &before.coordinator;
        let except = transactions_of(
            of,
            "except_transaction_ids",
            &request.except_transaction_ids,
        )?;
        let closed = Some(request.closed_transaction_id).filter(|text| !text.is_empty());
        let closed = closed.map_or(Ok(Vec::new()), |text| {
            transactions_of(of, "closed_transaction_id", &[text])
        })?;
        Ok(Self {
            before,
            except,
            closed: closed.into_iter().next(),
            caller_epoch: epoch("caller_epoch", request.caller_epoch)?,
        })
    }
}

impl From<&Recall> for v1::RecallRequest {
    fn from(recall: &Recall) -> Self {
        Self {
            coordinator_id: recall.coordinator.to_string(),
            caller_epoch: recall.caller_epoch.0,
            transaction_ids: texts(&recall.transactions),
        }
    }
}

impl TryFrom<v1::RecallRequest> for Recall {
    type Error = Error;

    fn try_from(request: v1::RecallRequest) -> Result<Self, Error> {
        if request.transaction_ids.len() > Recall::TRANSACTIONS_MAX {
            let rule = format!("must hold at most {}", Recall::TRANSACTIONS_MAX);
            return Err(invalid("transaction_ids", rule));
        }
        let coordinator = coordinator(&request.coordinator_id)?;
        Ok(Self {
            caller_epoch: epoch("caller_epoch", request.caller_epoch)?,
            transactions: transactions_of(
                &coordinator,
                "transaction_ids",
                &request.transaction_ids,
            )?,
            coordinator,
        })
    }
}

fn coordinator(text: &str) -> Result<CoordinatorId, Error> {
    text.parse()
        .map_err(|error: IdError| invalid("coordinator_id", error))
}

fn participants(names: &[String]) -> Result<Vec<ParticipantName>, Error> {
    let read = |(index, name): (usize, &String)| {
        name.parse()
            .map_err(|error: IdError| invalid(format_args!("participants[{index}]"), error))
    };
    names.iter().enumerate().map(read).collect()
}

/// Transactions that must all be of one coordinator.
fn transactions_of(
    coordinator: &CoordinatorId,
    field: &str,
    texts: &[String],
) -> Result<Vec<TransactionId>, Error> {
    let read = |(index, text): (usize, &String)| {
        let field = format!("{field}[{index}]");
        let read = transaction(&field, text)?;
        if read.coordinator == *coordinator {
            Ok(read)
        } else {
            Err(invalid(field, "must be of the same coordinator"))
        }
    };
    texts.iter().enumerate().map(read).collect()
}

fn texts<T: ToString>(ids: &[T]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

fn epoch(field: &str, epoch: u64) -> Result<Epoch, Error> {
    if epoch == 0 {
        Err(invalid(field, "must be at least 1"))
    } else {
        Ok(Epoch(epoch))
    }
}

fn duration_to_wire(duration: Duration) -> prost_types::Duration {
    // Beyond protobuf's range a duration means "no hurry" as much as the longest one within it.
    prost_types::Duration::try_from(duration).unwrap_or(prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    })
}
