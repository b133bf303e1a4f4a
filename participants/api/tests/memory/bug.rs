//! Mistakes that participants make, to be planted.

/// A mistake, and the case that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// A repeated commit deducts again.
    CommitsAgain,
    /// Looks whether a commit was done, then does it, and is not alone in between.
    CommitsAfterACheckInTheOpen,
    /// Deducts in one step and remembers it in a later one.
    CommitsInTwoSteps,
    /// Commits all that was prepared, whatever the decision names.
    CommitsAllPrepared,
    /// Takes a branch that it does not know for one that it has committed.
    TakesUnknownForCommitted,
    /// Keeps no memory of roll backs.
    ForgetsRollBacks,
    /// Keeps no memory of commits beyond what repeats of the commit need.
    PreparesWhatWasCommitted,
    /// A roll back of what it does not know is an error.
    RefusesUnknownRollBacks,
    /// A roll back of a committed transaction is said to be done.
    AcceptsRollBackOfCommitted,
    /// A roll back keeps the units held.
    KeepsUnitsOfRolledBack,
    /// A repeated roll back releases units again, somebody else's by then.
    ReleasesAgain,
    /// Deducts at prepare, restores at roll back.
    ShowsBeforeCommit,
    /// Promises what it has promised before.
    CountsNoHolds,
    /// A repeated prepare holds again.
    HoldsAgain,
    /// One entry that can't be promised makes all the others fail.
    RefusesAllForOne,
    /// A branch without entries is prepared all the same.
    KeepsEmptyBranches,
    /// Accepts any epoch.
    IgnoresEpochs,
    /// Accepts two processes of one epoch.
    IgnoresInstances,
    /// Accepts any log.
    IgnoresLogs,
    /// Remembers what an enlist that it refused had said.
    LearnsFromRefusedEnlists,
    /// Checks epochs at enlist alone.
    FencesOnlyEnlist,
    /// Releases the branches of others when a coordinator enlists.
    SweepsOthers,
    /// Prepared branches live and die with the participant object.
    KeepsPreparedInTheObject,
    /// A killed store has lost its prepared branches.
    LosesPreparedWhenKilled,
    /// A killed store has lost its verdicts.
    LosesVerdictsWhenKilled,
    /// A killed store has lost its coordinators' epochs.
    LosesEpochsWhenKilled,
    /// A dead store keeps its callers waiting.
    HangsWhenDead,
    /// A forget takes the exceptions too.
    ForgetsTheExcepted,
    /// A forget takes every coordinator's memory.
    ForgetsOthers,
    /// Names its oldest commits as the newest.
    NamesTheOldestCommits,
    /// Names everybody's commits.
    NamesOthersCommits,
    /// Looks a branch up by committing it.
    InspectCommits,
    /// A coordinator that enlists a second time is taken for another.
    RefusesTheSameInstance,
    /// Accepts no epoch but the next.
    RefusesEpochGaps,
    /// A vote does not say which life of the store gave it.
    VotesWithoutIncarnation,
    /// Lists branches that have ended.
    ListsWhatHasEnded,
    /// Prepares the first hundred entries.
    DropsEntriesBeyondAHundred,
    /// Says of every commit that its branch was lost.
    AlwaysSaysRedone,
    /// Takes a branch that it has rolled back for one that it has committed.
    TakesRolledBackForCommitted,
    /// Names transactions as committed that were rolled back.
    NamesWhatWasRolledBack,
    /// Takes what was rolled back for something that it remembers as committed.
    RecallsWhatWasRolledBack,
    /// Answers a commit before it is durable.
    LosesTheLastCommitWhenKilled,
    /// A repeated repair deducts again.
    RepairsAgain,
    /// A repair is remembered and not carried out.
    RepairsInWordsOnly,
    /// Counts what it holds as deducted.
    CountsAtPrepare,
    /// A look makes the coordinator known.
    LookEnlists,
    /// A look ends the store's life.
    LookBeginsAnotherLife,
    /// A look finds nothing.
    LookTellsNothing,
    /// Prepares whatever it is said to have committed.
    IgnoresAcknowledgedCommits,
    /// Prepares whatever number of changes it is said to have made.
    IgnoresChanges,
    /// Counts no roll back among its changes.
    CountsNoRollBacks,
    /// Prepares for a caller that has enlisted in another life.
    IgnoresLives,
    /// Does not know what it has committed.
    DeniesWhatItCommitted,
    /// Goes on in the same life although it lacks what it has acknowledged.
    KeepsItsLife,
    /// Prepares what is closed.
    IgnoresClosing,
    /// Takes what is closed for what may be forgotten.
    ClosingForgetsCommits,
}

