//! One participant as the daemon sees it: enlisted or not, the calls to it, the one probe while it
//! is dead, the sweeps.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::FutureExt;
use tandem_participant::{
    Acknowledged, Commit, Description, Enlist, Enlisted, Error, Forget, Participant, Prepare,
    PreparedBranch, Recall, Recalled, RollBack,
};
use tandem_protocol::{
    Call, Ending, Entry, Event, Failure, FailureKind, ParticipantName, Reason, Timestamp,
    TransactionId, Vote,
};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::clock::Clock;
use super::crash_point::{self, Step};

/// A participant that stays up this long has earned a fresh back-off.
const STEADY: Duration = Duration::from_secs(5);

/// How long one of which a call failed may take to answer that it is there.
const DOUBT_TIMEOUT: Duration = Duration::from_secs(2);

/// Shortest pause between two such questions.
const DOUBT_PAUSE: Duration = Duration::from_millis(250);

/// How long calls may take and pauses last.
#[derive(Debug, Clone)]
pub(super) struct Times {
    /// Longest time of any call but prepare.
    pub call_timeout: Duration,
    /// First pause between two probes of a dead participant.
    pub backoff_min: Duration,
    /// Longest such pause.
    pub backoff_max: Duration,
    /// Pause between two sweeps of a live one.
    pub sweep_interval: Duration,
}

/// A participant and what is known of its reachability.
#[derive(Debug)]
pub struct Link {
    name: ParticipantName,
    participant: Arc<dyn Participant>,
    enlist: Enlist,
    times: Times,
    clock: Clock,
    events: mpsc::UnboundedSender<Event>,
    /// The participant must be enlisted again.
    trouble: Notify,
    /// A call has failed, which may be that call's own affair.
    doubt: Notify,
    status: Mutex<Status>,
    /// How often it was enlisted.
    enlistments: Mutex<u64>,
}

/// What an operator may know of a link.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether the participant can be asked.
    pub state: LinkState,
    /// Why it can't, for a person.
    pub detail: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// What the participant last said of itself.
    pub description: Option<Description>,
}

/// Whether a participant can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkState {
    /// Not enlisted yet since the start.
    Connecting,
    /// Enlisted.
    Up,
    /// It was tried and failed.
    Down,
}

impl Link {
    /// A link that is not connected yet; [`Link::run`] does that.
    pub(super) fn new(
        name: ParticipantName,
        participant: Arc<dyn Participant>,
        enlist: Enlist,
        times: Times,
        clock: Clock,
        events: mpsc::UnboundedSender<Event>,
    ) -> Link {
        let status = Mutex::new(Status {
            state: LinkState::Connecting,
            detail: String::new(),
            since: clock.now(),
            description: None,
        });
        Link {
            name,
            participant,
            enlist,
            times,
            clock,
            events,
            trouble: Notify::new(),
            doubt: Notify::new(),
            status,
            enlistments: Mutex::new(0),
        }
    }

    /// The participant itself, for questions that change nothing.
    pub fn participant(&self) -> &Arc<dyn Participant> {
        &self.participant
    }

    /// The participant's name.
    pub fn name(&self) -> &ParticipantName {
        &self.name
    }

    /// What is known now.
    pub fn status(&self) -> Status {
        self.lock().clone()
    }

    /// Longest time of a question.
    pub fn call_timeout(&self) -> Duration {
        self.times.call_timeout
    }

    /// Keeps the participant enlisted: probes it while it is dead, sweeps it while it lives.
    /// Never ends by itself.
    pub async fn run(self: Arc<Self>) {
        let mut backoff = self.backoff();
        loop {
            // What was said before this enlistment is over with it.
            let _ = self.trouble.notified().now_or_never();
            let up_since = match self.connect().await {
                Ok((enlisted, prepared)) => {
                    let incarnation = enlisted.incarnation.clone();
                    self.came_up(enlisted, prepared);
                    let since = Instant::now();
                    let error = self.watch(&incarnation).await;
                    self.went_down(&error);
                    Some(since)
                }
                Err(error) => {
                    self.went_down(&error);
                    None
                }
            };
            if up_since.is_some_and(|since| since.elapsed() >= STEADY) {
                backoff = self.backoff();
            }
            let pause = backoff.next().unwrap_or(self.times.backoff_max);
            tokio::time::sleep(pause).await;
        }
    }

