//! The way to the stores and back: requests and answers are lost, late, and repeated.

use std::collections::BTreeSet;

use tandem_protocol::{
    Call, CallFailure, CallFailureKind, Claim, CommitEvidence, Debt, Ending, Enlistment, Entry,
    Epoch, Event, ParticipantName, TransactionId, Vote,
};

use crate::invariants::Checked;
use crate::locks::LOCK_WAIT_MS;
use crate::participant::{Acknowledged, Kind, LOG_ID, Store};
use crate::plan::{Planted, Shell, Trouble};
use crate::seam::mistaken;
use crate::world::{Item, LATE_MS, World};

/// The daemon gives a call up after this time.
const CALL_TIMEOUT_MS: u64 = 200;

#[derive(Debug, Clone)]
pub(crate) enum Request {
    /// What does the store know of the coordinator?
    Look,
    /// Enlist, then list what is prepared.
    Connect(Acknowledged),
    /// List what is prepared, and say whether the store still is the one that acknowledged.
    List(Acknowledged),
    Prepare(TransactionId, Vec<Entry>, Acknowledged),
    Commit(TransactionId, Vec<Entry>),
    Repair(TransactionId, Vec<Entry>),
    RollBack(TransactionId),
    Forget(TransactionId, Vec<TransactionId>, Option<TransactionId>),
    Recall(u64, Vec<TransactionId>),
}

pub(crate) struct Answer {
    from: ParticipantName,
    result: Result<Said, (Request, CallFailure)>,
    /// Nobody answered; the daemon gives up.
    is_timeout: bool,
}

/// A link that is silent in a direction: no answer and no error.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HalfOpen {
    until: u64,
    way: Way,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    There,
    Back,
    Both,
}

impl HalfOpen {
    fn swallows_requests(&self) -> bool {
        self.way != Way::Back
    }

    fn swallows_answers(&self) -> bool {
        self.way != Way::There
    }
}

enum Said {
    Looked(Option<Enlistment>, Vec<TransactionId>),
    /// With the number of changes, as below.
    Connected(Vec<Event>, u64),
    /// What is prepared, whether the store still is in this life and knows what it acknowledged, and
    /// that.
    Listed(Event, bool, Vec<TransactionId>),
    Done(Event, u64),
    Recalled(Event, u64),
    Forgot,
}

impl World {
    /// Sends a request on its way, which may be rough.
    pub(crate) fn send(&mut self, to: &ParticipantName, request: Request) {
        let Some(process) = &mut self.process else {
            return;
        };
        let (life, epoch) = (process.life, process.epoch);
        process.last_call += 1;
        let call = process.last_call;
        process.calls.insert(call);
        if matches!(
            request,
            Request::Prepare(..) | Request::List(_) | Request::Connect(_)
        ) {
            process.telling.insert(call);
        }
        let enlistments = process.enlistments.get(to).copied().unwrap_or(0);
        process.asked_in.insert(call, enlistments);
        let is_swallowed = self.is_half_open(to, HalfOpen::swallows_requests);
        let is_lost = self.chance(Trouble::Losses, 30) || is_swallowed;
        let is_answered = !self.chance(Trouble::Losses, 30);
        let is_repeated = self.chance(Trouble::Repeats, 30);
        let is_late = self.chance(Trouble::Delays, 60);
        let is_very_late = self.chance(Trouble::Minutes, 1);
        let arrive = |is_answered| Item::Arrive {
            life,
            epoch,
            call,
            to: to.clone(),
            request: request.clone(),
            is_answered,
        };
        if is_repeated {
            self.count("requests repeated");
            self.after(1, LATE_MS, arrive(false));
        }
        if is_very_late {
            self.count("requests late by minutes");
            let time = self.now + self.rng.within(60_000, 180_000);
            self.last_late = self.last_late.max(time);
            self.at(time, arrive(false));
        }
        if is_lost {
            self.count("requests lost");
        } else if is_late {
            self.count("requests late");
            self.after(50, LATE_MS, arrive(is_answered));
        } else {
            self.after(1, 6, arrive(is_answered));
        }
        let answer = Answer {
            from: to.clone(),
            result: Err((request.clone(), unavailable("no answer in time"))),
            is_timeout: true,
        };
        let time = self.now + CALL_TIMEOUT_MS;
        self.at(time, Item::Answer { life, call, answer });
    }

