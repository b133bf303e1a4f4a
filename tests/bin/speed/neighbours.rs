//! What a purchase that can't be made costs the others: their throughput, failures and latencies
//! beside it, and without it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use sqlx::{AssertSqlSafe, Executor, MySqlConnection};
use tandem_proto::v1::SubmitPurchaseRequest;
use tandem_tests::{
    Answer, Asked, Client, Machine, Pair, PairName, Setup, StoresOptions, World, purchase,
};
use tokio::task::JoinSet;

use crate::answers::{percentile, word};
use crate::forces::Forces;

/// Pause between two purchases that can't be made.
const EVERY: Duration = Duration::from_millis(300);

/// A forced write where no trouble is a slow disk.
const FORCE: Duration = Duration::from_millis(1);

/// Rows that another session holds: more than one run asks for.
const LOCKED_ROWS: usize = 2_000;

/// The customer whose row another session holds.
const HELD: &str = "held";

/// Width of the first column.
const NAME: usize = 46;

/// How it is measured.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Length of one turn, in seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Turns with and turns without the purchases that can't be made
    #[arg(long, default_value_t = 2)]
    rounds: u32,
    /// How many others buy, each again as soon as it is answered
    #[arg(long, default_value_t = 16)]
    clients: usize,
}

/// Why a purchase can't be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    SoldOutOnASlowDisk,
    SoldOutBesideALock,
    NotInTheEnum,
    LockedCustomer,
    LockThatCostsTheBranch,
}

/// What the others had of one kind of turn.
#[derive(Debug, Default)]
struct Had {
    seconds: f64,
    made: usize,
    failed: BTreeMap<String, usize>,
    took: Vec<Duration>,
}

/// Measures all troubles on both families of servers, in turns, and prints a table.
pub(crate) async fn measure(args: &Args) -> Result<()> {
    let bad = f64::from(args.rounds) * args.seconds / EVERY.as_secs_f64();
    ensure!(
        bad < LOCKED_ROWS as f64,
        "at most {LOCKED_ROWS} can't be made"
    );
    let machine = Machine::look();
    for name in [PairName::Installed, PairName::MysqlRedis] {
        let pair = machine.pair(name).map_err(|why| anyhow!(why))?;
        println!(
            "\n{}\n{:NAME$}{:>10}{:>10}{:>10}  failed",
            pair.mysql, "others beside", "others/s", "p50 ms", "p99 ms"
        );
        for trouble in Trouble::ALL {
            let (alone, beside, heard) = trouble.measure(&pair, args).await?;
            println!("{:NAME$}{alone}", "nothing");
            println!("{:NAME$}{beside}; it heard {heard:?}", trouble.title());
        }
    }
    Ok(())
}

impl Trouble {
    const ALL: [Trouble; 5] = [
        Trouble::SoldOutOnASlowDisk,
        Trouble::SoldOutBesideALock,
        Trouble::NotInTheEnum,
        Trouble::LockedCustomer,
        Trouble::LockThatCostsTheBranch,
    ];

