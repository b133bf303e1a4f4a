//! A private server with some stock, a participant on it, and short words for its calls.

use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use redis::FromRedisValue;
use redis::aio::MultiplexedConnection;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    Acknowledged, Commit, Committed, Enlist, Enlisted, Error, Forget, Participant, Prepare, Recall,
    RollBack, Stock, Vote,
};
use tandem_protocol::{
    Entry, Epoch, Item, Purchase, Reason, Timestamp, TransactionId, sku_and_pool,
};
use tandem_redis::{RedisParticipant, Settings};
use tandem_servers::fetch::{Fetchable, fetch};
use tandem_servers::{LaunchOptions, RedisServer, ServerBinary, installed_redis};

use crate::place::command as command_of;

static BINARIES: LazyLock<Vec<ServerBinary>> = LazyLock::new(|| {
    let installed = installed_redis().map_err(Into::into);
    let fetched = [Fetchable::Redis, Fetchable::Valkey].map(fetch);
    let mut binaries = Vec::new();
    for binary in [installed].into_iter().chain(fetched) {
        match binary {
            Ok(binary) => {
                say(&format!("testing on {binary}"));
                binaries.push(binary);
            }
            Err(error) => say(&format!("SKIPPED: {error:#}")),
        }
    }
    assert!(!binaries.is_empty(), "no server to test on");
    binaries
});

/// Says something past the test harness, which hides what passing tests print.
pub(crate) fn say(text: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{text}").unwrap();
}

/// Runs a test on each server, one after another.
pub(crate) async fn on_each_server(test: impl AsyncFn(&Stage)) {
    on_each_server_with(&[], test).await;
}

/// The same with arguments for the server.
pub(crate) async fn on_each_server_with(args: &[&str], test: impl AsyncFn(&Stage)) {
    for binary in binaries() {
        let options = LaunchOptions {
            extra_args: args.iter().map(Into::into).collect(),
            ..LaunchOptions::default()
        };
        let stage = Stage::start(binary, options).await;
        eprintln!("on {}", stage.server.binary());
        test(&stage).await;
    }
}

/// What there is to test on.
pub(crate) fn binaries() -> &'static [ServerBinary] {
    &BINARIES
}

/// A server and a participant with the default settings.
pub(crate) struct Stage {
    pub(crate) server: RedisServer,
    pub(crate) participant: Arc<RedisParticipant>,
}

