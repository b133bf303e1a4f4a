//! `tandem recover --look`.

use std::fmt::Write;
use std::path::PathBuf;

use serde_json::{Value, json};
use tandem_protocol::{CoordinatorId, ParticipantName};

use super::VerbFailure;
use super::output::{self, Output, clean};
use crate::config::Config;
use crate::explain::{self, sentence};
use crate::plural::count;
use crate::recover::{self, Because, End, Found, Holds, Looked};

pub(super) const ABOUT: &str = "\
What each store holds of transactions that have not ended, what is to become of it, and why

Asks the stores of a coordinator's configuration what they have prepared and what they remember, of any coordinator, \
and the decision log: its folder where nobody runs on it, else the coordinator that does. Of each transaction that has \
not ended alike everywhere it prints what each store says, what is to become of it and why, and what to do by hand \
where no coordinator can. What can't be known is said and is a person's to choose. Nothing is changed.

It needs neither a coordinator nor a log. Where there is a log that can be started on, `tandem serve` does all of this \
by itself.";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  nothing is left to be done
  1  something is; it is printed
  2  the command line or the configuration is wrong
  5  nothing that was looked at is left to be done, and a store could not be asked";

/// Arguments of `tandem recover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Look, and change nothing
    #[arg(long, required = true)]
    look: bool,
    /// The coordinator's configuration file, which names the stores
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Also compare what the stores remember of this coordinator; may be repeated. What another one has prepared is
    /// looked at anyway
    #[arg(long = "coordinator", value_name = "ID")]
    coordinators: Vec<CoordinatorId>,
    /// How to print data
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let config = Config::load(&self.config)?;
        let looked = recover::look(&config, &self.coordinators).await?;
        match self.output {
            Output::Json => output::json(&document(&looked))?,
            Output::Table => output::data(&page(&looked))?,
        }
        if looked
            .found
            .iter()
            .any(|found| found.because != Because::WorkUnderWay)
        {
            Err(VerbFailure::Negative(String::new()))
        } else if looked.failures.is_empty() {
            Ok(())
        } else {
            Err(VerbFailure::Incomplete(
                "a store could not be asked, so that more may be left to be done".into(),
            ))
        }
    }
}

fn page(looked: &Looked) -> String {
    let mut page = format!("by {}\n", clean(&looked.log));
    for (name, why) in &looked.failures {
        let _ = writeln!(page, "{name}: could not be asked: {}", clean(why));
    }
    for found in &looked.found {
        let _ = write!(page, "\n{}", one(found));
    }
    for (name, text) in &looked.others {
        let _ = writeln!(
            page,
            "\n{name}: prepared and not tandem's, never touched: {}",
            clean(text)
        );
    }
    let left = match looked.found.len() {
        0 => "nothing is left to be done".to_owned(),
        left => format!("{} above", count(left, "transaction")),
    };
    let _ = write!(
        page,
        "\n{left}; {} ended alike wherever that can be seen",
        looked.ended
    );
    page
}

fn one(found: &Found) -> String {
    let Found {
        transaction,
        because,
        branches,
    } = found;
    let mut text = format!(
        "{transaction}: {} ({})\n",
        verdict(*because),
        because.as_ref()
    );
    let _ = writeln!(text, "  {}", why(*because));
    for branch in branches {
        let detail = match branch.detail.as_str() {
            "" => String::new(),
            detail => format!(": {}", clean(detail)),
        };
        let _ = writeln!(
            text,
            "  {} {}{detail}",
            branch.participant,
            says(branch.holds)
        );
        if !branch.by_hand.is_empty() {
            let _ = writeln!(text, "    by hand: {}", clean(&branch.by_hand));
        }
    }
    text
}

fn verdict(because: Because) -> &'static str {
    match because.end() {
        Some(End::Commit) => "commit",
        Some(End::RollBack) => "roll back",
        None if because == Because::WorkUnderWay => "leave it to the coordinator",
        None => "a person chooses",
    }
}

/// What is said of it wherever it is explained.
fn why(because: Because) -> String {
    let entries = explain::find(because.as_ref());
    entries
        .first()
        .map(|entry| sentence(entry.text.means))
        .unwrap_or_default()
}

fn says(holds: Holds) -> &'static str {
    match holds {
        Holds::Prepared => "holds it prepared",
        Holds::Committed => "has committed it",
        Holds::RolledBack => "has rolled it back",
        Holds::Nothing => "has nothing of it",
        Holds::NoMemory => "knows nothing of this coordinator",
        Holds::Unknown => "can't tell",
    }
}

fn document(looked: &Looked) -> Value {
    let found = looked.found.iter().map(|found| {
        let branches = found.branches.iter().map(|branch| {
            json!({
                "participant": branch.participant.as_str(),
                "says": says(branch.holds),
                "detail": branch.detail,
                "by_hand": branch.by_hand,
            })
        });
        json!({
            "transaction_id": found.transaction.to_string(),
            "end": found.because.end().map(|end| end.as_ref().to_owned()),
            "because": found.because.as_ref(),
            "why": why(found.because),
            "branches": branches.collect::<Vec<_>>(),
        })
    });
    let named = |pairs: &[(ParticipantName, String)]| -> Vec<Value> {
        let pairs = pairs.iter();
        pairs
            .map(|(name, text)| json!({"participant": name.as_str(), "text": text}))
            .collect()
    };
    json!({
        "log": looked.log,
        "transactions": found.collect::<Vec<_>>(),
        "ended": looked.ended,
        "not_asked": named(&looked.failures),
        "not_tandems": named(&looked.others),
    })
}
