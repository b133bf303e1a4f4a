//! A wall clock that was a day ahead at one start and is right at the next.

use anyhow::{Context, Result, ensure};
use tandem_tests::{Case, World, purchase};

use super::helpers::*;
use super::preloaded::{library, preload};

pub(crate) const CASES: &[Case] =
    &[case!(clock_that_was_a_day_ahead_leaves_an_audit_that_compares_all on TWO, with down)];

const SOURCE: &str = include_str!("clock.c");

/// What moves the clock of a process by these seconds.
pub(crate) fn ahead(world: &World, seconds: u64) -> Result<Vec<(String, String)>> {
    Ok(vec![
        preload(&library(world, "clock", SOURCE)?),
        ("CLOCK_AHEAD_S".into(), seconds.to_string()),
    ])
}

async fn clock_that_was_a_day_ahead_leaves_an_audit_that_compares_all(world: &World) -> Result<()> {
    world.stores.seed("tea", 100).await?;
    let ahead = tandem_tests::Start {
        env: ahead(world, 24 * 60 * 60)?,
        ..world.start.clone()
    };
    world.coordinator.start(&ahead).await?;
    let first = ask(&world.coordinator.client(), &purchase("p-1", &[("tea", 2)])).await;
    world.coordinator.stop()?;
    world.start_again().await?;
    world
        .coordinator
        .wait_log("the clock of this machine is behind")
        .await?;
    let second = ask(&world.coordinator.client(), &purchase("p-2", &[("tea", 3)])).await;

    // Rows of either day that somebody deletes are missed, and the advice puts them back.
    for id in ["p-1", "p-2"] {
        let whole = world.tandem(&["audit"])?;
        let said = String::from_utf8_lossy(&whole.stdout).into_owned();
        ensure!(whole.status.code() == Some(0), "{said}");
        ensure!(said.contains("2 purchases in 2 transactions"), "{said}");
        sql(
            world,
            &format!("DELETE FROM purchases WHERE purchase_id = '{id}'"),
        )
        .await?;
        for words in [&["audit"][..], &["audit", "--last", "1h"]] {
            let missed = world.tandem(words)?;
            let said = String::from_utf8_lossy(&missed.stdout).into_owned();
            ensure!(missed.status.code() == Some(1), "{words:?}: {said}");
            ensure!(
                said.contains(&format!("ROW_MISSING at purchases, purchase {id}")),
                "{said}"
            );
        }
        let missed = world.tandem(&["audit"])?;
        let said = String::from_utf8_lossy(&missed.stdout).into_owned();
        let repair = said.split('`').nth(1).context("no command")?;
        let words = repair.replace("TEXT", "deleted") + " --operator ann --yes";
        let words: Vec<&str> = words.split_whitespace().skip(1).collect();
        // Its items are there still: the store says so, and leaves them.
        sql(
            world,
            &format!("DELETE FROM purchase_items WHERE purchase_id = '{id}'"),
        )
        .await?;
        tandem(world, &words)?;
    }
    // A time that nothing is of is no agreement.
    let nothing = world.tandem(&[
        "audit",
        "--since",
        "2020-01-01T00:00:00Z",
        "--until",
        "2020-01-02T00:00:00Z",
    ])?;
    ensure!(nothing.status.code() == Some(5), "{nothing:?}");

    let books = world.judge(&[first, second]).await?;
    ensure!(books.committed == 2, "{books}");
    world.coordinator.stop()?;
    let folder = world.coordinator.data_dir().to_string_lossy().into_owned();
    let read = json(world, &["log", "inspect", "--records", &folder])?;
    let records = read["records"].as_array().context("no records")?;
    let times: Vec<&str> = records
        .iter()
        .filter_map(|one| one["time"].as_str())
        .collect();
    // Behind them are the decisions once more that were read back for the repairs.
    let times = times.get(..4).context("two epochs and two decisions")?;
    ensure!(times.is_sorted(), "{times:?}");
    Ok(())
}
