//! What the system refuses the decision log, and what the daemon says to do about it, done to the letter.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tandem_tests::{
    Case, Coordinator, Disk, Start, World, copy_folder, purchase, tandem_program, until,
};

use super::following::*;
use super::helpers::*;
use super::preloaded::{library, preload};

pub(crate) const CASES: &[Case] = &[
    case!(more_open_files_are_let_as_the_daemon_says on ONE, with down),
    case!(rights_on_the_log_are_given_as_the_daemon_says on ONE, with down, needs Some("setpriv")),
    case!(log_on_a_disk_that_cant_be_written_is_made_writable_as_the_daemon_says on ONE, with down),
    case!(log_on_a_failing_disk_is_copied_to_a_sound_one_as_the_daemon_says on ONE, with down, needs Some("cc")),
];

/// A program that runs the coordinator in another way.
fn wrapper(world: &World, name: &str, how: &str) -> Result<PathBuf> {
    let place = world.folder().join(name);
    let program = tandem_program()?.display().to_string();
    fs::write(&place, format!("#!/bin/sh\n{how} {program} \"$@\"\n"))?;
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
    Ok(place)
}

/// What a start says that ends by itself, or nothing if it is ready.
async fn refusal(
    world: &World,
    coordinator: &Coordinator,
    env: &[(String, String)],
) -> Result<Option<String>> {
    let said = coordinator.log().len();
    coordinator.launch(&Start {
        env: env.to_vec(),
        ..world.start.clone()
    })?;
    let ready = coordinator.ready().await;
    let said = coordinator.log().split_off(said);
    if ready.is_ok() {
        return Ok(None);
    }
    coordinator.wait_end().await?;
    ensure!(
        !said.to_lowercase().contains("damage") || said.contains("no damage"),
        "{said}"
    );
    Ok(Some(said))
}

/// From too few files to read the log up to enough to listen.
const FEW: std::ops::Range<u32> = 10..60;

async fn more_open_files_are_let_as_the_daemon_says(world: &World) -> Result<()> {
    one_in_doubt(world).await?;
    let (coordinator, mut ended) = (&world.coordinator, 0);
    for files in FEW.step_by(2) {
        let how = format!("ulimit -n {files}\nexec");
        coordinator.run_build(Some(wrapper(world, "few", &how)?));
        let said = coordinator.log().len();
        launch(world)?;
        let said = || coordinator.log().split_off(said);
        until("it has ended, or listens", SOON, async || {
            Ok(coordinator.ended()?.is_some() || said().contains("\"listening\""))
        })
        .await?;
        if coordinator.ended()?.is_none() {
            // With a little more it runs, and can't serve many.
            ensure!(
                said().contains("raise the hard limit (`ulimit -Hn`"),
                "{}",
                said()
            );
            coordinator.kill9()?;
            break;
        }
        coordinator.wait_end().await?;
        let said = said();
        println!("{files}: {}", said.lines().last().unwrap_or_default());
        ensure!(
            said.contains("let the process open more files (`ulimit -n`"),
            "{said}"
        );
        ensure!(!said.contains("is damaged"), "{said}");
        ended += 1;
    }
    ensure!(ended > 2, "it never ended for want of files");
    coordinator.run_build(Some(wrapper(world, "more", "ulimit -n 1024\nexec")?));
    world.start_again().await?;
    ensure_right(world).await
}

/// Who is nobody, and may nothing.
const NOBODY: u32 = 65_534;

async fn rights_on_the_log_are_given_as_the_daemon_says(world: &World) -> Result<()> {
    if fs::metadata("/proc/self")?.uid() != 0 {
        println!("skipped: only root may run a process as somebody else");
        return Ok(());
    }
    one_in_doubt(world).await?;
    let nobody = format!("exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups");
    let place = world.folder().join("nobodys");
    fs::create_dir_all(&place)?;
    let open = fs::Permissions::from_mode(0o755);
    fs::set_permissions(world.folder(), open.clone())?;
    chown(&place, Some(NOBODY), Some(NOBODY))?;
    let log = place.join("log");
    copy_folder(&world.coordinator.data_dir(), &log)?;
    let coordinator = Coordinator::new(place)?.with_data_dir(log.clone());
    // Who may not run the program where it was built runs a copy of it.
    let program = world.folder().join("tandem");
    fs::copy(tandem_program()?, &program)?;
    let script = world.folder().join("nobody");
    fs::write(
        &script,
        format!("#!/bin/sh\n{nobody} {} \"$@\"\n", program.display()),
    )?;
    fs::set_permissions(&script, open)?;
    coordinator.run_build(Some(script));
    for (what, takes) in [("nothing", 0o700), ("the folder alone", 0o755)] {
        fs::set_permissions(&log, fs::Permissions::from_mode(takes))?;
        let said = refusal(world, &coordinator, &[]).await?;
        let said = said.with_context(|| format!("started with {what}"))?;
        println!("{}", said.lines().last().unwrap_or_default());
        ensure!(
            said.contains("let this user read and write the folder and all that is in it"),
            "{said}"
        );
    }
    give(&log)?;
    coordinator.start(&world.start.without_env()).await?;
    ensure_sold_once(world, &coordinator).await
}

