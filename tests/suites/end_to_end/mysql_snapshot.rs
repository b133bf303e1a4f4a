//! A MySQL that is put back to a copy which was made while purchases were under way: of the volume, as
//! a machine's snapshot is, or by MariaDB's own program for hot backups. Such a copy holds branches in
//! every state.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tandem_tests::{Case, Load, World, copy_folder, until};

use super::helpers::*;
use super::mysql_is_older::{
    UNITS, bought, buy_one, damaged, named_repaired_and_exact, names, only, put_back, rows, seldom,
};

pub(crate) const CASES: &[Case] = &[
    case!(snapshot_of_a_busy_server_is_noticed_by_the_next_purchase on TWO, with seldom),
    case!(hot_backup_of_a_busy_server_is_noticed_by_the_next_purchase on ONE, with seldom,
        needs Some("mariadb-backup")),
];

/// How long purchases come before the copy, and after it.
const LOAD: Duration = Duration::from_millis(700);

/// A copy of the volume: the server's files as they are at one moment.
fn snapshot(world: &World) -> Result<PathBuf> {
    let (mysql, copy) = (&world.stores.mysql, world.folder().join("snapshot"));
    mysql.pause()?;
    copy_folder(&mysql.data_dir(), &copy)?;
    mysql.resume()?;
    Ok(copy)
}

/// A copy by `mariadb-backup`, made ready to be started on.
fn hot_backup(world: &World) -> Result<PathBuf> {
    let (mysql, copy) = (&world.stores.mysql, world.folder().join("hot-backup"));
    let target = format!("--target-dir={}", copy.display());
    let address = [
        "--host=127.0.0.1".into(),
        format!("--port={}", mysql.port()),
    ];
    mariadb_backup(
        &[
            &["--backup".into(), target.clone(), "--user=root".into()],
            &address[..],
        ]
        .concat(),
    )?;
    mariadb_backup(&["--prepare".into(), target])?;
    Ok(copy)
}

fn mariadb_backup(arguments: &[String]) -> Result<()> {
    let output = Command::new("mariadb-backup")
        .arg("--no-defaults")
        .args(arguments)
        .output()
        .context("mariadb-backup can't be run")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "mariadb-backup {arguments:?}: {said}"
    );
    Ok(())
}

async fn put_back_and_compare(
    world: &World,
    copy: impl FnOnce(&World) -> Result<PathBuf>,
) -> Result<()> {
    world.start_again().await?;
    world.stores.seed("tea", UNITS).await?;
    let client = world.coordinator.client();
    let load = Load::start(&client, 8, "load", 1, &["tea"]);
    tokio::time::sleep(LOAD).await;
    let copy: PathBuf = tokio::task::block_in_place(|| copy(world))?;
    tokio::time::sleep(LOAD).await;
    let mut committed = bought(&load.finish().await?);
    put_back(world, Path::new(&copy))?;
    committed.extend(bought(&[buy_one(world, "next").await?]));

    // What the copy held prepared is committed; what it lacks is named.
    let url = world.stores.mysql_url();
    let mut lost = names(&committed);
    until("every purchase is there or named", SOON, async || {
        lost = only(&names(&committed), &rows(&url).await?);
        Ok(damaged(world)?.len() == lost.len())
    })
    .await?;
    ensure!(!lost.is_empty() && lost.len() < committed.len());
    println!("{} of {} purchases lost", lost.len(), committed.len());
    named_repaired_and_exact(world, &url, &lost, &committed).await
}

async fn snapshot_of_a_busy_server_is_noticed_by_the_next_purchase(world: &World) -> Result<()> {
    put_back_and_compare(world, snapshot).await
}

async fn hot_backup_of_a_busy_server_is_noticed_by_the_next_purchase(world: &World) -> Result<()> {
    put_back_and_compare(world, hot_backup).await
}
