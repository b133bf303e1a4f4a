//! `tandem log inspect`.

use std::path::PathBuf;

use serde_json::{Value, json};
use tandem_log::Inspection;
use tandem_participant::convert::timestamp_to_wire;
use tandem_protocol::{
    CoordinatorId, ParticipantName, Record, Recovered, Timestamp, TransactionState, TransactionView,
};

use super::output::{self, Output};
use super::table::{table, width};
use super::{Failure, time};
use crate::config::{Config, ParticipantSettings};

/// What the verb says of itself.
pub(super) const ABOUT: &str = "\
Read a decision log while no coordinator runs on it, without changing anything in its folder.

Says whose log it is, what is damaged in it, which decisions have not been carried out everywhere,
and what must be done about each at each store. The best thing to do is to start `tandem serve` on
the folder: it does all of that by itself.";

/// Arguments of `tandem log inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The log's folder: coordinator.data_dir of the configuration
    dir: PathBuf,
    /// The coordinator's configuration, which says what kind of store each participant is
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Also print every record
    #[arg(long)]
    records: bool,
    /// How data is printed
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Args {
    pub(super) fn run(self) -> Result<(), Failure> {
        let config = self.config.as_deref().map(Config::load).transpose()?;
        let found = tandem_log::inspect(&self.dir).map_err(anyhow::Error::from)?;
        let page = Page::of(&found, config.as_ref(), self.records);
        match self.output {
            Output::Json => output::json(&page.json())?,
            Output::Table => output::data(&page.text(width()))?,
        }
        if page.damage.is_empty() {
            Ok(())
        } else {
            Err(Failure::Negative(
                "the log is damaged and no coordinator will start on it: a damaged log must not \
                 be trusted to say which purchases are decided. Keep the folder as it is."
                    .into(),
            ))
        }
    }
}

/// Everything that is printed.
struct Page {
    summary: Vec<(&'static str, String)>,
    damage: Vec<String>,
    unfinished: Vec<(TransactionView, Vec<(ParticipantName, String)>)>,
    records: Vec<(u64, String)>,
    coordinator: String,
}

impl Page {
    fn of(found: &Inspection, config: Option<&Config>, all: bool) -> Page {
        let mut damage: Vec<String> = found.damage.iter().map(ToString::to_string).collect();
        let mut summary = Vec::new();
        let coordinator = found.identity.as_ref().map(|id| id.coordinator_id.clone());
        if let Some(identity) = &found.identity {
            summary.push(("coordinator", identity.coordinator_id.clone()));
            summary.push(("log", identity.log_id.clone()));
        }
        summary.push(("records", found.records.len().to_string()));
        let replayed = coordinator
            .as_deref()
            .and_then(|id| id.parse::<CoordinatorId>().ok())
            .map(|id| {
                let records = found.records.iter();
                Recovered::replay(&id, records.map(|(at, bytes)| (at.0, bytes.as_slice())))
            });
        let mut unfinished = Vec::new();
        match replayed {
            Some(Ok(recovered)) => {
                let epoch = recovered
                    .epoch
                    .map_or("none".into(), |epoch| epoch.to_string());
                summary.push(("last epoch", epoch));
                summary.push(("purchases", recovered.purchases().to_string()));
                let newest = recovered
                    .newest()
                    .map_or("none".into(), ToString::to_string);
                summary.push(("newest", newest));
                summary.push(("unfinished", recovered.unfinished().len().to_string()));
                unfinished = recovered
                    .unfinished()
                    .map(|view| {
                        let work = work(&view, config);
                        (view, work)
                    })
                    .collect();
            }
            Some(Err(error)) => damage.push(error.to_string()),
            None => {}
        }
        let records = found
            .records
            .iter()
            .filter(|_| all)
            .map(|(position, bytes)| {
                let text = match Record::decode(bytes) {
                    Ok(record) => format!("{record:?}"),
                    Err(error) => error.to_string(),
                };
                (position.0, text)
            });
        Page {
            summary,
            damage,
            unfinished,
            records: records.collect(),
            coordinator: coordinator.unwrap_or_else(|| "this coordinator".into()),
        }
    }

