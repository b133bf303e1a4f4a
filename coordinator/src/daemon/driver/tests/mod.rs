//! The driver over links to participants in memory and a real decision log.

#![allow(clippy::unwrap_used)]

mod deductions_audited;
mod purchases_listed;
mod read_back;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use memory_participant::{Bug, MemoryParticipant, MemoryStore};
use tandem_log::{Identity, LogOptions};
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    Acknowledged, BranchTruth, Commit, Committed, Description, Enlist, Enlisted, Error, Forget,
    Look, Looked, Participant, Prepare, PreparedBranch, Recall, Recalled, RollBack, RolledBack,
    Stock, Voted,
};
use tandem_protocol::{CoordinatorId, Epoch, Item, Reason, Recovered, Settings};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::link::{LinkState, Times};
use super::*;

/// Longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(20);

const SKU: &str = "lamp";
const STOCK: i64 = 100;

const TIMES: Times = Times {
    call_timeout: Duration::from_secs(5),
    backoff_min: Duration::from_millis(20),
    backoff_max: Duration::from_millis(100),
    sweep_interval: Duration::from_secs(60),
};

/// A participant in memory that counts how it is probed and can die at a commit.
#[derive(Debug)]
struct Watched {
    inner: MemoryParticipant,
    store: Arc<MemoryStore>,
    dies_at_commit: AtomicBool,
    /// It keeps no memory that an audit could read.
    is_forgetful: AtomicBool,
    /// What the next prepare ends with.
    fails_at_prepare: Mutex<Option<Error>>,
    probing: AtomicUsize,
    probes: Mutex<Vec<Instant>>,
    enlists: AtomicUsize,
}

impl Watched {
    fn new(bug: Option<Bug>) -> Arc<Watched> {
        let store = MemoryStore::new(bug);
        store.set_stock(SKU, STOCK);
        Arc::new(Watched {
            inner: MemoryParticipant::new(store.clone()),
            store,
            dies_at_commit: AtomicBool::new(false),
            is_forgetful: AtomicBool::new(false),
            fails_at_prepare: Mutex::default(),
            probing: AtomicUsize::new(0),
            probes: Mutex::default(),
            enlists: AtomicUsize::new(0),
        })
    }

    fn probes(&self) -> Vec<Instant> {
        self.probes.lock().unwrap().clone()
    }

    fn stock(&self) -> i64 {
        self.store.stock_of(SKU).unwrap()
    }
}

#[async_trait]
impl Participant for Watched {
    async fn look(&self, look: &Look) -> Result<Looked, Error> {
        let at_once = self.probing.fetch_add(1, Ordering::SeqCst);
        assert_eq!(at_once, 0, "two tasks probe one participant");
        self.probes.lock().unwrap().push(Instant::now());
        let looked = self.inner.look(look).await;
        self.probing.fetch_sub(1, Ordering::SeqCst);
        looked
    }

    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        self.enlists.fetch_add(1, Ordering::SeqCst);
        self.inner.enlist(enlist).await
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        let failure = self.fails_at_prepare.lock().unwrap().take();
        if let Some(error) = failure {
            return Err(error);
        }
        self.inner.prepare(prepare).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, Error> {
        if self.dies_at_commit.swap(false, Ordering::SeqCst) {
            self.store.kill();
        }
        self.inner.commit(commit).await
    }

    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error> {
        self.inner.roll_back(roll_back).await
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        self.inner.list_prepared().await
    }

    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error> {
        self.inner.inspect(transaction).await
    }

    async fn forget(&self, forget: &Forget) -> Result<(), Error> {
        self.inner.forget(forget).await
    }

    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error> {
        self.inner.recall(recall).await
    }

    async fn describe(&self) -> Result<Description, Error> {
        self.inner.describe().await
    }

    async fn stock(&self, sku: &str) -> Result<Option<Stock>, Error> {
        self.inner.stock(sku).await
    }

    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        let is_forgetful = self.is_forgetful.load(Ordering::SeqCst);
        match question {
            AuditQuestion::Memory { .. } if is_forgetful => {
                Ok(AuditAnswer::NotKept("this store keeps no memory".into()))
            }
            _ => self.inner.audit(question).await,
        }
    }
}

/// A coordinator in its first epoch with two participants.
struct Stand {
    a: Arc<Watched>,
    b: Arc<Watched>,
    links: BTreeMap<ParticipantName, Arc<Link>>,
    handle: Handle,
    clock: Clock,
    log: DecisionLog,
    dir: TempDir,
}

