//! What each code means that tandem prints, how it comes about, and what to do about it: what `tandem explain`
//! says, and what the runbook is made of.
//!
//! The codes are the closed lists of the code itself. Each list has a file here whose `match` has to name all
//! of it, so that a code without its entry does not compile.

pub(crate) mod ailments;
mod answers;
mod branch_errors;
mod disagreements;
mod exits;
mod failures;
mod findings;
mod heuristics;
mod mysql_findings;
mod recovery;
mod redis_findings;
mod refusals;
pub(crate) mod runbook;
mod states;
mod statuses;
mod symptoms;

use strum::VariantArray;
pub(crate) use symptoms::Symptom;

/// Names that are closer than this to what was asked for may have been meant; 1 is the same name.
const ALIKE: f64 = 0.8;

/// What is said of a code. Each is a sentence or more; the first one has no capital and no full stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Text {
    /// What it says.
    pub(crate) means: &'static str,
    /// How it comes about.
    pub(crate) cause: &'static str,
    /// What to do: a verb, a statement, or why nothing.
    pub(crate) act: &'static str,
}

/// A code with what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As it is printed.
    pub(crate) code: String,
    /// Other names of it: as JSON has it, as a person may type it.
    pub(crate) also: Vec<String>,
    /// Which list it is of.
    pub(crate) group: Group,
    pub(crate) text: Text,
}

/// The lists of codes, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
pub(crate) enum Group {
    Refusal,
    Answer,
    Status,
    BranchError,
    Heuristic,
    Recovery,
    Disagreement,
    Finding,
    MysqlFinding,
    RedisFinding,
    Ailment,
    Transaction,
    Branch,
    StoreTruth,
    Link,
    Purchase,
    Repair,
    Failure,
    Exit,
}

impl Group {
    /// What a person calls the list, and where its codes are printed.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Group::Refusal => "Why a store refused a purchase",
            Group::Answer => "Why a call was not answered as asked",
            Group::Status => "gRPC's own codes",
            Group::BranchError => "Why a participant's call failed",
            Group::Heuristic => "How a branch was ended against its decision",
            Group::Recovery => {
                "What is to become of a transaction, and why (`tandem recover --look`)"
            }
            Group::Disagreement => "What `tandem audit` finds",
            Group::Finding => "Findings of the configuration and of every store",
            Group::MysqlFinding => "Findings of MySQL and MariaDB",
            Group::RedisFinding => "Findings of Redis and Valkey",
            Group::Ailment => "What `tandem doctor` finds besides",
            Group::Transaction => "A transaction's state (`tandem tx list`, `tandem tx show`)",
            Group::Branch => "What the coordinator believes of a branch (`tandem tx show`)",
            Group::StoreTruth => "What a store itself says of a branch (`tandem tx show`)",
            Group::Link => "A participant's state (`tandem participants`)",
            Group::Purchase => "A purchase's state (`tandem purchase get`)",
            Group::Repair => "What came of a repair (`tandem tx repair`)",
            Group::Failure => {
                "Why a verb failed, where no server has answered (`code` with `--output json`)"
            }
            Group::Exit => "Exit status of a verb",
        }
    }

    fn entries(self) -> Vec<Entry> {
        match self {
            Group::Refusal => refusals::entries(),
            Group::Answer => answers::entries(),
            Group::Status => statuses::entries(),
            Group::BranchError => branch_errors::entries(),
            Group::Heuristic => heuristics::entries(),
            Group::Recovery => recovery::entries(),
            Group::Disagreement => disagreements::entries(),
            Group::Finding => findings::entries(),
            Group::MysqlFinding => mysql_findings::entries(),
            Group::RedisFinding => redis_findings::entries(),
            Group::Ailment => ailments::entries(),
            Group::Transaction => states::transactions(),
            Group::Branch => states::branches(),
            Group::StoreTruth => states::truths(),
            Group::Link => states::links(),
            Group::Purchase => states::purchases(),
            Group::Repair => states::repairs(),
            Group::Failure => failures::entries(),
            Group::Exit => exits::entries(),
        }
    }
}

