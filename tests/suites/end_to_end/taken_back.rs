//! Units that somebody has deducted with tandem's own script, against an abort: taken back at Redis as
//! tandem says.

use anyhow::{Context, Result, bail, ensure};
use tandem_participant::{Commit, Participant};
use tandem_protocol::{Entry, Epoch, Item, Purchase};
use tandem_redis::RedisParticipant;
use tandem_tests::{Case, Judge, StockPlace, World, purchase, until};

use super::audit::audit;
use super::following::*;
use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(advice_on_a_commit_of_tandems_own_script_against_an_abort_takes_it_back on EVERYWHERE, with down),
    case!(advice_on_such_a_commit_on_a_stock_hash_takes_it_back on TWO, with down_with_a_hash),
    case!(advice_on_such_a_commit_on_products_takes_it_back on TWO, with down_with_products),
];

/// Commits at Redis, as a participant that another process drives, what the coordinator has not decided.
async fn commit_behind_its_back(world: &World, id: &str, place: StockPlace) -> Result<()> {
    let mut settings = tandem_redis::Settings::at(world.stores.redis.url());
    match place {
        StockPlace::Key => {}
        StockPlace::Hash => settings.stock_hash = Some("warehouse".into()),
        StockPlace::Products => {
            settings.stock_key = Some("product:{sku}".into());
            settings.stock_field = Some("stock".into());
        }
        StockPlace::Pools => {
            settings.stock_key = Some("stock:{pool}:{sku}".into());
            settings.default_pool = Some("main".into());
        }
        StockPlace::Warehouses => bail!("no case sells from a shop's own products"),
    }
    let stock = RedisParticipant::new("stock".parse()?, settings)?;
    let transaction: tandem_protocol::TransactionId = id.parse()?;
    let purchase = Purchase {
        purchase_id: "p-1".into(),
        customer_id: "ann@example.org".into(),
        currency: "EUR".into(),
        items: vec![Item {
            sku: "tea".into(),
            quantity: 2,
            unit_price_minor: 1,
            ..Default::default()
        }],
        ..Default::default()
    };
    stock
        .commit(&Commit {
            caller_epoch: Epoch(transaction.epoch.0 + 1),
            begin_time: tandem_protocol::Timestamp(0),
            decide_time: tandem_protocol::Timestamp(0),
            transaction,
            entries: vec![Entry {
                number: 0,
                purchase: purchase.into(),
            }],
        })
        .await?;
    Ok(())
}

