//! What others notice of a purchase that can't be made: nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::join_all;
use sqlx::{Executor, MySqlConnection};
use tandem_proto::v1::{LinkState, ParticipantStatus};
use tandem_tests::{Answer, Asked, Case, Client, Setup, StoresOptions, World, purchase, until};
use tokio::task::JoinSet;
use tonic::Code;

use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(sold_out_purchase_beside_a_locked_row_harms_nobody on TWO),
    case!(value_that_a_column_does_not_take_harms_nobody on TWO),
    case!(locked_customer_holds_up_only_those_who_come_with_the_first on TWO),
    case!(locked_rows_that_cost_the_branch_harm_nobody on ONE, with rollback_on_timeout),
    case!(another_locked_row_each_time_holds_nobody_up on TWO, with listed),
    case!(another_locked_row_that_costs_the_branch_holds_nobody_up on TWO, with listed_rollback_on_timeout),
    case!(user_of_three_connections_is_served on TWO, with app_user),
    case!(missing_table_is_named_and_not_remembered on TWO),
    case!(statement_that_can_not_run_is_refused_at_the_start on TWO, with down),
];

/// How long the bad purchases go on.
const PERIOD: Duration = Duration::from_secs(6);

/// Pause between two of them.
const BAD_EVERY: Duration = Duration::from_millis(300);

/// How many buy besides.
const CLIENTS: usize = 8;

/// What others notice of a lock wait is more than this.
const NOTICED: Duration = Duration::from_millis(800);

/// Everybody else.
struct Others {
    stop: Arc<AtomicBool>,
    /// How many of their purchases took longer than [`NOTICED`].
    late: Arc<AtomicUsize>,
    clients: JoinSet<Vec<Asked>>,
    purchases: ParticipantStatus,
}

impl Others {
    async fn begin(world: &World) -> Result<Others> {
        let stop = Arc::new(AtomicBool::new(false));
        let late = Arc::new(AtomicUsize::new(0));
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let client = world.coordinator.client();
            let (stop, late) = (Arc::clone(&stop), Arc::clone(&late));
            clients.spawn(async move {
                let mut asked = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let id = format!("other-{number}-{}", asked.len());
                    let begun = Instant::now();
                    asked.push(ask(&client, &purchase(&id, &[("tea", 1)])).await);
                    if begun.elapsed() > NOTICED {
                        late.fetch_add(1, Ordering::Relaxed);
                    }
                }
                asked
            });
        }
        Ok(Others {
            stop,
            late,
            clients,
            purchases: world
                .coordinator
                .operator()
                .participant("purchases")
                .await?,
        })
    }

    /// Each of them got what they wanted, and the participant was up all the time.
    async fn end(mut self, world: &World) -> Result<Vec<Asked>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        while let Some(asked) = self.clients.join_next().await {
            all.extend(asked?);
        }
        for asked in &all {
            ensure_committed(asked)?;
        }
        ensure!(all.len() >= 100, "only {}", all.len());
        let now = world
            .coordinator
            .operator()
            .participant("purchases")
            .await?;
        ensure!(now.state() == LinkState::Up, "{now:?}");
        ensure!(now.since == self.purchases.since, "it was down: {now:?}");
        Ok(all)
    }
}

async fn every(
    pause: Duration,
    mut buy: impl AsyncFnMut(usize) -> Result<Asked>,
) -> Result<Vec<Asked>> {
    let begun = tokio::time::Instant::now();
    let mut asked = Vec::new();
    while begun.elapsed() < PERIOD {
        asked.push(buy(asked.len()).await?);
        tokio::time::sleep(pause).await;
    }
    Ok(asked)
}

/// A session of the app's that has the rows of these purchases locked.
async fn hold(world: &World, ids: impl Iterator<Item = String>) -> Result<MySqlConnection> {
    let mut other = world.stores.sql().await?;
    other.execute("BEGIN").await?;
    for id in ids {
        let insert =
            format!("INSERT INTO purchases VALUES ('{id}', 'bob', 'EUR', 1, 'none', '2020-01-01')");
        other.execute(sqlx::AssertSqlSafe(insert)).await?;
    }
    Ok(other)
}

/// All of the bad ones were refused for a lock that a session holds, which few of the others have noticed; and
/// they are made when it is given back.
async fn ensure_locked_until_given_back(
    world: &World,
    mut bad: Vec<Asked>,
    others: Others,
    mut holder: MySqlConnection,
) -> Result<()> {
    let late = Arc::clone(&others.late);
    let all_others = others.end(world).await?;
    for asked in &bad {
        let [Answer::NotMade { reason }] = &asked.answers[..] else {
            anyhow::bail!("{asked:?}");
        };
        ensure!(reason == "LOCKED", "{asked:?}");
    }
    let late = late.load(Ordering::Relaxed);
    println!("{late} of {} others noticed it", all_others.len());
    ensure!(late <= 2 * CLIENTS, "{late} others noticed it");
    holder.execute("ROLLBACK").await?;
    for asked in &mut bad {
        ask_until_final(world, asked).await?;
        ensure_committed(asked)?;
    }
    bad.extend(all_others);
    world.judge(&bad).await?;
    Ok(())
}

