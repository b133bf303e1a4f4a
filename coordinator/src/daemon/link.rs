//! One participant as the daemon sees it: enlisted or not, the one probe while it is dead, the
//! sweeps. The calls to it are in `calls`, what it has acknowledged in `enlistment`.

mod calls;
mod enlistment;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use futures::FutureExt;
use tandem_participant::{
    Description, Enlist, Enlisted, Error, Finding, Look, Participant, PreparedBranch,
};
use tandem_protocol::{Claim, Event, ParticipantName, Timestamp, TransactionId};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::clock::Clock;
use super::crash_point::{self, CrashPoint};
use enlistment::Enlistment;
pub(super) use enlistment::known;

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
    /// Everybody who takes part in this coordinator's transactions.
    participants: Arc<[ParticipantName]>,
    /// What it is enlisted with, but for what it has acknowledged since.
    enlist: Enlist,
    times: Times,
    clock: Clock,
    events: mpsc::UnboundedSender<Event>,
    /// The coordinator has judged what the store knows, and wants it enlisted.
    permitted: Notify,
    /// The participant must be enlisted again.
    trouble: Notify,
    /// A call has failed, which may be that call's own affair.
    doubt: Notify,
    /// A person wants it tried now.
    retry: Notify,
    status: Mutex<Status>,
    enlistment: Mutex<Enlistment>,
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
        participants: Arc<[ParticipantName]>,
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
            participants,
            enlist,
            times,
            clock,
            events,
            permitted: Notify::new(),
            trouble: Notify::new(),
            doubt: Notify::new(),
            retry: Notify::new(),
            status,
            enlistment: Mutex::default(),
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
            tokio::select! {
                () = self.retry.notified() => backoff = self.backoff(),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Tries the store now, by a person's word, and has whatever waits for it go on. The error is why it
    /// can't be connected to.
    pub async fn retry(&self) -> Result<(), Error> {
        let call = self.participant.reconnect();
        self.bounded("reconnect", None, self.times.call_timeout, call)
            .await?;
        match self.status().state {
            // It may have findings that were about its connections.
            LinkState::Up => self.doubt.notify_one(),
            LinkState::Connecting | LinkState::Down => self.retry.notify_one(),
        }
        Ok(())
    }

    /// Lets the participant be enlisted: what its store knows is no reason against it.
    pub fn permit(&self) {
        self.permitted.notify_one();
    }

    /// Enlists and lists what is prepared.
    async fn connect(&self) -> Result<(Enlisted, Vec<PreparedBranch>), Error> {
        let time = self.times.call_timeout;
        let enlisted = self.enlist().await;
        // Also a participant that refuses can say what it is, which tells the operator why.
        if !matches!(enlisted, Err(Error::Unavailable { .. }))
            && let Ok(description) = self
                .bounded("describe", None, time, self.participant.describe())
                .await
        {
            self.lock().description = Some(description);
        }
        let enlisted = enlisted?;
        crash_point::reach(CrashPoint::Enlisted);
        let prepared = self
            .bounded("list", None, time, self.participant.list_prepared())
            .await?;
        crash_point::reach(CrashPoint::Listed);
        Ok((enlisted, prepared))
    }

    /// Asks the store what it knows of this coordinator, and enlists there if the coordinator finds no
    /// fault with that. Until then nothing was written there: a process whose log is not the newest
    /// leaves the newest one undisturbed.
    async fn enlist(&self) -> Result<Enlisted, Error> {
        let time = self.times.call_timeout;
        let look = Look {
            coordinator: self.enlist.coordinator.clone(),
        };
        let looked = self
            .bounded("look", None, time, self.participant.look(&look))
            .await?;
        let claim = Claim {
            log_id: &self.enlist.log_id,
            epoch: Some(self.enlist.epoch),
            instance_id: Some(&self.enlist.instance_id),
        };
        let known = looked.known.as_ref().map(enlistment::known);
        if let Some(stale) = known.and_then(|known| claim.contradiction(&self.name, &known)) {
            return Err(Error::Fenced {
                detail: stale.to_string(),
            });
        }
        self.tell(Event::Enlistable {
            participant: self.name.clone(),
            newest_committed: looked.newest_committed,
        });
        self.permitted.notified().await;
        crash_point::reach(CrashPoint::Enlisting);
        let (acknowledged, _told) = self.enlistment().acknowledged();
        let enlist = Enlist {
            acknowledged,
            ..self.enlist.clone()
        };
        self.bounded("enlist", None, time, self.participant.enlist(&enlist))
            .await
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
            self.look_at_settings(time).await;
            tokio::time::sleep(DOUBT_PAUSE).await;
        }
    }

    /// Asks what is prepared, and whether the store still is the one that was enlisted.
    async fn sweep(&self, incarnation: &str, time: Duration) -> Result<(), Error> {
        let branches = self
            .bounded("list", None, time, self.participant.list_prepared())
            .await?;
        self.tell(Event::FoundPrepared {
            participant: self.name.clone(),
            branches,
        });
        self.is_the_same(incarnation, time).await
    }

    /// That the store still is the one that was enlisted, and knows what it acknowledged last. One
    /// that has lost its memory while it ran says so itself; one in which a late repeat of the
    /// enlistment has arrived since takes this coordinator for enlisted.
    async fn is_the_same(&self, incarnation: &str, time: Duration) -> Result<(), Error> {
        let (asked_in, (known, _told)) = {
            let enlistment = self.enlistment();
            (enlistment.number(), enlistment.to_be_found())
        };
        let recalled = self.recalled(known.committed.clone(), time).await?;
        let what = if recalled.incarnation != incarnation {
            format!(
                "is in another life ({}) than the one it was enlisted in ({incarnation})",
                recalled.incarnation
            )
        } else if recalled.changes < known.changes {
            format!(
                "was put back in time: it has made {} changes, and had made {}",
                recalled.changes, known.changes
            )
        } else if let Some(lost) = recalled.forgotten.first() {
            format!("was put back in time: it has acknowledged {lost}, and does not know it")
        } else {
            self.enlistment().found(asked_in, known);
            return Ok(());
        };
        Err(Error::Unavailable {
            detail: format!("{} {what}", self.name),
        })
    }

    /// Looks again at what was checked when the participant was enlisted: settings can be changed
    /// while a server runs. What was promised under them stands, so nothing is stopped.
    async fn look_at_settings(&self, time: Duration) {
        let described = self.bounded("describe", None, time, self.participant.describe());
        let Ok(description) = described.await else {
            return;
        };
        let new = description.findings.clone();
        let old = self.lock().description.replace(description);
        let old = old.map(|old| old.findings).unwrap_or_default();
        let is_in = |all: &[Finding], one: &Finding| {
            let mut all = all.iter().filter(|other| !other.accepted);
            all.any(|other| other.name == one.name)
        };
        for finding in new.iter().filter(|f| !f.accepted && !is_in(&old, f)) {
            tracing::error!(
                participant = %self.name, finding = finding.name, detail = finding.detail,
                "unsafe from now on; the next time that it is enlisted it will be refused"
            );
        }
        for finding in old.iter().filter(|f| !f.accepted && !is_in(&new, f)) {
            tracing::info!(participant = %self.name, finding = finding.name, "safe again");
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
        let mut enlistment = self.enlistment();
        enlistment.begin(&enlisted);
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

    fn enlistment(&self) -> MutexGuard<'_, Enlistment> {
        // As with the status: it is whole after every statement.
        self.enlistment
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        // The status is whole after every statement, so a panic elsewhere leaves nothing half
        // done in it.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
