//! What is to become of a transaction, by what its stores and the log say: a pure function.

/// What a store says of a transaction, by its own evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// In doubt: promised, not ended.
    Prepared,
    Committed,
    RolledBack,
    /// Neither held nor remembered, at a store that knows the coordinator: it has promised nothing, or what
    /// it did was settled by hand.
    Nothing,
    /// Neither held nor remembered, at a store that does not know the coordinator: it never did, or has lost
    /// its memory.
    NoMemory,
    /// It could not be asked, or can't tell now.
    Unknown,
}

/// What is known of a transaction apart from its stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogSays {
    Committed,
    /// Refused as a whole, or known as aborted.
    Aborted,
    /// A coordinator that runs is at work on it.
    UnderWay,
    /// The coordinator that runs has no decision of it.
    Undecided,
    /// The log, on which nobody runs now, has no decision of it, though it goes past it: it has none, or the log
    /// is an old copy.
    NotThere,
    /// There is no log, it is another coordinator's, or it has forgotten what was then.
    Silent,
}

/// How a transaction is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::AsRefStr)]
#[strum(serialize_all = "kebab-case")]
pub(crate) enum End {
    Commit,
    RollBack,
}

/// Why a transaction is to end so, or why that can't be known. The names, for people and programs, are the
/// variants' in UPPER_SNAKE.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::AsRefStr, strum::VariantArray,
)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Because {
    /// The log has the decision to commit.
    DecidedCommit,
    /// The log knows it as aborted.
    DecidedAbort,
    /// The coordinator that runs has no decision of it.
    PresumedAbort,
    /// The coordinator that runs is at work on it.
    WorkUnderWay,
    /// A store has committed it.
    CommittedElsewhere,
    /// A store has rolled it back.
    RolledBackElsewhere,
    /// A store that would have had to promise it has not.
    NeverPromised,
    /// All stores have promised it, and whether that was decided is written nowhere that was looked at.
    AllPromised,
    /// A store has committed it, another has nothing of it, and no decision is at hand.
    HalfThere,
    /// A store has committed what another has rolled back.
    StoresDisagree,
    /// A store has committed what was not decided.
    CommittedUndecided,
    /// A store that matters has lost its memory, or never had any of this coordinator.
    MemoryLost,
    /// A store that matters could not be asked.
    StoreNotAsked,
}

impl Because {
    /// How it is to end; `None` where only a person can say, or nobody has to.
    pub(crate) fn end(self) -> Option<End> {
        match self {
            Because::DecidedCommit | Because::CommittedElsewhere => Some(End::Commit),
            Because::DecidedAbort
            | Because::PresumedAbort
            | Because::RolledBackElsewhere
            | Because::NeverPromised => Some(End::RollBack),
            Because::WorkUnderWay
            | Because::AllPromised
            | Because::HalfThere
            | Because::StoresDisagree
            | Because::CommittedUndecided
            | Because::MemoryLost
            | Because::StoreNotAsked => None,
        }
    }
}

/// The verdict on a transaction; `None` where it has ended alike everywhere and nothing is left to do.
pub(crate) fn verdict(log: LogSays, stores: &[Holds]) -> Option<Because> {
    let any = |holds| stores.contains(&holds);
    if log == LogSays::UnderWay {
        return Some(Because::WorkUnderWay);
    }
    let is_committed = any(Holds::Committed);
    match log {
        LogSays::Committed => {
            let has_all = stores.iter().all(|holds| *holds == Holds::Committed);
            (!has_all).then_some(Because::DecidedCommit)
        }
        LogSays::Aborted | LogSays::Undecided if is_committed => Some(Because::CommittedUndecided),
        LogSays::Aborted => any(Holds::Prepared).then_some(Because::DecidedAbort),
        LogSays::Undecided => any(Holds::Prepared).then_some(Because::PresumedAbort),
        LogSays::UnderWay | LogSays::NotThere | LogSays::Silent => by_stores(stores),
    }
}