impl Stand {
    /// Everything but running tasks.
    fn new(times: &Times, queue_records_max: usize, b: Option<Bug>) -> (Stand, Driver) {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity {
            log_id: "log-1".into(),
            coordinator_id: "shop".into(),
        };
        let options = LogOptions {
            queue_records_max,
            ..LogOptions::new(dir.path().join("log"))
        };
        let (log, _) = DecisionLog::create(options, &identity).unwrap();
        let clock = Clock::new();
        let channel = mpsc::unbounded_channel();
        let (a, b) = (Watched::new(None), Watched::new(b));
        let links: BTreeMap<ParticipantName, Arc<Link>> = [("a", &a), ("b", &b)]
            .into_iter()
            .map(|(name, participant)| {
                let name: ParticipantName = name.parse().unwrap();
                let events = channel.0.clone();
                let participant = participant.clone();
                let times = times.clone();
                let all = ["a", "b"].map(|name| name.parse().unwrap());
                let link = Link::new(
                    name.clone(),
                    participant,
                    all.into(),
                    enlist(1),
                    times,
                    clock,
                    events,
                );
                (name, Arc::new(link))
            })
            .collect();
        let core = Coordinator::new(
            settings(),
            coordinator(),
            Epoch(1),
            links.keys().cloned(),
            Recovered::default(),
            clock.now(),
        );
        let (driver, handle) = Driver::new(core, clock, log.clone(), links.clone(), channel);
        let stand = Stand {
            a,
            b,
            links,
            handle,
            clock,
            log,
            dir,
        };
        (stand, driver)
    }

    /// Driver and links run, and both participants are up.
    async fn up() -> (Stand, JoinHandle<anyhow::Result<()>>) {
        let (stand, driver) = Stand::new(&TIMES, 1_000, None);
        let driver = stand.run(driver);
        stand.reach("a", LinkState::Up).await;
        stand.reach("b", LinkState::Up).await;
        (stand, driver)
    }

    fn run(&self, driver: Driver) -> JoinHandle<anyhow::Result<()>> {
        for link in self.links.values() {
            tokio::spawn(Arc::clone(link).run());
        }
        tokio::spawn(driver.run())
    }

    async fn reach(&self, name: &str, state: LinkState) {
        let link = &self.links[&name.parse().unwrap()];
        until(|| link.status().state == state).await;
    }

    async fn submit(&self, id: &str) -> Result<Reply, Stopped> {
        let deadline = self.clock.now() + DEADLINE;
        let submitted = self.handle.submit(purchase(id), WaitFor::Applied, deadline);
        timeout(DEADLINE, submitted).await.unwrap()
    }
}

fn coordinator() -> CoordinatorId {
    "shop".parse().unwrap()
}

fn enlist(epoch: u64) -> Enlist {
    Enlist {
        coordinator: coordinator(),
        log_id: "log-1".into(),
        epoch: Epoch(epoch),
        instance_id: "one".into(),
        acknowledged: Acknowledged::default(),
    }
}

fn settings() -> Settings {
    Settings {
        queue_purchases_max: 100,
        transaction_purchases_max: 4,
        transaction_bytes_max: 48 * 1024,
        pipeline_transactions_max: 2,
        unfinished_transactions_max: 100,
        cautious_transactions: 0,
        prepare_timeout: Duration::from_secs(5),
        unavailable_grace: Duration::from_millis(50),
        retry_base: Duration::from_millis(20),
        retry_cap: Duration::from_millis(100),
        retries_in_flight_max: 4,
        retention_age: Duration::from_secs(3600),
        retention_purchases_max: 1_000,
        retention_age_min: Duration::ZERO,
        closing_age: Duration::from_secs(60),
    }
}

fn purchase(id: &str) -> Arc<Purchase> {
    Arc::new(Purchase {
        purchase_id: id.into(),
        customer_id: "c-1".into(),
        currency: "EUR".into(),
        items: vec![Item {
            sku: SKU.into(),
            quantity: 1,
            unit_price_minor: 1999,
            ..Default::default()
        }],
        ..Default::default()
    })
}

async fn until(holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "it did not come true in time");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[track_caller]
fn assert_applied(reply: Result<Reply, Stopped>) {
    assert!(
        matches!(reply, Ok(Reply::Committed { applied: true, .. })),
        "{reply:?}"
    );
}

#[tokio::test]
async fn purchase_commits_once_at_both_participants() {
    let (stand, _driver) = Stand::up().await;
    assert_applied(stand.submit("p-1").await);
    // The same purchase again gets the same answer and has no second effect.
    assert_applied(stand.submit("p-1").await);
    assert_eq!((stand.a.stock(), stand.b.stock()), (STOCK - 1, STOCK - 1));
}

