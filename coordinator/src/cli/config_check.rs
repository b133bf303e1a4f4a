//! `tandem config check`: a configuration against its own rules and against its stores, without a trace.

use std::fmt::Write;
use std::path::Path;

use futures::future::join_all;
use serde_json::{Value, json};
use tandem_participant::{CheckedStore, Error};
use tandem_proto::v1;
use tandem_protocol::ParticipantName;

use super::config_file::{ConfigArgs, ConfigFile};
use super::output::{self, Output, clean};
use super::participants::verdict;
use super::{VerbFailure, json as as_json};
use crate::config::Config;
use crate::store_kind::StoreKind;

pub(super) const ABOUT: &str = "\
Check a configuration file, and its stores, without leaving a trace

Takes the file of `tandem serve` or of `tandem participant`. First the file by itself: every key, every rule, \
every statement. Then each store is asked what it is, what is unsafe about it, and whether the statements can \
run there: their tables, columns and rights. Nothing is created, written or listened on: no log, no epoch, no \
table. A sidecar is asked to describe its store, as a coordinator does; its statements are checked with its own \
file.";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  it can be used; what is accepted, or only to be known, is printed
  1  a store has findings that keep the coordinator from working, until they are mended or accepted
  2  refused: the file breaks a rule, or a store lacks what the statements need; or the command line is
     wrong
  3  nothing of this was found, and a store could not be asked";

/// Arguments of `tandem config check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    file: ConfigArgs,
    /// Check the file alone and connect to nothing
    #[arg(long)]
    offline: bool,
    /// How data is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// What was found.
#[derive(Default)]
struct Report {
    /// What is wrong with the file.
    refusal: Option<String>,
    /// What is unsafe about its secrets.
    warnings: Vec<String>,
    stores: Vec<(ParticipantName, Result<CheckedStore, Error>)>,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let mut report = Report::default();
        match self.look(&mut report).await {
            Ok(()) => {}
            Err(VerbFailure::Config(error)) => {
                report.refusal = Some(super::status::causes(&error));
            }
            Err(other) => return Err(other),
        }
        match self.output {
            Output::Json => output::json(&report.document(&self.file.config))?,
            Output::Table => output::data(&report.text(&self.file.config))?,
        }
        report.verdict()
    }

    async fn look(&self, report: &mut Report) -> Result<(), VerbFailure> {
        let file = ConfigFile::load(&self.file)?;
        report.warnings = file.warnings().to_vec();
        if self.offline {
            return Ok(());
        }
        let participants = file.participants()?;
        let checks = participants.iter().map(async |(name, participant)| {
            let checked = participant.check().await;
            (name.clone(), checked)
        });
        report.stores = join_all(checks).await;
        if let ConfigFile::Daemon(config) = &file {
            report.refusal = lacking(config, &report.stores);
        }
        Ok(())
    }
}

/// What nobody keeps, now that sidecars have said what they are.
pub(super) fn lacking(
    config: &Config,
    stores: &[(ParticipantName, Result<CheckedStore, Error>)],
) -> Option<String> {
    let kinds = stores.iter().map(|(name, checked)| {
        let configured = config.participants.get(name).and_then(|one| one.kind());
        let told = checked.as_ref().ok();
        configured.or_else(|| told.map(|store| StoreKind::of_name(&store.description.kind)))
    });
    config.lacks(kinds).map(|missing| missing.to_string())
}

impl Report {
    fn verdict(&self) -> Result<(), VerbFailure> {
        let of_stores = |is: fn(&Result<CheckedStore, Error>) -> bool| {
            self.stores.iter().any(|(_, checked)| is(checked))
        };
        if self.refusal.is_some() || of_stores(is_refused) {
            Err(VerbFailure::Unusable)
        } else if of_stores(is_unsafe) {
            Err(VerbFailure::Negative(String::new()))
        } else if of_stores(Result::is_err) {
            Err(VerbFailure::Unasked)
        } else {
            Ok(())
        }
    }

    fn text(&self, path: &Path) -> String {
        let mut text = match &self.refusal {
            Some(refusal) => format!("REFUSED: {}\n", refusal.trim_end()),
            None => format!("{}: keeps its rules\n", path.display()),
        };
        for warning in &self.warnings {
            let _ = writeln!(text, "warning: {}", clean(warning));
        }
        for (name, checked) in &self.stores {
            match checked {
                Ok(store) => add_store(&mut text, name, store),
                Err(error) => {
                    let verdict = if is_refused(checked) {
                        "REFUSED"
                    } else {
                        "could not be asked"
                    };
                    let _ = writeln!(text, "{name}: {verdict}: {}", clean(&error.to_string()));
                }
            }
        }
        text
    }

    fn document(&self, path: &Path) -> Value {
        let stores = self.stores.iter().map(|(name, checked)| {
            let store = checked.as_ref().ok();
            let about = store.map(|store| &store.description);
            let findings = about.into_iter().flat_map(|about| &about.findings);
            let findings = findings.map(|one| as_json::finding(&one.clone().into()));
            json!({
                "name": name.as_str(),
                "kind": about.map(|about| &about.kind),
                "server": about.map(|about| &about.server),
                "address": about.map(|about| &about.address),
                "refusals": store.map_or(&[][..], |store| &store.faults),
                "findings": findings.collect::<Vec<_>>(),
                "error": checked.as_ref().err().map(ToString::to_string),
            })
        });
        json!({
            "file": path.display().to_string(),
            "refusal": self.refusal,
            "warnings": self.warnings,
            "participants": stores.collect::<Vec<_>>(),
        })
    }
}

fn add_store(text: &mut String, name: &ParticipantName, store: &CheckedStore) {
    let about = &store.description;
    let _ = writeln!(
        text,
        "{name}: {} at {}",
        clean(&about.server),
        clean(&about.address)
    );
    for fault in &store.faults {
        let _ = writeln!(text, "{name}: REFUSED: {}", clean(fault));
    }
    for finding in &about.findings {
        let finding: v1::Finding = finding.clone().into();
        let _ = writeln!(
            text,
            "{name}: {}: {}: {}",
            verdict(&finding),
            clean(&finding.name),
            clean(&finding.detail)
        );
    }
}

fn is_refused(checked: &Result<CheckedStore, Error>) -> bool {
    match checked {
        Ok(store) => !store.faults.is_empty(),
        Err(error) => matches!(error, Error::Invalid { .. }),
    }
}

fn is_unsafe(checked: &Result<CheckedStore, Error>) -> bool {
    checked.as_ref().is_ok_and(|store| {
        let findings = &store.description.findings;
        findings.iter().any(|finding| !finding.accepted)
    })
}
