//! A coordinator that makes a mistake at its seam: what it is told, or what it asks for, is changed
//! on the way. The core itself has no place for a mistake; one that can't be said here is a patch in
//! `tests/patches`.

// Each test includes this file and plants some of it.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::time::Duration;

use tandem_protocol::{
    Action, Call, CallFailureKind, CommitEvidence, Coordinator, Ending, Entry, Event,
    ParticipantName, Position, PreparedId, Record, Reply, Timestamp, TransactionId,
};

/// What is changed on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Tampering {
    /// A decision counts as stored as soon as it is to be stored.
    CommitBeforeStored,
    /// So does an order to repair.
    RepairBeforeStored,
    /// A client whose deadline passes before the outcome is known is told that there is none.
    UnknownIsTakenForAborted,
    /// A decision names every entry that was to be prepared, also those that were refused.
    DecideWithoutSurvivors,
    /// A sweep takes what is under way for something that was aborted.
    SweepIgnoresLive,
    /// Nobody looks at what the participants have committed last.
    StaleLogIsBelieved,
    /// When one participant has acknowledged, so have all that were asked.
    EndAtFirstAcknowledgement,
    /// A commit or a roll back that failed counts as done.
    FailureIsTakenForSuccess,
    /// A branch that was ended against the decision counts as done.
    HeuristicIsTakenForSuccess,
    /// The log is released up to its last record.
    ReleaseTooFar,
    /// A store that has forgotten something is said to remember it.
    RedoIsSkipped,
}

/// A coordinator and what comes between it and its shell. Without a [`Tampering`] nothing does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Tampered {
    core: Coordinator,
    tampering: Option<Tampering>,
    passed: Passed,
}

/// What has passed the seam; empty without a tampering.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Passed {
    /// Of the last record that is stored.
    position: Position,
    /// All entries that were to be prepared.
    entries: BTreeMap<TransactionId, BTreeMap<u32, Entry>>,
    /// Whom a transaction's end was asked of.
    asked: BTreeMap<TransactionId, BTreeSet<(ParticipantName, Ending)>>,
}

impl Tampered {
    pub(crate) fn new(core: Coordinator, tampering: Option<Tampering>) -> Tampered {
        Tampered {
            core,
            tampering,
            passed: Passed::default(),
        }
    }

    /// As [`Coordinator::handle_all`].
    pub(crate) fn handle_all(&mut self, now: Timestamp, events: Vec<Event>) -> Vec<Action> {
        let Some(tampering) = self.tampering else {
            return self.core.handle_all(now, events);
        };
        let mut wanted = Vec::new();
        let mut events: Vec<Event> = events
            .into_iter()
            .flat_map(|event| self.told(tampering, event, &mut wanted))
            .collect();
        loop {
            let asked = self.core.handle_all(now, std::mem::take(&mut events));
            for action in asked {
                let action = self.asked(tampering, action);
                events.extend(self.answered_at_once(tampering, &action));
                wanted.push(action);
            }
            if events.is_empty() {
                return wanted;
            }
        }
    }

    /// What the core is told instead of an event; `wanted` is what is asked for without it.
    fn told(
        &mut self,
        tampering: Tampering,
        mut event: Event,
        wanted: &mut Vec<Action>,
    ) -> Vec<Event> {
        if let Event::Stored { position, .. } = event {
            self.passed.position = self.passed.position.max(position);
        }
        match (tampering, &mut event) {
            (
                Tampering::StaleLogIsBelieved,
                Event::Enlistable {
                    newest_committed, ..
                }
                | Event::ParticipantUp {
                    newest_committed, ..
                },
            ) => newest_committed.clear(),
            (Tampering::RedoIsSkipped, Event::Recalled { forgotten, .. }) => forgotten.clear(),
            (
                Tampering::SweepIgnoresLive,
                Event::FoundPrepared {
                    participant,
                    branches,
                },
            ) => {
                let found = branches.iter().filter_map(|branch| match &branch.id {
                    PreparedId::Transaction(id) => Some(id),
                    PreparedId::Foreign(_) => None,
                });
                let live = |id: &&TransactionId| self.core.unfinished().any(|t| t.id == **id);
                wanted.extend(found.filter(live).map(|id| Action::RollBack {
                    participant: participant.clone(),
                    transaction: id.clone(),
                }));
            }
            (Tampering::EndAtFirstAcknowledgement, Event::Acknowledged { .. }) => {
                return self.acknowledged_by_all(event);
            }
            (_, Event::CallFailed { failure, .. }) if is_success(tampering, failure.kind) => {
                return vec![succeeded(event)];
            }
            _ => {}
        }
        vec![event]
    }