#[tokio::test]
async fn dead_participant_is_probed_by_one_task_with_back_off_until_it_is_back() {
    let (stand, _driver) = Stand::up().await;
    stand.b.store.kill();
    let before = stand.b.probes().len();
    let died = Instant::now();
    let turned_away = futures::join!(
        stand.submit("p-1"),
        stand.submit("p-2"),
        stand.submit("p-3")
    );
    for reply in [turned_away.0, turned_away.1, turned_away.2] {
        assert!(matches!(reply, Ok(Reply::Unavailable { .. })), "{reply:?}");
    }
    stand.reach("b", LinkState::Down).await;
    until(|| stand.b.probes().len() >= before + 5).await;
    let mut last = died;
    // Half of the longest pause, and up to as much again for jitter.
    for (at, pause) in stand.b.probes()[before..].iter().zip([20, 40, 50, 50, 50]) {
        let waited = at.duration_since(last);
        assert!(
            waited >= Duration::from_millis(pause),
            "probed after {waited:?}"
        );
        last = *at;
    }
    assert_eq!(stand.a.probes().len(), 1, "the live one is left alone");

    stand.b.store.start();
    stand.reach("b", LinkState::Up).await;
    assert_applied(stand.submit("p-4").await);
    assert_eq!((stand.a.stock(), stand.b.stock()), (STOCK - 1, STOCK - 1));
}

#[tokio::test]
async fn decided_purchase_is_applied_when_its_dead_participant_is_back() {
    let (stand, _driver) = Stand::up().await;
    stand.b.dies_at_commit.store(true, Ordering::SeqCst);
    let back = async {
        stand.reach("b", LinkState::Down).await;
        assert_eq!(stand.b.stock(), STOCK);
        stand.b.store.start();
    };
    let (reply, ()) = futures::join!(stand.submit("p-1"), back);
    assert_applied(reply);
    assert_eq!((stand.a.stock(), stand.b.stock()), (STOCK - 1, STOCK - 1));
}

#[tokio::test]
async fn call_that_failed_is_no_outage_of_a_participant_that_answers() {
    let (stand, _driver) = Stand::up().await;
    for n in 0..3 {
        let detail = "the connection was lost".to_owned();
        *stand.b.fails_at_prepare.lock().unwrap() = Some(Error::Unavailable { detail });
        let reply = stand.submit(&format!("lost-{n}")).await;
        assert!(matches!(reply, Ok(Reply::Unavailable { .. })), "{reply:?}");
        // The next is not turned away, and nothing is enlisted anew.
        assert_applied(stand.submit(&format!("p-{n}")).await);
    }
    assert_eq!(stand.b.probes().len(), 1);
    assert_eq!((stand.a.stock(), stand.b.stock()), (STOCK - 3, STOCK - 3));
}

#[tokio::test]
async fn store_that_a_person_must_mend_refuses_by_name_and_nothing_is_remembered() {
    let (stand, _driver) = Stand::up().await;
    let detail = "error 1146: no such table".to_owned();
    *stand.b.fails_at_prepare.lock().unwrap() = Some(Error::Invalid { detail });
    let reply = stand.submit("p-1").await;
    let Ok(Reply::Refused { refusal, .. }) = reply else {
        panic!("{reply:?}");
    };
    assert_eq!(refusal.reason, Reason::Misconfigured);
    assert!(refusal.detail.contains("1146"), "{refusal:?}");
    // It is mended.
    assert_applied(stand.submit("p-1").await);
    assert_eq!(stand.b.probes().len(), 1);
}

#[tokio::test]
async fn participant_that_hangs_is_down_after_the_call_timeout() {
    let times = Times {
        call_timeout: Duration::from_millis(50),
        ..TIMES
    };
    let (stand, driver) = Stand::new(&times, 1_000, Some(Bug::HangsWhenDead));
    stand.b.store.kill();
    let _driver = stand.run(driver);
    stand.reach("b", LinkState::Down).await;
    let detail = stand.links[&"b".parse().unwrap()].status().detail;
    assert_eq!(detail, "b gave no answer within 50ms");
}

#[tokio::test]
async fn participant_that_knows_a_later_epoch_stops_the_driver_and_is_left_alone() {
    let (stand, driver) = Stand::new(&TIMES, 1_000, None);
    stand.b.inner.enlist(&enlist(9)).await.unwrap();
    let driver = stand.run(driver);
    let ended = timeout(DEADLINE, driver).await.unwrap().unwrap();
    let reason = ended.unwrap_err().to_string();
    assert!(reason.contains("b knows epoch 9"), "{reason}");
    assert_eq!(stand.b.enlists.load(Ordering::SeqCst), 0);
    assert_eq!(stand.submit("p-1").await, Err(Stopped));
}

