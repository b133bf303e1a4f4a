//! Asking for promises: what was asked of whom, what was promised, what to do next.

use std::collections::{BTreeMap, BTreeSet};

use crate::branch::{RefusedEntry, Vote};
use crate::held::Held;
use crate::id::ParticipantName;
use crate::purchase::{Entry, Refusal};
use crate::time::Timestamp;

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

/// Why an entry is not in the decision.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Refused {
    pub(crate) participant: ParticipantName,
    pub(crate) refusal: Refusal,
    /// Whether it may lack no more than units that are being given back.
    pub(crate) is_doubtful: bool,
}

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

/// What a transaction without a decision needs next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PreparingStep {
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
        participants: impl IntoIterator<Item = ParticipantName>,
    ) -> Preparing {
        Preparing {
            entries,
            refused: BTreeMap::new(),
            deadline,
            cautious,
            promises: participants
                .into_iter()
                .map(|name| (name, Promise::NotAsked))
                .collect(),
        }
    }

    /// Whether a participant's promise is being waited for.
    pub(crate) fn is_asked(&self, participant: &ParticipantName) -> bool {
        let promise = self.promises.get(participant);
        matches!(promise, Some(Promise::Asked { .. }))
    }

    /// Takes a participant's vote; an error is the reason to abort. A vote that nobody asked for
    /// changes nothing.
    pub(crate) fn vote(&mut self, participant: &ParticipantName, vote: Vote) -> Result<(), String> {
        let Some(promise) = self.promises.get_mut(participant) else {
            // It is not one of the transaction's participants.
            return Ok(());
        };
        let Promise::Asked { entries, doubt } = &*promise else {
            // It was not asked, or has voted before.
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

    /// Says what is to be done next, and takes it for done: whom it asks is asked. `refuses_singly` says of a participant whether it can refuse
    /// single entries without cost, `held` what it may hold for nobody now. A cautious transaction of several entries asks such ones
    /// first, so that the others, whose branch is all or nothing, are asked only for survivors.
    /// One that is not cautious asks all at once, and begins again if that was too bold.
    pub(crate) fn advance(
        &mut self,
        refuses_singly: impl Fn(&ParticipantName) -> bool,
        held: impl Fn(&ParticipantName) -> Held,
    ) -> PreparingStep {
        let survivors = self.survivors();
        if survivors.is_empty() {
            return PreparingStep::AllRefused;
        }
        let pending = |promise: &Promise| matches!(promise, Promise::Asked { .. });
        if self.promises.values().any(pending) {
            return PreparingStep::Wait;
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
            return PreparingStep::Ask(ask, survivors);
        }
        let whole = self.promises.iter().all(|(name, promise)| match promise {
            Promise::Yes { entries, .. } => {
                entries.len() == survivors.len() || refuses_singly(name)
            }
            Promise::NotAsked | Promise::Asked { .. } | Promise::Empty => false,
        });
        if whole {
            PreparingStep::Decide(survivors)
        } else {
            PreparingStep::Again(survivors)
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