impl Stage {
    /// A server that knows the coordinators shop and kiosk.
    pub(crate) async fn start(binary: &ServerBinary, options: LaunchOptions) -> Stage {
        let server = RedisServer::start(binary, options).unwrap();
        let participant = Arc::new(participant(Settings::at(server.url())));
        let stage = Stage {
            server,
            participant,
        };
        // Nothing is done for a coordinator that is not known.
        for enlist in [
            enlist("shop", "log-a", 1, "i"),
            enlist("kiosk", "log-b", 1, "k"),
        ] {
            match stage.participant.enlist(&enlist).await {
                Ok(_) | Err(Error::Unsafe { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        stage
    }

    /// The same server with other settings.
    pub(crate) fn participant(&self, change: impl FnOnce(&mut Settings)) -> RedisParticipant {
        let mut settings = Settings::at(self.server.url());
        change(&mut settings);
        participant(settings)
    }

    /// The server's own connection, beside the participant's.
    pub(crate) async fn raw(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.server.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Sends a command written as one would to redis-cli.
    pub(crate) async fn cli<T: FromRedisValue>(&self, command: &str) -> T {
        let command = command_of(command);
        command.query_async(&mut self.raw().await).await.unwrap()
    }

    /// All keys that begin with a prefix, sorted.
    pub(crate) async fn keys(&self, prefix: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.cli(&format!("KEYS {prefix}*")).await;
        keys.sort();
        keys
    }

    pub(crate) async fn prepare(&self, id: &str, carts: &[&[(&str, u32)]]) -> Vote {
        let prepare = prepare(id, carts);
        self.participant
            .prepare(&prepare)
            .await
            .map(|voted| voted.vote)
            .unwrap()
    }

    pub(crate) async fn commit(&self, id: &str, carts: &[&[(&str, u32)]]) -> Committed {
        self.participant.commit(&commit(id, carts)).await.unwrap()
    }

    pub(crate) async fn roll_back(&self, id: &str) {
        self.participant.roll_back(&roll_back(id)).await.unwrap();
    }

    pub(crate) async fn forget(&self, before: &str, except: &[&str]) {
        let forget = forget(before, except);
        self.participant.forget(&forget).await.unwrap();
    }

    pub(crate) async fn enlist(&self, epoch: u64, instance: &str) -> Result<Enlisted, Error> {
        let enlist = enlist("shop", "log-a", epoch, instance);
        self.participant.enlist(&enlist).await
    }

    /// Which of these are not remembered as committed.
    pub(crate) async fn forgotten(&self, ids: &[&str]) -> Result<Vec<TransactionId>, Error> {
        let recall = Recall {
            coordinator: "shop".parse().unwrap(),
            caller_epoch: Epoch(1),
            transactions: ids.iter().map(|text| id(text)).collect(),
        };
        let recalled = self.participant.recall(&recall).await?;
        Ok(recalled.forgotten)
    }

    pub(crate) async fn stock(&self, sku: &str) -> Stock {
        self.participant.stock(sku).await.unwrap().unwrap()
    }

    /// The app's value and the units held of it.
    pub(crate) async fn value_and_held(&self, sku: &str) -> (i64, u64) {
        let stock = self.stock(sku).await;
        let holds = stock.holds.iter().map(|hold| hold.quantity).sum();
        (stock.value.unwrap(), holds)
    }

    /// Nothing is held and nothing is prepared, by the keys themselves.
    pub(crate) async fn assert_quiet(&self) {
        let left: Vec<String> = self
            .keys("tandem:")
            .await
            .into_iter()
            .filter(|key| key.contains("held") || key.contains("prepared") || key.contains(":tx:"))
            .collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

fn participant(settings: Settings) -> RedisParticipant {
    RedisParticipant::new("stock".parse().unwrap(), settings).unwrap()
}

pub(crate) fn id(text: &str) -> TransactionId {
    text.parse().unwrap()
}

/// Each item a sku, or the name of its stock in a pool, and its quantity.
pub(crate) fn entries(carts: &[&[(&str, u32)]]) -> Vec<Entry> {
    let entry = |(number, cart): (usize, &&[(&str, u32)])| Entry {
        number: number as u32,
        purchase: Arc::new(Purchase {
            purchase_id: format!("purchase-{number}"),
            customer_id: "ada".to_owned(),
            currency: "EUR".to_owned(),
            items: cart
                .iter()
                .map(|(stock, quantity)| {
                    let (sku, pool) = sku_and_pool(stock);
                    Item {
                        sku: sku.to_owned(),
                        quantity: *quantity,
                        unit_price_minor: 100,
                        pool: pool.to_owned(),
                        ..Default::default()
                    }
                })
                .collect(),
            ..Default::default()
        }),
    };
    carts.iter().enumerate().map(entry).collect()
}

pub(crate) fn prepare(transaction: &str, carts: &[&[(&str, u32)]]) -> Prepare {
    Prepare {
        transaction: id(transaction),
        entries: entries(carts),
        participants: Vec::new(),
        incarnation: String::new(),
        acknowledged: Acknowledged::default(),
        begin_time: Timestamp(0),
        timeout: Duration::from_secs(5),
    }
}

pub(crate) fn commit(transaction: &str, carts: &[&[(&str, u32)]]) -> Commit {
    let transaction = id(transaction);
    Commit {
        caller_epoch: transaction.epoch,
        transaction,
        entries: entries(carts),
        begin_time: Timestamp(0),
        decide_time: Timestamp(0),
    }
}

pub(crate) fn roll_back(transaction: &str) -> RollBack {
    let transaction = id(transaction);
    RollBack {
        caller_epoch: transaction.epoch,
        transaction,
    }
}

pub(crate) fn forget(before: &str, except: &[&str]) -> Forget {
    let before = id(before);
    Forget {
        caller_epoch: before.epoch,
        before,
        except: except.iter().map(|text| id(text)).collect(),
        closed: None,
    }
}

pub(crate) fn enlist(coordinator: &str, log: &str, epoch: u64, instance: &str) -> Enlist {
    Enlist {
        coordinator: coordinator.parse().unwrap(),
        log_id: log.to_owned(),
        epoch: Epoch(epoch),
        instance_id: instance.to_owned(),
        acknowledged: Acknowledged::default(),
    }
}

/// Numbers and reasons of a yes vote's refusals.
pub(crate) fn refused(vote: &Vote) -> Vec<(u32, Reason)> {
    match vote {
        Vote::Yes { refused, .. } => refused
            .iter()
            .map(|entry| (entry.number, entry.refusal.reason))
            .collect(),
        Vote::No { detail } => panic!("voted no: {detail}"),
    }
}

pub(crate) fn assert_no(vote: &Vote, why: &str) {
    match vote {
        Vote::No { detail } => assert!(detail.contains(why), "{detail}"),
        Vote::Yes { .. } => panic!("voted yes: {vote:?}"),
    }
}

/// A transaction's name in the sets of its coordinator, as `keys.rs` says.
pub(crate) fn member(transaction: &str) -> String {
    let transaction = id(transaction);
    let with_length = |number: u64| {
        let digits = number.to_string();
        format!("{}{digits}", char::from(b'a' + digits.len() as u8 - 1))
    };
    let (epoch, sequence) = (transaction.epoch.0, transaction.sequence);
    format!("{}.{}", with_length(epoch), with_length(sequence))
}

impl Stage {
    /// Units of a sku that the store has counted as deducted for the coordinator shop.
    pub(crate) async fn deducted(&self, sku: &str) -> u64 {
        deducted(&self.participant, "shop", sku).await
    }

    /// Names of what makes the present enlistment fail, none if it does not.
    pub(crate) async fn findings(&self) -> Vec<String> {
        match self.enlist(1, "i").await {
            Ok(_) => Vec::new(),
            Err(Error::Unsafe { findings }) => findings.into_iter().map(|f| f.name).collect(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Units of a sku that a participant's store has counted as deducted for a coordinator.
pub(crate) async fn deducted(participant: &RedisParticipant, coordinator: &str, sku: &str) -> u64 {
    let question = AuditQuestion::Deducted {
        coordinator: coordinator.parse().unwrap(),
        skus: vec![sku.to_owned()],
    };
    match participant.audit(&question).await.unwrap() {
        AuditAnswer::Deducted(skus) => skus[0].deducted,
        other => panic!("{other:?}"),
    }
}

/// Whether the server lets a field of a hash expire.
pub(crate) async fn has_field_expiries(stage: &Stage) -> bool {
    let known: Vec<redis::Value> = stage.cli("COMMAND INFO HPEXPIRETIME").await;
    known != [redis::Value::Nil]
}
