//! What the exit code of a verb says.

use strum::VariantArray;

/// The exit codes, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
#[repr(u8)]
pub(crate) enum Exit {
    Done = 0,
    Negative = 1,
    Usage = 2,
    Unreachable = 3,
    Open = 4,
    Incomplete = 5,
}

impl Exit {
    /// What it says, as a clause.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Negative => "refused, or the answer is negative",
            Exit::Usage => "the command line or the configuration is wrong",
            Exit::Unreachable => "the server can't be reached; nothing was asked of it",
            Exit::Open => "no final answer: what was asked may have taken effect; ask again",
            Exit::Incomplete => {
                "nothing that was looked at is wrong, and not all could be looked at"
            }
        }
    }
}

/// The codes that [`finish`](super::finish) gives, as `--help` shows them.
pub fn exit_codes() -> String {
    let line = |exit: &Exit| format!("\n  {}  {}", *exit as u8, exit.meaning());
    let lines: String = Exit::VARIANTS.iter().map(line).collect();
    format!("Exit codes:{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manual;

    #[test]
    fn manual_lists_every_exit_code() {
        let listed = manual::rows("What an operator is told").into_iter();
        let listed = listed.filter_map(|row| Some((row[0].parse().ok()?, row[1].clone())));
        let listed: Vec<(u8, String)> = listed.collect();
        let given = Exit::VARIANTS.iter();
        let given = given.map(|exit| (*exit as u8, exit.meaning().to_owned()));
        assert_eq!(listed, given.collect::<Vec<_>>());
    }
}