    /// Sends a request once all calls have ended that have told by now what the store must know.
    pub(crate) fn send_behind_telling(&mut self, to: &ParticipantName, request: Request) {
        if let Some(process) = &self.process {
            let (life, behind) = (process.life, process.last_call);
            self.send_behind(life, behind, to, request);
        }
    }

    pub(crate) fn send_behind(
        &mut self,
        life: u64,
        behind: u64,
        to: &ParticipantName,
        request: Request,
    ) {
        let Some(process) = self.process.as_ref().filter(|p| p.life == life) else {
            return;
        };
        if process.telling.range(..=behind).next().is_none() {
            return self.send(to, request);
        }
        let to = to.clone();
        let later = Item::SendBehind {
            life,
            behind,
            to,
            request,
        };
        self.at(self.now + 1, later);
    }

    pub(crate) fn arrive(
        &mut self,
        life: u64,
        epoch: Epoch,
        call: u64,
        to: &ParticipantName,
        request: Request,
        is_answered: bool,
    ) -> Checked {
        if self.is_held_up(to, &request) {
            let time = self.lock_wait_until;
            let to = to.clone();
            let again = Item::Arrive {
                life,
                epoch,
                call,
                to,
                request,
                is_answered,
            };
            self.at(time, again);
            return Ok(());
        }
        let waits = self.waits_for_a_lock(to, &request);
        let result = self.serve(life, epoch, to, &request)?;
        if !is_answered || self.is_half_open(to, HalfOpen::swallows_answers) {
            self.count("answers lost or not wanted");
            return Ok(());
        }
        let answer = Answer {
            from: to.clone(),
            result: result.map_err(|failure| (request, failure)),
            is_timeout: false,
        };
        let is_late = self.chance(Trouble::Delays, 20);
        let answer = Item::Answer { life, call, answer };
        if is_late {
            self.count("answers late");
            self.after(10, LATE_MS, answer);
        } else if waits {
            self.after(LOCK_WAIT_MS, LOCK_WAIT_MS + 6, answer);
        } else {
            self.after(1, 6, answer);
        }
        Ok(())
    }

    /// Whether a request is a prepare that waits for a row.
    fn waits_for_a_lock(&mut self, to: &ParticipantName, request: &Request) -> bool {
        let waits = match request {
            Request::Prepare(_, entries, _) => !self.locked(to, entries).is_empty(),
            _ => false,
        };
        if waits {
            self.lock_wait_until = self.now + LOCK_WAIT_MS;
            self.count("prepares that waited for a lock");
        }
        waits
    }