/// Redis refuses it at once, while its statement at MySQL still waits for a row.
async fn sold_out_purchase_beside_a_locked_row_harms_nobody(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000_000).await?;
    world.stores.seed("gone", 0).await?;
    let mut other = hold(world, (0..40).map(|number| format!("gone-{number}"))).await?;
    let others = Others::begin(world).await?;
    let client = world.coordinator.client();
    let bad = every(BAD_EVERY, async |number| {
        Ok(ask(
            &client,
            &purchase(&format!("gone-{number}"), &[("gone", 1)]),
        )
        .await)
    })
    .await?;
    let mut all = others.end(world).await?;
    for asked in &bad {
        let [Answer::Refused { reason }] = &asked.answers[..] else {
            anyhow::bail!("{asked:?}");
        };
        ensure!(reason == "INSUFFICIENT_STOCK", "{asked:?}");
    }
    other.execute("ROLLBACK").await?;
    all.extend(bad);
    world.judge(&all).await?;
    Ok(())
}

/// Pause between two purchases of a customer whose row is locked: many for each lock wait.
const HIS_EVERY: Duration = Duration::from_millis(50);

/// The app holds a customer's row, which each of his purchases needs, while others buy the same goods.
async fn locked_customer_holds_up_only_those_who_come_with_the_first(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000_000).await?;
    for statement in [
        "CREATE TABLE customers (id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL \
         PRIMARY KEY) ENGINE=InnoDB",
        "INSERT INTO customers VALUES ('ann@example.org'), ('bob')",
        "ALTER TABLE purchases ADD FOREIGN KEY (customer_id) REFERENCES customers (id)",
    ] {
        sql(world, statement).await?;
    }
    let mut other = world.stores.sql().await?;
    other.execute("BEGIN").await?;
    other
        .execute("SELECT id FROM customers WHERE id = 'bob' FOR UPDATE")
        .await?;
    let others = Others::begin(world).await?;
    let client = world.coordinator.client();
    let operator = world.coordinator.operator();
    let mut apart = 0;
    let mut his = JoinSet::new();
    let begun = Instant::now();
    while begun.elapsed() < PERIOD {
        let mut wanted = purchase(&format!("his-{}", his.len()), &[("tea", 1)]);
        wanted.customer_id = "bob".to_owned();
        let client = client.clone();
        his.spawn(async move { ask(&client, &wanted).await });
        tokio::time::sleep(HIS_EVERY).await;
        let queue = operator.participants().await?.queue.unwrap_or_default();
        ensure!(queue.purchases >= queue.purchases_apart, "{queue:?}");
        apart = apart.max(queue.purchases_apart);
    }
    ensure!(apart > 0, "the operator saw none of his wait apart");
    // Those who notice are of the transaction that finds the lock, and of one more that was under way with his
    // next.
    ensure_locked_until_given_back(world, his.join_all().await, others, other).await
}

async fn value_that_a_column_does_not_take_harms_nobody(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000_000).await?;
    sql(
        world,
        "ALTER TABLE purchases MODIFY currency ENUM('EUR', 'USD') CHARACTER SET ascii NOT NULL",
    )
    .await?;
    let others = Others::begin(world).await?;
    let client = world.coordinator.client();
    let bad = every(BAD_EVERY, async |number| {
        let mut pounds = purchase(&format!("pounds-{number}"), &[("tea", 1)]);
        pounds.currency = "GBP".to_owned();
        Ok(ask(&client, &pounds).await)
    })
    .await?;
    let mut all = others.end(world).await?;
    for asked in &bad {
        let [Answer::Refused { reason }] = &asked.answers[..] else {
            anyhow::bail!("{asked:?}");
        };
        ensure!(reason == "CONSTRAINT_VIOLATED", "{asked:?}");
    }
    all.extend(bad);
    world.judge(&all).await?;
    Ok(())
}

fn rollback_on_timeout() -> Setup {
    Setup {
        stores: StoresOptions {
            mysql_args: vec!["--innodb-rollback-on-timeout=ON".into()],
            ..StoresOptions::default()
        },
        ..Setup::default()
    }
}

/// MySQL's performance schema is on, as it comes.
fn listed() -> Setup {
    let mut setup = Setup::default();
    setup.stores.mysql_args = vec!["--performance-schema=ON".into()];
    setup
}

fn listed_rollback_on_timeout() -> Setup {
    let mut setup = listed();
    let args = &mut setup.stores.mysql_args;
    args.push("--innodb-rollback-on-timeout=ON".into());
    setup
}