    /// Asks for a promise; the answer comes as an event.
    pub fn prepare(
        self: &Arc<Self>,
        transaction: TransactionId,
        entries: Vec<Entry>,
        deadline: Timestamp,
    ) {
        let link = Arc::clone(self);
        tokio::spawn(async move {
            let left = deadline.since(link.clock.now());
            let request = Prepare {
                transaction: transaction.clone(),
                entries,
                participants: Vec::new(),
                incarnation: String::new(),
                acknowledged: Acknowledged::default(),
                timeout: left,
            };
            let participant = link.name.clone();
            let event = match link
                .bounded(
                    "prepare",
                    Some(&transaction),
                    left,
                    link.participant.prepare(&request),
                )
                .await
            {
                Ok(voted) => {
                    crash_point::reach(Step::Voted);
                    link.heed(&voted.vote);
                    Event::Voted {
                        transaction,
                        participant,
                        vote: voted.vote,
                    }
                }
                Err(error) => link.failed(transaction, Call::Prepare, &error),
            };
            link.tell(event);
        });
    }

    /// Asks to carry out a stored decision; the answer comes as an event.
    pub fn commit(
        self: &Arc<Self>,
        transaction: TransactionId,
        entries: Vec<Entry>,
        decide_time: Timestamp,
    ) {
        let link = Arc::clone(self);
        let request = self.decided(transaction.clone(), entries, decide_time);
        self.carry_out(async move {
            let call = link.participant.commit(&request);
            match link
                .bounded("commit", Some(&transaction), link.times.call_timeout, call)
                .await
            {
                Ok(committed) => {
                    crash_point::reach(Step::Acknowledged);
                    Event::Acknowledged {
                        transaction,
                        participant: link.name.clone(),
                        ending: Ending::Commit,
                        evidence: Some(committed.evidence),
                        debts: committed.debts,
                    }
                }
                Err(error) => link.failed(transaction, Call::End(Ending::Commit), &error),
            }
        });
    }

    /// Asks to redo a stored decision; the answer comes as an event.
    pub fn repair(
        self: &Arc<Self>,
        transaction: TransactionId,
        entries: Vec<Entry>,
        decide_time: Timestamp,
    ) {
        let link = Arc::clone(self);
        let request = self.decided(transaction.clone(), entries, decide_time);
        self.carry_out(async move {
            let call = link.participant.repair(&request);
            match link
                .bounded("repair", Some(&transaction), link.times.call_timeout, call)
                .await
            {
                Ok(repaired) => Event::Repaired {
                    transaction,
                    participant: link.name.clone(),
                    repaired,
                },
                Err(error) => link.failed(transaction, Call::Repair, &error),
            }
        });
    }

    fn decided(
        &self,
        transaction: TransactionId,
        entries: Vec<Entry>,
        decide_time: Timestamp,
    ) -> Commit {
        Commit {
            transaction,
            caller_epoch: self.enlist.epoch,
            entries,
            decide_time,
        }
    }

    /// Asks in a task of its own; the answer counts in the present enlistment only.
    fn carry_out(self: &Arc<Self>, ask: impl Future<Output = Event> + Send + 'static) {
        let link = Arc::clone(self);
        let asked_in = self.enlistment();
        tokio::spawn(async move {
            let event = ask.await;
            link.tell_of_commit(asked_in, event);
        });
    }

    /// Asks to release a transaction; the answer comes as an event.
    pub fn roll_back(self: &Arc<Self>, transaction: TransactionId) {
        let link = Arc::clone(self);
        tokio::spawn(async move {
            let request = RollBack {
                transaction: transaction.clone(),
                caller_epoch: link.enlist.epoch,
            };
            let call = link.participant.roll_back(&request);
            let event = match link
                .bounded(
                    "roll back",
                    Some(&transaction),
                    link.times.call_timeout,
                    call,
                )
                .await
            {
                Ok(()) => {
                    crash_point::reach(Step::RolledBack);
                    Event::Acknowledged {
                        transaction,
                        participant: link.name.clone(),
                        ending: Ending::RollBack,
                        evidence: None,
                        debts: Vec::new(),
                    }
                }
                Err(error) => link.failed(transaction, Call::End(Ending::RollBack), &error),
            };
            link.tell(event);
        });
    }

    /// Lets the participant forget. Best effort: the next time says it again.
    pub fn forget(self: &Arc<Self>, before: TransactionId, except: Vec<TransactionId>) {
        let link = Arc::clone(self);
        tokio::spawn(async move {
            let request = Forget {
                before,
                except,
                closed: None,
                caller_epoch: link.enlist.epoch,
            };
            let call = link.participant.forget(&request);
            if let Err(error) = link
                .bounded("forget", None, link.times.call_timeout, call)
                .await
            {
                tracing::info!(participant = %link.name, %error, "could not forget, later again");
            }
        });
    }