impl Entry {
    fn new(group: Group, code: impl Into<String>, text: Text) -> Entry {
        Entry {
            code: code.into(),
            also: Vec::new(),
            group,
            text,
        }
    }

    fn also(mut self, name: impl Into<String>) -> Entry {
        self.also.push(name.into());
        self
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let names = std::iter::once(&self.code).chain(&self.also);
        names.map(|name| folded(name))
    }
}

/// Every code, list by list.
pub(crate) fn all() -> Vec<Entry> {
    let groups = Group::VARIANTS.iter();
    groups.flat_map(|group| group.entries()).collect()
}

/// The codes of this name, however it is written: `rolled-back`, `ROLLED_BACK`. Several lists may have it.
pub(crate) fn find(name: &str) -> Vec<Entry> {
    let name = folded(name);
    let is_named = |entry: &Entry| entry.names().any(|known| known == name);
    all().into_iter().filter(is_named).collect()
}

/// The codes whose names are nearest to one that is not known, nearest first; none where nothing is like it.
pub(crate) fn nearest(name: &str) -> Vec<String> {
    let name = folded(name);
    let likeness = |entry: &Entry| {
        let alike = entry.names().map(|known| {
            let is_part = name.len() > 3 && known.contains(&name);
            strsim::jaro_winkler(&known, &name).max(f64::from(u8::from(is_part)))
        });
        alike.fold(0.0, f64::max)
    };
    let mut codes: Vec<(f64, String)> = all()
        .into_iter()
        .map(|entry| (likeness(&entry), entry.code))
        .filter(|(alike, _)| *alike >= ALIKE)
        .collect();
    codes.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut nearest: Vec<String> = codes.into_iter().map(|(_, code)| code).collect();
    nearest.dedup();
    nearest.truncate(3);
    nearest
}

/// A name as it is compared.
fn folded(name: &str) -> String {
    name.trim().to_uppercase().replace(['-', ' '], "_")
}

/// A text that begins like a clause as the sentence that it is.
pub(crate) fn sentence(clause: &str) -> String {
    let mut chars = clause.chars();
    let first: String = chars
        .next()
        .map_or_else(String::new, |c| c.to_uppercase().collect());
    let end = if clause.ends_with(['.', '?']) {
        ""
    } else {
        "."
    };
    format!("{first}{}{end}", chars.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_code_of_a_list_is_told_once_and_says_all_three_things() {
        let mut seen = BTreeSet::new();
        for entry in all() {
            let Entry {
                code, group, text, ..
            } = &entry;
            assert!(seen.insert((group.title(), code.clone())), "{code} twice");
            for part in [text.means, text.cause, text.act] {
                assert!(part.len() >= 4, "{code}: {part:?}");
            }
            assert!(!text.means.ends_with('.'), "{code}");
        }
        assert!(seen.len() > 100, "only {}", seen.len());
    }

    #[test]
    fn a_code_is_found_however_it_is_written() {
        for name in [
            "rolled-back",
            "ROLLED_BACK",
            "Rolled Back",
            "BRANCH_STATE_ROLLED_BACK",
        ] {
            assert_eq!(find(name)[0].code, "rolled-back", "{name}");
        }
        assert_eq!(find("3"), find("exit 3"));
        let groups: Vec<Group> = find("replica").iter().map(|entry| entry.group).collect();
        assert_eq!(groups, [Group::MysqlFinding, Group::RedisFinding]);
    }

    #[test]
    fn what_is_nearly_a_code_is_suggested() {
        assert_eq!(nearest("INSUFICIENT_STOK")[0], "INSUFFICIENT_STOCK");
        assert_eq!(nearest("appendfsync")[0], "APPENDFSYNC_NOT_ALWAYS");
        assert!(nearest("xyzzy").is_empty());
        assert!(find("xyzzy").is_empty());
    }
}
