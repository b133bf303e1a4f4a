//! The least rights: with them all goes, and each that is missing is named with what grants it.

use anyhow::{Context, Result, ensure};
use tandem_tests::{Case, World, purchase};

use super::super::helpers::*;
use super::patient::{Patient, USER};
use super::{STORES, is_tried};

pub(crate) const CASES: &[Case] =
    &[case!(doctor_prints_rights_that_suffice_and_names_each_that_is_missing on STORES, with down)];

/// Sells with exactly what is printed, then takes one right after the other.
async fn doctor_prints_rights_that_suffice_and_names_each_that_is_missing(
    world: &World,
) -> Result<()> {
    let patient = Patient::admit(world).await?;
    let before = patient.ask()?;
    ensure!(before.seen.is_empty() && before.code == 0, "{before:?}");

    world.stores.seed("tea", 10).await?;
    world.coordinator.start(&patient.start()).await?;
    let client = world.coordinator.client();
    let bought = ask(&client, &purchase("p-1", &[("tea", 2)])).await;
    ensure_committed(&bought)?;
    ensure!(world.stores.stock("tea").await? == Some(8));
    let audited = world.tandem(&["audit"])?;
    ensure!(
        audited.status.success(),
        "{}",
        String::from_utf8_lossy(&audited.stdout)
    );
    let beside = patient.ask()?;
    ensure!(beside.seen.is_empty() && beside.code == 0, "{beside:?}");
    world.coordinator.stop()?;
    let left = number(
        world,
        "SELECT COUNT(*) FROM tandem_branches WHERE coordinator = ''",
    )
    .await?;
    ensure!(left == 0 && leftovers(world).await?.is_empty());

    let mut rights = Vec::new();
    for line in patient.grants()? {
        rights.extend(taken_one_by_one(&line, patient.is_mysql()));
    }
    for (number, (take, right)) in rights.iter().enumerate() {
        if !is_tried(number, 16) {
            continue;
        }
        // Whoever has no account of the other kind is told nothing of it.
        patient.run(take).await?;
        let told = patient.ask()?;
        let one = told
            .seen
            .iter()
            .find(|one| one.detail.contains(right) && !one.statements.is_empty());
        let one = one.with_context(|| format!("{take}: {right} is not named: {told:#?}"))?;
        patient.follow(one).await?;
        let mended = patient.ask()?;
        ensure!(
            mended.seen.is_empty(),
            "{take}: {one:?} did not mend it: {mended:#?}"
        );
        println!("{take}: {}", one.name);
    }
    Ok(())
}

/// Statements that take each right of a line alone, each with a word that its finding must say.
fn taken_one_by_one(line: &str, is_mysql: bool) -> Vec<(String, String)> {
    if let Some(rest) = line.strip_prefix(&format!("ACL SETUSER {USER} ")) {
        let commands = rest
            .split_whitespace()
            .filter_map(|word| word.strip_prefix('+'));
        let commands = commands.filter(|command| !command.starts_with("hpexpire"));
        let commands = commands.map(|command| {
            let named = command.to_lowercase();
            (format!("ACL SETUSER {USER} -{command}"), named)
        });
        return commands.collect();
    }
    let line = line.trim_end_matches(';');
    let line = match (line.strip_prefix("/*!80000 "), line.strip_prefix("/*M! ")) {
        (Some(_), _) if !is_mysql => return Vec::new(),
        (_, Some(_)) if is_mysql => return Vec::new(),
        (Some(inner), _) | (_, Some(inner)) => inner.trim_end_matches(" */"),
        _ => line,
    };
    let of = line.strip_prefix("GRANT ").unwrap_or_default();
    let (privileges, on) = of.split_once(" ON ").unwrap_or_default();
    let on = on.replace(" TO ", " FROM ");
    let privileges = privileges.split(", ");
    // Tables that are there need not be made.
    let privileges = privileges.filter(|privilege| *privilege != "CREATE");
    privileges
        .map(|privilege| (format!("REVOKE {privilege} ON {on}"), privilege.to_owned()))
        .collect()
}

/// Keys of the trial that are left at Redis.
async fn leftovers(world: &World) -> Result<Vec<String>> {
    let mut kv = world.stores.kv().await?;
    Ok(redis::cmd("KEYS")
        .arg("*tandem:try*")
        .query_async(&mut kv)
        .await?)
}
