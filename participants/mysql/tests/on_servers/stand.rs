//! A server, a database of its own for each check, and short words for what checks do.

use std::ffi::OsString;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use crate::Needs;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row};
use tandem_mysql::{MysqlParticipant, Settings};
use tandem_participant::{
    Acknowledged, Commit, Committed, Enlist, Error, Participant, Prepare, PreparedId, RollBack,
    Vote,
};
use tandem_protocol::{Entry, Epoch, Item, Purchase, Timestamp, TransactionId};
use tandem_servers::Flavor;
use tandem_servers::fetch::{Fetchable, fetch};
use tandem_servers::{MysqlOptions, MysqlServer, ServerBinary, find_installed};

/// A server and how it is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    MariaDb,
    MySql,
    MySqlTied,
}

/// A world whose server program was found, or why not.
#[derive(Debug)]
pub(crate) struct OpenWorld {
    world: World,
    binary: Result<ServerBinary, String>,
    shared: OnceLock<Arc<MysqlServer>>,
    starting: Mutex<()>,
}

/// What one check works with.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    pub(crate) world: World,
    pub(crate) server: Arc<MysqlServer>,
    /// The check's own database, and the name of its participant, so that checks that share a
    /// server don't see each other's branches.
    pub(crate) name: String,
}

/// Modes that read texts, or treat values that do not fit, each in another way.
pub(crate) const SQL_MODES: [&str; 3] = [
    "",
    "ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT",
    "TRADITIONAL",
];

static STANDS: AtomicU32 = AtomicU32::new(1);

impl World {
    pub(crate) const ALL: [World; 3] = [World::MariaDb, World::MySql, World::MySqlTied];

    pub(crate) fn open(self) -> OpenWorld {
        let binary = match self {
            World::MariaDb => find_installed()
                .into_iter()
                .find(|binary| binary.flavor == Flavor::MariaDb)
                .ok_or_else(|| "no MariaDB is installed".into()),
            World::MySql | World::MySqlTied => {
                fetch(Fetchable::MySql).map_err(|error| format!("{error:#}"))
            }
        };
        match &binary {
            Ok(binary) => eprintln!("{self:?} runs on {binary}"),
            Err(reason) => eprintln!("SKIPPED: {self:?}: {reason}"),
        }
        OpenWorld {
            world: self,
            binary,
            shared: OnceLock::new(),
            starting: Mutex::new(()),
        }
    }

    /// Whether a prepared branch stays tied to its session.
    pub(crate) fn ties(self) -> bool {
        self != World::MySql
    }

    /// What the server is started with besides.
    pub(crate) fn launch_args(self) -> Vec<OsString> {
        match self {
            World::MySqlTied => vec!["--xa-detach-on-prepare=OFF".into()],
            World::MariaDb | World::MySql => Vec::new(),
        }
    }

    pub(crate) fn is_mysql(self) -> bool {
        self != World::MariaDb
    }
}

impl OpenWorld {
    pub(crate) fn label(&self) -> &'static str {
        match self.world {
            World::MariaDb => "mariadb",
            World::MySql => "mysql",
            World::MySqlTied => "mysql_tied",
        }
    }

    pub(crate) fn skipped(&self) -> bool {
        self.binary.is_err()
    }

    fn start(&self, binlog: bool, settings: &[&str]) -> Arc<MysqlServer> {
        let binary = self.binary.as_ref().unwrap();
        let mut options = MysqlOptions {
            binlog,
            ..MysqlOptions::default()
        };
        options.launch.extra_args = self.world.launch_args();
        let settings = settings.iter().map(Into::into);
        options.launch.extra_args.extend(settings);
        Arc::new(MysqlServer::start(binary, options).unwrap())
    }

    fn shared(&self) -> Arc<MysqlServer> {
        let _one = self
            .starting
            .lock()
            .unwrap_or_else(|error| error.into_inner());
        Arc::clone(self.shared.get_or_init(|| self.start(true, &[])))
    }
}

/// The longest that a check may take, with its database's creation.
const CHECK_MAX: Duration = Duration::from_secs(240);

