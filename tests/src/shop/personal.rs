//! That nothing which is marked as personal is in what tandem says.

use anyhow::{Result, ensure};

use crate::personal::PERSONAL;
use crate::shop::buyers::{Outcome, Told};
use crate::shop::fixture::PRODUCTS;
use crate::world::World;

/// Purchases of each kind that are shown.
const SHOWN: usize = 15;

/// Of a refusal that has it the server's own words are left out, since they would repeat the value.
const LEFT_OUT: &str = "it has a personal attribute";

/// Searches the coordinator's log, what each verb says, and the log's inspection for what is in every personal
/// value. Stops the coordinator.
///
/// # Errors
/// Where it is.
pub(super) fn is_nowhere(world: &World, told: &[Told]) -> Result<()> {
    let config = world.coordinator.config_path().display().to_string();
    let data = world.coordinator.data_dir().display().to_string();
    let mut verbs: Vec<Vec<&str>> = vec![
        vec!["participants"],
        vec!["audit"],
        vec!["audit", "--output", "json"],
        vec!["tx", "list"],
        vec!["tx", "list", "--heuristic"],
        vec!["stock", PRODUCTS[0].0],
        vec!["config", "check", "--config", &config],
    ];
    let purchases = shown(told);
    for (one, transaction) in &purchases {
        verbs.push(vec!["purchase", "get", &one.order.purchase_id]);
        verbs.extend(transaction.map(|id| vec!["tx", "show", id]));
    }
    let mut said = vec![("the log".to_owned(), world.coordinator.log())];
    for verb in &verbs {
        said.push(run(world, verb)?);
    }
    // Only a log that nobody has open can be inspected.
    world.coordinator.stop()?;
    said.push(run(world, &["log", "inspect", "--config", &config, &data])?);
    for (what, text) in &said {
        let line = text.lines().find(|line| line.contains(PERSONAL));
        ensure!(line.is_none(), "{what} has a personal value: {line:?}");
    }
    let has_left_out = said.iter().any(|(_, text)| text.contains(LEFT_OUT));
    ensure!(has_left_out, "no server has said a personal value");
    let bytes: usize = said.iter().map(|(_, text)| text.len()).sum();
    println!(
        "personal values: none in {} KiB of the log and of what {} verbs say",
        bytes / 1024,
        said.len() - 1
    );
    Ok(())
}

/// Some purchases that were made, with their transactions, and some of each reason for which one was not.
fn shown(told: &[Told]) -> Vec<(&Told, Option<&str>)> {
    let mut shown: Vec<(&Told, Option<&str>)> = Vec::new();
    for one in told {
        let of_its_kind = shown
            .iter()
            .filter(|(other, _)| match (&other.outcome, &one.outcome) {
                (Outcome::Refused(before), Outcome::Refused(reason)) => before == reason,
                (Outcome::Committed(_), Outcome::Committed(_)) => true,
                (Outcome::Unknown, Outcome::Unknown) => true,
                _ => false,
            });
        if of_its_kind.count() < SHOWN {
            shown.push((one, one.outcome.transaction()));
        }
    }
    shown
}

/// Whatever a verb says, on both outputs.
fn run(world: &World, verb: &[&str]) -> Result<(String, String)> {
    let output = world.tandem(verb)?;
    let both = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    ensure!(!text.is_empty(), "{verb:?} says nothing");
    Ok((format!("`tandem {}`", verb.join(" ")), text))
}
