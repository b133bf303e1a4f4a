//! A participant in another process, reached by gRPC.

use std::collections::BTreeSet;
use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use tandem_proto::v1;
use tandem_proto::v1::participant_service_client::ParticipantServiceClient;
use tandem_protocol::{CoordinatorId, ParticipantName, TransactionId};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::audit_question::{AuditAnswer, AuditQuestion};
use crate::convert::{branches_from_wire, error_from_status, repaired_from_wire, voted_from_wire};
use crate::way::{Credentials, Way, way};
use crate::{
    BranchTruth, Commit, Committed, Description, Enlist, Enlisted, Error, Forget, Look, Looked,
    Participant, Prepare, PreparedBranch, Recall, Recalled, Repaired, RollBack, RolledBack, Stock,
    Vote, Voted,
};

/// How long a client waits for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection to be made.
    pub connect: Duration,
    /// For the answer to any call but prepare, the making of a connection included.
    pub call: Duration,
    /// Added to a prepare's own time for its way there and back, so that the participant's
    /// account of why it took too long is heard rather than cut off.
    pub prepare_transit: Duration,
    /// Between two HTTP/2 pings, idle or not. A server must allow them: in grpc-go that is
    /// `keepalive.EnforcementPolicy` with `PermitWithoutStream` and a `MinTime` below this.
    pub keepalive_interval: Duration,
    /// For the answer to a ping, after which the link counts as dead: a half-open one is noticed
    /// within this and the interval.
    pub keepalive_answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            call: Duration::from_secs(10),
            prepare_transit: Duration::from_millis(500),
            keepalive_interval: Duration::from_secs(5),
            keepalive_answer: Duration::from_secs(3),
        }
    }
}

type Client = ParticipantServiceClient<Channel>;

/// A participant that a sidecar serves.
///
/// It connects at the first call and again whenever the link is lost; every call ends within its
/// deadline. A call whose answer did not arrive may have taken effect, which is what
/// [`Error::Unavailable`] says.
#[derive(Clone)]
pub struct RemoteParticipant {
    name: ParticipantName,
    endpoint: String,
    timeouts: Timeouts,
    way: watch::Receiver<Way>,
}

impl RemoteParticipant {
    /// The participant `name` at `endpoint`: `http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`.
    /// Connects to nothing yet, but must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the endpoint is none of these; https takes [`Credentials`].
    pub fn new(name: ParticipantName, endpoint: &str, timeouts: Timeouts) -> Result<Self, Error> {
        Self::with_credentials(name, endpoint, timeouts, &Credentials::default())
    }

    /// The same, known by these.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the endpoint is none of these, or the credentials can't be used.
    pub fn with_credentials(
        name: ParticipantName,
        endpoint: &str,
        timeouts: Timeouts,
        credentials: &Credentials,
    ) -> Result<Self, Error> {
        let to = parse(endpoint)
            .ok_or_else(|| Error::Invalid {
                detail: format!(
                    "endpoint {endpoint:?} of participant {name} must be http://HOST:PORT, \
                     https://HOST:PORT or unix:/PATH"
                ),
            })?
            .connect_timeout(timeouts.connect)
            .http2_keep_alive_interval(timeouts.keepalive_interval)
            .keep_alive_timeout(timeouts.keepalive_answer)
            .keep_alive_while_idle(true)
            .tcp_nodelay(true);
        let is_encrypted = endpoint.starts_with("https://");
        let way = way(to, is_encrypted, credentials).map_err(|what| Error::Invalid {
            detail: format!("participant {name} at {endpoint}: {what}"),
        })?;
        Ok(Self {
            name,
            endpoint: endpoint.into(),
            timeouts,
            way,
        })
    }

    /// Its name.
    pub fn name(&self) -> &ParticipantName {
        &self.name
    }

