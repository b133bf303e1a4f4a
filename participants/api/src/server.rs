//! Serves a participant as `tandem.v1.ParticipantService`.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tandem_proto::v1;
use tandem_proto::v1::participant_service_server::{ParticipantService, ParticipantServiceServer};
use tandem_protocol::TransactionId;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status};
use tracing::Instrument;

use crate::acts_for::ActsFor;
use crate::audit_question::AuditQuestion;
use crate::convert::{MESSAGE_BYTES_MAX, branches_to_wire, repaired_to_wire, voted_to_wire};
use crate::{
    Commit, Enlist, Error, Finding, Forget, Look, Participant, Prepare, Recall, RollBack, clock,
    rules,
};

/// Most calls that run at the participant at once. Calls beyond it wait for their turn until
/// their caller gives up; HTTP/2's limit of streams bounds how many wait.
pub const CALLS_IN_FLIGHT_MAX: usize = 256;

/// Any participant as a gRPC service.
///
/// tonic drops a handler's future when its client cancels or its deadline passes, so every call
/// runs in a task of its own: whoever hangs up changes nothing about what the store is doing.
#[derive(Clone)]
pub struct ParticipantServer {
    participant: Arc<dyn Participant>,
    findings: Arc<[Finding]>,
    permits: Arc<Semaphore>,
    calls: TaskTracker,
}

impl ParticipantServer {
    /// Serves `participant`.
    pub fn new(participant: Arc<dyn Participant>) -> Self {
        Self {
            participant,
            findings: Arc::default(),
            permits: Arc::new(Semaphore::new(CALLS_IN_FLIGHT_MAX)),
            calls: TaskTracker::new(),
        }
    }

    /// Tells these findings too, of how it is served, wherever the store is described.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings.into();
        self
    }

    /// The service to add to a tonic router, with its message limits set. Clones share one
    /// participant and one limit of calls.
    pub fn into_service(self) -> ParticipantServiceServer<Self> {
        ParticipantServiceServer::new(self)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Waits until no call runs any more, at most `timeout`; to be asked once the router has
    /// stopped accepting. Whether all ended. Those that did not end with the process, which a
    /// participant must survive at any moment.
    pub async fn drain(&self, timeout: Duration) -> bool {
        self.calls.close();
        tokio::time::timeout(timeout, self.calls.wait())
            .await
            .is_ok()
    }

    async fn run<T, F, C>(&self, call: C) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
        C: FnOnce(Arc<dyn Participant>) -> F,
    {
        // Dropped while it waits, the call has not begun.
        let permit = self.permits.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Status::unavailable("the participant is stopping"))?;
        let call = call(self.participant.clone()).in_current_span();
        let task = self.calls.spawn(async move {
            let answer = call.await;
            drop(permit);
            answer
        });
        match task.await {
            Ok(answer) => answer.map_err(Status::from),
            Err(join) => {
                tracing::error!(error = %join, "a call ended without an answer");
                Err(Status::internal(format!(
                    "the call ended without an answer, its outcome is unknown: {join}"
                )))
            }
        }
    }
}

impl fmt::Debug for ParticipantServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParticipantServer")
            .field("participant", &self.participant)
            .field("calls", &self.calls.len())
            .finish_non_exhaustive()
    }
}

/// For whom a call may be made, and what it asks.
fn opened<Q>(mut request: Request<Q>) -> (ActsFor, Q) {
    let acts_for = request.extensions_mut().remove();
    (acts_for.unwrap_or(ActsFor::Anyone), request.into_inner())
}

#[tonic::async_trait]
impl ParticipantService for ParticipantServer {
    async fn look(
        &self,
        request: Request<v1::LookRequest>,
    ) -> Result<Response<v1::LookResponse>, Status> {
        let (acts_for, request) = opened(request);
        let look = Look::try_from(request)?;
        acts_for.check([&look.coordinator])?;
        let looked = self.run(|p| async move { p.look(&look).await }).await?;
        Ok(Response::new(looked.into()))
    }

    async fn enlist(
        &self,
        request: Request<v1::EnlistRequest>,
    ) -> Result<Response<v1::EnlistResponse>, Status> {
        let (acts_for, request) = opened(request);
        let enlist = Enlist::try_from(request)?;
        acts_for.check([&enlist.coordinator])?;
        let answer = self.run(|p| async move { p.enlist(&enlist).await }).await?;
        Ok(Response::new(answer.into()))
    }

    async fn prepare(
        &self,
        request: Request<v1::PrepareRequest>,
    ) -> Result<Response<v1::PrepareResponse>, Status> {
        let (acts_for, request) = opened(request);
        let prepare = Prepare::try_from(request)?;
        acts_for.check([&prepare.transaction.coordinator])?;
        let voted = self
            .run(|p| async move { p.prepare(&prepare).await })
            .await?;
        Ok(Response::new(voted_to_wire(voted)))
    }