    /// What a store does with a request.
    fn serve(
        &mut self,
        life: u64,
        epoch: Epoch,
        to: &ParticipantName,
        request: &Request,
    ) -> Result<Result<Said, CallFailure>, crate::invariants::Violation> {
        let locked = match request {
            Request::Prepare(_, entries, _) => self.locked(to, entries),
            _ => BTreeSet::new(),
        };
        let is_busy = self.chance(Trouble::Moods, 15);
        let is_stuck = self.chance(Trouble::Moods, 5);
        let dies_after = self.chance(Trouble::Moods, 5);
        let Some(store) = self.stores.get_mut(to) else {
            return Ok(Err(unavailable("no such store")));
        };
        if !store.is_up {
            return Ok(Err(unavailable("connection refused")));
        }
        let is_ending = matches!(
            request,
            Request::Commit(..) | Request::Repair(..) | Request::RollBack(_)
        );
        if is_ending && (is_busy || is_stuck) {
            // What waits for a person holds up nobody else. At a store that has also lost its holds
            // that would sell units twice, which is recorded as debt; but no store of holds gets
            // stuck on its own.
            let kind = if is_stuck && matches!(store.kind, Kind::Rows(_)) {
                CallFailureKind::Stuck
            } else {
                CallFailureKind::Busy
            };
            let detail = "a backup runs".into();
            return Ok(Err(CallFailure { kind, detail }));
        }
        let participant = to.clone();
        let said = match request {
            Request::Look => {
                let (known, newest_committed) = store.look();
                Ok(Said::Looked(known, newest_committed))
            }
            Request::Connect(told) => store.enlist(epoch, life, told).map(|newest_committed| {
                let events = vec![
                    found(store),
                    Event::ParticipantUp {
                        participant,
                        incarnation: store.incarnation(),
                        newest_committed,
                        refuses_singly: store.refuses_singly(),
                    },
                ];
                Said::Connected(events, store.changes())
            }),
            // The sweep also asks whether the store still knows who asks.
            Request::List(told) => store.recall(epoch, &told.committed).map(|lost| {
                let is_same = store.incarnation() == told.incarnation
                    && store.changes() >= told.changes
                    && lost.is_empty();
                Said::Listed(found(store), is_same, told.committed.clone())
            }),
            Request::Recall(page, ids) => store.recall(epoch, ids).map(|forgotten| {
                let event = Event::Recalled {
                    participant,
                    page: *page,
                    forgotten,
                    remembers_from: None,
                };
                Said::Recalled(event, store.changes())
            }),
            Request::Prepare(id, entries, told) => {
                let vote = store.prepare(id, entries, told, &locked);
                if let Ok(vote) = &vote {
                    self.ledger.invariant_vote_is_repeated(store, id, vote)?;
                }
                if matches!(vote, Ok(Vote::Yes { .. })) {
                    self.ledger
                        .invariant_held_never_exceeds_stock_at_prepare(store)?;
                }
                let planted = self.plan.planted;
                vote.map(|vote| {
                    let event = Event::Voted {
                        transaction: id.clone(),
                        participant,
                        vote: mistaken(planted, vote, entries),
                    };
                    Said::Done(event, store.changes())
                })
            }
            Request::Commit(id, entries) => {
                let (result, effect) = store.commit(id, epoch, entries);
                self.ledger.done(store, id, &effect)?;
                result.map(|(evidence, debts)| {
                    let ending = Ending::Commit;
                    let event = acknowledged(id, participant, ending, Some(evidence), debts);
                    Said::Done(event, store.changes())
                })
            }
            Request::Repair(id, entries) => {
                let (result, effect) = store.repair(id, epoch, entries);
                self.ledger.done(store, id, &effect)?;
                result.map(|repaired| {
                    let event = Event::Repaired {
                        transaction: id.clone(),
                        participant,
                        repaired,
                    };
                    Said::Done(event, 0)
                })
            }
            Request::RollBack(id) => {
                let (result, effect) = store.roll_back(id, epoch);
                self.ledger.done(store, id, &effect)?;
                result.map(|()| {
                    let ending = Ending::RollBack;
                    let event = acknowledged(id, participant, ending, None, Vec::new());
                    Said::Done(event, store.changes())
                })
            }
            Request::Forget(before, except, closed) => {
                store.forget(epoch, before, except, closed.as_ref());
                Ok(Said::Forgot)
            }
        };
        if dies_after {
            // The work is done and the answer is not given.
            self.count("stores that died after the work");
            let now = self.now;
            self.at(now, Item::CrashStore(to.clone()));
            return Ok(Err(unavailable("connection reset")));
        }
        Ok(said)
    }

