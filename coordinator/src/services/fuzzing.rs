//! What the fuzzer calls of the inside of the services: requests as they are checked before
//! anything is done. The error names the fields.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tandem_proto::v1;
use tandem_protocol::{Purchase, Reply, Settlement, TransactionId};
use tonic::{Code, Status};

use super::{operator, purchase, settle, status, validate};

/// `SubmitPurchase`.
pub fn submit(request: v1::SubmitPurchaseRequest) -> Result<Arc<Purchase>, Status> {
    validate::purchase(request).map_err(status::invalid)
}

/// `GetPurchase`.
pub fn purchase_id(id: &str) -> Result<(), Status> {
    validate::purchase_id(id).map_err(status::invalid)
}

/// `GetStock`.
pub fn sku(sku: &str) -> Result<(), Status> {
    validate::sku(sku).map_err(status::invalid)
}

/// `GetTransaction` and `RetryTransaction`.
pub fn transaction_id(text: &str) -> Result<TransactionId, Status> {
    operator::transaction_id(text)
}

/// `SettleTransaction`.
pub fn settlement(request: &v1::SettleTransactionRequest) -> Result<Settlement, Status> {
    settle::settlement(request)
}

/// The header `grpc-timeout`.
pub fn grpc_timeout(text: &str) -> Option<Duration> {
    purchase::grpc_timeout(text)
}

/// A reply that is no success, as a client gets it.
pub fn reply(purchase_id: &str, reply: Reply) -> Status {
    status::reply(purchase_id, reply)
}

/// An error of the operator's service.
pub fn error(code: Code, reason: &str, message: &str, metadata: HashMap<String, String>) -> Status {
    status::error(code, reason, message, metadata, None)
}
