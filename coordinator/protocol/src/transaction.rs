//! One transaction: its votes, its decision, the ends of its branches.

use std::collections::{BTreeMap, BTreeSet};

use crate::branch::{HeuristicKind, RefusedEntry, Vote};
use crate::coordinator::Held;
use crate::event::{Ending, Repair, RequestId, Settlement};
use crate::history::ByHand;
use crate::id::{ParticipantName, TransactionId};
use crate::purchase::{Entry, Refusal};
use crate::record::Decision;
use crate::time::Timestamp;

/// A transaction that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Transaction {
    pub(crate) id: TransactionId,
    pub(crate) begin_time: Timestamp,
    pub(crate) state: State,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum State {
    Preparing(Preparing),
    /// Its decision is on the way to the disk. Nothing can change it any more, and nothing may
    /// act on it yet.
    Deciding(Decision),
    Committing(Committing),
    Aborting(Branches),
}

/// Asking for promises.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Preparing {
    pub(crate) entries: Vec<Entry>,
    pub(crate) refused: BTreeMap<u32, Refused>,
    pub(crate) deadline: Timestamp,
    /// Whether those that refuse singly are asked before the others.
    pub(crate) cautious: bool,
    pub(crate) promises: BTreeMap<ParticipantName, Promise>,
}

/// Carrying out a stored decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Committing {
    pub(crate) entries: Vec<Entry>,
    pub(crate) decide_time: Timestamp,
    /// [`Decision::counts`].
    pub(crate) counts: bool,
    pub(crate) branches: Branches,
}

/// Why an entry is not in the decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Refused {
    pub(crate) participant: ParticipantName,
    pub(crate) refusal: Refusal,
    /// Whether it may lack no more than units that are being given back.
    pub(crate) is_doubtful: bool,
}

pub(crate) type Branches = BTreeMap<ParticipantName, Branch>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Promise {
    NotAsked,
    /// Asked for these entries.
    Asked {
        entries: BTreeSet<u32>,
        /// What was to be given back there at some moment since.
        doubt: Held,
    },
    Yes {
        incarnation: String,
        /// The entries in its branch.
        entries: BTreeSet<u32>,
    },
    /// All that it was asked for was refused, or it voted no; nothing is prepared there.
    Empty,
}

/// A branch that is to be ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Branch {
    pub(crate) progress: Progress,
    /// Calls that failed.
    pub(crate) failures: u32,
    /// What the last failed call said; kept after success, for the operator.
    pub(crate) last_failure: String,
    /// The stored order to redo it, by which it is carried out from then on.
    pub(crate) order: Option<Box<Order>>,
}

/// An operator's order to redo a branch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    pub(crate) repair: Repair,
    /// Who waits for what comes of it.
    pub(crate) request: Option<RequestId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Progress {
    Waiting { retry_time: Timestamp },
    Stuck { retry_time: Timestamp },
    Asked,
    Done,
    Heuristic(HeuristicKind),
    Settled(Box<Settlement>),
}

impl Transaction {
    /// How many purchases it carries to their end.
    pub(crate) fn size(&self) -> usize {
        match &self.state {
            State::Preparing(preparing) => preparing.entries.len(),
            State::Deciding(decision) => decision.entries.len(),
            State::Committing(committing) => committing.entries.len(),
            State::Aborting(_) => 0,
        }
    }
}

impl Progress {
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self, Progress::Done | Progress::Settled(_))
    }
}

impl Branch {
    pub(crate) fn new(progress: Progress) -> Branch {
        Branch {
            progress,
            failures: 0,
            last_failure: String::new(),
            order: None,
        }
    }

    /// A branch of a transaction that had ended, with what persons have said of it. What is to be
    /// carried out has not ended, whatever was said of it.
    pub(crate) fn taken_up(
        participant: &ParticipantName,
        progress: Progress,
        by_hand: &[ByHand],
    ) -> Branch {
        let mut branch = Branch::new(progress);
        for word in by_hand {
            match word {
                ByHand::Settled(settlement) => {
                    if settlement.participant == *participant && branch.has_ended() {
                        branch.progress = Progress::Settled(Box::new(settlement.clone()));
                    }
                }
                ByHand::Repaired(repair) => {
                    if repair.participant == *participant {
                        branch.order = Some(Box::new(Order {
                            repair: repair.clone(),
                            request: None,
                        }));
                    }
                }
            }
        }
        branch
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.progress.has_ended()
    }

    /// Whether it was carried out, or a person has said so, of a decision to commit.
    pub(crate) fn is_committed(&self) -> bool {
        match &self.progress {
            Progress::Done => true,
            Progress::Settled(settlement) => settlement.ending == Ending::Commit,
            Progress::Waiting { .. }
            | Progress::Stuck { .. }
            | Progress::Asked
            | Progress::Heuristic(_) => false,
        }
    }

    /// When it is to be tried again, if it waits for that.
    pub(crate) fn retry_time(&self) -> Option<Timestamp> {
        match self.progress {
            Progress::Waiting { retry_time } | Progress::Stuck { retry_time } => Some(retry_time),
            Progress::Asked | Progress::Done | Progress::Heuristic(_) | Progress::Settled(_) => {
                None
            }
        }
    }
}

