//! Bugs that a test can plant in the core, to see that the simulator and the model find them.
//!
//! Without the feature `planted-bugs`, which only tests turn on, no bug can be chosen and the
//! compiler drops every place that asks for one.

use crate::coordinator::Coordinator;

/// A mistake that a coordinator could make.
#[cfg_attr(
    not(feature = "planted-bugs"),
    expect(unreachable_pub, reason = "it is exported with the feature only")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Bug {
    /// The commits go out with the decision, not after it is stored.
    CommitBeforeStored,
    /// A client whose deadline passes before the outcome is known is told that there is none.
    UnknownIsTakenForAborted,
    /// The decision names every entry, also those that were refused.
    DecideWithoutSurvivors,
    /// A vote counts although its store has been restarted from elsewhere since.
    VoidVoteCounts,
    /// A sweep takes what is under way for something that was aborted.
    SweepIgnoresLive,
    /// What an earlier epoch left is rolled back before every participant has been asked whether
    /// the log is the newest.
    AbortBeforeEnlisted,
    /// Nobody looks at what the participants have committed last.
    StaleLogIsBelieved,
    /// A transaction ends when its first branch has.
    EndAtFirstAcknowledgement,
    /// A commit that failed is not tried again.
    FailureIsTakenForSuccess,
    /// A branch that was ended against the decision counts as done.
    HeuristicIsTakenForSuccess,
    /// A repair goes out with its order, not after it is stored.
    RepairBeforeStored,
    /// The log is released up to its end.
    ReleaseTooFar,
    /// What a store forgot is not done again.
    RedoIsSkipped,
    /// New purchases are taken before a store has again what it forgot.
    NewPurchasesOvertakeRedo,
    /// A store that lives another life is taken for the same one: nobody asks what it remembers.
    AnotherLifeIsNotLookedThrough,
    /// A purchase id that has an outcome is bought again.
    OutcomeIsNotLookedUp,
    /// The same purchase id counts as the same purchase, whatever it holds.
    ContentIsNotCompared,
}

impl Coordinator {
    /// Plants a bug.
    #[cfg(feature = "planted-bugs")]
    pub fn plant(&mut self, bug: Bug) {
        self.bug = Some(bug);
    }

    pub(crate) fn has(&self, bug: Bug) -> bool {
        cfg!(feature = "planted-bugs") && self.bug == Some(bug)
    }
}
