//! Copies of one log on which processes have run, told from each other by `tandem log inspect DIR OTHER` and
//! dealt with as it says.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tandem_proto::v1;
use tandem_tests::{Asked, Case, Coordinator, Start, World, copy_folder, purchase, until};

use super::following::*;
use super::helpers::*;
use super::log_by_hand::{
    carry_out_at_mysql, carry_out_at_redis, go_on_with_a_new_coordinator, inspected,
};
use super::log_folders::start_in_the_dark;

pub(crate) const CASES: &[Case] = &[
    case!(copies_that_know_the_same_are_told_which_to_start_on on TWO, with down),
    case!(copies_on_which_two_have_decided_are_carried_out_by_hand on TWO, with down),
    case!(epoch_of_an_old_copy_is_set_back_as_the_readme_says on TWO, with down),
];

/// What a comparison of two folders says under its last heading.
fn compared(world: &World, folders: [&Path; 2]) -> Result<String> {
    let [one, other] = folders.map(|folder| folder.display().to_string());
    let said = printed(world, &["log", "inspect", &one, &other])?;
    println!("{said}");
    let (_, meaning) = said.split_once("WHAT IT MEANS\n").context("no meaning")?;
    Ok(meaning.to_owned())
}

async fn copies_that_know_the_same_are_told_which_to_start_on(world: &World) -> Result<()> {
    one_in_doubt(world).await?;
    let (newest, copy) = (world.coordinator.data_dir(), world.folder().join("copy"));
    copy_folder(&newest, &copy)?;
    let said = compared(world, [&copy, &newest])?;
    ensure!(
        said.starts_with("Both are the same: start on either"),
        "{said}"
    );

    start_in_the_dark(world, &copy, 2).await?;
    start_in_the_dark(world, &newest, 1).await?;
    let said = compared(world, [&copy, &newest])?;
    ensure!(
        said.contains("both have been started since they were one. Start on the one on which the"),
        "{said}"
    );
    world.start_again().await?;
    ensure_right(world).await?;
    world.coordinator.stop()?;

    // One goes on where the other ends, whichever is named first.
    let earlier = world.folder().join("earlier");
    copy_folder(&newest, &earlier)?;
    world.start_again().await?;
    world.coordinator.stop()?;
    for pair in [[&earlier, &newest], [&newest, &earlier]] {
        let said = compared(world, [pair[0], pair[1]])?;
        let start = format!("Start on {}, and keep the other away", newest.display());
        ensure!(said.contains(&start), "{said}");
    }
    world.start_again().await?;
    ensure_right(world).await
}

/// Leaves, in the folder of the coordinator, a decision on `p-1` that nobody has carried out, and in a copy
/// from before it all that a process has done since. Gives the transaction, and
/// what that process sold.
async fn run_apart(world: &World, copy: &Path) -> Result<(String, Asked)> {
    world.stores.seed("tea", 10).await?;
    world.start_to_end_at("decided:stop").await?;
    copy_folder(&world.coordinator.data_dir(), copy)?;
    let client = world.coordinator.client();
    let asked = ask_apart(&client, &purchase("p-1", &[("tea", 2)]));
    world.coordinator.wait_stopped().await?;
    world.coordinator.kill9()?;
    asked.await?;
    let place = world.folder().join("other");
    fs::create_dir_all(&place)?;
    let other = Coordinator::new(place)?.with_data_dir(copy.to_owned());
    // It knows nothing of the decision: no store has carried it out.
    other.start(&world.start.without_env()).await?;
    let made = ask(&other.client(), &purchase("p-3", &[("tea", 1)])).await;
    ensure_committed(&made)?;
    other.kill9()?;
    let read = inspected(world, &world.coordinator.data_dir())?;
    let (_, listed) = read.split_once("\n\n").context("nothing is unfinished")?;
    let id = listed.split(':').next().unwrap_or_default().to_owned();
    Ok((id, made))
}

async fn copies_on_which_two_have_decided_are_carried_out_by_hand(world: &World) -> Result<()> {
    let copy = world.folder().join("copy");
    let (id, made) = run_apart(world, &copy).await?;
    let said = compared(world, [&world.coordinator.data_dir(), &copy])?;
    ensure!(
        said.starts_with("EACH KNOWS WHAT THE OTHER DOES NOT"),
        "{said}"
    );
    let inspects = commands(&said);
    let inspects = inspects.iter().filter(|one| one.contains("--config FILE"));
    let mut carried_out = 0;
    for inspect in inspects {
        let config = world.coordinator.config_path().display().to_string();
        let filled = inspect.replace("FILE", &config);
        let words: Vec<&str> = filled.split_whitespace().skip(1).collect();
        let read = printed(world, &words)?;
        for line in read
            .lines()
            .filter(|line| line.contains(": decided commit"))
        {
            let listed = line.split(':').next().unwrap_or_default();
            carry_out_at_mysql(world, &read, listed).await?;
            carry_out_at_redis(world, &read, listed).await?;
            carried_out += usize::from(listed == id);
        }
    }
    ensure!(carried_out == 1, "{said}");
    ensure!(said.contains("new coordinator.id"), "{said}");
    ensure!(world.stores.stock("tea").await? == Some(7));
    go_on_with_a_new_coordinator(world, &[made]).await
}

/// Starts a process on a copy that reaches only one store, to which it leaves its epoch.
async fn leave_its_epoch(world: &World, copy: &Path, at: &str) -> Result<()> {
    let place = world.folder().join(format!("old-{at}"));
    fs::create_dir_all(&place)?;
    let old = Coordinator::new(place)?.with_data_dir(copy.to_owned());
    let dead = |name: &str, port: u16| if name == at { port } else { 1 };
    let participants = format!(
        "[participants.purchases.mysql]\n{}\n[participants.stock.redis]\n{}",
        world
            .stores
            .mysql_settings_at(dead("purchases", world.stores.mysql.port())),
        world
            .stores
            .redis_settings_at(dead("stock", world.stores.redis.port()))
    );
    old.launch(&Start {
        participants,
        ..world.start.without_env()
    })?;
    until("its epoch is at the store", SOON, async || {
        let up = old.operator().participant(at).await;
        Ok(up.is_ok_and(|one| one.state() == v1::LinkState::Up))
    })
    .await?;
    old.kill9()
}

async fn epoch_of_an_old_copy_is_set_back_as_the_readme_says(world: &World) -> Result<()> {
    world.start_again().await?;
    world.coordinator.stop()?;
    let copy = world.folder().join("copy");
    copy_folder(&world.coordinator.data_dir(), &copy)?;
    one_in_doubt(world).await?;
    start_in_the_dark(world, &copy, 3).await?;
    let cures = [
        ("purchases", manual_command("UPDATE tandem_coordinators")?),
        ("stock", manual_command("HSET tandem:coordinator")?),
    ];
    for (store, cure) in cures {
        leave_its_epoch(world, &copy, store).await?;
        launch(world)?;
        ensure!(
            !world.coordinator.wait_end().await?.success(),
            "it ended well"
        );
        let said = world.coordinator.log_tail();
        ensure!(
            said.contains(&format!("stale: participant {store} knows epoch")),
            "{said}"
        );
        let said = compared(world, [&copy, &world.coordinator.data_dir()])?;
        ensure!(said.contains("that epoch may be at the stores"), "{said}");
        println!("{cure}");
        match store {
            "purchases" => sql(world, &cure).await?,
            _ => at_redis(world, &[cure]).await?,
        }
    }
    world.start_again().await?;
    ensure_right(world).await
}