    pub(crate) fn answered(&mut self, life: u64, call: u64, answer: Answer) -> Checked {
        let Some(process) = self.process.as_mut().filter(|p| p.life == life) else {
            return Ok(());
        };
        let from = answer.from;
        let was_open = process.calls.remove(&call);
        process.telling.remove(&call);
        if !was_open {
            // Nobody waits for it any more; some transports deliver it all the same.
            return match answer.result {
                Ok(Said::Done(event, changes)) if !answer.is_timeout && self.rng.per_mille(300) => {
                    self.count("answers to calls that were given up");
                    let event = self.in_this_life(&from, call, event, changes);
                    self.tell(vec![event])
                }
                _ => Ok(()),
            };
        }
        match answer.result {
            Ok(Said::Looked(known, newest_committed)) => {
                self.looked(&from, known.as_ref(), newest_committed)
            }
            Ok(Said::Connected(events, changes)) => self.came_up(&from, events, changes),
            Ok(Said::Listed(event, is_same, committed)) => {
                self.swept(&from, vec![event])?;
                if self.is_up(&from) && !is_same {
                    self.count("stores that a sweep has found to be other ones");
                    return self.went_down(&from, Vec::new());
                }
                if self.is_current(&from, call) {
                    self.found(&from, committed);
                }
                Ok(())
            }
            Ok(Said::Done(event, changes)) => {
                let event = self.in_this_life(&from, call, event, changes);
                self.tell(vec![event])
            }
            Ok(Said::Recalled(event, changes)) => {
                if self.is_current(&from, call) {
                    self.heard(&from, None, changes);
                }
                self.tell(vec![event])
            }
            Ok(Said::Forgot) => Ok(()),
            // Enlisted again already, which begins anew.
            Err((Request::Recall(..), _)) if !self.is_up(&from) => Ok(()),
            Err((request, failure)) => {
                let kind = failure.kind;
                let events = failed(&request, &from, failure);
                match (kind, request) {
                    (CallFailureKind::Fenced, Request::Connect(_)) => {
                        self.tell(vec![Event::Refused {
                            participant: from,
                            detail: "a later epoch is enlisted".into(),
                        }])
                    }
                    (CallFailureKind::Unavailable, _) => self.went_down(&from, events),
                    _ => self.tell(events),
                }
            }
        }
    }

    /// What the daemon makes of an answer: an acknowledged commit counts only if the store was not
    /// enlisted again since it was asked.
    fn in_this_life(
        &mut self,
        from: &ParticipantName,
        call: u64,
        event: Event,
        changes: u64,
    ) -> Event {
        let is_current = self.is_current(from, call);
        if is_current {
            let committed = match &event {
                Event::Acknowledged {
                    transaction,
                    ending: Ending::Commit,
                    ..
                }
                | Event::Repaired { transaction, .. } => Some(transaction),
                _ => None,
            };
            self.heard(from, committed, changes);
        }
        let is_current = is_current || self.has(Planted::Shell(Shell::AnswersOutliveTheirStore));
        let (transaction, participant, call) = match event {
            Event::Acknowledged {
                transaction,
                participant,
                ending: Ending::Commit,
                ..
            } if !is_current => (transaction, participant, Call::End(Ending::Commit)),
            Event::Repaired {
                transaction,
                participant,
                ..
            } if !is_current => (transaction, participant, Call::Repair),
            event => return event,
        };
        self.count("acknowledgements of another life");
        Event::CallFailed {
            transaction,
            participant,
            call,
            failure: unavailable("enlisted again since"),
        }
    }

    /// Whether a store was not enlisted again since a call was made.
    fn is_current(&self, from: &ParticipantName, call: u64) -> bool {
        let asked_in = self.process.as_ref().and_then(|p| p.asked_in.get(&call));
        asked_in == Some(&self.enlistments(from))
    }