    fn text(&self, width: Option<u16>) -> String {
        let mut page = String::new();
        for (name, value) in &self.summary {
            page.push_str(&format!("{name:<12} {value}\n"));
        }
        for damage in &self.damage {
            page.push_str(&format!("DAMAGED      {damage}\n"));
        }
        if !self.records.is_empty() {
            let rows = self
                .records
                .iter()
                .map(|(position, text)| [position.to_string(), text.clone()]);
            page.push_str(&format!(
                "\n{}\n",
                table(["POSITION", "RECORD"], rows, width)
            ));
        }
        for (view, work) in &self.unfinished {
            page.push_str(&format!("\n{}\n", headline(view)));
            for (participant, text) in work {
                page.push_str(&format!("  at {participant}: {text}\n"));
            }
        }
        page.push_str(&format!(
            "\nWHAT MUST BE DONE\n\
             Start `tandem serve` on this folder; it carries out the above by itself.\n\
             A prepared branch of {} that is not listed above has no stored decision, and no \
             decision means abort: it is to be rolled back.\n",
            self.coordinator
        ));
        page
    }

    fn json(&self) -> Value {
        let summary: serde_json::Map<String, Value> = self
            .summary
            .iter()
            .map(|(name, value)| (name.replace(' ', "_"), Value::from(value.as_str())))
            .collect();
        json!({
            "summary": summary,
            "damage": self.damage,
            "records": self.records.iter().map(|(position, text)| json!({
                "position": position,
                "record": text,
            })).collect::<Vec<_>>(),
            "unfinished": self.unfinished.iter().map(|(view, work)| json!({
                "transaction_id": view.id.to_string(),
                "decide_time": view.decide_time.map(decided),
                "purchase_ids": view.entries.iter()
                    .map(|entry| entry.purchase.purchase_id.as_str()).collect::<Vec<_>>(),
                "work": work.iter().map(|(participant, text)| json!({
                    "participant": participant.as_str(),
                    "text": text,
                })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
        })
    }
}

fn headline(view: &TransactionView) -> String {
    let purchases: Vec<&str> = view
        .entries
        .iter()
        .map(|entry| entry.purchase.purchase_id.as_str())
        .collect();
    match view.state {
        TransactionState::Committing => format!(
            "{}: decided commit at {}; purchases {}",
            view.id,
            view.decide_time.map_or_else(String::new, decided),
            purchases.join(", ")
        ),
        TransactionState::Preparing
        | TransactionState::Deciding
        | TransactionState::Aborting
        | TransactionState::Committed
        | TransactionState::Refused => {
            format!(
                "{}: no commit decision; a store ended a branch against that",
                view.id
            )
        }
    }
}

fn decided(time: Timestamp) -> String {
    time::absolute(Some(&timestamp_to_wire(time)))
}

/// What is to be done about a transaction at each of its participants.
fn work(view: &TransactionView, config: Option<&Config>) -> Vec<(ParticipantName, String)> {
    use tandem_protocol::BranchProgress::{Ended, Heuristic, Settled};
    let kind = |name| config.and_then(|config| config.participants.get(name));
    view.branches
        .iter()
        .map(|branch| {
            let name = &branch.participant;
            let text = match (&branch.progress, view.state) {
                (Settled(word), _) => format!("settled by {}: {}", word.operator, word.reason),
                (Ended, _) => "done".into(),
                (Heuristic(kind), _) => format!(
                    "{kind}: {}; mend it by hand, then `tandem tx settle`",
                    branch.last_failure
                ),
                (_, TransactionState::Committing) => {
                    let mysql = || tandem_mysql::commit_by_hand(&view.id, name);
                    let redis = || tandem_redis::commit_by_hand(&view.id, &view.entries);
                    match kind(name) {
                        Some(ParticipantSettings::Mysql(_)) => mysql(),
                        Some(ParticipantSettings::Redis(_)) => redis(),
                        Some(ParticipantSettings::Sidecar(_)) | None => {
                            format!("commit. MySQL: {}. Redis: {}", mysql(), redis())
                        }
                    }
                }
                (_, _) => "roll back".into(),
            };
            (name.clone(), text)
        })
        .collect()
}