impl Bug {
    /// Every bug.
    pub const ALL: [Bug; 56] = [
        Bug::CommitsAgain,
        Bug::CommitsAfterACheckInTheOpen,
        Bug::CommitsInTwoSteps,
        Bug::CommitsAllPrepared,
        Bug::TakesUnknownForCommitted,
        Bug::ForgetsRollBacks,
        Bug::PreparesWhatWasCommitted,
        Bug::RefusesUnknownRollBacks,
        Bug::AcceptsRollBackOfCommitted,
        Bug::KeepsUnitsOfRolledBack,
        Bug::ReleasesAgain,
        Bug::ShowsBeforeCommit,
        Bug::CountsNoHolds,
        Bug::HoldsAgain,
        Bug::RefusesAllForOne,
        Bug::KeepsEmptyBranches,
        Bug::IgnoresEpochs,
        Bug::IgnoresInstances,
        Bug::IgnoresLogs,
        Bug::LearnsFromRefusedEnlists,
        Bug::FencesOnlyEnlist,
        Bug::SweepsOthers,
        Bug::KeepsPreparedInTheObject,
        Bug::LosesPreparedWhenKilled,
        Bug::LosesVerdictsWhenKilled,
        Bug::LosesEpochsWhenKilled,
        Bug::HangsWhenDead,
        Bug::ForgetsTheExcepted,
        Bug::ForgetsOthers,
        Bug::NamesTheOldestCommits,
        Bug::NamesOthersCommits,
        Bug::InspectCommits,
        Bug::RefusesTheSameInstance,
        Bug::RefusesEpochGaps,
        Bug::VotesWithoutIncarnation,
        Bug::ListsWhatHasEnded,
        Bug::DropsEntriesBeyondAHundred,
        Bug::AlwaysSaysRedone,
        Bug::TakesRolledBackForCommitted,
        Bug::NamesWhatWasRolledBack,
        Bug::RecallsWhatWasRolledBack,
        Bug::LosesTheLastCommitWhenKilled,
        Bug::RepairsAgain,
        Bug::RepairsInWordsOnly,
        Bug::CountsAtPrepare,
        Bug::LookEnlists,
        Bug::LookBeginsAnotherLife,
        Bug::LookTellsNothing,
        Bug::IgnoresAcknowledgedCommits,
        Bug::IgnoresChanges,
        Bug::CountsNoRollBacks,
        Bug::IgnoresLives,
        Bug::DeniesWhatItCommitted,
        Bug::KeepsItsLife,
        Bug::IgnoresClosing,
        Bug::ClosingForgetsCommits,
    ];

