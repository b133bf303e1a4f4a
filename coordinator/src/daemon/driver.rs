//! The task that owns the core: events in, actions carried out.
//!
//! It never waits for anything but the next event. Calls to participants run in tasks of their
//! own and come back as events; records go to the log's own thread and come back as events.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use anyhow::bail;
use tandem_log::{AppendError, DecisionLog, Durability};
use tandem_protocol::{
    Action, Coordinator, Decision, Event, ParticipantName, Position, Purchase, Record, Repair,
    RepairError, Repaired, Reply, RequestId, SettleError, Settlement, Ticket, Timestamp,
    TransactionId, WaitFor,
};
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::crash_point::{self, CrashPoint};
use super::link::Link;
use super::notes;

/// Commands that wait for the driver, at most; senders wait beyond that.
const COMMANDS_MAX: usize = 4_096;

/// Commands and events that the driver takes in one go.
const TAKE_MAX: usize = 1_024;

/// What the outside may ask of the driver. Clones ask the same one.
#[derive(Debug, Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
}

/// The driver has ended: the process is stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is stopping")]
pub struct Stopped;

/// Where what came of a repair goes.
type RepairReply = oneshot::Sender<Result<Repaired, RepairError>>;

type Query = Box<dyn FnOnce(&Coordinator) + Send>;

enum Command {
    Submit {
        purchase: Arc<Purchase>,
        wait_for: WaitFor,
        deadline: Timestamp,
        reply: oneshot::Sender<Reply>,
    },
    Settle {
        settlement: Settlement,
        force: bool,
        reply: oneshot::Sender<Result<(), SettleError>>,
    },
    Repair {
        repair: Repair,
        decision: Option<Decision>,
        reply: RepairReply,
    },
    Retry(TransactionId),
    Query(Query),
    Drain,
}

/// Where participants' answers and stored records come in.
///
/// The channel is not bounded by itself: what can be in it is bounded by the calls under way and
/// by the log's queue, and its senders must never block.
pub(super) type Events = mpsc::UnboundedSender<Event>;

/// The driver, before it runs.
#[derive(Debug)]
pub(super) struct Driver {
    core: Coordinator,
    clock: Clock,
    log: DecisionLog,
    links: BTreeMap<ParticipantName, Arc<Link>>,
    events: mpsc::UnboundedReceiver<Event>,
    event_sender: Events,
    commands: mpsc::Receiver<Command>,
    replies: HashMap<RequestId, oneshot::Sender<Reply>>,
    settlements: HashMap<RequestId, oneshot::Sender<Result<(), SettleError>>>,
    repairs: HashMap<RequestId, RepairReply>,
    next_request: RequestId,
    /// Records that found the log's queue full, in order.
    waiting: VecDeque<(Ticket, Record, Durability)>,
    draining: bool,
}

impl Handle {
    /// Submits a purchase that was checked at the edge and waits for its reply.
    pub async fn submit(
        &self,
        purchase: Arc<Purchase>,
        wait_for: WaitFor,
        deadline: Timestamp,
    ) -> Result<Reply, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Submit {
            purchase,
            wait_for,
            deadline,
            reply,
        })
        .await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Records an operator's settlement.
    pub async fn settle(
        &self,
        settlement: Settlement,
        force: bool,
    ) -> Result<Result<(), SettleError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Settle {
            settlement,
            force,
            reply,
        })
        .await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Orders a repair and waits until it is carried out or a person is needed again. `decision`
    /// is what the log holds, for a transaction that has ended.
    pub async fn repair(
        &self,
        repair: Repair,
        decision: Option<Decision>,
    ) -> Result<Result<Repaired, RepairError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Repair {
            repair,
            decision,
            reply,
        })
        .await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Makes a transaction's waiting calls due now.
    pub async fn retry(&self, transaction: TransactionId) -> Result<(), Stopped> {
        self.send(Command::Retry(transaction)).await
    }

    /// Reads the core between two events.
    pub async fn query<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Coordinator) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let query = Box::new(move |core: &Coordinator| {
            // Who asked may have gone away.
            let _ = reply.send(read(core));
        });
        self.send(Command::Query(query)).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Accepts no more purchases; the driver ends when those in flight have.
    pub async fn drain(&self) -> Result<(), Stopped> {
        self.send(Command::Drain).await
    }

    async fn send(&self, command: Command) -> Result<(), Stopped> {
        self.commands.send(command).await.map_err(|_| Stopped)
    }
}

