//! Units that were deducted, against all that was ever decided.

use std::time::Duration;

use anyhow::{Result, ensure};
use tandem_tests::{Case, Setup, StockPlace, StoresOptions, World, purchase, until};

use super::audit::{audit, ensure_agrees};
use super::helpers::*;

pub(crate) const CASES: &[Case] = &[
    case!(wrong_stock_of_forgotten_purchases_is_found on ONE, with forgetful),
    case!(wrong_stock_in_a_hash_is_found on ONE, with forgetful_in_a_hash),
    case!(stock_in_pools_is_audited_pool_by_pool on ONE, with pools),
];

/// Nothing of the last minute is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(100);

/// Forgets a purchase as soon as there are five later ones.
fn forgetful() -> Setup {
    Setup {
        limits: "[retention]\npurchases_max = 5\n".into(),
        ..Setup::default()
    }
}

fn forgetful_in_a_hash() -> Setup {
    Setup {
        stores: StoresOptions {
            stock: StockPlace::Hash,
            ..StoresOptions::default()
        },
        ..forgetful()
    }
}

fn pools() -> Setup {
    Setup {
        stores: StoresOptions {
            stock: StockPlace::Pools,
            ..StoresOptions::default()
        },
        ..Setup::default()
    }
}

/// Each pool is a stock of its own, the default one under either of its names, also after a restart; and units
/// that were taken from another pool are found.
async fn stock_in_pools_is_audited_pool_by_pool(world: &World) -> Result<()> {
    world.stores.seed("tea", 20).await?;
    world.stores.seed("tea{paris}", 9).await?;
    let client = world.coordinator.client();
    for (number, (stock, units)) in [("tea", 2), ("tea{main}", 3), ("tea{paris}", 4)]
        .into_iter()
        .enumerate()
    {
        let wanted = purchase(&format!("p-{number}"), &[(stock, units)]);
        ensure_committed(&ask(&client, &wanted).await)?;
    }
    let short = client.submit(&purchase("p-9", &[("tea{paris}", 6)])).await;
    let short = short.unwrap_err();
    ensure!(short.message().contains("tea{paris}"), "{short:?}");
    for _ in 0..2 {
        ensure!(world.stores.stock("tea").await? == Some(15));
        ensure!(world.stores.stock("tea{paris}").await? == Some(5));
        ensure_agrees(world, "with each pool as it was decided")?;
        world.coordinator.kill9()?;
        world.start_again().await?;
    }
    let shown = tandem(world, &["stock", "tea{paris}"])?;
    ensure!(shown.contains('5'), "{shown}");
    const COUNT: &str = "witness:tandem:shop:stock:of:stock:";
    let (main, paris) = (format!("{COUNT}main:tea"), format!("{COUNT}paris:tea"));
    kv(world, &[&["DECRBY", &main, "1"], &["INCRBY", &paris, "1"]]).await?;
    let (document, code) = audit(world, &[])?;
    let all = document["disagreements"].to_string();
    ensure!(
        code == 1 && all.contains("units of tea{paris}") && all.contains("by the log they are 5"),
        "exit {code}: {document:#}"
    );
    Ok(())
}

async fn wrong_stock_of_forgotten_purchases_is_found(world: &World) -> Result<()> {
    const COUNT: &str = "witness:tandem:shop:stock:of:stock:tea";
    let spoil: [&[&str]; 2] = [&["DECRBY", "stock:tea", "4"], &["INCRBY", COUNT, "4"]];
    let mend: [&[&str]; 2] = [&["INCRBY", "stock:tea", "4"], &["SET", COUNT, "80"]];
    wrong_stock_is_found(world, &spoil, &mend).await
}

async fn wrong_stock_in_a_hash_is_found(world: &World) -> Result<()> {
    const COUNT: &str = "witness:tandem:shop:stock:of:tea";
    let spoil: [&[&str]; 2] = [
        &["HINCRBY", "warehouse", "tea", "-4"],
        &["HINCRBY", "warehouse", COUNT, "4"],
    ];
    let mend: [&[&str]; 2] = [
        &["HINCRBY", "warehouse", "tea", "4"],
        &["HSET", "warehouse", COUNT, "80"],
    ];
    wrong_stock_is_found(world, &spoil, &mend).await
}

/// Units that a store deducted twice are found although the log has long forgotten the purchases, also
/// after restarts, and what the audit advises makes it agree again.
async fn wrong_stock_is_found(world: &World, spoil: &[&[&str]], mend: &[&[&str]]) -> Result<()> {
    world.stores.seed("tea", 1_000).await?;
    let client = world.coordinator.client();
    let mut asked = Vec::new();
    for number in 0..40 {
        asked.push(ask(&client, &purchase(&format!("p-{number}"), &[("tea", 2)])).await);
        if number % 15 == 14 {
            world.coordinator.kill9()?;
            world.start_again().await?;
        }
    }
    let folder = world.coordinator.data_dir().to_string_lossy().into_owned();
    until(
        "the log has forgotten most of them",
        FORGOTTEN,
        async || {
            let (document, _) = audit(world, &[])?;
            Ok(document["summary"]["transactions"].as_u64() <= Some(5))
        },
    )
    .await?;
    ensure_agrees(world, "with everything as it was decided")?;
    world.coordinator.stop()?;
    let inspected = tandem(world, &["log", "inspect", "--records", &folder])?;
    ensure!(
        inspected.contains("totals of 1 skus at stock"),
        "{inspected}"
    );
    world.start_again().await?;

    // As a script does that is stopped half way and repeated.
    kv(world, spoil).await?;
    let (document, code) = audit(world, &[])?;
    let found = &document["disagreements"][0];
    ensure!(
        code == 1 && found["kind"] == "DEDUCTED_DIFFERS" && found["participant"] == "stock",
        "exit {code}: {document:#}"
    );
    let says = |field: &str, words: &str| {
        let text = found[field].as_str().unwrap_or_default().to_owned();
        println!("{text}");
        ensure!(text.contains(words), "{field}: {text}");
        anyhow::Ok(())
    };
    says(
        "detail",
        "counted 84 units of tea as deducted, and by the log they are 80",
    )?;
    says("remedy", "raise it by 4")?;
    says("remedy", "count of tea to 80")?;
    kv(world, mend).await?;
    ensure_agrees(world, "after what was advised")?;
    ensure!(world.stores.stock("tea").await? == Some(920));
    world.judge(&asked).await?;
    Ok(())
}
