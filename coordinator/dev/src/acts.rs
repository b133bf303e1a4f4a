//! The story, act by act. Each does something to real servers, then reads from the stores what
//! they hold and checks it.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use tandem_proto::v1::{
    BranchProgress, Item, Purchase, PurchaseState, SubmitPurchaseRequest, TransactionSummary,
};
use tokio::task::block_in_place;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::coordinator::Coordinator;
use crate::machine::Machine;
use crate::snapshot::{Snapshot, Units, units};
use crate::stores::STOCK;
use crate::story::Story;
use crate::wait::until;

/// For the coordinator to finish what it began, or to notice that a store is gone.
const TURN_MAX: Duration = Duration::from_secs(15);

const COMMITTED: &str = "committed, applied in both stores";

/// What the story plays on. The coordinator is dropped before the stores that it works on.
#[derive(Debug)]
pub(crate) struct Stage {
    story: Story,
    coordinator: Coordinator,
    machine: Machine,
    /// The stock that Redis must hold, by what was sold so far.
    left: Units,
}

impl Stage {
    pub(crate) fn new(story: Story, coordinator: Coordinator, machine: Machine) -> Self {
        Self {
            story,
            coordinator,
            machine,
            left: beginning(),
        }
    }

    pub(crate) fn story(&self) -> &Story {
        &self.story
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Plays everything.
    ///
    /// # Errors
    /// The first thing that is not as it should be.
    pub(crate) async fn play(&mut self) -> anyhow::Result<()> {
        self.a_purchase_commits().await?;
        self.a_purchase_is_refused().await?;
        self.the_coordinator_is_killed().await?;
        self.redis_is_killed().await?;
        self.the_books_are_checked().await
    }

    /// Stops the coordinator, then the stores.
    pub(crate) async fn close(mut self) -> anyhow::Result<Story> {
        self.coordinator.stop().await?;
        self.machine.stores.stop()?;
        Ok(self.story)
    }

    async fn a_purchase_commits(&mut self) -> anyhow::Result<()> {
        self.story.heading("1. A purchase commits");
        self.story.say(&format!(
            "The stock, in Redis, is {}. MySQL has no purchases yet. Ann buys 2 lamps.",
            units(&self.left)
        ));
        let order = order("demo-1", "ann", &[("lamp", 2, 1_999)]);
        let answer = self.machine.api.submit(order.clone()).await;
        let told = outcome(&answer);
        let now = self.look(&order).await?;
        self.check_told("Ann is told", COMMITTED, &told)?;
        self.check_sold(&order, &now)
    }

    async fn a_purchase_is_refused(&mut self) -> anyhow::Result<()> {
        self.story.heading("2. A purchase is refused");
        self.story.say(
            "Bob wants 1 lamp and 5 desks, but there are only 3 desks. The lamp alone could be \
             sold; the purchase is one thing, so it is refused as a whole.",
        );
        let order = order("demo-2", "bob", &[("lamp", 1, 1_999), ("desk", 5, 24_900)]);
        let answer = self.machine.api.submit(order.clone()).await;
        let told = outcome(&answer);
        // He is answered at once; MySQL, which was asked at the same time, is then told to forget.
        self.wait_until_quiet().await?;
        let now = self.look(&order).await?;
        self.check_told(
            "Bob is told",
            "FAILED_PRECONDITION, INSUFFICIENT_STOCK",
            &told,
        )?;
        let story = &mut self.story;
        story.check("MySQL has no row", "no row", now.recorded("demo-2"))?;
        story.check("the stock is as before", units(&self.left), now.stock())?;
        story.check("nothing is left waiting", "nothing", now.unfinished())
    }

    async fn the_coordinator_is_killed(&mut self) -> anyhow::Result<()> {
        self.story.heading(
            "3. The coordinator is killed after its decision, before it tells either store",
        );
        self.story.say(
            "Cleo buys 1 lamp and 2 chairs. Both stores promise to do it (they prepare), the \
             coordinator writes its decision to disk, and at that very moment it dies: kill -9.",
        );
        let order = order("demo-3", "cleo", &[("lamp", 1, 1_999), ("chair", 2, 4_500)]);
        self.replace_coordinator(Some("decided:kill")).await?;
        let answer = self.machine.api.submit(order.clone()).await;
        let death = self.coordinator.died().await?;
        let told = outcome(&answer);
        let now = self.look(&order).await?;
        self.story.check(
            "the coordinator is dead",
            format!("killed by {}", Signal::SIGKILL),
            ended_how(death.signal()),
        )?;
        self.check_told("Cleo gets", "no answer", &told)?;
        self.check_in_doubt(&order, &now)?;

        self.story.line("");
        self.story.say(
            "So the purchase is in doubt: neither store may guess. The coordinator is started \
             again, finds its decision on disk, and carries it out. Nobody has to help.",
        );
        self.coordinator = self.machine.coordinator(None).await?;
        self.wait_until_applied(&order).await?;
        let now = self.look(&order).await?;
        self.check_sold(&order, &now)?;
        let waiting = self.machine.api.in_doubt().await?.len();
        self.story
            .check("tandem lists nothing in doubt", 0, waiting)?;

        self.story.line("");
        self.story
            .say("Cleo, who never had an answer, asks again with the same purchase id.");
        self.story.line("");
        let answer = self.machine.api.submit(order.clone()).await;
        let told = outcome(&answer);
        let now = Snapshot::read(&self.machine.stores).await?;
        self.check_told("she is told", COMMITTED, &told)?;
        self.story
            .check("nothing was sold twice", units(&self.left), now.stock())
    }

    async fn redis_is_killed(&mut self) -> anyhow::Result<()> {
        self.story
            .heading("4. Redis is killed between its promise and the commit");
        self.story.say(
            "Dan buys 3 chairs. Both stores promise and the decision is on disk. At that moment the \
             coordinator is held still (SIGSTOP).",
        );
        let order = order("demo-4", "dan", &[("chair", 3, 4_500)]);
        self.replace_coordinator(Some("decided:stop")).await?;
        let api = self.machine.api.clone();
        let submitted = order.clone();
        let answer = tokio::spawn(async move { api.submit(submitted).await });
        self.coordinator.paused().await?;
        let now = self.look(&order).await?;
        self.check_in_doubt(&order, &now)?;

        block_in_place(|| self.machine.stores.redis.kill9())?;
        self.coordinator.resume()?;
        self.story.line("");
        self.story.say(
            "Now Redis dies: kill -9. Then the coordinator goes on. It can tell MySQL to commit, but \
             not Redis. This is what operators see:",
        );
        let transaction = self.wait_until_only_redis_is_left().await?;
        let id = transaction.transaction_id.as_str();
        self.show(&["tx", "list", "--in-doubt"]).await?;
        self.show(&["tx", "show", id]).await?;
        let now = self.look(&order).await?;
        let sold = units(&wanted(&order));
        let story = &mut self.story;
        story.check(
            "MySQL has committed the purchase",
            sold,
            now.recorded("demo-4"),
        )?;
        story.check("Redis is down", "down", now.stock())?;
        story.check(
            "tandem shows it as committed, and not yet everywhere",
            "committed, not yet applied in both stores",
            outcome(&self.machine.api.purchase("demo-4").await),
        )?;
        story.check("Dan is not told anything yet", false, answer.is_finished())?;

        story.line("");
        story.say(
            "Redis is started again. Its append-only file brought the promise back, and the \
             coordinator, which has kept trying, finishes it.",
        );
        block_in_place(|| self.machine.stores.redis.restart())?;
        let answer = tokio::time::timeout(TURN_MAX, answer)
            .await
            .context("Dan's answer did not come")?;
        let told = outcome(&answer?);
        let now = self.look(&order).await?;
        self.check_told("Dan is told now", COMMITTED, &told)?;
        self.check_sold(&order, &now)
    }

    async fn the_books_are_checked(&mut self) -> anyhow::Result<()> {
        self.story.heading("5. The books");
        self.story.say(
            "Whatever died when: for each row in MySQL its units are gone from Redis, once, and \
             for each unit that is gone there is a row.",
        );
        let now = Snapshot::read(&self.machine.stores).await?;
        let mut accounted = now.sold();
        let redis = now.redis.as_ref().context("Redis is down")?;
        for (sku, stock) in &redis.stock {
            *accounted.entry(sku.clone()).or_default() += stock;
        }
        self.story.table(&[
            ("MySQL", "sold by all rows".to_owned(), units(&now.sold())),
            ("Redis", "stock".to_owned(), now.stock()),
            ("", "it began with".to_owned(), units(&beginning())),
        ]);
        let committed = BTreeSet::from(["demo-1", "demo-3", "demo-4"].map(str::to_owned));
        let with_items: BTreeSet<String> = now.mysql.items.keys().cloned().collect();
        let waiting = self.machine.api.in_doubt().await?.len();
        let story = &mut self.story;
        story.check(
            "MySQL has the three purchases that were committed and no other",
            names(&committed),
            names(&now.mysql.purchases),
        )?;
        story.check("each has its items", names(&committed), names(&with_items))?;
        story.check(
            "sold and in stock together are what there was at the beginning",
            units(&beginning()),
            units(&accounted),
        )?;
        story.check("no store holds anything back", "nothing", now.unfinished())?;
        story.check("tandem lists nothing in doubt", 0, waiting)?;
        story.line("");
        Ok(())
    }

    /// Stops the coordinator and starts one that dies or halts at a step.
    async fn replace_coordinator(&mut self, at: Option<&str>) -> anyhow::Result<()> {
        self.coordinator.stop().await?;
        self.coordinator = self.machine.coordinator(at).await?;
        Ok(())
    }

    /// Reads both stores and shows what they hold.
    async fn look(&self, order: &SubmitPurchaseRequest) -> anyhow::Result<Snapshot> {
        let now = Snapshot::read(&self.machine.stores).await?;
        self.story.table(&now.table(&order.purchase_id));
        Ok(now)
    }

    /// A client was told this.
    fn check_told(&mut self, who: &str, expected: &str, told: &str) -> anyhow::Result<()> {
        self.story
            .check(&format!("{who}: {expected}"), expected, told)
    }

    /// The purchase is in both stores, once.
    fn check_sold(&mut self, order: &SubmitPurchaseRequest, now: &Snapshot) -> anyhow::Result<()> {
        let sold = wanted(order);
        for (sku, quantity) in &sold {
            *self.left.entry(sku.clone()).or_default() -= quantity;
        }
        let story = &mut self.story;
        story.check(
            "MySQL has the purchase with its items",
            units(&sold),
            now.recorded(&order.purchase_id),
        )?;
        story.check(
            "Redis has lost these units, once",
            units(&self.left),
            now.stock(),
        )?;
        story.check("nothing is left waiting", "nothing", now.unfinished())
    }

    /// Both stores have promised the purchase, and nobody can see it.
    fn check_in_doubt(
        &mut self,
        order: &SubmitPurchaseRequest,
        now: &Snapshot,
    ) -> anyhow::Result<()> {
        let story = &mut self.story;
        story.check(
            "MySQL lists one prepared transaction",
            1,
            now.mysql.prepared.len(),
        )?;
        story.check(
            "nobody sees its row yet",
            "no row",
            now.recorded(&order.purchase_id),
        )?;
        story.check(
            "Redis holds the units for the same transaction",
            format!("{} for {}", units(&wanted(order)), now.prepared_in_mysql()),
            format!("{} for {}", now.held(), now.prepared_in_redis()),
        )?;
        story.check(
            "the stock itself is not touched yet",
            units(&self.left),
            now.stock(),
        )
    }

    async fn wait_until_applied(&self, order: &SubmitPurchaseRequest) -> anyhow::Result<()> {
        let api = &self.machine.api;
        until("the end of the purchase", TURN_MAX, async || {
            let purchase = api.purchase(&order.purchase_id).await?;
            Ok(purchase.applied.then_some(()))
        })
        .await
    }

    /// Waits until the coordinator has nothing left to do.
    async fn wait_until_quiet(&self) -> anyhow::Result<()> {
        let api = &self.machine.api;
        until("the end of all transactions", TURN_MAX, async || {
            Ok(api.unfinished().await?.is_empty().then_some(()))
        })
        .await
    }

    /// Waits until MySQL has committed and Redis was asked in vain.
    async fn wait_until_only_redis_is_left(&self) -> anyhow::Result<TransactionSummary> {
        let api = &self.machine.api;
        until("MySQL's commit while Redis is down", TURN_MAX, async || {
            Ok(api.in_doubt().await?.into_iter().find(|transaction| {
                transaction.branches.iter().all(|branch| {
                    match (branch.participant.as_str(), branch.progress()) {
                        ("mysql", BranchProgress::Ended) => true,
                        ("redis", BranchProgress::Ending) => !branch.detail.is_empty(),
                        _ => false,
                    }
                })
            }))
        })
        .await
    }

    /// Runs an operator's verb of this program and shows what it printed.
    async fn show(&self, verb: &[&str]) -> anyhow::Result<()> {
        let admin = self.machine.operators();
        let ran = tokio::process::Command::new(self.machine.tandem())
            .args(verb)
            .args(["--admin", &admin])
            .kill_on_drop(true)
            .output()
            .await?;
        let printed = [ran.stdout, ran.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        let command = format!("tandem {} --admin {admin}", verb.join(" "));
        self.story.command(&command, &printed);
        if !ran.status.success() {
            bail!("{command} failed ({})", ran.status);
        }
        Ok(())
    }
}

fn beginning() -> Units {
    STOCK
        .iter()
        .map(|(sku, units)| ((*sku).to_owned(), *units))
        .collect()
}

/// Items are sku, quantity, and price of one in cents.
fn order(id: &str, customer: &str, items: &[(&str, u32, i64)]) -> SubmitPurchaseRequest {
    let items = items.iter().map(|(sku, quantity, price)| Item {
        sku: (*sku).to_owned(),
        quantity: *quantity,
        unit_price_minor: *price,
        ..Default::default()
    });
    SubmitPurchaseRequest {
        purchase_id: id.to_owned(),
        customer_id: customer.to_owned(),
        items: items.collect(),
        currency: "EUR".to_owned(),
        ..SubmitPurchaseRequest::default()
    }
}

fn wanted(order: &SubmitPurchaseRequest) -> Units {
    let items = order.items.iter();
    items
        .map(|item| (item.sku.clone(), i64::from(item.quantity)))
        .collect()
}

fn names(ids: &BTreeSet<String>) -> String {
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.join(", ")
}

/// What a client was told, in words.
fn outcome(answer: &Result<Purchase, Status>) -> String {
    match answer {
        Ok(purchase) => match (purchase.state(), purchase.applied) {
            (PurchaseState::Committed, true) => COMMITTED.to_owned(),
            (PurchaseState::Committed, false) => {
                "committed, not yet applied in both stores".to_owned()
            }
            (state, _) => state.as_str_name().to_owned(),
        },
        Err(status) => match status.get_details_error_info() {
            Some(info) => format!("{}, {}", code(status), info.reason),
            // What the coordinator says itself always has details; this is a broken connection.
            None => "no answer".to_owned(),
        },
    }
}

fn code(status: &Status) -> String {
    match status.code() {
        Code::FailedPrecondition => "FAILED_PRECONDITION".to_owned(),
        other => format!("{other:?}"),
    }
}

fn ended_how(signal: Option<i32>) -> String {
    let signal = signal.and_then(|number| Signal::try_from(number).ok());
    match signal {
        Some(signal) => format!("killed by {signal}"),
        None => "it ended by itself".to_owned(),
    }
}
