//! What an audit looks at.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_log::DecisionLog;
use tandem_protocol::{CoordinatorId, Decision, ParticipantName, Position, Record};
use tokio::sync::oneshot;

use crate::daemon::{Clock, Handle, Link};

/// What an audit looks at.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the types say it")]
pub struct Auditor {
    pub driver: Handle,
    pub clock: Clock,
    pub coordinator: CoordinatorId,
    pub links: BTreeMap<ParticipantName, Arc<Link>>,
    pub log: DecisionLog,
}

/// Reads a decision back from the log; `None` if there is none at this position.
pub async fn read_decision(log: &DecisionLog, position: Position) -> Option<Decision> {
    let (sender, receiver) = oneshot::channel();
    log.read(tandem_log::Position(position), move |record| {
        // Who asked may have gone away.
        let _ = sender.send(record);
    });
    let record = receiver.await.ok().flatten()?;
    match Record::decode(&record) {
        Ok(Record::Decided(decision)) => Some(decision),
        Ok(_) | Err(_) => None,
    }
}