    async fn commit(
        &self,
        request: Request<v1::CommitRequest>,
    ) -> Result<Response<v1::CommitResponse>, Status> {
        let (acts_for, request) = opened(request);
        let commit = Commit::try_from(request)?;
        acts_for.check([&commit.transaction.coordinator])?;
        let committed = self.run(|p| async move { p.commit(&commit).await }).await?;
        Ok(Response::new(committed.into()))
    }

    async fn repair(
        &self,
        request: Request<v1::CommitRequest>,
    ) -> Result<Response<v1::RepairResponse>, Status> {
        let (acts_for, request) = opened(request);
        let commit = Commit::try_from(request)?;
        acts_for.check([&commit.transaction.coordinator])?;
        let repaired = self.run(|p| async move { p.repair(&commit).await }).await?;
        Ok(Response::new(repaired_to_wire(repaired)))
    }

    async fn roll_back(
        &self,
        request: Request<v1::RollBackRequest>,
    ) -> Result<Response<v1::RollBackResponse>, Status> {
        let (acts_for, request) = opened(request);
        let roll_back = RollBack::try_from(request)?;
        acts_for.check([&roll_back.transaction.coordinator])?;
        let done = self
            .run(|p| async move { p.roll_back(&roll_back).await })
            .await?;
        Ok(Response::new(v1::RollBackResponse {
            changes: done.changes,
        }))
    }

    async fn list_prepared(
        &self,
        _request: Request<v1::ListPreparedRequest>,
    ) -> Result<Response<v1::ListPreparedResponse>, Status> {
        let branches = self.run(|p| async move { p.list_prepared().await }).await?;
        Ok(Response::new(branches_to_wire(branches)))
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectRequest>,
    ) -> Result<Response<v1::InspectResponse>, Status> {
        let (acts_for, request) = opened(request);
        let id: TransactionId = request
            .transaction_id
            .parse()
            .map_err(|error| Error::Invalid {
                detail: format!("transaction_id: {error}"),
            })?;
        acts_for.check([&id.coordinator])?;
        let truth = self.run(|p| async move { p.inspect(&id).await }).await?;
        Ok(Response::new(truth.into_wire(clock::now())))
    }

    async fn forget(
        &self,
        request: Request<v1::ForgetRequest>,
    ) -> Result<Response<v1::ForgetResponse>, Status> {
        let (acts_for, request) = opened(request);
        let forget = Forget::try_from(request)?;
        acts_for.check([&forget.before.coordinator])?;
        self.run(|p| async move { p.forget(&forget).await }).await?;
        Ok(Response::new(v1::ForgetResponse {}))
    }

    async fn recall(
        &self,
        request: Request<v1::RecallRequest>,
    ) -> Result<Response<v1::RecallResponse>, Status> {
        let (acts_for, request) = opened(request);
        let recall = Recall::try_from(request)?;
        acts_for.check([&recall.coordinator])?;
        let recalled = self.run(|p| async move { p.recall(&recall).await }).await?;
        Ok(Response::new(recalled.into()))
    }

    async fn describe(
        &self,
        _request: Request<v1::DescribeRequest>,
    ) -> Result<Response<v1::DescribeResponse>, Status> {
        let mut description = self.run(|p| async move { p.describe().await }).await?;
        description.findings.extend_from_slice(&self.findings);
        Ok(Response::new(description.into()))
    }

    async fn reconnect(
        &self,
        _request: Request<v1::ReconnectRequest>,
    ) -> Result<Response<v1::ReconnectResponse>, Status> {
        self.run(|p| async move { p.reconnect().await }).await?;
        Ok(Response::new(v1::ReconnectResponse {}))
    }

    async fn get_stock(
        &self,
        request: Request<v1::GetStockRequest>,
    ) -> Result<Response<v1::GetStockResponse>, Status> {
        let sku = request.into_inner().sku;
        if !rules::is_stock(&sku) {
            let detail = format!("sku: {}", rules::STOCK_RULE);
            return Err(Error::Invalid { detail }.into());
        }
        let asked = sku.clone();
        let stock = self.run(|p| async move { p.stock(&asked).await }).await?;
        match stock {
            Some(stock) => Ok(Response::new(stock.into_wire(sku))),
            None => Err(Status::unimplemented("this store keeps no stock")),
        }
    }

    async fn audit(
        &self,
        request: Request<v1::ParticipantAuditRequest>,
    ) -> Result<Response<v1::ParticipantAuditResponse>, Status> {
        let question = AuditQuestion::try_from(request.into_inner())?;
        let answer = self
            .run(|p| async move { p.audit(&question).await })
            .await?;
        Ok(Response::new(answer.into()))
    }
}
