//! A participant that plays a script, served on a socket, and what is asked of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tandem_participant::{
    Acknowledged, BranchTruth, Commit, Committed, Description, Enlist, Enlisted, Error, Forget,
    Look, Looked, Participant, ParticipantServer, Prepare, PreparedBranch, Recall, Recalled,
    RefusedEntry, RemoteParticipant, RollBack, RolledBack, Stock, Timeouts, Vote, Voted, rules,
};
use tandem_protocol::{Entry, Item, Purchase, Reason, Refusal, TransactionId};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

/// Long enough never to be waited out by a test that passes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A participant that answers as its script says.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    pub(crate) fails: Option<Error>,
    /// Calls wait here until the test lets them on.
    pub(crate) gate: Option<Semaphore>,
    pub(crate) refuses: Option<u32>,
    pub(crate) panics: bool,
    pub(crate) begun: AtomicUsize,
    pub(crate) ended: AtomicUsize,
}

impl Scripted {
    pub(crate) fn failing(error: Error) -> Self {
        Self {
            fails: Some(error),
            ..Self::default()
        }
    }

    pub(crate) fn let_one_on(&self) {
        self.gate.as_ref().unwrap().add_permits(1);
    }

    async fn play<T>(&self, answer: T) -> Result<T, Error> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        assert!(!self.panics, "as the script says");
        if let Some(gate) = &self.gate {
            gate.acquire().await.unwrap().forget();
        }
        self.ended.fetch_add(1, Ordering::SeqCst);
        self.fails.clone().map_or(Ok(answer), Err)
    }
}

#[async_trait]
impl Participant for Scripted {
    async fn look(&self, _: &Look) -> Result<Looked, Error> {
        panic!("no test looks")
    }

    async fn enlist(&self, _: &Enlist) -> Result<Enlisted, Error> {
        panic!("no test enlists")
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        let items: usize = prepare.entries.iter().map(|e| e.purchase.items.len()).sum();
        let vote = match self.refuses {
            None => Vote::No {
                detail: format!("{} entries, {items} items", prepare.entries.len()),
            },
            Some(number) => Vote::Yes {
                refused: vec![RefusedEntry {
                    number,
                    refusal: Refusal {
                        reason: Reason::Locked,
                        detail: String::new(),
                    },
                }],
                incarnation: String::new(),
            },
        };
        self.play(vote.into()).await
    }

    async fn commit(&self, _: &Commit) -> Result<Committed, Error> {
        let evidence = tandem_participant::CommitEvidence::Applied;
        self.play(Committed {
            evidence,
            debts: Vec::new(),
            changes: 0,
        })
        .await
    }

    async fn roll_back(&self, _: &RollBack) -> Result<RolledBack, Error> {
        self.play(RolledBack::default()).await
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        self.play(Vec::new()).await
    }

    async fn inspect(&self, _: &TransactionId) -> Result<BranchTruth, Error> {
        panic!("no test inspects")
    }

    async fn forget(&self, _: &Forget) -> Result<(), Error> {
        self.play(()).await
    }

    async fn recall(&self, _: &Recall) -> Result<Recalled, Error> {
        self.play(Recalled::default()).await
    }

    async fn describe(&self) -> Result<Description, Error> {
        panic!("no test describes a scripted participant")
    }

    async fn stock(&self, _: &str) -> Result<Option<Stock>, Error> {
        self.play(None).await
    }
}

/// A scripted participant, served on a unix socket.
pub(crate) struct Wire {
    pub(crate) scripted: Arc<Scripted>,
    pub(crate) server: ParticipantServer,
    pub(crate) folder: TempDir,
}

impl Wire {
    pub(crate) async fn serve(scripted: Scripted) -> Self {
        let scripted = Arc::new(scripted);
        let folder = tempfile::tempdir().unwrap();
        let server = ParticipantServer::new(scripted.clone());
        spawn_server(server.clone(), &folder.path().join("socket"));
        Self {
            scripted,
            server,
            folder,
        }
    }

    pub(crate) fn socket(&self) -> std::path::PathBuf {
        self.folder.path().join("socket")
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    pub(crate) fn remote(&self, timeouts: Timeouts) -> RemoteParticipant {
        remote(&self.socket(), timeouts)
    }
}

pub(crate) fn serve(scripted: Arc<Scripted>, socket: &Path) -> tokio::task::JoinHandle<()> {
    spawn_server(ParticipantServer::new(scripted), socket)
}

fn spawn_server(server: ParticipantServer, socket: &Path) -> tokio::task::JoinHandle<()> {
    let listener = UnixListener::bind(socket).unwrap();
    let router = Server::builder().add_service(server.into_service());
    tokio::spawn(async move {
        let incoming = UnixListenerStream::new(listener);
        router.serve_with_incoming(incoming).await.unwrap();
    })
}

pub(crate) fn remote(socket: &Path, timeouts: Timeouts) -> RemoteParticipant {
    let endpoint = format!("unix:{}", socket.display());
    RemoteParticipant::new("redis".parse().unwrap(), &endpoint, timeouts).unwrap()
}

/// Passes connections on to `to`; one that is open while `frozen` is set passes nothing more.
pub(crate) async fn proxy(
    listener: UnixListener,
    to: std::path::PathBuf,
    frozen: watch::Receiver<bool>,
) {
    loop {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = UnixStream::connect(&to).await.unwrap();
        let mut frozen = frozen.clone();
        tokio::spawn(async move {
            {
                let freezing = frozen.wait_for(|frozen| *frozen);
                let passing = tokio::io::copy_bidirectional(&mut near, &mut far);
                tokio::select! {
                    _ = passing => return,
                    _ = freezing => {}
                }
            }
            std::future::pending::<()>().await;
        });
    }
}

pub(crate) async fn within_patience<F: Future<Output = bool>>(mut check: impl FnMut() -> F) {
    let deadline = Instant::now() + PATIENCE;
    while !check().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn commit() -> Commit {
    Commit {
        transaction: "shop.1.1".parse().unwrap(),
        caller_epoch: tandem_protocol::Epoch(1),
        entries: prepare(1).entries,
        begin_time: tandem_protocol::Timestamp(1),
        decide_time: tandem_protocol::Timestamp(1),
    }
}

pub(crate) fn roll_back() -> RollBack {
    RollBack {
        transaction: "shop.1.1".parse().unwrap(),
        caller_epoch: tandem_protocol::Epoch(1),
    }
}

/// A prepare of so many purchases, each as long as a purchase can be.
pub(crate) fn prepare(entries: usize) -> Prepare {
    let item = |n: usize| Item {
        sku: format!("{n:0>width$}", width = rules::SKU_BYTES_MAX),
        quantity: 9_000,
        unit_price_minor: 10_000_000_000,
        ..Default::default()
    };
    let purchase = Arc::new(Purchase {
        purchase_id: "p".repeat(rules::PURCHASE_ID_BYTES_MAX),
        customer_id: "c".repeat(rules::CUSTOMER_ID_BYTES_MAX),
        currency: "EUR".into(),
        items: (0..rules::ITEMS_MAX).map(item).collect(),
        ..Default::default()
    });
    let entry = |number| Entry {
        number,
        purchase: purchase.clone(),
    };
    Prepare {
        transaction: "shop.1.1".parse().unwrap(),
        entries: (0..).take(entries).map(entry).collect(),
        participants: Vec::new(),
        incarnation: String::new(),
        acknowledged: Acknowledged::default(),
        begin_time: tandem_protocol::Timestamp(1),
        timeout: Duration::from_secs(1),
    }
}