impl Driver {
    /// A driver over `core`, which has begun its epoch in `log`.
    pub(super) fn new(
        core: Coordinator,
        clock: Clock,
        log: DecisionLog,
        links: BTreeMap<ParticipantName, Arc<Link>>,
        (event_sender, events): (Events, mpsc::UnboundedReceiver<Event>),
    ) -> (Driver, Handle) {
        let (command_sender, commands) = mpsc::channel(COMMANDS_MAX);
        let driver = Driver {
            core,
            clock,
            log,
            links,
            events,
            event_sender,
            commands,
            replies: HashMap::new(),
            settlements: HashMap::new(),
            repairs: HashMap::new(),
            next_request: 0,
            waiting: VecDeque::new(),
            draining: false,
        };
        let handle = Handle {
            commands: command_sender,
        };
        (driver, handle)
    }

    /// Runs until the coordinator is drained, or has to stop at once, which is an error.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let mut events = Vec::new();
        let mut commands = Vec::new();
        loop {
            let timer =
                tokio::time::sleep_until(self.clock.instant(self.core.next_deadline()).into());
            tokio::select! {
                _ = self.events.recv_many(&mut events, TAKE_MAX) => {}
                taken = self.commands.recv_many(&mut commands, TAKE_MAX) => {
                    if taken == 0 {
                        return Ok(());
                    }
                }
                () = timer => events.push(Event::Tick),
            }
            // Whatever else has come in meanwhile shares the round, so that purchases which
            // arrive together share a transaction.
            while events.len() < TAKE_MAX
                && let Ok(event) = self.events.try_recv()
            {
                events.push(event);
            }
            while commands.len() < TAKE_MAX
                && let Ok(command) = self.commands.try_recv()
            {
                commands.push(command);
            }
            let mut queries = Vec::new();
            for command in commands.drain(..) {
                self.take(command, &mut events, &mut queries);
            }
            let actions = self.core.handle_all(self.clock.now(), events.drain(..));
            for action in actions {
                self.carry_out(action)?;
            }
            self.append_waiting()?;
            for query in queries {
                query(&self.core);
            }
            if self.draining && self.core.is_idle() && self.waiting.is_empty() {
                return Ok(());
            }
        }
    }

    fn take(&mut self, command: Command, events: &mut Vec<Event>, queries: &mut Vec<Query>) {
        let request = self.next_request;
        match command {
            Command::Submit {
                purchase,
                wait_for,
                deadline,
                reply,
            } => {
                self.next_request += 1;
                self.replies.insert(request, reply);
                events.push(Event::Submitted {
                    request,
                    purchase,
                    wait_for,
                    deadline,
                });
            }
            Command::Settle {
                settlement,
                force,
                reply,
            } => {
                self.next_request += 1;
                self.settlements.insert(request, reply);
                events.push(Event::Settled {
                    request,
                    settlement,
                    force,
                });
            }
            Command::Repair {
                repair,
                decision,
                reply,
            } => {
                self.next_request += 1;
                self.repairs.insert(request, reply);
                events.push(Event::RepairOrdered {
                    request,
                    repair,
                    decision,
                });
            }
            Command::Retry(transaction) => events.push(Event::RetryNow { transaction }),
            Command::Query(query) => queries.push(query),
            Command::Drain => {
                self.draining = true;
                events.push(Event::Drain);
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Store {
                ticket,
                record,
                forced,
            } => self.store(ticket, record, forced),
            Action::Enlist { participant } => self.permit(&participant),
            Action::Prepare {
                participant,
                transaction,
                entries,
                begin_time,
                deadline,
            } => self.at(CrashPoint::Preparing, &participant, |link| {
                link.prepare(transaction, entries, begin_time, deadline)
            }),
            Action::Commit {
                participant,
                transaction,
                entries,
                begin_time,
                decide_time,
            } => self.at(CrashPoint::Decided, &participant, |link| {
                link.commit(transaction, entries, begin_time, decide_time)
            }),
            Action::Repair {
                participant,
                transaction,
                entries,
                begin_time,
                decide_time,
            } => self.at(CrashPoint::Repairing, &participant, |link| {
                link.repair(transaction, entries, begin_time, decide_time)
            }),
            Action::RollBack {
                participant,
                transaction,
            } => self.at(CrashPoint::RollingBack, &participant, |link| {
                link.roll_back(transaction)
            }),
            Action::Recall {
                participant,
                page,
                transactions,
            } => self.at(CrashPoint::Recalling, &participant, |link| {
                link.recall(page, transactions)
            }),
            Action::ReadDecision {
                transaction,
                position,
            } => self.read_decision(transaction, position),
            Action::Forget {
                participant,
                before,
                except,
                closed,
            } => self.at(CrashPoint::Forgetting, &participant, |link| {
                link.forget(before, except, closed)
            }),
            Action::Reply { request, reply } => {
                crash_point::reach(CrashPoint::Replying);
                tell(self.replies.remove(&request), reply);
            }
            Action::ReplySettled { request, result } => {
                tell(self.settlements.remove(&request), result)
            }
            Action::ReplyRepaired { request, result } => {
                tell(self.repairs.remove(&request), result)
            }
            Action::Release { before } => self.log.release_before(tandem_log::Position(before)),
            Action::Halt { reason } => bail!(reason),
            Action::Note(note) => notes::write(&note),
        }
        Ok(())
    }

    /// Puts a record behind those that wait for the log.
    fn store(&mut self, ticket: Ticket, record: Record, forced: bool) {
        match record {
            Record::Decided(_) => crash_point::reach(CrashPoint::Deciding),
            Record::Ended { .. } => crash_point::reach(CrashPoint::Ending),
            _ => {}
        }
        let durability = if forced {
            Durability::Forced
        } else {
            Durability::Lazy
        };
        self.waiting.push_back((ticket, record, durability));
    }

    /// Lets the participant's link enlist.
    fn permit(&self, participant: &ParticipantName) {
        if let Some(link) = self.links.get(participant) {
            link.permit();
        }
    }

    /// Asks the participant's link, past a point at which tests let the process die.
    fn at(&self, point: CrashPoint, participant: &ParticipantName, ask: impl FnOnce(&Arc<Link>)) {
        crash_point::reach(point);
        if let Some(link) = self.links.get(participant) {
            ask(link);
        }
    }

    fn read_decision(&self, transaction: TransactionId, position: Position) {
        let events = self.event_sender.clone();
        self.log.read(tandem_log::Position(position), move |found| {
            let decision = match found.as_deref().map(Record::decode) {
                Some(Ok(Record::Decided(decision))) => Some(decision),
                _ => None,
            };
            // The driver is gone only when the process ends.
            let _ = events.send(Event::DecisionRead {
                transaction,
                decision,
            });
        });
    }

    /// Appends records in their order, as many as the log's queue takes.
    fn append_waiting(&mut self) -> anyhow::Result<()> {
        while let Some((ticket, record, durability)) = self.waiting.front() {
            let ticket = *ticket;
            let events = self.event_sender.clone();
            let begun = Instant::now();
            let forced = *durability == Durability::Forced;
            let stored = move |position: tandem_log::Position| {
                tracing::debug!(
                    ticket,
                    forced,
                    took_us = begun.elapsed().as_micros(),
                    "stored"
                );
                // The driver is gone only when the process ends.
                let _ = events.send(Event::Stored {
                    ticket,
                    position: position.0,
                });
            };
            match self.log.append(record.encode(), *durability, stored) {
                Ok(()) => {
                    crash_point::reach(CrashPoint::Appended);
                    self.waiting.pop_front();
                }
                // The next stored record makes room and wakes the driver.
                Err(AppendError::QueueFull) => return Ok(()),
                Err(error) => bail!("the decision log takes no record: {error}"),
            }
        }
        Ok(())
    }
}

/// A client that has gone away is not told; nothing else changes.
fn tell<T>(client: Option<oneshot::Sender<T>>, answer: T) {
    if let Some(client) = client {
        let _ = client.send(answer);
    }
}

#[cfg(test)]
mod tests;