/// What a transaction needs next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing: votes are missing.
    Wait,
    /// These participants are to be asked for these entries; they are marked as asked.
    Ask(Vec<ParticipantName>, Vec<Entry>),
    /// All votes are in, for these entries.
    Decide(Vec<Entry>),
    /// A participant that can't commit a part of its branch prepared entries that another
    /// refused: begin again with these.
    Again(Vec<Entry>),
    /// No entry survived.
    AllRefused,
}

impl Preparing {
    pub(crate) fn new(
        entries: Vec<Entry>,
        deadline: Timestamp,
        cautious: bool,
        participants: impl Iterator<Item = ParticipantName>,
    ) -> Preparing {
        Preparing {
            entries,
            refused: BTreeMap::new(),
            deadline,
            cautious,
            promises: participants.map(|name| (name, Promise::NotAsked)).collect(),
        }
    }

    /// Takes a participant's vote; an error is the reason to abort. A vote that nobody asked for
    /// changes nothing.
    pub(crate) fn vote(&mut self, participant: &ParticipantName, vote: Vote) -> Result<(), String> {
        let Some(promise) = self.promises.get_mut(participant) else {
            return Ok(());
        };
        let Promise::Asked { entries, doubt } = &*promise else {
            return Ok(());
        };
        match vote {
            Vote::No { detail } => {
                *promise = Promise::Empty;
                Err(format!("{participant} voted no: {detail}"))
            }
            Vote::Yes {
                refused,
                incarnation,
            } => {
                let (mut entries, doubt) = (entries.clone(), doubt.clone());
                if let Some(stranger) = refused.iter().find(|r| !entries.remove(&r.number)) {
                    let number = stranger.number;
                    *promise = Promise::Yes {
                        incarnation,
                        entries,
                    };
                    return Err(format!(
                        "{participant} refused entry {number}, which it was not asked for"
                    ));
                }
                *promise = if entries.is_empty() {
                    Promise::Empty
                } else {
                    Promise::Yes {
                        incarnation,
                        entries,
                    }
                };
                for RefusedEntry { number, refusal } in refused {
                    let mut all = self.entries.iter();
                    let entry = all.find(|entry| entry.number == number);
                    let is_doubtful =
                        entry.is_some_and(|entry| doubt.may_explain(&entry.purchase, &refusal));
                    self.refused.entry(number).or_insert_with(|| Refused {
                        participant: participant.clone(),
                        refusal,
                        is_doubtful,
                    });
                }
                Ok(())
            }
        }
    }

    /// What a participant may hold for others is to be given back; if it has been asked for a promise,
    /// it may refuse on that account.
    pub(crate) fn doubt(&mut self, participant: &ParticipantName, held: &Held) {
        if let Some(Promise::Asked { doubt, .. }) = self.promises.get_mut(participant) {
            doubt.add(held);
        }
    }

    /// What is to be done next. `refuses_singly` says of a participant whether it can refuse
    /// single entries without cost, `held` what it may hold for nobody now. A cautious transaction of several entries asks such ones
    /// first, so that the others, whose branch is all or nothing, are asked only for survivors.
    /// One that is not cautious asks all at once, and begins again if that was too bold.
    pub(crate) fn step(
        &mut self,
        refuses_singly: impl Fn(&ParticipantName) -> bool,
        held: impl Fn(&ParticipantName) -> Held,
    ) -> Step {
        let survivors = self.survivors();
        if survivors.is_empty() {
            return Step::AllRefused;
        }
        let pending = |promise: &Promise| matches!(promise, Promise::Asked { .. });
        if self.promises.values().any(pending) {
            return Step::Wait;
        }
        let not_asked: Vec<ParticipantName> = self
            .promises
            .iter()
            .filter(|(_, promise)| **promise == Promise::NotAsked)
            .map(|(name, _)| name.clone())
            .collect();
        if !not_asked.is_empty() {
            let first: Vec<ParticipantName> = not_asked
                .iter()
                .filter(|name| refuses_singly(name))
                .cloned()
                .collect();
            let ask = if self.cautious && survivors.len() > 1 && !first.is_empty() {
                first
            } else {
                not_asked
            };
            let entries: BTreeSet<u32> = survivors.iter().map(|entry| entry.number).collect();
            for name in &ask {
                let (entries, doubt) = (entries.clone(), held(name));
                self.promises
                    .insert(name.clone(), Promise::Asked { entries, doubt });
            }
            return Step::Ask(ask, survivors);
        }
        let whole = self.promises.iter().all(|(name, promise)| match promise {
            Promise::Yes { entries, .. } => {
                entries.len() == survivors.len() || refuses_singly(name)
            }
            Promise::NotAsked | Promise::Asked { .. } | Promise::Empty => false,
        });
        if whole {
            Step::Decide(survivors)
        } else {
            Step::Again(survivors)
        }
    }

    /// The entries that nobody has refused.
    pub(crate) fn survivors(&self) -> Vec<Entry> {
        self.entries
            .iter()
            .filter(|entry| !self.refused.contains_key(&entry.number))
            .cloned()
            .collect()
    }

    /// The participants where something is or may be prepared, and what may be held there for it.
    pub(crate) fn prepared_at(&self) -> impl Iterator<Item = (&ParticipantName, Held)> {
        self.promises
            .iter()
            .filter_map(|(name, promise)| match promise {
                Promise::Asked { entries, .. } | Promise::Yes { entries, .. } => {
                    let all = self.entries.iter();
                    let held = Held::by(all.filter(|entry| entries.contains(&entry.number)));
                    Some((name, held))
                }
                Promise::NotAsked | Promise::Empty => None,
            })
    }
}