/// Lets nobody read and write a folder and all that is in it.
fn give(folder: &Path) -> Result<()> {
    chown(folder, Some(NOBODY), Some(NOBODY))?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => give(&path)?,
            false => chown(&path, Some(NOBODY), Some(NOBODY))?,
        }
    }
    Ok(())
}

/// That `p-1` is in both stores once, and what another coordinator than the world's says of it.
async fn ensure_sold_once(world: &World, coordinator: &Coordinator) -> Result<()> {
    let judge = tandem_tests::Judge(&world.stores);
    judge.quiet(&coordinator.operator()).await?;
    let asked = ask(&coordinator.client(), &purchase("p-1", &[("tea", 2)])).await;
    ensure_committed(&asked)?;
    let books = judge.judge("", &[asked]).await?;
    ensure!(books.committed == 1, "{books}");
    let url = coordinator.operator_url();
    let audited = world.tandem(&["audit", "--admin", &url])?;
    ensure!(audited.status.code() == Some(0), "{audited:?}");
    coordinator.stop()
}

async fn log_on_a_disk_that_cant_be_written_is_made_writable_as_the_daemon_says(
    world: &World,
) -> Result<()> {
    if let Err(reason) = Disk::permitted() {
        println!("skipped: {reason}");
        return Ok(());
    }
    one_in_doubt(world).await?;
    let disk = Disk::mount(world.folder().join("disk"), 64)?;
    let log = disk.path().join("log");
    copy_folder(&world.coordinator.data_dir(), &log)?;
    let place = world.folder().join("elsewhere");
    fs::create_dir_all(&place)?;
    let coordinator = Coordinator::new(place)?.with_data_dir(log);
    remount(&disk, "ro")?;
    let said = refusal(world, &coordinator, &[])
        .await?
        .context("it started")?;
    println!("{}", said.lines().last().unwrap_or_default());
    ensure!(
        said.contains("on a file system that can be written"),
        "{said}"
    );
    remount(&disk, "rw")?;
    coordinator.start(&world.start.without_env()).await?;
    ensure_sold_once(world, &coordinator).await
}

fn remount(disk: &Disk, how: &str) -> Result<()> {
    let status = Command::new("mount")
        .args(["-o", &format!("remount,{how}")])
        .arg(disk.path())
        .status()
        .context("run mount")?;
    ensure!(status.success(), "mount failed: {status}");
    Ok(())
}

/// The library with which the log's own tests have calls on its files fail.
const RECORDER: &str = include_str!("../../../coordinator/log/tests/common/recorder.c");

/// errno(3).
const EIO: u32 = 5;

async fn log_on_a_failing_disk_is_copied_to_a_sound_one_as_the_daemon_says(
    world: &World,
) -> Result<()> {
    let id = one_in_doubt(world).await?;
    let recorder = library(world, "recorder", RECORDER)?;
    let failing = |call: &str| {
        let root = format!("{}/", world.coordinator.data_dir().display());
        let trace = world.folder().join("trace").display().to_string();
        vec![
            preload(&recorder),
            ("RECORDER_ROOT".into(), root),
            ("RECORDER_TRACE".into(), trace),
            ("RECORDER_FAIL".into(), format!("{call}:1:1000000:{EIO}")),
        ]
    };
    for call in ["open", "pwrite", "fdatasync"] {
        let env = failing(call);
        let said = refusal(world, &world.coordinator, &env).await?;
        let said = said.with_context(|| format!("it started without {call}"))?;
        println!("{call}: {}", said.lines().last().unwrap_or_default());
        ensure!(said.contains("look at the disk"), "{said}");
    }
    // Read as it is, meanwhile.
    let folder = world.coordinator.data_dir().display().to_string();
    let read = tandem(world, &["log", "inspect", &folder])?;
    ensure!(read.contains(&format!("{id}: decided commit")), "{read}");

    let place = world.folder().join("sound");
    fs::create_dir_all(&place)?;
    let sound = Coordinator::new(place.clone())?.with_data_dir(place.join("copy"));
    copy_folder(&world.coordinator.data_dir(), &sound.data_dir())?;
    sound.start(&world.start.without_env()).await?;
    ensure_sold_once(world, &sound).await
}
