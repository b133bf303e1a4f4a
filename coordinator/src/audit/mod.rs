//! The audit: every purchase that was decided in a time against what the stores hold, and what the
//! stores hold against the decisions, while everything goes on.
//!
//! Everything is read in pages of bounded size. What differs at the first look is only suspected:
//! it is looked at again, by itself, once what was under way has had time to end, and counts if it
//! still differs then.

mod auditor;
mod carried;
mod compare;
mod deductions;
mod disagreement;
mod first_look;
mod look;
mod memory;
mod run;
mod subject;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tandem_proto::v1;
use tandem_protocol::Timestamp;
use tokio::sync::mpsc;
use tonic::Status;

pub use auditor::Auditor;
pub(crate) use disagreement::DisagreementKind;

/// Parts of the answer that wait for a slow reader.
const ANSWERS_MAX: usize = 64;

/// What an audit answers, part by part.
pub type Answers = BoxStream<'static, Result<v1::AuditResponse, Status>>;

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