    /// Asks what the store remembers; the answer comes as an event. Without one the participant is
    /// enlisted again, and the coordinator begins anew.
    pub fn recall(self: &Arc<Self>, page: u64, transactions: Vec<TransactionId>) {
        let link = Arc::clone(self);
        tokio::spawn(async move {
            match link.recalled(transactions, link.times.call_timeout).await {
                Ok(recalled) => link.tell(Event::Recalled {
                    participant: link.name.clone(),
                    page,
                    forgotten: recalled.forgotten,
                    remembers_from: recalled.remembers_from,
                }),
                Err(error) => {
                    link.lock().detail = error.to_string();
                    link.trouble.notify_one();
                }
            }
        });
    }

    async fn recalled(
        &self,
        transactions: Vec<TransactionId>,
        time: Duration,
    ) -> Result<Recalled, Error> {
        let request = Recall {
            coordinator: self.enlist.coordinator.clone(),
            caller_epoch: self.enlist.epoch,
            transactions,
        };
        let call = self.participant.recall(&request);
        self.bounded("recall", None, time, call).await
    }

    /// Enlists and lists what is prepared.
    async fn connect(&self) -> Result<(Enlisted, Vec<PreparedBranch>), Error> {
        let time = self.times.call_timeout;
        crash_point::reach(Step::Enlisting);
        let enlisted = self
            .bounded("enlist", None, time, self.participant.enlist(&self.enlist))
            .await;
        // Also a participant that refuses can say what it is, which tells the operator why.
        if !matches!(enlisted, Err(Error::Unavailable { .. })) {
            self.describe(time).await;
        }
        let enlisted = enlisted?;
        crash_point::reach(Step::Enlisted);
        let prepared = self
            .bounded("list", None, time, self.participant.list_prepared())
            .await?;
        crash_point::reach(Step::Listed);
        Ok((enlisted, prepared))
    }

    /// Sweeps at intervals until the participant does not answer; gives the reason.
    ///
    /// A call that failed is no reason yet: it may have been cut off, or its connection lost, while
    /// the participant is there. It is asked, at once, and who asks is the one task that probes it.
    async fn watch(&self, incarnation: &str) -> Error {
        loop {
            let time = tokio::select! {
                () = self.trouble.notified() => {
                    return Error::Unavailable { detail: self.status().detail };
                }
                () = self.doubt.notified() => DOUBT_TIMEOUT.min(self.times.call_timeout),
                () = tokio::time::sleep(self.times.sweep_interval) => self.times.call_timeout,
            };
            match self.sweep(incarnation, time).await {
                // It is there; what it could not do now is swept the next time.
                Ok(()) | Err(Error::Busy { .. }) => {}
                Err(error) => return error,
            }
            self.describe(time).await;
            tokio::time::sleep(DOUBT_PAUSE).await;
        }
    }

    /// Asks what is prepared, and whether it is still the life that was enlisted.
    async fn sweep(&self, incarnation: &str, time: Duration) -> Result<(), Error> {
        let branches = self
            .bounded("list", None, time, self.participant.list_prepared())
            .await?;
        self.tell(Event::FoundPrepared {
            participant: self.name.clone(),
            branches,
        });
        // Asks about nothing: a store that has lost its memory while it ran says so. One in which
        // a late repeat of the enlistment has arrived since takes this coordinator for enlisted.
        let recalled = self.recalled(Vec::new(), time).await?;
        if recalled.incarnation != incarnation {
            return Err(Error::Unavailable {
                detail: format!(
                    "{} is in another life ({}) than the one it was enlisted in ({incarnation})",
                    self.name, recalled.incarnation
                ),
            });
        }
        Ok(())
    }

    /// Keeps what the participant says of itself now, if it does.
    async fn describe(&self, time: Duration) {
        let call = self.participant.describe();
        if let Ok(description) = self.bounded("describe", None, time, call).await {
            self.lock().description = Some(description);
        }
    }

    fn came_up(&self, enlisted: Enlisted, branches: Vec<PreparedBranch>) {
        let changed = {
            let mut status = self.lock();
            let changed = status.state != LinkState::Up;
            status.state = LinkState::Up;
            status.detail.clear();
            status.since = self.clock.now();
            changed
        };
        if changed {
            let server = self.status().description.map(|d| d.server);
            tracing::info!(participant = %self.name, server, "enlisted");
        }
        let mut enlistments = self
            .enlistments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *enlistments += 1;
        // The list goes first: nothing is done about it before the coordinator has seen, in the
        // second event, that its log is not stale.
        self.tell(Event::FoundPrepared {
            participant: self.name.clone(),
            branches,
        });
        self.tell(Event::ParticipantUp {
            participant: self.name.clone(),
            incarnation: enlisted.incarnation,
            newest_committed: enlisted.newest_committed,
            refuses_singly: enlisted.refuses_singly,
        });
    }

