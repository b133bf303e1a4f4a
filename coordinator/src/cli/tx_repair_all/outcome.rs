//! What came of the orders, one by one and of all together.

use std::fmt;

use serde_json::{Value, json};
use tandem_proto::v1::{BranchRepair, RepairState};

use super::pick::{Damaged, row};
use crate::cli::VerbFailure;
use crate::cli::names::full;
use crate::cli::output::clean;

/// What came of one order.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) branch: Damaged,
    pub(super) answer: Result<BranchRepair, String>,
}

/// What came of all of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    wanted: usize,
    done: usize,
    ordered: usize,
    failed: usize,
    refused: usize,
}

impl Outcome {
    fn state(&self) -> RepairState {
        match &self.answer {
            Ok(repair) => repair.state(),
            Err(_) => RepairState::Unspecified,
        }
    }

    fn effect(&self) -> &str {
        match &self.answer {
            Ok(repair) => &repair.effect,
            Err(refusal) => refusal,
        }
    }

    /// What is to be said of it by itself, if it is not simply done.
    pub(super) fn line(&self) -> Option<String> {
        let word = match self.state() {
            RepairState::Done => return None,
            RepairState::Ordered => "ordered",
            RepairState::Failed => "FAILED",
            RepairState::Preview | RepairState::Unspecified => "NOT ORDERED",
        };
        Some(format!(
            "{word}: {} at {}: {}",
            clean(&self.branch.transaction),
            clean(&self.branch.participant),
            clean(self.effect())
        ))
    }

    pub(super) fn document(&self) -> Value {
        let mut document = row(&self.branch);
        let state = match &self.answer {
            Ok(repair) => full::<RepairState>(repair.state),
            Err(_) => "REFUSED".to_owned(),
        };
        document["state"] = json!(state);
        document["effect"] = json!(self.effect());
        if let Ok(repair) = &self.answer {
            document["present_purchase_ids"] = json!(repair.present_purchase_ids);
        }
        document
    }
}

impl Tally {
    pub(super) fn of(wanted: usize) -> Self {
        Self {
            wanted,
            ..Self::default()
        }
    }

    pub(super) fn wanted(&self) -> usize {
        self.wanted
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        let count = match outcome.state() {
            RepairState::Done => &mut self.done,
            RepairState::Ordered => &mut self.ordered,
            RepairState::Failed => &mut self.failed,
            RepairState::Preview | RepairState::Unspecified => &mut self.refused,
        };
        *count += 1;
    }

    pub(super) fn answered(&self) -> usize {
        self.done + self.ordered + self.failed + self.refused
    }

    pub(super) fn document(&self) -> Value {
        json!({
            "wanted": self.wanted,
            "done": self.done,
            "ordered": self.ordered,
            "failed": self.failed,
            "refused": self.refused,
        })
    }

    /// Whether everything was done.
    pub(super) fn verdict(&self) -> Result<(), VerbFailure> {
        if self.failed + self.refused > 0 {
            Err(VerbFailure::Negative(
                "not everything could be done: look at what is said above, and at `tandem tx list \
                 --heuristic`"
                    .to_owned(),
            ))
        } else if self.ordered > 0 {
            Err(VerbFailure::Unknown(
                "what is only ordered will be done; `tandem tx list` tells when".to_owned(),
            ))
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} repaired", self.done, self.wanted)?;
        let left = self.wanted.saturating_sub(self.answered());
        for (count, what) in [
            (self.ordered, "ordered and not done yet"),
            (self.failed, "failed"),
            (self.refused, "not ordered"),
            (left, "without an answer"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_simply_done_is_said_and_decides_the_exit_code() {
        let branch = Damaged {
            transaction: "shop.3.1042".into(),
            participant: "purchases".into(),
            kind: "HEURISTIC_ROLLBACK".into(),
            purchases: 2,
            decided: None,
        };
        let mut tally = Tally::of(4);
        let mut add = |answer| {
            let outcome = Outcome {
                branch: branch.clone(),
                answer,
            };
            tally.add(&outcome);
            let line = outcome.line();
            (line, tally.verdict().map_err(|failure| failure.to_string()))
        };
        let state = |state: RepairState| {
            Ok(BranchRepair {
                state: state.into(),
                effect: "the schema\u{1b}".into(),
                ..BranchRepair::default()
            })
        };
        assert_eq!(add(state(RepairState::Done)), (None, Ok(())));
        let (line, verdict) = add(state(RepairState::Ordered));
        assert!(line.is_some_and(|line| line.starts_with("ordered: shop.3.1042 at purchases")));
        assert!(verdict.is_err_and(|text| text.contains("will be done")));
        let (line, _) = add(state(RepairState::Failed));
        assert!(line.is_some_and(|line| line.ends_with("the schema\\u{1b}")));
        let (_, verdict) = add(Err("somebody else has repaired it".into()));
        assert!(verdict.is_err_and(|text| text.contains("not everything")));
        assert_eq!(
            tally.to_string(),
            "1 of 4 repaired, 1 ordered and not done yet, 1 failed, 1 not ordered"
        );
    }
}
