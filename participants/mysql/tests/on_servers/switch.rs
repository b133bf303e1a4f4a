//! An address that comes to be answered by another server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tandem_mysql::MysqlParticipant;
use tandem_participant::{Enlist, Error, Participant};
use tandem_servers::{Folder, LaunchOptions, MysqlOptions, MysqlServer, PortLease};
use tokio::net::{TcpListener, TcpStream};

use crate::stand::{Stand, acknowledged, ask_in, commit, copied, enlist, in_doubt, prepared, tx};

/// A proxy that leaves connections where they are and takes new ones to where it is told.
struct Draining {
    port: PortLease,
    upstream: Arc<AtomicU16>,
}

impl Draining {
    async fn to(port: u16) -> Self {
        let lease = PortLease::take(None).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", lease.port()))
            .await
            .unwrap();
        let upstream = Arc::new(AtomicU16::new(port));
        let target = Arc::clone(&upstream);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let target = target.load(Ordering::Acquire);
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self {
            port: lease,
            upstream,
        }
    }

    fn switch(&self, port: u16) {
        self.upstream.store(port, Ordering::Release);
    }
}

/// Two servers that were one: a copy of the stand's, as it is now, and both are running.
struct Pair {
    stand: Stand,
    proxy: Draining,
    second: MysqlServer,
    _folder: tempfile::TempDir,
}

impl Pair {
    async fn new(stand: Stand) -> Self {
        let data = stand.server.data_dir();
        let folder = copied(&stand.server, &data).unwrap();
        let options = MysqlOptions {
            launch: LaunchOptions {
                folder: Folder::Kept(folder.path().into()),
                extra_args: stand.world.launch_args(),
                ..LaunchOptions::default()
            },
            ..MysqlOptions::default()
        };
        let second = MysqlServer::start(stand.server.binary(), options).unwrap();
        Self {
            proxy: Draining::to(stand.server.port()).await,
            stand,
            second,
            _folder: folder,
        }
    }

    fn participant(&self) -> MysqlParticipant {
        let mut settings = self.stand.settings();
        let url = format!(
            "mysql://root@127.0.0.1:{}/{}",
            self.proxy.port.port(),
            self.stand.name
        );
        settings.url = url.into();
        self.stand.with(settings)
    }

    async fn purchases_of_the_second(&self) -> Vec<String> {
        let url = format!("{}{}", self.second.url(), self.stand.name);
        let options: sqlx::mysql::MySqlConnectOptions = url.parse().unwrap();
        let mut second = sqlx::ConnectOptions::connect(&options).await.unwrap();
        crate::stand::column(
            &mut second,
            "SELECT purchase_id FROM purchases ORDER BY purchase_id",
        )
        .await
    }
}

fn assert_not_enlisted<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let is_refused = matches!(&answer, Err(Error::NotEnlisted { .. }));
    assert!(is_refused, "{answer:?}");
}

/// The first server stays up and writable, and sessions to it stay open.
pub(crate) async fn a_switch_of_servers_ends_the_use_of_the_first(stand: Stand) {
    stand.enlisted().await;
    let pair = Pair::new(stand).await;
    let participant = pair.participant();
    let first = participant.enlist(&enlist(1)).await.unwrap().incarnation;
    prepared(&participant, &tx(1), &["p1"]).await;
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    // Two branches that the first server has promised and that nobody has decided.
    prepared(&participant, &tx(2), &["p2"]).await;
    prepared(&participant, &tx(3), &["p3"]).await;

    pair.proxy.switch(pair.second.port());
    participant.describe().await.unwrap();
    let ask = ask_in(&first, &[tx(1)], &tx(4), &["p4"]);
    assert_not_enlisted(participant.prepare(&ask).await);
    assert_not_enlisted(commit(&participant, &tx(2), &["p2"]).await);
    let told = Enlist {
        acknowledged: acknowledged(&[tx(1)]),
        ..enlist(1)
    };
    let second = participant.enlist(&told).await.unwrap().incarnation;
    assert_ne!(second, first);
    assert_not_enlisted(participant.prepare(&ask).await);
    let lost = commit(&participant, &tx(2), &["p2"]).await;
    assert!(matches!(lost, Err(Error::Heuristic { .. })), "{lost:?}");

    let ask = ask_in(&second, &[], &tx(5), &["p5"]);
    participant.prepare(&ask).await.unwrap();
    commit(&participant, &tx(5), &["p5"]).await.unwrap();
    assert_eq!(pair.stand.purchases().await, ["p1"]);
    assert_eq!(pair.purchases_of_the_second().await, ["p5"]);
}

/// Each server names the life in which the coordinator enlisted at it; going back to the first does
/// not take up that life as if nothing had been.
pub(crate) async fn a_switch_back_is_a_switch(stand: Stand) {
    stand.enlisted().await;
    let pair = Pair::new(stand).await;
    let participant = pair.participant();
    let first = participant.enlist(&enlist(1)).await.unwrap().incarnation;
    pair.proxy.switch(pair.second.port());
    let second = participant.enlist(&enlist(1)).await.unwrap().incarnation;
    let ask = ask_in(&second, &[], &tx(1), &["p1"]);
    participant.prepare(&ask).await.unwrap();
    commit(&participant, &tx(1), &["p1"]).await.unwrap();

    pair.proxy.switch(pair.stand.server.port());
    participant.describe().await.unwrap();
    let ask = ask_in(&second, &[tx(1)], &tx(2), &["p2"]);
    assert_not_enlisted(participant.prepare(&ask).await);
    // In a process that begins only now, which does not know of any switch, the store proves it.
    let early = pair.participant();
    let ask = ask_in(&first, &[tx(1)], &tx(2), &["p2"]);
    assert_not_enlisted(early.prepare(&ask).await);
    let told = Enlist {
        acknowledged: acknowledged(&[tx(1)]),
        ..enlist(1)
    };
    let third = participant.enlist(&told).await.unwrap().incarnation;
    assert!(
        third != first && third != second,
        "{first} {second} {third}"
    );
    assert!(in_doubt(&participant).await.is_empty());
    assert!(pair.stand.purchases().await.is_empty());
    assert_eq!(pair.purchases_of_the_second().await, ["p1"]);
}
