//! What a run is made of: its seed, what may go wrong in it, what is planted in it.

use std::collections::BTreeSet;
use std::fmt;

use crate::tampered::Tampering;

/// A family of troubles, which can be left out of a run to see whether it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    /// The coordinator's process dies, also between two actions of one event.
    CoordinatorCrashes,
    /// Stores die and come back, some as another life and without what they had promised.
    StoreCrashes,
    /// Requests and answers are lost.
    Losses,
    /// Requests arrive twice.
    Repeats,
    /// Requests and answers are late by seconds.
    Delays,
    /// Requests are late by minutes.
    Minutes,
    /// A link swallows everything in one direction for a while, without an error.
    HalfOpenLinks,
    /// Stores are busy, stuck, or die after the work and before the answer.
    Moods,
    /// The log's disk fails a force, is full for a while, tears the last record.
    DiskFaults,
    /// The process starts on an old copy of the log.
    OldLogs,
    /// A store is restored from an old copy, flushed, or loses the coordinator's memory.
    Forgetting,
    /// Someone with access to a store ends branches there.
    Hands,
    /// The app takes units that are held, or puts units on the shelf.
    App,
    /// An operator carries branches out by hand and settles them, at any moment.
    Settling,
    /// Clients hang up and submit the same purchase at another moment; other contents come under
    /// a known id.
    HangUps,
    /// Other sessions hold rows for a while.
    Locks,
}

impl Trouble {
    pub(crate) const ALL: [Trouble; 16] = [
        Trouble::CoordinatorCrashes,
        Trouble::StoreCrashes,
        Trouble::Losses,
        Trouble::Repeats,
        Trouble::Delays,
        Trouble::Minutes,
        Trouble::HalfOpenLinks,
        Trouble::Moods,
        Trouble::DiskFaults,
        Trouble::OldLogs,
        Trouble::Forgetting,
        Trouble::Hands,
        Trouble::App,
        Trouble::Settling,
        Trouble::HangUps,
        Trouble::Locks,
    ];
}

/// What may happen at any moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Everything, to everybody.
    Rough,
    /// Outages and locks with a beginning and an end: what each purchase is hit by is known.
    Calm,
}

/// Something that is planted to see that an invariant notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// Between the core and its shell.
    Core(Tampering),
    /// In the shell: the log, the replies.
    Shell(Shell),
    /// In the stores.
    Store(Mistake),
}

/// A mistake of the process around the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    ForceIsDropped,
    LastRecordsAreNotReplayed,
    TornRecordIsBelieved,
    /// What was deducted in all is not written when the log forgets it.
    TotalsAreDropped,
    RepliesAreLost,
    /// An answer counts although the store that gave it lives another life by now.
    AnswersOutliveTheirStore,
    /// A link does not tell the store what it has acknowledged.
    AcknowledgedIsNotTold,
    /// A link is down for seconds after its store is back.
    LinkStaysDown,
    /// A vote that refuses an entry refuses all of them.
    RefusalTakesNeighbours,
    /// Nothing is prepared at a store while a prepare there waits for a lock.
    LockHoldsOthersUp,
}

/// A mistake of a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mistake {
    RepeatedCommitDeductsAgain,
    HeldUnitsAreSoldAgain,
    /// A unit fewer is promised than there is.
    LastUnitIsNotSold,
    /// A repeated prepare is checked against the stock before it is looked up.
    MemoryIsCheckedAfterStock,
    /// A commit of an unknown branch is answered as if it had been done.
    UnknownBranchCountsAsCommitted,
    /// A commit whose memory was lost is carried out again though its effect is there.
    OnlyMemoryIsAsked,
    /// Epochs are not kept: an earlier one is served.
    EpochIsNotKept,
    /// A prepare is served after its roll back.
    RollBackIsNotRemembered,
    DebtIsTakenFromStock,
    RepeatedRepairDeductsAgain,
}

/// One run: the same plan gives the same events, byte for byte.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) planted: Planted,
    pub(crate) weather: Weather,
    /// What is left out.
    pub(crate) without: BTreeSet<Trouble>,
    /// Purchases, if not as many as the seed says.
    pub(crate) purchases: Option<u64>,
}

impl Plan {
    pub(crate) fn new(seed: u64, planted: Planted) -> Plan {
        Plan {
            seed,
            planted,
            weather: Weather::Rough,
            without: BTreeSet::new(),
            purchases: None,
        }
    }

    pub(crate) fn calm(seed: u64, planted: Planted) -> Plan {
        Plan {
            weather: Weather::Calm,
            ..Plan::new(seed, planted)
        }
    }

    /// The parts of a run that are not needed to break the invariant, left out one after another
    /// as long as `breaks` says that it still breaks.
    pub(crate) fn shrink(&self, breaks: impl Fn(&Plan) -> bool) -> Plan {
        let mut smallest = self.clone();
        for trouble in Trouble::ALL {
            let mut changed = smallest.clone();
            changed.without.insert(trouble);
            if breaks(&changed) {
                smallest = changed;
            }
        }
        let fewer = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96].map(|purchases| Plan {
            purchases: Some(purchases),
            ..smallest.clone()
        });
        fewer.into_iter().find(breaks).unwrap_or(smallest)
    }
}

/// The variables that make [`replay_of`](crate::replay_of) play this plan.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SEED={}", self.seed)?;
        if self.weather == Weather::Calm {
            write!(f, " WEATHER=calm")?;
        }
        if !self.without.is_empty() {
            let without: Vec<String> = self.without.iter().map(|t| format!("{t:?}")).collect();
            write!(f, " WITHOUT={}", without.join(","))?;
        }
        if let Some(purchases) = self.purchases {
            write!(f, " PURCHASES={purchases}")?;
        }
        Ok(())
    }
}
