//! What struck how often.

use std::collections::BTreeMap;
use std::fmt;

use crate::chaos::kind::{Armed, Fault, Kind};
use crate::links::LinkName;

/// From this many rounds on a run must have shown all that it was asked for.
pub const LONG_ROUNDS: u32 = 150;

/// How often each kind of fault must have struck in a long run.
const STRUCK_MIN: u32 = 10;

/// How often each step must have been died at in a long run.
const KILLED_MIN: u32 = 2;

/// Counts over all rounds.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: BTreeMap<Kind, Count>,
    links: BTreeMap<(Kind, LinkName), u32>,
    steps: BTreeMap<String, Count>,
    /// Damage by hand that was named and repaired.
    pub heuristics: u32,
    /// Starts that were refused after a commit by hand.
    pub refused_starts: u32,
    /// Restarts of MySQL for a branch that it had lost itself.
    pub zombies: u32,
    /// Transactions that were named as lost by MySQL, and repaired.
    pub repaired: u32,
}

#[derive(Debug, Default)]
struct Count {
    dealt: u32,
    struck: u32,
    /// How often steps were passed until they struck, that time included.
    passed: u64,
}

impl Tally {
    /// One that knows what may come up.
    pub(super) fn new(kinds: &[Kind], steps: &[(String, bool)]) -> Tally {
        Tally {
            kinds: kinds.iter().map(|kind| (*kind, Count::default())).collect(),
            steps: steps
                .iter()
                .map(|(step, _)| (step.clone(), Count::default()))
                .collect(),
            ..Tally::default()
        }
    }

    pub(super) fn fault(&mut self, fault: &Fault, struck: bool) {
        let count = self.kinds.entry(fault.kind).or_default();
        count.dealt += 1;
        count.struck += u32::from(struck);
        if struck && fault.kind.is_of_link() {
            *self.links.entry((fault.kind, fault.link)).or_default() += 1;
        }
    }

    pub(super) fn step(&mut self, armed: &Armed, deaths: u32) {
        let count = self.steps.entry(armed.step.clone()).or_default();
        count.dealt += 1;
        count.struck += deaths;
        if deaths > 0 {
            // The later ones at the first passing.
            count.passed += armed.passing + u64::from(deaths) - 1;
        }
    }

    /// What did not come up often enough in so many rounds; nothing can be said of a short run.
    pub fn missing(&self, rounds: u32) -> Vec<String> {
        let mut missing = Vec::new();
        if rounds < LONG_ROUNDS {
            return missing;
        }
        for (kind, count) in &self.kinds {
            if count.struck < STRUCK_MIN {
                missing.push(format!("{kind} struck {} times", count.struck));
            }
        }
        for (step, count) in &self.steps {
            if count.struck < KILLED_MIN {
                missing.push(format!("{step} was died at {} times", count.struck));
            }
        }
        missing
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<28} {:>6} {:>6}", "fault", "dealt", "struck")?;
        for (kind, count) in &self.kinds {
            let name = kind.to_string();
            write!(f, "{name:<28} {:>6} {:>6}", count.dealt, count.struck)?;
            let links = self.links.iter().filter(|((of, _), _)| of == kind);
            for ((_, link), struck) in links {
                write!(f, "  {link} {struck}")?;
            }
            writeln!(f)?;
        }
        writeln!(
            f,
            "{:<28} {:>6} {:>6} {:>8}",
            "step", "armed", "killed", "reached"
        )?;
        for (step, count) in &self.steps {
            let (armed, killed, passed) = (count.dealt, count.struck, count.passed);
            writeln!(f, "{step:<28} {armed:>6} {killed:>6} {passed:>8}")?;
        }
        write!(
            f,
            "damage by hand, named and repaired: {}; starts refused after a commit by hand: {}; \
             restarts of MySQL for a branch that it had lost: {}; commits that MySQL had lost, named and \
             repaired: {}",
            self.heuristics, self.refused_starts, self.zombies, self.repaired
        )
    }
}
