//! What is found of a store by whoever may also try it, before or while a coordinator works with it.

use crate::call::{CheckedStore, Finding};

/// A store that was looked at and tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// What a look without a trace finds.
    pub checked: CheckedStore,
    /// What mends each finding, by its name: a finding whose cause is beyond the store has none.
    pub remedies: Vec<(String, Remedy)>,
    /// How far the store's clock is ahead of this machine's, in milliseconds, to half the round trip.
    pub clock_ahead_ms: Option<i64>,
    /// How the trial transaction went.
    pub trial: Trial,
}

/// What mends a finding, as it is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remedy {
    /// A statement or command for the store's own client, to be run by an administrator.
    Statement(String),
    /// A line of tandem's configuration.
    Setting(String),
}

/// A transaction on rows or keys of tandem's own: prepared and committed, and prepared and rolled back. It
/// leaves nothing behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trial {
    /// Both ended as they were told.
    Passed,
    /// It was not tried: for a person, why.
    Skipped(String),
    /// For a person, what went wrong, in the store's words.
    Failed(String),
}

impl Examined {
    /// What was only looked at.
    pub fn looked_at(checked: CheckedStore, why_not_tried: &str) -> Examined {
        Examined {
            checked,
            remedies: Vec::new(),
            clock_ahead_ms: None,
            trial: Trial::Skipped(why_not_tried.to_owned()),
        }
    }

    /// What mends each of a store's dangers, by the name under which it is a finding.
    pub fn remedies<D: AsRef<str>>(
        dangers: &[D],
        of: impl Fn(&D) -> Vec<Remedy>,
    ) -> Vec<(String, Remedy)> {
        let named = dangers.iter().flat_map(|danger| {
            let name = danger.as_ref().to_owned();
            let remedies = of(danger).into_iter();
            remedies.map(move |remedy| (name.clone(), remedy))
        });
        named.collect()
    }

    /// What mends a finding.
    pub fn remedies_of(&self, finding: &Finding) -> impl Iterator<Item = &Remedy> {
        let named = self.remedies.iter();
        named.filter_map(|(name, remedy)| (*name == finding.name).then_some(remedy))
    }
}