/// The verdict where no log can be asked, or believed to be the newest.
fn by_stores(stores: &[Holds]) -> Option<Because> {
    let any = |holds| stores.contains(&holds);
    let is_prepared = any(Holds::Prepared);
    match (any(Holds::Committed), any(Holds::RolledBack)) {
        (true, true) => Some(Because::StoresDisagree),
        (true, false) if is_prepared => Some(Because::CommittedElsewhere),
        (true, false) if any(Holds::Unknown) => Some(Because::StoreNotAsked),
        (true, false) if any(Holds::NoMemory) => Some(Because::MemoryLost),
        (true, false) => any(Holds::Nothing).then_some(Because::HalfThere),
        (false, true) => is_prepared.then_some(Because::RolledBackElsewhere),
        (false, false) if !is_prepared => None,
        (false, false) if any(Holds::Nothing) => Some(Because::NeverPromised),
        (false, false) if any(Holds::Unknown) => Some(Because::StoreNotAsked),
        (false, false) if any(Holds::NoMemory) => Some(Because::MemoryLost),
        (false, false) => Some(Because::AllPromised),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Holds; 6] = [
        Holds::Prepared,
        Holds::Committed,
        Holds::RolledBack,
        Holds::Nothing,
        Holds::NoMemory,
        Holds::Unknown,
    ];

    fn pairs() -> impl Iterator<Item = [Holds; 2]> {
        ALL.into_iter().flat_map(|a| ALL.map(|b| [a, b]))
    }

    #[test]
    fn order_of_the_stores_does_not_matter() {
        for log in [
            LogSays::Committed,
            LogSays::Undecided,
            LogSays::NotThere,
            LogSays::Silent,
        ] {
            for [a, b] in pairs() {
                assert_eq!(
                    verdict(log, &[a, b]),
                    verdict(log, &[b, a]),
                    "{log:?} {a:?} {b:?}"
                );
            }
        }
    }

    /// What the stores alone say is never the opposite of what the log says, where a store keeps to the
    /// protocol: it commits only what was decided, and rolls back only what was not.
    #[test]
    fn invariant_no_verdict_of_the_stores_contradicts_the_log() {
        for stores in pairs() {
            let blind = verdict(LogSays::Silent, &stores).and_then(Because::end);
            // Before its decision nothing is committed; after it nothing is rolled back, and everybody
            // has promised.
            let after = stores.iter().all(|holds| {
                matches!(
                    holds,
                    Holds::Prepared | Holds::Committed | Holds::Unknown | Holds::NoMemory
                )
            });
            let before = !stores.contains(&Holds::Committed);
            if after {
                assert_ne!(blind, Some(End::RollBack), "{stores:?}");
            }
            if before {
                assert_ne!(blind, Some(End::Commit), "{stores:?}");
            }
        }
    }

    #[test]
    fn what_can_t_be_known_is_left_to_a_person() {
        use Holds::{Committed, NoMemory, Nothing, Prepared, RolledBack, Unknown};
        for (stores, because) in [
            ([Prepared, Prepared], Because::AllPromised),
            ([Prepared, Unknown], Because::StoreNotAsked),
            ([Prepared, NoMemory], Because::MemoryLost),
            ([Committed, Nothing], Because::HalfThere),
            ([Committed, RolledBack], Because::StoresDisagree),
        ] {
            assert_eq!(verdict(LogSays::NotThere, &stores), Some(because));
            assert_eq!(because.end(), None);
        }
        assert_eq!(
            verdict(LogSays::Aborted, &[Committed, RolledBack]),
            Some(Because::CommittedUndecided)
        );
    }

    #[test]
    fn what_has_ended_alike_everywhere_is_not_told() {
        for ended in [Holds::Committed, Holds::RolledBack] {
            assert_eq!(verdict(LogSays::Silent, &[ended, ended]), None);
        }
        assert_eq!(
            verdict(LogSays::Undecided, &[Holds::RolledBack, Holds::Nothing]),
            None
        );
        assert_eq!(
            verdict(LogSays::Committed, &[Holds::Committed, Holds::Nothing]),
            Some(Because::DecidedCommit)
        );
    }
}
