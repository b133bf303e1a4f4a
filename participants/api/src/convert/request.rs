//! What coordinators ask.

use std::time::Duration;

use tandem_proto::v1;
use tandem_protocol::{CoordinatorId, Epoch, IdError};

use super::purchase::entries_from_wire;
use super::{
    entry_to_wire, identity, invalid, required, timestamp_from_wire, timestamp_to_wire, transaction,
};
use crate::{Commit, Enlist, Error, Forget, Prepare, Recall, RollBack};

impl From<&Enlist> for v1::EnlistRequest {
    fn from(enlist: &Enlist) -> Self {
        Self {
            coordinator_id: enlist.coordinator.to_string(),
            log_id: enlist.log_id.clone(),
            epoch: enlist.epoch.0,
            instance_id: enlist.instance_id.clone(),
        }
    }
}

impl TryFrom<v1::EnlistRequest> for Enlist {
    type Error = Error;

    fn try_from(request: v1::EnlistRequest) -> Result<Self, Error> {
        Ok(Self {
            coordinator: request
                .coordinator_id
                .parse()
                .map_err(|error: IdError| invalid("coordinator_id", error))?,
            log_id: identity("log_id", request.log_id)?,
            epoch: epoch("epoch", request.epoch)?,
            instance_id: identity("instance_id", request.instance_id)?,
        })
    }
}

impl From<&Prepare> for v1::PrepareRequest {
    fn from(prepare: &Prepare) -> Self {
        Self {
            transaction_id: prepare.transaction.to_string(),
            entries: prepare.entries.iter().map(entry_to_wire).collect(),
            timeout: Some(duration_to_wire(prepare.timeout)),
        }
    }
}

impl TryFrom<v1::PrepareRequest> for Prepare {
    type Error = Error;

    fn try_from(request: v1::PrepareRequest) -> Result<Self, Error> {
        let timeout = required("timeout", request.timeout)?;
        Ok(Self {
            transaction: transaction("transaction_id", &request.transaction_id)?,
            entries: entries_from_wire(request.entries)?,
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
            decide_time: Some(timestamp_to_wire(commit.decide_time)),
        }
    }
}

impl TryFrom<v1::CommitRequest> for Commit {
    type Error = Error;

    fn try_from(request: v1::CommitRequest) -> Result<Self, Error> {
        Ok(Self {
            transaction: transaction("transaction_id", &request.transaction_id)?,
            caller_epoch: epoch("caller_epoch", request.caller_epoch)?,
            entries: entries_from_wire(request.entries)?,
            decide_time: timestamp_from_wire(
                "decide_time",
                required("decide_time", request.decide_time)?,
            )?,
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
            except_transaction_ids: forget.except.iter().map(ToString::to_string).collect(),
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
        let mut except = Vec::with_capacity(request.except_transaction_ids.len());
        for (index, text) in request.except_transaction_ids.iter().enumerate() {
            let field = format!("except_transaction_ids[{index}]");
            let kept = transaction(&field, text)?;
            if kept.coordinator != before.coordinator {
                return Err(invalid(field, "must be of the same coordinator"));
            }
            except.push(kept);
        }
        Ok(Self {
            before,
            except,
            caller_epoch: epoch("caller_epoch", request.caller_epoch)?,
        })
    }
}

impl From<&Recall> for v1::RecallRequest {
    fn from(recall: &Recall) -> Self {
        Self {
            coordinator_id: recall.coordinator.to_string(),
            caller_epoch: recall.caller_epoch.0,
            transaction_ids: recall
                .transactions
                .iter()
                .map(ToString::to_string)
                .collect(),
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
        let coordinator: CoordinatorId = request
            .coordinator_id
            .parse()
            .map_err(|error: IdError| invalid("coordinator_id", error))?;
        let mut transactions = Vec::with_capacity(request.transaction_ids.len());
        for (index, text) in request.transaction_ids.iter().enumerate() {
            let field = format!("transaction_ids[{index}]");
            let asked = transaction(&field, text)?;
            if asked.coordinator != coordinator {
                return Err(invalid(field, "must be of the coordinator that asks"));
            }
            transactions.push(asked);
        }
        Ok(Self {
            coordinator,
            caller_epoch: epoch("caller_epoch", request.caller_epoch)?,
            transactions,
        })
    }
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