/// What the link tells the store with each prepare is what finds it out.
#[tokio::test]
async fn store_that_is_put_back_in_time_without_a_sign_has_again_what_it_lost_before_it_promises() {
    let (stand, _driver) = Stand::up().await;
    assert_applied(stand.submit("p-1").await);
    let snapshot = stand.b.store.snapshot();
    assert_applied(stand.submit("p-2").await);
    let enlisted = stand.b.enlists.load(Ordering::SeqCst);
    stand.b.store.put_back(&snapshot);
    assert_eq!(stand.b.stock(), STOCK - 1);

    let refused = stand.submit("p-3").await;
    assert!(
        matches!(refused, Ok(Reply::Unavailable { .. })),
        "{refused:?}"
    );
    let start = Instant::now();
    while !matches!(stand.submit("p-3").await, Ok(Reply::Committed { .. })) {
        assert!(start.elapsed() < DEADLINE, "it is not taken again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(stand.b.enlists.load(Ordering::SeqCst) > enlisted);
    assert_eq!((stand.a.stock(), stand.b.stock()), (STOCK - 3, STOCK - 3));
}

#[tokio::test]
async fn sweep_finds_a_store_that_is_put_back_while_nobody_buys() {
    let times = Times {
        sweep_interval: Duration::from_millis(50),
        ..TIMES
    };
    let (stand, driver) = Stand::new(&times, 1_000, None);
    let _driver = stand.run(driver);
    stand.reach("a", LinkState::Up).await;
    stand.reach("b", LinkState::Up).await;
    let snapshot = stand.b.store.snapshot();
    assert_applied(stand.submit("p-1").await);
    stand.b.store.put_back(&snapshot);
    until(|| stand.b.stock() == STOCK - 1).await;
    assert_eq!(stand.a.stock(), STOCK - 1);
}

#[tokio::test]
async fn drain_answers_what_is_in_flight_and_ends_the_driver() {
    let (stand, driver) = Stand::up().await;
    let ids: Vec<String> = (0..20).map(|n| format!("p-{n}")).collect();
    let submitted = futures::future::join_all(ids.iter().map(|id| stand.submit(id)));
    let drain = async {
        until(|| stand.a.stock() < STOCK).await;
        stand.handle.drain().await.unwrap();
    };
    let (replies, ()) = futures::join!(submitted, drain);
    let applied = replies
        .iter()
        .filter(|reply| matches!(reply, Ok(Reply::Committed { applied: true, .. })))
        .count();
    let turned_away = replies
        .iter()
        .filter(|reply| matches!(reply, Ok(Reply::ShuttingDown)))
        .count();
    assert_eq!(applied + turned_away, ids.len(), "{replies:?}");
    assert_eq!(stand.b.stock(), STOCK - i64::try_from(applied).unwrap());
    timeout(DEADLINE, driver).await.unwrap().unwrap().unwrap();
    assert_eq!(stand.submit("p-late").await, Err(Stopped));
}

#[tokio::test]
async fn records_keep_their_order_when_the_logs_queue_is_full() {
    const RECORDS: u64 = 9;
    let (stand, mut driver) = Stand::new(&TIMES, 2, None);
    // The committer is held up, so that nothing leaves the queue.
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (reached, holding) = oneshot::channel();
    stand
        .log
        .append(vec![0], Durability::Forced, move |_| {
            let _ = reached.send(());
            let _ = held.recv();
        })
        .unwrap();
    timeout(DEADLINE, holding).await.unwrap().unwrap();
    for ticket in 0..RECORDS {
        let record = Record::EpochStarted {
            epoch: Epoch(ticket),
            instance_id: "one".into(),
            time: Timestamp(0),
        };
        let forced = ticket % 2 == 0;
        driver
            .carry_out(Action::Store {
                ticket,
                record,
                forced,
            })
            .unwrap();
    }
    driver.append_waiting().unwrap();
    assert_eq!(driver.waiting.len(), 7, "the queue takes two");

    release.send(()).unwrap();
    let mut stored = Vec::new();
    while stored.len() < 9 {
        let event = timeout(DEADLINE, driver.events.recv()).await.unwrap();
        match event {
            Some(Event::Stored { ticket, position }) => stored.push((ticket, position)),
            other => panic!("{other:?}"),
        }
        driver.append_waiting().unwrap();
    }
    let expected: Vec<(u64, u64)> = (0..RECORDS).map(|ticket| (ticket, ticket + 2)).collect();
    assert_eq!(stored, expected);
    stand.log.close(DEADLINE).unwrap();
    let (_, opened) = DecisionLog::open(LogOptions::new(stand.dir.path().join("log"))).unwrap();
    let epochs =
        opened.records[1..]
            .iter()
            .map(|(_, bytes)| match Record::decode(bytes).unwrap() {
                Record::EpochStarted { epoch, .. } => epoch.0,
                other => panic!("{other:?}"),
            });
    assert!(epochs.eq(0..RECORDS));
}
