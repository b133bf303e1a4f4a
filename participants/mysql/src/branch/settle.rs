//! Settling a branch whose end is in doubt, by evidence only.
//!
//! The loop asks the marker row, and acts on what it says: ends the branch from another session
//! once nobody else can be at work on it, waits for, or ends, the session that is tied to it, and
//! stops when the marker row shows the goal, or shows that it can't be reached.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tandem_participant::{Error, HeuristicKind, clock};
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::branch::processes::{self, Activity};
use crate::records::evidence::{self, Evidence};
use crate::records::{marker, xa_recover, xid};
use crate::session::codes::{self, Class};
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::store::Store;

/// How long a session that is tied to the branch, and that nobody here owns, may take to go by
/// itself before it is ended.
const PREPARER_GRACE: Duration = Duration::from_millis(300);

/// How long a branch must be locked, unlisted and with nobody at work on it to be a zombie.
const ZOMBIE_AFTER: Duration = Duration::from_millis(1_500);

const POLL_MIN: Duration = Duration::from_millis(2);
const POLL_MAX: Duration = Duration::from_millis(200);

/// What the decision wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    Commit,
    RollBack,
}

/// The goal is reached, on evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    /// By this call.
    Now,
    /// It was so when this call first looked.
    Before,
}

/// Brings the branch to the goal. `known` says that this process prepared it and that it is tied
/// to no session, so that ending it comes before looking.
pub(crate) async fn settle(
    store: &Store,
    transaction: &TransactionId,
    goal: Goal,
    known: bool,
    deadline: Instant,
) -> Result<Settled, Error> {
    let mut matter = Matter {
        store,
        transaction,
        goal,
        deadline,
        acted: false,
        unknown_xid: false,
        tied_since: None,
        unlisted_since: None,
        last: String::from("not looked yet"),
    };
    let mut polls = ExponentialBuilder::default()
        .with_min_delay(POLL_MIN)
        .with_max_delay(POLL_MAX)
        .with_jitter()
        .without_max_times()
        .build();
    let mut end_first = known;
    loop {
        let mut session = store.service_sessions.lease(deadline).await?;
        let verdict = loop {
            let step = match matter.step(&mut session, end_first).await {
                Ok(step) => step,
                Err(Interrupted::Verdict(error)) => {
                    session.give_back();
                    return Err(error);
                }
                Err(Interrupted::Failure(failure)) => break failure,
            };
            end_first = false;
            match step {
                SettleStep::Settled(settled) => {
                    session.give_back();
                    return Ok(settled);
                }
                SettleStep::Again => {}
                SettleStep::Wait => {
                    let pause = polls.next().unwrap_or(POLL_MAX);
                    if Instant::now() + pause >= deadline {
                        session.give_back();
                        return Err(matter.unsettled());
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        };
        // An idle session may have died with the server it was connected to; the next is new.
        let lost = verdict.number().is_none();
        let pause = polls.next().unwrap_or(POLL_MAX);
        if !lost || Instant::now() + pause >= deadline {
            return Err(verdict.into_error(&format!("settling {}", store.branch(transaction))));
        }
        drop(session);
        tokio::time::sleep(pause).await;
    }
}

/// One branch and what was seen of it so far.
struct Matter<'a> {
    store: &'a Store,
    transaction: &'a TransactionId,
    goal: Goal,
    deadline: Instant,
    /// Whether the server answered OK to this call's XA COMMIT or XA ROLLBACK.
    acted: bool,
    /// Whether it answered 1397 to the last one.
    unknown_xid: bool,
    tied_since: Option<Instant>,
    unlisted_since: Option<Instant>,
    /// What was seen last, for a person.
    last: String,
}

enum SettleStep {
    Settled(Settled),
    /// Something changed: look at once.
    Again,
    /// Look later.
    Wait,
}

enum Interrupted {
    /// The answer, and it is an error.
    Verdict(Error),
    /// The session failed, or the server refused to look.
    Failure(PacketFailure),
}

impl From<PacketFailure> for Interrupted {
    fn from(failure: PacketFailure) -> Self {
        Interrupted::Failure(failure)
    }
}

impl Matter<'_> {
    async fn step(
        &mut self,
        session: &mut Session,
        end_first: bool,
    ) -> Result<SettleStep, Interrupted> {
        let evidence = if end_first && session.server.detaches {
            self.end_and_read(session).await?
        } else {
            evidence::read(session, self.transaction, &self.store.name, self.until()).await?
        };
        match (self.goal, evidence) {
            (Goal::Commit, Evidence::Committed) | (Goal::RollBack, Evidence::RolledBack) => {
                Ok(SettleStep::Settled(if self.acted {
                    Settled::Now
                } else {
                    Settled::Before
                }))
            }
            (Goal::Commit, Evidence::RolledBack) => Err(self.heuristic(
                HeuristicKind::RolledBack,
                "its marker row says that tandem was told to roll it back",
            )),
            (Goal::RollBack, Evidence::Committed) => Err(self.heuristic(
                HeuristicKind::Committed,
                "its marker row is there: someone committed it by hand",
            )),
            (_, Evidence::Nothing) => self.nothing(session).await,
            (_, Evidence::InDoubt) => self.in_doubt(session).await,
        }
    }

    /// No marker row and no lock on it.
    async fn nothing(&mut self, session: &mut Session) -> Result<SettleStep, Interrupted> {
        match self.goal {
            // The insertion waits for, or meets, any marker row that comes in between.
            Goal::RollBack => self.remember_roll_back(session).await,
            Goal::Commit => {
                if self.is_listed(session).await? == Some(true) {
                    // Its marker row would be locked: a branch of another database, whose
                    // participant and coordinator have the same names.
                    self.last = "XA RECOVER lists it, but its marker row is not in this database: \
                                 another participant of the same name uses this server"
                        .into();
                    return Ok(SettleStep::Wait);
                }
                // The branch may have been committed between the read and the list.
                let again =
                    evidence::read(session, self.transaction, &self.store.name, self.until())
                        .await?;
                if again != Evidence::Nothing {
                    return Ok(SettleStep::Again);
                }
                Err(self.heuristic(
                    HeuristicKind::RolledBack,
                    "it has no marker row, nothing is locked and XA RECOVER does not list it: \
                     someone rolled it back by hand, or the server lost it",
                ))
            }
        }
    }

    /// The marker row is locked.
    async fn in_doubt(&mut self, session: &mut Session) -> Result<SettleStep, Interrupted> {
        let listed = self.is_listed(session).await?;
        let preparer =
            evidence::read_preparer(session, self.transaction, &self.store.name, self.until())
                .await?;
        let activity =
            processes::activity(session, self.transaction, preparer, self.until()).await?;
        let detaches = session.server.detaches;
        self.last = format!("marker row locked, listed: {listed:?}, {activity:?}");
        if (listed, activity) != (Some(false), Activity::Quiet) {
            self.unlisted_since = None;
        }
        match (listed, activity) {
            (Some(false), Activity::Quiet) => self.zombie(),
            (_, Activity::Statement(_)) => Ok(SettleStep::Wait),
            (_, Activity::Quiet) => self.end(session).await,
            (Some(true), Activity::PreparerConnected(id)) if detaches => {
                // Detached branches can be ended from anywhere; 1397 says that this one, prepared
                // before the setting was changed, is tied after all.
                let step = self.end(session).await?;
                if self.unknown_xid {
                    return self.untie(session, id).await;
                }
                Ok(step)
            }
            (_, Activity::PreparerConnected(_)) if detaches => Ok(SettleStep::Wait),
            // A commit's branch was voted for, so it is listed unless its session ends it now.
            (Some(false), Activity::PreparerConnected(_)) if self.goal == Goal::Commit => {
                Ok(SettleStep::Wait)
            }
            (_, Activity::PreparerConnected(id)) => self.untie(session, id).await,
        }
    }

    /// Waits for the session that is tied to the branch to go, and ends it when it does not: it
    /// belongs to a process that has gone, or its connection is half open.
    async fn untie(&mut self, session: &mut Session, id: u64) -> Result<SettleStep, Interrupted> {
        let since = *self.tied_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= PREPARER_GRACE {
            tracing::warn!(
                transaction_id = %self.transaction,
                connection_id = id,
                "ending the connection that still holds the branch"
            );
            processes::kill(session, id, self.until()).await?;
            self.tied_since = None;
        }
        Ok(SettleStep::Wait)
    }

    fn zombie(&mut self) -> Result<SettleStep, Interrupted> {
        let since = *self.unlisted_since.get_or_insert_with(Instant::now);
        if since.elapsed() < ZOMBIE_AFTER {
            return Ok(SettleStep::Wait);
        }
        let decision = match self.goal {
            Goal::Commit => "commit",
            Goal::RollBack => "roll back",
        };
        Err(Interrupted::Verdict(Error::Stuck {
            detail: format!(
                "{} is prepared inside the server and holds its locks, but XA RECOVER does not \
                 list it and no session can end it; restart the server to bring it back, then the \
                 decision to {decision} it is carried out",
                self.store.branch(self.transaction)
            ),
        }))
    }

    async fn end(&mut self, session: &mut Session) -> Result<SettleStep, Interrupted> {
        Ok(match self.end_and_read(session).await? {
            Evidence::InDoubt => SettleStep::Wait,
            Evidence::Committed | Evidence::RolledBack | Evidence::Nothing => SettleStep::Again,
        })
    }

    /// Ends the branch from this session and reads the evidence in the same packet, since the OK
    /// of a session that did not prepare it proves nothing.
    async fn end_and_read(&mut self, session: &mut Session) -> Result<Evidence, Interrupted> {
        let verb = match self.goal {
            Goal::Commit => "COMMIT",
            Goal::RollBack => "ROLLBACK",
        };
        let xid = xid::literal(self.transaction, &self.store.name);
        let read = evidence::read_statement(self.transaction, &self.store.name, session);
        let answer = session
            .query(&format!("XA {verb} {xid}; {read}"), self.until())
            .await;
        self.unknown_xid = false;
        match answer {
            Err(failure) if failure.completed == 0 => match failure.number() {
                None => Err(failure.into()),
                Some(_) if failure.class().is_some_and(Class::is_not_now) => {
                    let branch = self.store.branch(self.transaction);
                    Err(Interrupted::Verdict(
                        failure.into_error(&format!("{branch} stays prepared")),
                    ))
                }
                Some(number) => {
                    self.unknown_xid = number == codes::XA_UNKNOWN;
                    self.last = format!("XA {verb} answered {}", failure.cause);
                    Ok(
                        evidence::read(session, self.transaction, &self.store.name, self.until())
                            .await?,
                    )
                }
            },
            answer => {
                self.acted = true;
                Ok(evidence::interpret(answer)?)
            }
        }
    }

    /// Leaves a marker of the roll back. It succeeds only if no branch of the transaction is in
    /// doubt or committed, so it is the proof too.
    async fn remember_roll_back(
        &mut self,
        session: &mut Session,
    ) -> Result<SettleStep, Interrupted> {
        let insert = marker::insert_tombstone(self.transaction, &self.store.name, clock::now());
        match session.run(&insert, self.until()).await {
            Ok(_) => {
                self.store.coordinators.remembers(self.transaction);
                Ok(SettleStep::Settled(Settled::Now))
            }
            Err(failure) => match failure.number() {
                Some(codes::DUPLICATE_ENTRY) => Ok(SettleStep::Again),
                Some(number)
                    if codes::is_locked(number) || failure.class() == Some(Class::BranchLost) =>
                {
                    self.last = format!("remembering the roll back: {}", failure.cause);
                    Ok(SettleStep::Wait)
                }
                _ => Err(failure.into()),
            },
        }
    }

    /// Whether XA RECOVER lists the branch; `None` where the user may not ask.
    async fn is_listed(&self, session: &mut Session) -> Result<Option<bool>, Interrupted> {
        match xa_recover::listed(session, &self.store.name, self.until()).await {
            Ok(branches) => Ok(Some(branches.iter().any(|branch| {
                *branch == tandem_participant::PreparedId::Transaction(self.transaction.clone())
            }))),
            Err(failure) if failure.number() == Some(codes::XA_RESOURCE_ERROR) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    fn until(&self) -> Instant {
        // The last packet may outlast the budget, but not by more than a packet's own time.
        self.deadline
            .max(Instant::now() + POLL_MAX)
            .min(self.store.statement_deadline())
    }

    fn heuristic(&self, kind: HeuristicKind, evidence: &str) -> Interrupted {
        Interrupted::Verdict(Error::Heuristic {
            kind,
            detail: format!("{}: {evidence}", self.store.branch(self.transaction)),
        })
    }

    fn unsettled(&self) -> Error {
        Error::Busy {
            detail: format!(
                "{} is still in doubt: {}",
                self.store.branch(self.transaction),
                self.last
            ),
        }
    }
}