    /// Where it is.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    async fn call<Q, A, F>(
        &self,
        method: &'static str,
        message: Q,
        rpc: impl FnOnce(Client, Request<Q>) -> F,
    ) -> Result<A, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.call_within(self.timeouts.call, method, message, rpc)
            .await
            .map_err(|status| self.failure(method, self.timeouts.call, &status))
    }

    async fn call_within<Q, A, F>(
        &self,
        deadline: Duration,
        method: &'static str,
        message: Q,
        rpc: impl FnOnce(Client, Request<Q>) -> F,
    ) -> Result<A, Status>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(message);
        request.set_timeout(deadline);
        // The request's own timeout begins when a connection is there; this one also bounds the
        // wait for it.
        let Way {
            client,
            authorization,
        } = self.way.borrow().clone();
        if let Some(authorization) = authorization {
            request
                .metadata_mut()
                .insert("authorization", authorization);
        }
        match tokio::time::timeout(deadline, rpc(client, request)).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(status),
            Err(_) => Err(Status::deadline_exceeded(method)),
        }
    }

    /// What a status says about a call, with the endpoint where the status itself names none.
    fn failure(&self, method: &str, deadline: Duration, status: &Status) -> Error {
        if let Some(error) = error_from_status(status) {
            return error;
        }
        match status.code() {
            Code::DeadlineExceeded => self.expired(method, deadline),
            // So tonic calls an expired deadline, at either side.
            Code::Cancelled if status.message() == "Timeout expired" => {
                self.expired(method, deadline)
            }
            Code::Unimplemented => Error::Invalid {
                detail: format!("{self} does not serve tandem.v1.ParticipantService/{method}"),
            },
            Code::InvalidArgument => Error::Invalid {
                detail: format!("{self} refused {method}: {}", chain(status)),
            },
            // Nothing was done, and it will be as soon as the sidecar grants it.
            Code::Unauthenticated | Code::PermissionDenied => Error::Unavailable {
                detail: format!("{self} refused {method}: {}", chain(status)),
            },
            // Nothing else tells whether it took effect.
            _ => Error::Unavailable {
                detail: format!("{self} did not answer {method}: {}", chain(status)),
            },
        }
    }

    fn expired(&self, method: &str, deadline: Duration) -> Error {
        Error::Unavailable {
            detail: format!("{self} did not answer {method} within {deadline:?}"),
        }
    }

    /// Reads an answer; one that breaks the contract is an error that says whose it is.
    fn read<A, T: TryFrom<A, Error = Error>>(&self, method: &str, answer: A) -> Result<T, Error> {
        T::try_from(answer).map_err(|error| self.broken(method, &error))
    }

    fn broken(&self, method: &str, what: &dyn fmt::Display) -> Error {
        Error::Invalid {
            detail: format!("{self} broke the contract in its answer to {method}: {what}"),
        }
    }
}

impl fmt::Display for RemoteParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "participant {} at {}", self.name, self.endpoint)
    }
}