/// Nothing tells beforehand which purchase needs a locked row: each has an id of its own, and customer and
/// goods are those of all.
async fn another_locked_row_each_time_holds_nobody_up(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000_000).await?;
    let other = hold(world, (0..40).map(|number| format!("held-{number}"))).await?;
    let others = Others::begin(world).await?;
    let client = world.coordinator.client();
    let bad = every(BAD_EVERY, async |number| {
        let wanted = purchase(&format!("held-{number}"), &[("tea", 1)]);
        Ok(ask(&client, &wanted).await)
    })
    .await?;
    ensure_locked_until_given_back(world, bad, others, other).await
}

async fn another_locked_row_that_costs_the_branch_holds_nobody_up(world: &World) -> Result<()> {
    another_locked_row_each_time_holds_nobody_up(world).await
}

async fn locked_rows_that_cost_the_branch_harm_nobody(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000).await?;
    let every_25th = (0..8).map(|number| format!("p-{}", 25 * number));
    let mut other = hold(world, every_25th).await?;
    let client = world.coordinator.client();
    let wanted: Vec<_> = (0..200)
        .map(|number| purchase(&format!("p-{number}"), &[("tea", 1)]))
        .collect();
    let mut all = join_all(wanted.iter().map(|one| ask(&client, one))).await;
    for (number, asked) in all.iter_mut().enumerate() {
        if number % 25 == 0 {
            let status = client.submit(&asked.purchase).await.unwrap_err();
            assert_reason(&status, Code::Aborted, "LOCKED");
        } else {
            ensure_committed(asked)?;
        }
    }
    other.execute("ROLLBACK").await?;
    for number in (0..200).step_by(25) {
        ask_until_final(world, &mut all[number]).await?;
        ensure_committed(&all[number])?;
    }
    world.judge(&all).await?;
    Ok(())
}

fn app_user() -> Setup {
    Setup {
        stores: StoresOptions {
            app_user: true,
            ..StoresOptions::default()
        },
        coordinator_down: true,
        ..Setup::default()
    }
}

async fn user_of_three_connections_is_served(world: &World) -> Result<()> {
    world.stores.seed("tea", 1_000).await?;
    sql(world, "ALTER USER shop WITH MAX_USER_CONNECTIONS 3").await?;
    world.start_again().await?;
    let client = world.coordinator.client();
    let mut all = Vec::new();
    for round in 0..2 {
        let wanted: Vec<_> = (0..300)
            .map(|number| purchase(&format!("p-{round}-{number}"), &[("tea", 1)]))
            .collect();
        all.extend(join_all(wanted.iter().map(|one| ask(&client, one))).await);
    }
    for asked in &all {
        ensure_committed(asked)?;
    }
    world.judge(&all).await?;
    Ok(())
}

async fn missing_table_is_named_and_not_remembered(world: &World) -> Result<()> {
    world.stores.seed("tea", 10).await?;
    let client: Client = world.coordinator.client();
    let wanted = purchase("p-1", &[("tea", 1)]);
    for (breaks, mends, number) in [
        (
            "RENAME TABLE purchase_items TO elsewhere",
            "RENAME TABLE elsewhere TO purchase_items",
            "1146",
        ),
        (
            "ALTER TABLE purchases RENAME COLUMN currency TO money",
            "ALTER TABLE purchases RENAME COLUMN money TO currency",
            "1054",
        ),
    ] {
        sql(world, breaks).await?;
        let status = client.submit(&wanted).await.unwrap_err();
        assert_reason(&status, Code::FailedPrecondition, "MISCONFIGURED");
        ensure!(status.message().contains(number), "{status:?}");
        until("the operator sees it", SOON, async || {
            let one = world
                .coordinator
                .operator()
                .participant("purchases")
                .await?;
            let found = one.description.iter().flat_map(|one| &one.findings);
            let mut found = found.filter(|finding| finding.name == "MISCONFIGURED");
            Ok(one.state() == LinkState::Up && found.any(|one| one.detail.contains(number)))
        })
        .await?;
        sql(world, mends).await?;
    }
    let asked = ask(&client, &wanted).await;
    ensure_committed(&asked)?;
    world.judge(&[asked]).await?;
    Ok(())
}

async fn statement_that_can_not_run_is_refused_at_the_start(world: &World) -> Result<()> {
    sql(world, "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY)").await?;
    let mut start = world.start.clone();
    start.participants = format!(
        "[participants.purchases.mysql]\n{}\n\
         [[participants.purchases.mysql.statements]]\nper = \"purchase\"\n\
         sql = \"INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)\"\n\
         [participants.stock.redis]\n{}\n",
        world.stores.mysql_settings(),
        world.stores.redis_settings()
    );
    world.coordinator.launch(&start)?;
    let operator = world.coordinator.operator();
    until("the statement is named", SOON, async || {
        let one = operator.participant("purchases").await;
        Ok(one.is_ok_and(|one| {
            one.state() == LinkState::Down
                && one.detail.contains("statement 1")
                && one.detail.contains("'customer'")
        }))
    })
    .await?;
    ensure!(number(world, "SELECT COUNT(*) FROM tandem_coordinators").await? == 0);
    sql(world, "ALTER TABLE orders ADD COLUMN customer VARCHAR(64)").await?;
    until_up(world, "purchases").await
}