    /// What the daemon makes of what a store knows, before it enlists there.
    fn looked(
        &mut self,
        from: &ParticipantName,
        known: Option<&Enlistment>,
        newest_committed: Vec<TransactionId>,
    ) -> Checked {
        let Some(process) = &self.process else {
            return Ok(());
        };
        let instance_id = process.life.to_string();
        let claim = Claim {
            log_id: LOG_ID,
            epoch: Some(process.epoch),
            instance_id: Some(&instance_id),
        };
        let participant = from.clone();
        let stale = known.and_then(|known| claim.contradiction(from, known));
        self.tell(vec![match stale {
            Some(stale) => Event::Refused {
                participant,
                detail: stale.to_string(),
            },
            None => Event::Enlistable {
                participant,
                newest_committed,
            },
        }])
    }

    fn is_up(&self, store: &ParticipantName) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|process| process.up.contains(store))
    }

    /// Whether a store's answer to a commit is under way.
    pub(crate) fn is_acknowledging(&self, from: &ParticipantName) -> bool {
        let is_acknowledgement = |item: &Item| match item {
            Item::Answer { answer, .. } if answer.from == *from => matches!(
                answer.result,
                Ok(Said::Done(
                    Event::Acknowledged {
                        ending: Ending::Commit,
                        ..
                    },
                    _
                ))
            ),
            _ => false,
        };
        self.agenda.values().any(is_acknowledgement)
    }

    /// Answers of a store that are under way stay there while it begins another life.
    pub(crate) fn hold_up_answers(&mut self, from: &ParticipantName) {
        let is_held_up = |item: &Item| match item {
            Item::Answer { answer, .. } => answer.from == *from && !answer.is_timeout,
            _ => false,
        };
        let held_up: Vec<_> = self
            .agenda
            .extract_if(.., |_, item| is_held_up(item))
            .collect();
        for (_, answer) in held_up {
            self.after(20, CALL_TIMEOUT_MS, answer);
        }
    }

    /// From now on, for a while, a link swallows what goes one way, or both.
    pub(crate) fn open_half(&mut self, store: &ParticipantName) {
        let half = HalfOpen {
            until: self.now + self.rng.within(100, 2_000),
            way: *self.rng.pick(&[Way::There, Way::Back, Way::Both]),
        };
        self.availability.outage(self.now, half.until);
        self.count("links half open");
        self.log(|| format!("the link to {store} is half open: {half:?}"));
        self.half_open.insert(store.clone(), half);
    }

    fn is_half_open(&self, store: &ParticipantName, swallows: fn(&HalfOpen) -> bool) -> bool {
        self.half_open
            .get(store)
            .is_some_and(|half| self.now < half.until && swallows(half))
    }
}

fn found(store: &Store) -> Event {
    Event::FoundPrepared {
        participant: store.name.clone(),
        branches: store.list(),
    }
}

fn acknowledged(
    id: &TransactionId,
    participant: ParticipantName,
    ending: Ending,
    evidence: Option<CommitEvidence>,
    debts: Vec<Debt>,
) -> Event {
    Event::Acknowledged {
        transaction: id.clone(),
        participant,
        ending,
        evidence,
        debts,
    }
}

fn failed(request: &Request, from: &ParticipantName, failure: CallFailure) -> Vec<Event> {
    let (transaction, call) = match request {
        Request::Look
        | Request::Connect(_)
        | Request::List(_)
        | Request::Forget(..)
        | Request::Recall(..) => {
            return Vec::new();
        }
        Request::Prepare(id, ..) => (id, Call::Prepare),
        Request::Commit(id, _) => (id, Call::End(Ending::Commit)),
        Request::Repair(id, _) => (id, Call::Repair),
        Request::RollBack(id) => (id, Call::End(Ending::RollBack)),
    };
    vec![Event::CallFailed {
        transaction: transaction.clone(),
        participant: from.clone(),
        call,
        failure,
    }]
}

fn unavailable(detail: &str) -> CallFailure {
    CallFailure {
        kind: CallFailureKind::Unavailable,
        detail: detail.into(),
    }
}
