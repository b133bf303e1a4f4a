//! Any bench, reached through the server and the client.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use tandem_protocol::{Entry, TransactionId};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use super::{Bench, Capability, unique_id};
use crate::audit_question::{AuditAnswer, AuditQuestion};
use crate::{
    BranchTruth, Commit, Committed, Description, Enlist, Enlisted, Error, Forget, Look, Looked,
    Participant, ParticipantServer, Prepare, PreparedBranch, Recall, Recalled, RemoteParticipant,
    Repaired, RollBack, RolledBack, Stock, Timeouts, Voted,
};

/// A bench whose participants are served on a unix socket each and reached through it.
#[derive(Debug)]
pub struct OverGrpc {
    inner: Arc<dyn Bench>,
    timeouts: Timeouts,
}

impl OverGrpc {
    /// Puts gRPC between the suite and the bench's participants.
    pub fn new(inner: Arc<dyn Bench>, timeouts: Timeouts) -> Arc<Self> {
        Arc::new(Self { inner, timeouts })
    }
}

#[async_trait]
impl Bench for OverGrpc {
    async fn participant(&self) -> Result<Arc<dyn Participant>, String> {
        let participant = self.inner.participant().await?;
        let served = Served::start(participant, self.timeouts)?;
        Ok(Arc::new(served))
    }

    async fn good_entry(&self, number: u32) -> Result<Entry, String> {
        self.inner.good_entry(number).await
    }

    async fn exclusive_entry(&self, number: u32) -> Result<Entry, String> {
        self.inner.exclusive_entry(number).await
    }

    async fn refusable_entry(&self, number: u32) -> Result<Entry, String> {
        self.inner.refusable_entry(number).await
    }

    async fn effects(&self, entry: &Entry) -> Result<u64, String> {
        self.inner.effects(entry).await
    }

    fn offers(&self, capability: Capability) -> bool {
        self.inner.offers(capability)
    }

    async fn kill_store(&self) -> Result<(), String> {
        self.inner.kill_store().await
    }

    async fn start_store(&self) -> Result<(), String> {
        self.inner.start_store().await
    }
}

/// A client together with the server that it talks to, which ends with it: dropping this is the
/// end of a sidecar's process.
#[derive(Debug)]
struct Served {
    remote: RemoteParticipant,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    socket: PathBuf,
}

impl Served {
    fn start(participant: Arc<dyn Participant>, timeouts: Timeouts) -> Result<Self, String> {
        let socket = std::env::temp_dir().join(format!("{}.sock", unique_id("tandem-")));
        let listener = UnixListener::bind(&socket)
            .map_err(|error| format!("listen on {}: {error}", socket.display()))?;
        let service = ParticipantServer::new(participant).into_service();
        let server = Server::builder()
            .add_service(service)
            .serve_with_incoming(UnixListenerStream::new(listener));
        let endpoint = format!("unix:{}", socket.display());
        let name = "served".parse();
        let name = name.map_err(|error| format!("the suite's own participant name: {error}"))?;
        let remote = RemoteParticipant::new(name, &endpoint, timeouts)
            .map_err(|error| format!("client of {endpoint}: {error}"))?;
        Ok(Self {
            remote,
            server: tokio::spawn(server),
            socket,
        })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
        // What stays behind is an empty socket file in the folder for temporary files.
        let _ = std::fs::remove_file(&self.socket);
    }
}

#[async_trait]
impl Participant for Served {
    async fn look(&self, look: &Look) -> Result<Looked, Error> {
        self.remote.look(look).await
    }

    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        self.remote.enlist(enlist).await
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        self.remote.prepare(prepare).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, Error> {
        self.remote.commit(commit).await
    }

    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        self.remote.repair(commit).await
    }

    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error> {
        self.remote.roll_back(roll_back).await
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        self.remote.list_prepared().await
    }

    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error> {
        self.remote.inspect(transaction).await
    }

    async fn forget(&self, forget: &Forget) -> Result<(), Error> {
        self.remote.forget(forget).await
    }

    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error> {
        self.remote.recall(recall).await
    }

    async fn describe(&self) -> Result<Description, Error> {
        self.remote.describe().await
    }

    async fn reconnect(&self) -> Result<(), Error> {
        self.remote.reconnect().await
    }

    async fn stock(&self, sku: &str) -> Result<Option<Stock>, Error> {
        self.remote.stock(sku).await
    }

    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        self.remote.audit(question).await
    }
}