    fn title(self) -> &'static str {
        match self {
            Trouble::SoldOutOnASlowDisk => "a sold-out sku, 30 ms a force",
            Trouble::SoldOutBesideALock => "a sold-out sku and a locked row",
            Trouble::NotInTheEnum => "a value that an ENUM does not take",
            Trouble::LockedCustomer => "a customer's row that is locked",
            Trouble::LockThatCostsTheBranch => "a locked row, innodb_rollback_on_timeout",
        }
    }

    fn force(self) -> Duration {
        match self {
            Trouble::SoldOutOnASlowDisk => Duration::from_millis(30),
            Trouble::SoldOutBesideALock
            | Trouble::NotInTheEnum
            | Trouble::LockedCustomer
            | Trouble::LockThatCostsTheBranch => FORCE,
        }
    }

    /// Number `number` of those that can't be made.
    fn bad(self, number: usize) -> SubmitPurchaseRequest {
        let id = format!("bad-{number}");
        match self {
            Trouble::SoldOutOnASlowDisk | Trouble::SoldOutBesideALock => {
                purchase(&id, &[("gone", 1)])
            }
            Trouble::NotInTheEnum => SubmitPurchaseRequest {
                currency: "GBP".to_owned(),
                ..purchase(&id, &[("tea", 1)])
            },
            Trouble::LockedCustomer => SubmitPurchaseRequest {
                customer_id: HELD.to_owned(),
                ..purchase(&id, &[("tea", 1)])
            },
            Trouble::LockThatCostsTheBranch => purchase(&id, &[("tea", 1)]),
        }
    }

    async fn measure(
        self,
        pair: &Pair,
        args: &Args,
    ) -> Result<(Had, Had, BTreeMap<String, usize>)> {
        let forces = Forces::new(Some(self.force()))?;
        let world = World::new(pair, self.setup(&forces)).await?;
        world.stores.seed("tea", 1_000_000_000).await?;
        world.stores.seed("gone", 0).await?;
        let lock = self.prepare(&world).await?;
        let (mut alone, mut beside) = (Had::default(), Had::default());
        let (mut heard, mut all) = (BTreeMap::new(), Vec::new());
        let mut bad = 0;
        for round in 0..args.rounds {
            for is_beside in [false, true] {
                let prefix = format!("good-{round}-{is_beside}");
                let others = Others::begin(&world, &prefix, args.clients);
                let mut asking = JoinSet::new();
                let turn = Duration::try_from_secs_f64(args.seconds)?;
                let begun = Instant::now();
                while begun.elapsed() < turn {
                    tokio::time::sleep(EVERY).await;
                    if is_beside {
                        asking.spawn(ask(world.coordinator.client(), self.bad(bad)));
                        bad += 1;
                    }
                }
                let had = if is_beside { &mut beside } else { &mut alone };
                had.seconds += begun.elapsed().as_secs_f64();
                had.add(others.end().await?, &mut all);
                for asked in asking.join_all().await {
                    let answers = asked.answers.iter().map(|answer| word(answer).to_owned());
                    answers.for_each(|word| *heard.entry(word).or_default() += 1);
                    all.push(asked);
                }
            }
        }
        drop(lock);
        world.judge(&all).await?;
        Ok((alone, beside, heard))
    }

    fn setup(self, forces: &Forces) -> Setup {
        // MySQL's is on as it comes, and says there who holds a lock.
        let mut mysql_args = vec!["--performance-schema=ON".into()];
        if self == Trouble::LockThatCostsTheBranch {
            mysql_args.push("--innodb-rollback-on-timeout=ON".into());
        }
        let env = forces.env();
        let stores = StoresOptions {
            env: env.iter().map(|(k, v)| (k.into(), v.into())).collect(),
            mysql_args,
            ..StoresOptions::default()
        };
        Setup {
            stores,
            env,
            ..Setup::default()
        }
    }

    /// Makes the trouble; it lasts as long as the session given.
    async fn prepare(self, world: &World) -> Result<MySqlConnection> {
        let mut sql = world.stores.sql().await?;
        match self {
            Trouble::SoldOutOnASlowDisk => {}
            Trouble::NotInTheEnum => {
                sql.execute("ALTER TABLE purchases MODIFY currency ENUM('EUR', 'USD') NOT NULL")
                    .await?;
            }
            Trouble::LockedCustomer => {
                for statement in [
                    "CREATE TABLE customers (id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE \
                     utf8mb4_bin NOT NULL PRIMARY KEY) ENGINE=InnoDB",
                    "INSERT INTO customers VALUES ('ann@example.org'), ('held')",
                    "ALTER TABLE purchases ADD FOREIGN KEY (customer_id) REFERENCES customers (id)",
                    "BEGIN",
                    "SELECT id FROM customers WHERE id = 'held' FOR UPDATE",
                ] {
                    sql.execute(statement).await?;
                }
            }
            Trouble::SoldOutBesideALock | Trouble::LockThatCostsTheBranch => {
                let rows: Vec<String> = (0..LOCKED_ROWS)
                    .map(|number| format!("('bad-{number}', 'c', 'EUR', 1, 't', '2020-01-01')"))
                    .collect();
                sql.execute("BEGIN").await?;
                let insert = format!("INSERT INTO purchases VALUES {}", rows.join(","));
                sql.execute(AssertSqlSafe(insert)).await?;
            }
        }
        Ok(sql)
    }
}

async fn ask(client: Client, purchase: SubmitPurchaseRequest) -> Asked {
    let answer = Answer::of(&client.submit(&purchase).await);
    Asked {
        purchase,
        answers: vec![answer],
    }
}

/// Everybody else.
struct Others {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Vec<(Asked, Duration)>>,
}

impl Others {
    fn begin(world: &World, prefix: &str, clients: usize) -> Others {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let client = world.coordinator.client();
            let (stop, prefix) = (Arc::clone(&stop), format!("{prefix}-{number}"));
            tasks.spawn(async move {
                let mut asked = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let purchase = purchase(&format!("{prefix}-{}", asked.len()), &[("tea", 1)]);
                    let begun = Instant::now();
                    let answer = Answer::of(&client.submit(&purchase).await);
                    let answers = vec![answer];
                    asked.push((Asked { purchase, answers }, begun.elapsed()));
                }
                asked
            });
        }
        Others {
            stop,
            clients: tasks,
        }
    }

    async fn end(mut self) -> Result<Vec<(Asked, Duration)>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(asked) = self.clients.join_next().await {
            all.extend(asked?);
        }
        Ok(all)
    }
}

impl Had {
    fn add(&mut self, asked: Vec<(Asked, Duration)>, all: &mut Vec<Asked>) {
        for (asked, took) in asked {
            match &asked.answers[..] {
                [Answer::Committed { .. }] => {
                    self.made += 1;
                    self.took.push(took);
                }
                answers => {
                    let word = answers.first().map_or("", word);
                    *self.failed.entry(word.to_owned()).or_default() += 1;
                }
            }
            all.push(asked);
        }
    }
}

impl fmt::Display for Had {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = self.made as f64 / self.seconds;
        let (half, most) = (percentile(&self.took, 50), percentile(&self.took, 99));
        write!(f, "{per_second:>10.0}{half:>10.1}{most:>10.1}  ")?;
        if self.failed.is_empty() {
            return f.write_str("0");
        }
        write!(f, "{:?}", self.failed)
    }
}
