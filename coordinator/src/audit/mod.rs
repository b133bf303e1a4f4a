//! The audit: every purchase that was decided in a time against what the stores hold, and what the
//! stores hold against the decisions, while everything goes on.
//!
//! Everything is read in pages of bounded size. What differs at the first look is only suspected:
//! it is looked at again, by itself, once what was under way has had time to end, and counts if it
//! still differs then.

mod compare;
mod deductions;
mod disagreement;
mod first_look;
mod look;
mod memory;
mod run;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tandem_log::DecisionLog;
use tandem_proto::v1;
use tandem_protocol::{CoordinatorId, Decision, ParticipantName, Position, Record, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use crate::daemon::{Clock, Handle, Link};

/// Parts of the answer that wait for a slow reader.
const ANSWERS_MAX: usize = 64;

/// What an audit answers, part by part.
pub type Answers = BoxStream<'static, Result<v1::AuditResponse, Status>>;

/// What an audit looks at.
#[derive(Debug, Clone)]
pub struct Auditor {
    /// The coordinator's memory.
    pub driver: Handle,
    /// The coordinator's clock.
    pub clock: Clock,
    /// Whose transactions.
    pub coordinator: CoordinatorId,
    /// The participants.
    pub links: BTreeMap<ParticipantName, Arc<Link>>,
    /// The decision log.
    pub log: DecisionLog,
}

impl Auditor {
    /// Starts an audit of what was decided between two moments; it ends when its reader goes away.
    pub fn start(self, since: Option<Timestamp>, until: Option<Timestamp>) -> Answers {
        let (sender, receiver) = mpsc::channel(ANSWERS_MAX);
        tokio::spawn(async move {
            let run = run::Run::new(&self, sender.clone(), since, until);
            if let Err(run::Ended::Stopped(stopped)) = run.run().await {
                // The reader may have gone too.
                let _ = sender
                    .send(Err(Status::unavailable(stopped.to_string())))
                    .await;
            }
        });
        stream::unfold(receiver, |mut receiver| async {
            let part = receiver.recv().await?;
            Some((part, receiver))
        })
        .boxed()
    }
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