/// Runs one check on a stand of its own.
pub(crate) fn run(
    world: &OpenWorld,
    needs: Needs,
    check: fn(Stand) -> Pin<Box<dyn Future<Output = ()> + Send>>,
) -> Result<(), String> {
    let server = match needs {
        Needs::Nothing => world.shared(),
        Needs::NoBinlog => world.start(false, &[]),
        Needs::With(arguments) => world.start(true, arguments),
        Needs::OwnServer | Needs::OwnServerOnDemand => world.start(true, &[]),
    };
    let stand = Stand {
        world: world.world,
        server,
        name: format!("t-{}", STANDS.fetch_add(1, Ordering::Relaxed)),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let whole_check = async {
        let mut root = stand.root().await;
        sql(&mut root, &format!("CREATE DATABASE `{}`", stand.name)).await;
        check(stand).await;
    };
    let carried_out =
        runtime.block_on(async { tokio::time::timeout(CHECK_MAX, whole_check).await });
    // What a check spawned must not hold up the others.
    runtime.shutdown_background();
    carried_out.map_err(|_| format!("it did not end in {CHECK_MAX:?}"))
}

impl Stand {
    pub(crate) fn settings(&self) -> Settings {
        let url = format!("{}{}", self.server.url(), self.name);
        let mut settings = Settings::new(url.into());
        if self.world == World::MySqlTied {
            settings.accept = vec!["XA_DETACH_OFF".into()];
        }
        settings
    }

    pub(crate) fn with(&self, settings: Settings) -> MysqlParticipant {
        MysqlParticipant::new(self.name.parse().unwrap(), settings).unwrap()
    }

    /// A participant that knows nothing yet: a process that has just begun.
    pub(crate) fn fresh(&self) -> MysqlParticipant {
        self.with(self.settings())
    }

    /// A participant at which the coordinator `shop` is enlisted in epoch 1.
    pub(crate) async fn enlisted(&self) -> MysqlParticipant {
        let participant = self.fresh();
        participant.enlist(&enlist(1)).await.unwrap();
        participant
    }

    /// A session of an administrator, outside of any database.
    pub(crate) async fn root(&self) -> MySqlConnection {
        let options: MySqlConnectOptions = self.server.url().parse().unwrap();
        options.disable_statement_logging().connect().await.unwrap()
    }

    /// A session of the app or an administrator in the check's database.
    pub(crate) async fn hand(&self) -> MySqlConnection {
        let mut root = self.root().await;
        sql(&mut root, &format!("USE `{}`", self.name)).await;
        root
    }

    /// The XID as XA statements take it.
    pub(crate) fn xid(&self, transaction: &TransactionId) -> String {
        format!("'{transaction}','{}',1952542308", self.name)
    }

    /// Ids of the purchases in the default table, in order.
    pub(crate) async fn purchases(&self) -> Vec<String> {
        let mut hand = self.hand().await;
        column(
            &mut hand,
            "SELECT purchase_id FROM purchases ORDER BY purchase_id",
        )
        .await
    }

    /// How many connections the participants have: ids of all sessions in the check's database.
    pub(crate) async fn connections(&self) -> Vec<u64> {
        let mut root = self.root().await;
        let query = format!(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE DB = '{}'",
            self.name
        );
        let ids = column(&mut root, &query).await;
        ids.iter().map(|id| id.parse().unwrap()).collect()
    }
}

pub(crate) async fn try_sql(
    connection: &mut MySqlConnection,
    text: &str,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
        .execute(connection)
        .await
        .map(|_| ())
}

pub(crate) async fn sql(connection: &mut MySqlConnection, text: &str) {
    try_sql(connection, text)
        .await
        .unwrap_or_else(|error| panic!("{text}: {error}"));
}

/// The first column of all rows, as text.
pub(crate) async fn column(connection: &mut MySqlConnection, text: &str) -> Vec<String> {
    let rows = sqlx::raw_sql(AssertSqlSafe(text.to_owned()))
        .fetch_all(connection)
        .await
        .unwrap_or_else(|error| panic!("{text}: {error}"));
    rows.iter()
        .map(|row| {
            let bytes: Vec<u8> = row.try_get_unchecked(0).unwrap();
            String::from_utf8(bytes).unwrap()
        })
        .collect()
}

/// Does `work` while sessions that connect take this mode; those that were there keep theirs.
pub(crate) async fn in_sql_mode<T>(
    hand: &mut MySqlConnection,
    mode: &str,
    work: impl Future<Output = T>,
) -> T {
    // Checks share servers, and one must not take the other's mode for the server's own.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let before = column(hand, "SELECT @@GLOBAL.sql_mode").await;
    sql(hand, &format!("SET GLOBAL sql_mode = '{mode}'")).await;
    let done = work.await;
    sql(hand, &format!("SET GLOBAL sql_mode = '{}'", before[0])).await;
    done
}

pub(crate) async fn close(connection: MySqlConnection) {
    connection.close().await.unwrap();
}

pub(crate) fn enlist(epoch: u64) -> Enlist {
    Enlist {
        coordinator: "shop".parse().unwrap(),
        log_id: "log-1".into(),
        epoch: Epoch(epoch),
        instance_id: format!("instance-{epoch}"),
        acknowledged: Acknowledged::default(),
    }
}

/// A transaction of the coordinator `shop` in epoch 1.
pub(crate) fn tx(sequence: u64) -> TransactionId {
    format!("shop.1.{sequence}").parse().unwrap()
}

pub(crate) fn entry(number: u32, purchase_id: &str) -> Entry {
    let item = |sku: &str, quantity| Item {
        sku: sku.into(),
        quantity,
        unit_price_minor: 250,
        ..Default::default()
    };
    Entry {
        number,
        purchase: Arc::new(Purchase {
            purchase_id: purchase_id.into(),
            customer_id: "customer-7".into(),
            currency: "EUR".into(),
            items: vec![item("apple", 2), item("pear", 1)],
            ..Default::default()
        }),
    }
}

pub(crate) fn entries(ids: &[&str]) -> Vec<Entry> {
    (0..)
        .zip(ids)
        .map(|(number, id)| entry(number, id))
        .collect()
}

pub(crate) fn ask(transaction: &TransactionId, entries: Vec<Entry>) -> Prepare {
    Prepare {
        transaction: transaction.clone(),
        entries,
        participants: Vec::new(),
        incarnation: String::new(),
        acknowledged: Acknowledged::default(),
        begin_time: Timestamp(1_000),
        timeout: Duration::from_secs(8),
    }
}

/// The same with what the coordinator knows of the store.
pub(crate) fn ask_in(
    incarnation: &str,
    committed: &[TransactionId],
    transaction: &TransactionId,
    ids: &[&str],
) -> Prepare {
    Prepare {
        incarnation: incarnation.into(),
        acknowledged: acknowledged(committed),
        ..ask(transaction, entries(ids))
    }
}

pub(crate) fn acknowledged(committed: &[TransactionId]) -> Acknowledged {
    Acknowledged {
        changes: 0,
        committed: committed.into(),
    }
}

/// Prepares and expects that nothing is refused.
pub(crate) async fn prepared(
    participant: &MysqlParticipant,
    transaction: &TransactionId,
    ids: &[&str],
) {
    let vote = participant
        .prepare(&ask(transaction, entries(ids)))
        .await
        .map(|voted| voted.vote);
    assert!(
        matches!(&vote, Ok(Vote::Yes { refused, .. }) if refused.is_empty()),
        "{vote:?}"
    );
}

pub(crate) async fn commit(
    participant: &MysqlParticipant,
    transaction: &TransactionId,
    ids: &[&str],
) -> Result<Committed, Error> {
    participant
        .commit(&decision(transaction, entries(ids)))
        .await
}

pub(crate) fn decision(transaction: &TransactionId, entries: Vec<Entry>) -> Commit {
    Commit {
        transaction: transaction.clone(),
        caller_epoch: transaction.epoch,
        entries,
        begin_time: Timestamp(1_000),
        decide_time: Timestamp(1_000),
    }
}

pub(crate) async fn roll_back(
    participant: &MysqlParticipant,
    transaction: &TransactionId,
) -> Result<(), Error> {
    participant
        .roll_back(&RollBack {
            transaction: transaction.clone(),
            caller_epoch: transaction.epoch,
        })
        .await
        .map(|_| ())
}

/// The participant's own branches that are prepared.
pub(crate) async fn in_doubt(participant: &MysqlParticipant) -> Vec<TransactionId> {
    let listed = participant.list_prepared().await.unwrap();
    let mut own: Vec<TransactionId> = listed
        .into_iter()
        .filter_map(|branch| match branch.id {
            PreparedId::Transaction(transaction) => Some(transaction),
            PreparedId::Foreign(_) => None,
        })
        .collect();
    own.sort();
    own
}

/// Stops the server, copies its data folder to `data` in a new one, and starts it again.
pub(crate) fn copied(server: &MysqlServer, data: &Path) -> anyhow::Result<tempfile::TempDir> {
    server.stop()?;
    let folder = tempfile::tempdir()?;
    copy(data, &folder.path().join("data"))?;
    server.restart()?;
    Ok(folder)
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        return std::fs::copy(from, to).map(|_| ());
    }
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Asks again and again until it holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
