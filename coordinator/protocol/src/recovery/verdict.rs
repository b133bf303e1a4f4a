//! What is to be done with a prepared branch.

use super::known::KnownBranch;

/// What is to be done with a prepared branch that a sweep found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What must be done is under way already.
    Leave,
    /// Commit it after all: what was done against the decision has not lasted.
    Commit,
    /// Commit it again if the next list still shows it: the store was put back to before its commit.
    CommitIfItStays,
    /// Release it: no stored decision means abort.
    RollBack,
    /// Release it, as a person has said of it: what he said of what could not be asked was not so yet.
    RollBackAsSettled,
    /// Show it to the operator and touch nothing.
    Report,
    /// Going on would be unsafe.
    Stop,
}

impl KnownBranch {
    /// What is to be done with a branch that was found prepared.
    pub(super) fn verdict(self) -> Verdict {
        match self {
            KnownBranch::NotOurs => Verdict::Report,
            KnownBranch::NotBegun => Verdict::Stop,
            // A commit that is being carried out finds the branch by itself.
            KnownBranch::Undecided | KnownBranch::Committing | KnownBranch::BeingRolledBack => {
                Verdict::Leave
            }
            // A list may have been read before the answer came that its branches were committed; the
            // next one was not.
            KnownBranch::Committed => Verdict::CommitIfItStays,
            // A roll back by hand is not forced to the disk (measured on MariaDB 10.11): a crash of the
            // server takes it back, and nobody else would end the branch then.
            KnownBranch::EndedOtherwise => Verdict::Commit,
            KnownBranch::Aborted => Verdict::RollBack,
            KnownBranch::SettledAsRolledBack => Verdict::RollBackAsSettled,
            // Presumed abort holds only for what the log can still speak about.
            KnownBranch::Forgotten => Verdict::Report,
        }
    }
}