    /// The case that must catch it.
    pub fn caught_by(self) -> &'static str {
        match self {
            Bug::CommitsAgain => "commit_applies_once_when_repeated",
            Bug::CommitsAfterACheckInTheOpen => "commit_applies_once_when_repeated_concurrently",
            Bug::CommitsInTwoSteps => "dropped_commit_can_be_settled",
            Bug::CommitsAllPrepared => "commit_applies_only_the_entries_that_it_names",
            Bug::TakesUnknownForCommitted => {
                "commit_of_an_unknown_branch_never_claims_what_is_not_there"
            }
            Bug::ForgetsRollBacks => "late_prepare_after_roll_back_votes_no",
            Bug::PreparesWhatWasCommitted => "late_prepare_after_commit_votes_no",
            Bug::RefusesUnknownRollBacks => "roll_back_of_unknown_is_fine",
            Bug::AcceptsRollBackOfCommitted => "roll_back_after_commit_is_a_heuristic_error",
            Bug::KeepsUnitsOfRolledBack => "roll_back_leaves_nothing",
            Bug::ReleasesAgain => "roll_back_is_idempotent",
            Bug::ShowsBeforeCommit => "prepare_shows_nothing_before_commit",
            Bug::CountsNoHolds => "prepared_entry_is_promised_once",
            Bug::HoldsAgain => "repeated_prepare_never_doubles",
            Bug::RefusesAllForOne => "refused_entries_leave_the_others_prepared",
            Bug::KeepsEmptyBranches => "all_refused_leaves_nothing_prepared",
            Bug::IgnoresEpochs => "enlist_refuses_an_older_epoch",
            Bug::IgnoresInstances => "enlist_refuses_the_same_epoch_of_another_instance",
            Bug::IgnoresLogs | Bug::LearnsFromRefusedEnlists => "enlist_refuses_another_log",
            Bug::FencesOnlyEnlist => "commit_from_an_older_epoch_is_fenced",
            Bug::SweepsOthers => "another_coordinators_branch_is_listed_and_untouched",
            Bug::KeepsPreparedInTheObject => {
                "prepared_branch_is_committed_by_a_new_participant_object"
            }
            Bug::LosesPreparedWhenKilled => "prepared_branch_survives_a_killed_store",
            Bug::LosesVerdictsWhenKilled => "committed_survives_a_killed_store",
            Bug::LosesEpochsWhenKilled => "epoch_survives_a_killed_store",
            Bug::HangsWhenDead => "dead_store_is_unavailable_within_bounded_time",
            Bug::ForgetsTheExcepted => "forget_keeps_the_excepted",
            Bug::ForgetsOthers => "forget_touches_no_other_coordinator",
            Bug::NamesTheOldestCommits => "newest_committed_keeps_the_newest_of_many",
            Bug::NamesOthersCommits => "newest_committed_names_no_other_coordinators",
            Bug::InspectCommits => "inspect_tells_prepared_committed_rolled_back",
            Bug::RefusesTheSameInstance => "enlist_accepts_the_same_instance_again",
            Bug::RefusesEpochGaps => "enlist_accepts_a_later_epoch",
            Bug::VotesWithoutIncarnation => "vote_names_the_incarnation_enlisted",
            Bug::ListsWhatHasEnded => "prepared_branch_is_listed_until_it_ends",
            Bug::DropsEntriesBeyondAHundred => "large_transaction_commits_every_entry",
            Bug::AlwaysSaysRedone => "commit_applies_every_entry_once",
            Bug::TakesRolledBackForCommitted => {
                "commit_after_roll_back_never_claims_what_is_not_there"
            }
            Bug::NamesWhatWasRolledBack => "newest_committed_names_the_last_commit",
            Bug::RecallsWhatWasRolledBack => "recall_names_what_is_not_committed",
            Bug::LosesTheLastCommitWhenKilled => "store_killed_under_load_ends_exact",
            Bug::RepairsAgain => "repair_of_a_committed_branch_changes_nothing",
            Bug::RepairsInWordsOnly => "repair_redoes_a_rolled_back_branch_once",
            Bug::CountsAtPrepare => "audit_counts_what_was_deducted",
            Bug::LookEnlists => "look_knows_nothing_of_a_new_coordinator_and_leaves_nothing",
            Bug::LookBeginsAnotherLife => "look_changes_nothing",
            Bug::LookTellsNothing => "look_tells_the_last_enlistment_and_the_newest_commits",
            Bug::IgnoresAcknowledgedCommits => {
                "prepare_that_carries_an_unknown_commit_prepares_nothing"
            }
            Bug::IgnoresChanges => {
                "prepare_that_carries_more_changes_than_were_made_prepares_nothing"
            }
            Bug::CountsNoRollBacks => "roll_back_is_counted_among_the_changes",
            Bug::IgnoresLives => "prepare_for_another_life_prepares_nothing",
            Bug::DeniesWhatItCommitted => "prepare_that_carries_what_was_acknowledged_is_promised",
            Bug::KeepsItsLife => "enlist_that_carries_an_unknown_commit_begins_another_life",
            Bug::IgnoresClosing | Bug::ClosingForgetsCommits => {
                "closed_transactions_are_not_prepared_any_more"
            }
        }
    }
}