impl fmt::Debug for RemoteParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteParticipant")
            .field("name", &self.name)
            .field("endpoint", &self.endpoint)
            .field("timeouts", &self.timeouts)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Participant for RemoteParticipant {
    async fn look(&self, look: &Look) -> Result<Looked, Error> {
        let answer = self
            .call_within(
                self.timeouts.call,
                "Look",
                look.into(),
                |mut c, r| async move { c.look(r).await },
            )
            .await;
        let answer = answer.map_err(|status| match status.code() {
            // Served since the first version that asks before it writes.
            Code::Unimplemented => Error::Invalid {
                detail: format!(
                    "{self} is older than this coordinator, and does not serve \
                     tandem.v1.ParticipantService/Look: update the participant first"
                ),
            },
            _ => self.failure("Look", self.timeouts.call, &status),
        })?;
        let looked: Looked = self.read("Look", answer)?;
        check_newest(&look.coordinator, &looked.newest_committed)
            .map_err(|what| self.broken("Look", &what))?;
        Ok(looked)
    }

    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        let answer = self
            .call("Enlist", enlist.into(), |mut c, r| async move {
                c.enlist(r).await
            })
            .await?;
        let enlisted: Enlisted = self.read("Enlist", answer)?;
        check_newest(&enlist.coordinator, &enlisted.newest_committed)
            .map_err(|what| self.broken("Enlist", &what))?;
        Ok(enlisted)
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        let deadline = prepare
            .timeout
            .saturating_add(self.timeouts.prepare_transit);
        let answer = self
            .call_within(deadline, "Prepare", prepare.into(), |mut c, r| async move {
                c.prepare(r).await
            })
            .await
            .map_err(|status| self.failure("Prepare", deadline, &status))?;
        let voted = voted_from_wire(answer).map_err(|error| self.broken("Prepare", &error))?;
        check_vote(prepare, &voted.vote).map_err(|what| self.broken("Prepare", &what))?;
        Ok(voted)
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, Error> {
        let answer = self
            .call("Commit", commit.into(), |mut c, r| async move {
                c.commit(r).await
            })
            .await?;
        self.read("Commit", answer)
    }

    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        let answer = self
            .call("Repair", commit.into(), |mut c, r| async move {
                c.repair(r).await
            })
            .await?;
        repaired_from_wire(answer).map_err(|error| self.broken("Repair", &error))
    }

    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error> {
        self.call("RollBack", roll_back.into(), |mut c, r| async move {
            c.roll_back(r).await
        })
        .await
        .map(|v1::RollBackResponse { changes }| RolledBack { changes })
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        // The trait asks for everybody's branches, so nobody's id narrows them down.
        let message = v1::ListPreparedRequest {
            coordinator_id: String::new(),
        };
        let answer = self
            .call("ListPrepared", message, |mut c, r| async move {
                c.list_prepared(r).await
            })
            .await?;
        branches_from_wire(answer).map_err(|error| self.broken("ListPrepared", &error))
    }

    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error> {
        let message = v1::InspectRequest {
            transaction_id: transaction.to_string(),
        };
        let answer = self
            .call(
                "Inspect",
                message,
                |mut c, r| async move { c.inspect(r).await },
            )
            .await?;
        self.read("Inspect", answer)
    }

    async fn forget(&self, forget: &Forget) -> Result<(), Error> {
        self.call("Forget", forget.into(), |mut c, r| async move {
            c.forget(r).await
        })
        .await
        .map(|v1::ForgetResponse {}| ())
    }

    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error> {
        let answer = self
            .call("Recall", recall.into(), |mut c, r| async move {
                c.recall(r).await
            })
            .await?;
        let recalled: Recalled = self.read("Recall", answer)?;
        let asked: BTreeSet<&TransactionId> = recall.transactions.iter().collect();
        match recalled.forgotten.iter().find(|id| !asked.contains(id)) {
            Some(id) => {
                let what = format!("forgotten_transaction_ids: {id} was not asked for");
                Err(self.broken("Recall", &what))
            }
            None => Ok(recalled),
        }
    }

    async fn describe(&self) -> Result<Description, Error> {
        let message = v1::DescribeRequest {};
        self.call("Describe", message, |mut c, r| async move {
            c.describe(r).await
        })
        .await
        .map(Description::from)
    }

    async fn reconnect(&self) -> Result<(), Error> {
        let answer = self
            .call_within(
                self.timeouts.call,
                "Reconnect",
                v1::ReconnectRequest {},
                |mut c, r| async move { c.reconnect(r).await },
            )
            .await;
        match answer {
            Ok(v1::ReconnectResponse {}) => Ok(()),
            // It is told only once it is the newer one, so the way that an older one has is named.
            Err(status) if status.code() == Code::Unimplemented => Err(Error::Invalid {
                detail: format!(
                    "{self} is older than this coordinator: restart it, which tries at once"
                ),
            }),
            Err(status) => Err(self.failure("Reconnect", self.timeouts.call, &status)),
        }
    }

    async fn stock(&self, sku: &str) -> Result<Option<Stock>, Error> {
        let message = v1::GetStockRequest { sku: sku.into() };
        let answer = self
            .call_within(
                self.timeouts.call,
                "GetStock",
                message,
                |mut c, r| async move { c.get_stock(r).await },
            )
            .await;
        match answer {
            Ok(answer) => self.read("GetStock", answer).map(Some),
            Err(status) if status.code() == Code::Unimplemented => Ok(None),
            Err(status) => Err(self.failure("GetStock", self.timeouts.call, &status)),
        }
    }

    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        let answer = self
            .call_within(
                self.timeouts.call,
                "Audit",
                question.into(),
                |mut c, r| async move { c.audit(r).await },
            )
            .await;
        match answer {
            Ok(answer) => self.read("Audit", answer),
            Err(status) if status.code() == Code::Unimplemented => {
                Ok(AuditAnswer::NotKept(format!("{self} answers no audits")))
            }
            Err(status) => Err(self.failure("Audit", self.timeouts.call, &status)),
        }
    }
}

fn parse(endpoint: &str) -> Option<Endpoint> {
    let named = endpoint
        .strip_prefix("http://")
        .or_else(|| endpoint.strip_prefix("https://"))
        .or_else(|| endpoint.strip_prefix("unix:"))
        .is_some_and(|rest| !rest.is_empty());
    if named {
        Endpoint::from_shared(endpoint.to_owned()).ok()
    } else {
        None
    }
}

/// A store names the commits of the coordinator that asks.
fn check_newest(coordinator: &CoordinatorId, newest: &[TransactionId]) -> Result<(), String> {
    match newest.iter().find(|id| id.coordinator != *coordinator) {
        Some(id) => Err(format!("newest_committed: {id} is another coordinator's")),
        None => Ok(()),
    }
}

/// A vote may refuse what was asked and nothing else, each entry once.
fn check_vote(prepare: &Prepare, vote: &Vote) -> Result<(), String> {
    let Vote::Yes { refused, .. } = vote else {
        return Ok(());
    };
    let mut asked: BTreeSet<u32> = prepare.entries.iter().map(|entry| entry.number).collect();
    for (index, entry) in refused.iter().enumerate() {
        if !asked.remove(&entry.number) {
            return Err(format!(
                "refused[{index}].number: {} was not asked or is refused twice",
                entry.number
            ));
        }
    }
    Ok(())
}

/// A status and the errors below it, each said once.
fn chain(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = status.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&part);
        }
        source = error.source();
    }
    if text.is_empty() {
        text = status.code().to_string();
    }
    text
}
