//! `tandem explain [CODE]`.

use serde_json::{Value, json};

use super::VerbFailure;
use super::output::{self, Output};
use crate::explain::{self, Entry, Symptom, runbook, sentence};

pub(super) const ABOUT: &str = "\
What a code means, how it comes about, and what to do

Takes whatever tandem prints in capitals or as a state: the reason of a refusal or of an answer, a finding, a \
disagreement, a state of a transaction, a branch or a participant, an exit status (\"exit 3\"). Without a code all are \
listed, and what to look at first by what is seen. Nothing is asked of anybody.";

/// Arguments of `tandem explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code, in capitals or not
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// Print all of it as a document
    #[arg(long, conflicts_with_all = ["code", "output"])]
    markdown: bool,
    /// How to print data
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

impl Args {
    /// Prints what is known of the code.
    pub(super) fn run(self) -> Result<(), VerbFailure> {
        if self.markdown {
            return output::data(&runbook::markdown());
        }
        let found = match &self.code {
            Some(code) => explain::find(code),
            None => explain::all(),
        };
        if let Some(code) = &self.code
            && found.is_empty()
        {
            return Err(unknown(code));
        }
        match (self.output, &self.code) {
            (Output::Json, Some(_)) => output::json(&entries(&found)),
            (Output::Json, None) => {
                output::json(&json!({"codes": entries(&found), "symptoms": symptoms()}))
            }
            (Output::Table, None) => output::data(&runbook::index()),
            (Output::Table, Some(_)) => {
                let pages: Vec<String> = found.iter().map(runbook::page).collect();
                output::data(&pages.join("\n\n"))
            }
        }
    }
}

fn unknown(code: &str) -> VerbFailure {
    let code = output::clean(code);
    let nearest = explain::nearest(&code);
    let instead = match nearest.is_empty() {
        true => "`tandem explain` lists those that there are".to_owned(),
        false => format!("is it {}?", nearest.join(" or ")),
    };
    VerbFailure::Negative(format!("no code is called {code}; {instead}"))
}

fn entries(entries: &[Entry]) -> Value {
    let entry = |entry: &Entry| {
        json!({
            "code": entry.code,
            "also": entry.also,
            "list": entry.group.title(),
            "means": sentence(entry.text.means),
            "cause": entry.text.cause,
            "what_to_do": entry.text.act,
        })
    };
    entries.iter().map(entry).collect()
}

fn symptoms() -> Value {
    let symptom = |symptom: &Symptom| json!({"seen": symptom.seen, "steps": symptom.steps});
    Symptom::ALL.iter().map(symptom).collect()
}