async fn takes_it_back(world: &World, place: StockPlace) -> Result<()> {
    world.start_to_end_at("deciding:kill:2").await?;
    world.stores.seed("tea", 20).await?;
    let client = world.coordinator.client();
    let sold = ask(&client, &purchase("p-0", &[("tea", 10)])).await;
    let mut asked = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    world.coordinator.wait_end().await?;
    let id = only_prepared(world).await?;
    world.stores.mysql.kill9()?;
    launch(world)?;
    until_up(world, "stock").await?;
    commit_behind_its_back(world, &id, place).await?;
    ensure!(world.stores.stock("tea").await? == Some(8));
    world.stores.mysql.restart()?;
    until("the commit is found", SOON, async || {
        let listed = json(world, &["tx", "list", "--heuristic"])?;
        Ok(listed["total"] == 1)
    })
    .await?;
    let audited = printed(world, &["audit"])?;
    let shown = follow(world, &command(&audited, "tandem tx show")?)?;
    println!("{audited}\n{shown}");

    // How many units of what, the audit says.
    let (document, _) = audit(world, &[])?;
    let disagreements = document["disagreements"].as_array().context("no list")?;
    let differs = disagreements
        .iter()
        .find(|one| one["kind"] == "DEDUCTED_DIFFERS");
    let remedy = differs.context("DEDUCTED_DIFFERS is not told")?["remedy"].as_str();
    let remedy = remedy.context("no remedy")?;
    let word = |behind: &str| {
        let (_, rest) = remedy.split_once(behind)?;
        let end = rest.find([' ', ';']).unwrap_or(rest.len());
        Some(rest[..end].to_owned())
    };
    let sku = word("stock of ").context("no sku")?;
    let units = word("raise it by ").context("no units")?;
    ensure!((sku.as_str(), units.as_str()) == ("tea", "2"), "{remedy}");

    let (_, take_back) = shown
        .split_once("take back at the store")
        .context("no advice")?;
    let (with_keys, rest) = take_back
        .split_once("With a stock hash")
        .context("no hash")?;
    let (with_hashes, last) = rest.split_once("Last remove").context("no end")?;
    let (with_a_hash, with_a_field) = with_hashes
        .split_once("With the field")
        .context("no field")?;
    let (_, character) = with_keys
        .split_once("If character ")
        .context("no character")?;
    let character: usize = character.split(' ').next().unwrap_or_default().parse()?;
    let filled = |text: &str| -> Vec<String> {
        let fill = |one: &String| {
            let one = one.replace("SKU", &sku).replace("UNITS", &units);
            let hash = match place {
                StockPlace::Products | StockPlace::Warehouses => "product:tea",
                StockPlace::Key | StockPlace::Pools | StockPlace::Hash => "warehouse",
            };
            one.replace("HASH", hash).replace("FIELD", "stock")
        };
        commands(text).iter().map(fill).collect()
    };
    match place {
        StockPlace::Key | StockPlace::Pools => {
            let row: String = redis_says(world, &command(with_keys, "GET witness")?).await?;
            ensure!(row.chars().nth(character - 1) == Some('1'), "{row}");
            at_redis(world, &filled(with_keys)).await?;
        }
        StockPlace::Products | StockPlace::Warehouses => {
            let row: String = redis_says(world, &command(with_keys, "GET witness")?).await?;
            ensure!(row.chars().nth(character - 1) == Some('1'), "{row}");
            at_redis(world, &filled(with_a_field)).await?;
            at_redis(world, &[command(with_keys, "SETRANGE")?]).await?;
        }
        StockPlace::Hash => {
            let all = filled(with_a_hash);
            let reads = all
                .iter()
                .find(|one| one.starts_with("HGET"))
                .context("no row")?;
            let row: String = redis_says(world, reads).await?;
            ensure!(row.chars().nth(character - 1) == Some('1'), "{row}");
            let mut row = row.into_bytes();
            row[character - 1] = b'0';
            let row = String::from_utf8(row)?;
            let writes = all.iter().filter(|one| !one.starts_with("HGET"));
            let writes: Vec<String> = writes.map(|one| one.replace("TEXT", &row)).collect();
            at_redis(world, &writes).await?;
        }
    }
    at_redis(world, &commands(last)[..1]).await?;
    follow(world, &command(&shown, "tandem tx settle")?)?;
    Judge(&world.stores)
        .quiet(&world.coordinator.operator())
        .await?;
    ensure!(world.stores.stock("tea").await? == Some(10));
    // Nothing is left of it for a new coordinator either.
    world.coordinator.kill9()?;
    world.start_again().await?;
    ask_until_final(world, &mut asked).await?;
    let books = world.judge(&[sold, asked]).await?;
    ensure!(books.committed == 2, "{books}");
    ensure_audited(world)
}

async fn advice_on_a_commit_of_tandems_own_script_against_an_abort_takes_it_back(
    world: &World,
) -> Result<()> {
    takes_it_back(world, StockPlace::Key).await
}

async fn advice_on_such_a_commit_on_a_stock_hash_takes_it_back(world: &World) -> Result<()> {
    takes_it_back(world, StockPlace::Hash).await
}

async fn advice_on_such_a_commit_on_products_takes_it_back(world: &World) -> Result<()> {
    takes_it_back(world, StockPlace::Products).await
}