    /// What is asked for instead of an action.
    fn asked(&mut self, tampering: Tampering, mut action: Action) -> Action {
        match (tampering, &mut action) {
            (Tampering::UnknownIsTakenForAborted, Action::Reply { reply, .. })
                if *reply == Reply::OutcomeUnknown =>
            {
                *reply = Reply::Unavailable {
                    detail: "no outcome in time".into(),
                    retry_after: Duration::from_millis(500),
                };
            }
            (
                Tampering::DecideWithoutSurvivors,
                Action::Prepare {
                    transaction,
                    entries,
                    ..
                },
            ) => {
                let all = self.passed.entries.entry(transaction.clone()).or_default();
                all.extend(entries.iter().map(|entry| (entry.number, entry.clone())));
            }
            (
                Tampering::DecideWithoutSurvivors,
                Action::Commit {
                    transaction,
                    entries,
                    ..
                },
            ) => self.name_all(transaction, entries),
            (
                Tampering::DecideWithoutSurvivors,
                Action::Store {
                    record: Record::Decided(decision),
                    ..
                },
            ) => self.name_all(&decision.transaction, &mut decision.entries),
            (Tampering::ReleaseTooFar, Action::Release { before }) => {
                *before = self.passed.position;
            }
            (
                Tampering::EndAtFirstAcknowledgement,
                Action::Commit {
                    participant,
                    transaction,
                    ..
                },
            ) => self.is_asked(transaction, participant, Ending::Commit),
            (
                Tampering::EndAtFirstAcknowledgement,
                Action::RollBack {
                    participant,
                    transaction,
                },
            ) => self.is_asked(transaction, participant, Ending::RollBack),
            _ => {}
        }
        action
    }

    /// What the core is told although nobody has done it yet.
    fn answered_at_once(&self, tampering: Tampering, action: &Action) -> Option<Event> {
        let Action::Store { ticket, record, .. } = action else {
            return None;
        };
        let is_early = match tampering {
            Tampering::CommitBeforeStored => matches!(record, Record::Decided(_)),
            Tampering::RepairBeforeStored => matches!(record, Record::RepairOrdered { .. }),
            _ => false,
        };
        // The true one comes later and is of a record that nobody waits for any more.
        is_early.then_some(Event::Stored {
            ticket: *ticket,
            position: self.passed.position + 1,
        })
    }

    fn name_all(&self, transaction: &TransactionId, entries: &mut Vec<Entry>) {
        if let Some(all) = self.passed.entries.get(transaction) {
            *entries = all.values().cloned().collect();
        }
    }

    fn is_asked(
        &mut self,
        transaction: &TransactionId,
        participant: &ParticipantName,
        ending: Ending,
    ) {
        let asked = self.passed.asked.entry(transaction.clone()).or_default();
        asked.insert((participant.clone(), ending));
    }

    /// An acknowledgement, and the same of everybody else who was asked for it.
    fn acknowledged_by_all(&self, event: Event) -> Vec<Event> {
        let Event::Acknowledged {
            transaction,
            participant,
            ending,
            ..
        } = &event
        else {
            return vec![event];
        };
        let asked = self.passed.asked.get(transaction).into_iter().flatten();
        let others = asked.filter(|(other, asked)| asked == ending && other != participant);
        let mut events: Vec<Event> = others
            .map(|(other, _)| acknowledged(transaction.clone(), other.clone(), *ending))
            .collect();
        events.insert(0, event);
        events
    }
}

impl Deref for Tampered {
    type Target = Coordinator;

    fn deref(&self) -> &Coordinator {
        &self.core
    }
}

fn is_success(tampering: Tampering, kind: CallFailureKind) -> bool {
    match kind {
        CallFailureKind::Unavailable | CallFailureKind::Busy => {
            tampering == Tampering::FailureIsTakenForSuccess
        }
        CallFailureKind::Heuristic(_) => tampering == Tampering::HeuristicIsTakenForSuccess,
        CallFailureKind::Stuck | CallFailureKind::Fenced => false,
    }
}

/// A call that was to end a branch and has failed, as if it had not.
fn succeeded(event: Event) -> Event {
    match event {
        Event::CallFailed {
            transaction,
            participant,
            call: Call::End(ending),
            ..
        } => acknowledged(transaction, participant, ending),
        other => other,
    }
}

fn acknowledged(transaction: TransactionId, participant: ParticipantName, ending: Ending) -> Event {
    let evidence = (ending == Ending::Commit).then_some(CommitEvidence::Applied);
    Event::Acknowledged {
        transaction,
        participant,
        ending,
        evidence,
        debts: Vec::new(),
    }
}