    fn went_down(&self, error: &Error) {
        let detail = error.to_string();
        let changed = {
            let mut status = self.lock();
            let changed = status.state != LinkState::Down || status.detail != detail;
            if status.state != LinkState::Down {
                status.since = self.clock.now();
            }
            status.state = LinkState::Down;
            status.detail.clone_from(&detail);
            changed
        };
        if changed {
            tracing::warn!(participant = %self.name, detail, "unavailable, trying on");
        }
        let participant = self.name.clone();
        if matches!(error, Error::Fenced { .. }) {
            self.tell(Event::Refused {
                participant,
                detail,
            });
        } else {
            self.tell(Event::ParticipantDown {
                participant,
                detail,
            });
        }
    }

    /// A failed call as an event. One that got no answer also wakes the probe, which is the one
    /// task that finds out whether the participant is there, and tries a dead one.
    fn failed(&self, transaction: TransactionId, call: Call, error: &Error) -> Event {
        let kind = match error {
            Error::Unavailable { .. } => {
                self.doubt.notify_one();
                FailureKind::Unavailable
            }
            Error::Unsafe { .. } | Error::NotEnlisted { .. } => {
                self.lock().detail = error.to_string();
                self.trouble.notify_one();
                FailureKind::Unavailable
            }
            Error::Busy { .. } => FailureKind::Busy,
            Error::Stuck { .. } | Error::Invalid { .. } => FailureKind::Stuck,
            Error::Heuristic { kind, .. } => FailureKind::Heuristic(*kind),
            Error::Fenced { .. } => FailureKind::Fenced,
        };
        Event::CallFailed {
            transaction,
            participant: self.name.clone(),
            call,
            failure: Failure {
                kind,
                detail: error.to_string(),
            },
        }
    }

    /// Asks the participant what is wrong with it when it refuses what it should take.
    fn heed(&self, vote: &Vote) {
        let Vote::Yes { refused, .. } = vote else {
            return;
        };
        let mut reasons = refused.iter().map(|refused| refused.refusal.reason);
        if reasons.any(|reason| reason == Reason::Misconfigured) {
            self.doubt.notify_one();
        }
    }

    fn enlistment(&self) -> u64 {
        *self
            .enlistments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports what became of a commit or a repair that was asked for in an enlistment. If the
    /// participant was enlisted again since, its answer may be of a life of the store that is over,
    /// and what it speaks of may be gone: it is asked again.
    fn tell_of_commit(&self, asked_in: u64, event: Event) {
        // Held until the event is sent, so that it can't come behind the next enlistment's.
        let enlistments = self
            .enlistments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_over = *enlistments != asked_in;
        let (transaction, call) = match event {
            Event::Acknowledged { transaction, .. } if is_over => {
                (transaction, Call::End(Ending::Commit))
            }
            Event::Repaired { transaction, .. } if is_over => (transaction, Call::Repair),
            event => return self.tell(event),
        };
        self.tell(Event::CallFailed {
            transaction,
            participant: self.name.clone(),
            call,
            failure: Failure {
                kind: FailureKind::Unavailable,
                detail: format!("{} was enlisted again since it was asked", self.name),
            },
        });
    }

    async fn bounded<T>(
        &self,
        what: &str,
        transaction: Option<&TransactionId>,
        time: Duration,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let answer = timeout(time, call).await.unwrap_or_else(|_| {
            Err(Error::Unavailable {
                detail: format!("{} gave no answer within {time:?}", self.name),
            })
        });
        tracing::debug!(
            participant = %self.name, call = what,
            transaction_id = transaction.map(tracing::field::display), took_us = begun.elapsed().as_micros(),
            failed = answer.is_err(), "asked"
        );
        answer
    }

    fn tell(&self, event: Event) {
        // The driver is gone only when the process ends.
        let _ = self.events.send(event);
    }

    fn backoff(&self) -> ExponentialBackoff {
        ExponentialBuilder::default()
            .with_min_delay(self.times.backoff_min)
            // The jitter adds up to as much again.
            .with_max_delay(self.times.backoff_max / 2)
            .with_jitter()
            .without_max_times()
            .build()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        // The status is whole after every statement, so a panic elsewhere leaves nothing half
        // done in it.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
