//! What a doctor has found, for a person and for a program.

use std::fmt::Write;

use serde_json::{Value, json};
use tandem_participant::Remedy;

use super::{Ailment, Severity};
use crate::cli::output::clean;
use crate::explain::ailments;

/// Everything that was found, by whom it is of.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) subjects: Vec<Subject>,
}

/// A store, or the machine.
#[derive(Debug)]
pub(crate) struct Subject {
    pub(crate) name: String,
    /// What is as it is: facts, not findings.
    pub(crate) facts: Vec<String>,
    pub(crate) found: Vec<Found>,
}

/// One finding.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: String,
    pub(crate) severity: Severity,
    /// What it is, and what that means for a purchase.
    pub(crate) detail: String,
    /// What mends it.
    pub(crate) remedies: Vec<Remedy>,
}

impl Found {
    pub(crate) fn of(ailment: Ailment, what: String) -> Found {
        let text = ailments::text(ailment);
        Found {
            name: ailment.as_ref().to_owned(),
            severity: ailment.severity(),
            detail: format!("{what}; {}. {}", text.means, text.act),
            remedies: Vec::new(),
        }
    }
}

impl Subject {
    pub(crate) fn named(name: impl Into<String>) -> Subject {
        Subject {
            name: name.into(),
            facts: Vec::new(),
            found: Vec::new(),
        }
    }
}

impl Report {
    /// The worst that was found.
    pub(crate) fn worst(&self) -> Option<Severity> {
        let found = self.subjects.iter().flat_map(|subject| &subject.found);
        found.map(|one| one.severity).max()
    }

    /// It for a person.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for Subject { name, facts, found } in &self.subjects {
            for fact in facts {
                let _ = writeln!(text, "{name}: {}", clean(fact));
            }
            for one in found {
                let verdict = verdict(one.severity);
                let detail = clean(&one.detail);
                let _ = writeln!(text, "{name}: {verdict}: {}: {detail}", clean(&one.name));
                for remedy in &one.remedies {
                    let _ = match remedy {
                        Remedy::Statement(sql) => {
                            writeln!(text, "    at the store: {}", clean(sql))
                        }
                        Remedy::Setting(line) => writeln!(text, "    in the file: {}", clean(line)),
                    };
                }
            }
        }
        if self.worst().is_none() {
            text.push_str("nothing is wrong\n");
        }
        text
    }

    /// It for a program.
    pub(crate) fn json(&self) -> Value {
        let subjects = self.subjects.iter().map(|subject| {
            let found = subject.found.iter().map(|one| {
                let remedies = one.remedies.iter().map(|remedy| match remedy {
                    Remedy::Statement(text) => json!({"statement": text}),
                    Remedy::Setting(text) => json!({"setting": text}),
                });
                json!({
                    "name": one.name,
                    "severity": one.severity.as_ref(),
                    "detail": one.detail,
                    "remedies": remedies.collect::<Vec<_>>(),
                })
            });
            json!({
                "name": subject.name,
                "facts": subject.facts,
                "findings": found.collect::<Vec<_>>(),
            })
        });
        json!({ "subjects": subjects.collect::<Vec<_>>() })
    }
}

fn verdict(severity: Severity) -> &'static str {
    match severity {
        Severity::Told => "to be known",
        Severity::Accepted => "unsafe, accepted by the configuration",
        Severity::Unasked => "could not be asked",
        Severity::Unsafe => "UNSAFE",
        Severity::Refused => "REFUSED",
    }
}
