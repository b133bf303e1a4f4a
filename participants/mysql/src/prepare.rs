//! Prepare: the whole branch in one packet, and what to do when a statement of it fails.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tandem_participant::{Error, Prepare, RefusedEntry, Vote};
use tandem_protocol::{Entry, TransactionId};
use tokio::time::Instant;

use crate::branches::{Claim, Held, Prepared};
use crate::codes::{self, Class};
use crate::coordinators::{Known, not_enlisted};
use crate::evidence::{self, Contents, Marker, Proof};
use crate::isolate;
use crate::lives;
use crate::participant::{self, Store};
use crate::processes;
use crate::refusal;
use crate::script::Line;
use crate::session::{Failure, Session};
use crate::watch::Holder;
use crate::watched::{self, Manners};
use crate::xid;

/// How often a branch is tried in all that the server gives up to others, without coming nearer to
/// its end.
pub(crate) const TRIES_MAX: u32 = 3;

/// Time kept from the prepare's timeout for the last packet, so that its vote still arrives.
const MARGIN: Duration = Duration::from_millis(20);

/// How long before its end a prepare is interrupted that waits at the server, at most: time to take
/// back what it has done, on a session that then goes on.
const INTERRUPTION: Duration = Duration::from_millis(250);

/// How an attempt to prepare ended; nothing of it is left active in the session.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Prepared, but for these.
    Prepared(Vec<RefusedEntry>),
    /// Every entry was refused; nothing is prepared.
    AllRefused(Vec<RefusedEntry>),
    /// The transaction was here before.
    Before(&'static str),
    /// A statement of the app's failed; nothing is prepared.
    Failed(Failure),
    /// It was interrupted, since its time was over or its transaction is rolled back; nothing is
    /// prepared.
    GivenUp,
}

/// What is to be prepared, and until when.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    pub(crate) store: &'a Store,
    pub(crate) prepare: &'a Prepare,
    /// What was known of the coordinator when it asked.
    pub(crate) known: &'a Known,
    claim: &'a Claim<'a>,
    pub(crate) deadline: Instant,
    /// Whether its time is over.
    late: AtomicBool,
    /// Who was in the way of the last packet that was looked after.
    holder: Mutex<Option<Holder>>,
}

pub(crate) async fn prepare(store: &Store, prepare: &Prepare) -> Result<Vote, Error> {
    let transaction = &prepare.transaction;
    let asked: Vec<u32> = prepare.entries.iter().map(|entry| entry.number).collect();
    check(prepare)?;
    let deadline = Instant::now() + prepare.timeout.saturating_sub(MARGIN);
    let known = admitted(store, prepare, deadline).await?;
    if known.is_past(transaction) {
        return Ok(Vote::No {
            detail: format!("{transaction} ended so long ago that it is forgotten here"),
        });
    }
    let yes = |refused| Vote::Yes {
        refused,
        incarnation: known.incarnation.clone(),
    };
    let Some(mut claim) = store.branches.claim(transaction, deadline).await else {
        return Err(Error::Busy {
            detail: format!("another call is at work on {}", store.branch(transaction)),
        });
    };
    if let Held::Prepared(prepared) = claim.held() {
        return Ok(if prepared.incarnation != known.incarnation {
            Vote::No {
                detail: format!("{transaction} was prepared in another life of the server"),
            }
        } else if prepared.asked == asked {
            yes(prepared.refused.clone())
        } else {
            Vote::No {
                detail: format!("{transaction} is prepared with other entries"),
            }
        });
    }

    let mut session = store.branch_sessions.lease(deadline).await?;
    claim.set_preparing(session.id);
    let job = Job {
        store,
        prepare,
        claim: &claim,
        known: &known,
        deadline,
        late: AtomicBool::new(false),
        holder: Mutex::default(),
    };
    // Any error leaves here with the session, which is closed: its state is not known.
    let outcome = job.in_time(&mut session).await?;
    if !claim.end_preparing() {
        session.retire();
    }
    job.stays(&mut session, &outcome).await?;
    if let Outcome::Prepared(refused) | Outcome::AllRefused(refused) = &outcome {
        store.alarm.heed(&store.settings.address, refused);
    }
    match outcome {
        Outcome::Prepared(refused) => {
            let session = if session.server.detaches {
                session.give_back();
                None
            } else {
                Some(session)
            };
            claim.keep(Prepared {
                asked,
                refused: refused.clone(),
                incarnation: known.incarnation.clone(),
                session,
            });
            Ok(yes(refused))
        }
        Outcome::AllRefused(refused) => {
            session.give_back();
            Ok(yes(refused))
        }
        Outcome::Before(detail) => {
            session.give_back();
            Ok(Vote::No {
                detail: format!("{transaction} was here before: {detail}"),
            })
        }
        Outcome::Failed(failure) => {
            session.give_back();
            Err(failure.into_error(&format!("preparing {}", store.branch(transaction))))
        }
        Outcome::GivenUp => {
            session.give_back();
            Err(Error::Busy {
                detail: format!(
                    "preparing {} was interrupted: its time was over, or it was to be rolled back",
                    store.branch(transaction)
                ),
            })
        }
    }
}

/// Interrupts what a prepare's connection is doing. It is tandem that ends the call, which says
/// nothing about the server: the session goes on. Without a session to say it on, the prepare comes
/// to its own end.
pub(crate) async fn interrupt(store: &Store, connection_id: u64, deadline: Instant) {
    let interruption = async {
        let mut service = store.service_sessions.lease(deadline).await?;
        processes::interrupt(&mut service, connection_id, deadline)
            .await
            .map_err(|failure| failure.into_error("interrupting a prepare"))?;
        service.give_back();
        Ok::<(), Error>(())
    };
    match interruption.await {
        Ok(()) => tracing::debug!(connection_id, "interrupted a prepare"),
        Err(error) => tracing::debug!(connection_id, %error, "a prepare goes on"),
    }
}

/// What is known of the coordinator, which is enlisted in the life that it says. Before lives were
/// told apart it said none.
async fn admitted(store: &Store, prepare: &Prepare, deadline: Instant) -> Result<Known, Error> {
    let TransactionId {
        coordinator, epoch, ..
    } = &prepare.transaction;
    let is_its_life =
        |known: &Known| [String::new(), known.incarnation.clone()].contains(&prepare.incarnation);
    let coordinators = &store.coordinators;
    let mut known = coordinators
        .check(store, coordinator, *epoch, deadline)
        .await?;
    if !is_its_life(&known) {
        // Another process may have enlisted it meanwhile.
        known = coordinators.read(store, coordinator, deadline).await?;
    }
    if is_its_life(&known) {
        return Ok(known);
    }
    let why = format!(
        "it prepares in life {}, and this is life {}",
        prepare.incarnation, known.incarnation
    );
    Err(not_enlisted(store, coordinator, &why))
}

impl Job<'_> {
    /// Runs it, and interrupts it shortly before its time is over: a prepare that is cut off by its
    /// deadline leaves a session of which nobody knows what it does, and a server that seems dead.
    async fn in_time(&self, session: &mut Session) -> Result<Outcome, Error> {
        let connection_id = session.id;
        let margin = INTERRUPTION.min(self.prepare.timeout / 4);
        let mut work = pin!(self.run(session));
        tokio::select! {
            outcome = &mut work => return outcome,
            () = tokio::time::sleep_until(self.deadline - margin) => {}
        }
        self.late.store(true, Ordering::Relaxed);
        let interruption = interrupt(self.store, connection_id, self.deadline);
        tokio::join!(work, interruption).0
    }

    /// Whether nobody wants its answer any more.
    pub(crate) fn is_over(&self) -> bool {
        self.late.load(Ordering::Relaxed) || self.claim.is_doomed()
    }

    async fn run(&self, session: &mut Session) -> Result<Outcome, Error> {
        let entries: Vec<&Entry> = self.prepare.entries.iter().collect();
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = self.whole(session, &entries).await?;
            let Outcome::Failed(failure) = outcome else {
                return Ok(outcome);
            };
            if self.is_over() {
                return Ok(Outcome::GivenUp);
            }
            let class = failure.class();
            if class == Some(Class::BranchLost) && tries < TRIES_MAX {
                tracing::debug!(transaction_id = %self.prepare.transaction, tries, "branch lost, trying again");
                continue;
            }
            return match (class, &entries[..]) {
                (Some(Class::Room | Class::NotNow) | None, [_]) => Ok(Outcome::Failed(failure)),
                (Some(_), [entry]) => {
                    let refused = self.refuse(session, failure, entry, None).await?;
                    Ok(Outcome::AllRefused(vec![refused]))
                }
                _ => isolate::run(self, session).await,
            };
        }
    }

    pub(crate) fn note_holder(&self, holder: Option<Holder>) {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = holder;
    }

    fn told(&self, failure: Failure) -> Failure {
        let holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        watched::told(failure, holder.as_ref())
    }

    /// Refuses an entry; see [`refusal::refuse`]. Who holds the row that it needs is told with it.
    pub(crate) async fn refuse(
        &self,
        session: &mut Session,
        failure: Failure,
        entry: &Entry,
        undo: Option<&str>,
    ) -> Result<RefusedEntry, Error> {
        let failure = &self.told(failure);
        let entry_of = (&self.prepare.transaction, entry);
        let deadline = self.deadline();
        let refused = refusal::refuse(self.store, session, failure, entry_of, undo, deadline).await;
        let refused = refused.map_err(|failure| self.error(failure))?;
        tracing::debug!(
            transaction_id = %self.prepare.transaction,
            purchase_id = entry.purchase.purchase_id,
            reason = %refused.refusal.reason,
            "entry refused: {}", failure.cause
        );
        Ok(refused)
    }

    /// One packet from XA START to XA PREPARE.
    async fn whole(&self, session: &mut Session, entries: &[&Entry]) -> Result<Outcome, Error> {
        let wait = self.store.settings.lock_wait_timeout_s;
        session
            .wait_for_locks(wait, self.deadline)
            .await
            .map_err(|failure| self.error(failure))?;
        let mut statements: Vec<Line<'_>> = self.begin(session).map(Line::from).into();
        statements.extend(self.store.settings.templates.render(
            &self.prepare.transaction,
            entries,
            session.server.statement_bytes(),
        ));
        let end = statements.len();
        statements.extend(self.end(&[]).into_iter().map(Line::from));
        let manners = match entries {
            [_] => Manners::Look,
            _ => Manners::Interrupt,
        };
        let packet = watched::run(self, session, &statements, (entries.len(), manners));
        match packet.await {
            Ok(()) => Ok(Outcome::Prepared(Vec::new())),
            Err(failure) if (2..end).contains(&failure.completed) && failure.number().is_some() => {
                self.clean_up(session).await?;
                Ok(Outcome::Failed(failure))
            }
            Err(failure) => self.not_an_entry(session, failure).await,
        }
    }

    /// XA START and the marker row.
    pub(crate) fn begin(&self, session: &Session) -> [String; 2] {
        let transaction = &self.prepare.transaction;
        let marker = Marker {
            transaction,
            participant: &self.store.name,
            now: participant::now(),
            contents: self.contents(&[]),
        };
        // What the session vouches for need not be looked up.
        let committed = self.needed(|needed| !self.store.one_server.has_shown(needed, session));
        let proof = Proof::Whole {
            caller: transaction.epoch,
            incarnation: &self.known.incarnation,
            committed: &committed,
        };
        [
            format!("XA START {}", self.xid()),
            evidence::insert_marker(&marker, session, &proof),
        ]
    }

    /// XA END and XA PREPARE, and before them what the marker row says of a branch that lacks these.
    pub(crate) fn end(&self, refused: &[RefusedEntry]) -> Vec<String> {
        let (transaction, name) = (&self.prepare.transaction, &self.store.name);
        let mut statements = Vec::new();
        if !refused.is_empty()
            && let Some(contents) = self.contents(refused)
        {
            statements.push(evidence::update_contents(transaction, name, &contents));
        }
        statements.push(format!("XA END {}", self.xid()));
        statements.push(format!("XA PREPARE {}", self.xid()));
        statements
    }

    /// What is in the branch without these, where the table has columns for it.
    fn contents(&self, refused: &[RefusedEntry]) -> Option<Contents> {
        let is_in = |number: &u32| !refused.iter().any(|entry| entry.number == *number);
        let numbers = self.prepare.entries.iter().map(|entry| entry.number);
        self.store
            .layout
            .has_contents()
            .then(|| Contents::new(numbers.filter(is_in).collect(), &self.prepare.participants))
    }

    /// The acknowledged commits that the server must know, of those that count.
    pub(crate) fn needed(&self, counts: impl Fn(&TransactionId) -> bool) -> Vec<TransactionId> {
        let coordinator = &self.prepare.transaction.coordinator;
        lives::needed(&self.prepare.acknowledged, coordinator, |transaction| {
            self.known.is_forgotten(transaction) || !counts(transaction)
        })
    }

    /// Undoes what was prepared on a server that all other sessions have left meanwhile.
    async fn stays(&self, session: &mut Session, outcome: &Outcome) -> Result<(), Error> {
        if self.store.one_server.is_home_of(session) {
            return Ok(());
        }
        if matches!(outcome, Outcome::Prepared(_)) {
            let roll_back = format!("XA ROLLBACK {}", self.xid());
            let undone = session.run(&roll_back, self.store.statement_deadline());
            undone.await.map_err(|failure| self.error(failure))?;
        }
        let coordinator = &self.prepare.transaction.coordinator;
        let why = "another server answers at its address now";
        Err(not_enlisted(self.store, coordinator, why))
    }

    /// What a failure means that no entry's statement caused: at XA START, at the marker row, or
    /// from XA END on.
    pub(crate) async fn not_an_entry(
        &self,
        session: &mut Session,
        failure: Failure,
    ) -> Result<Outcome, Error> {
        let Some(number) = failure.number() else {
            return Err(self.error(failure));
        };
        match (failure.completed, number) {
            (0, codes::XA_DUPLICATE) => Ok(Outcome::Before("it is prepared")),
            (1, codes::DUPLICATE_ENTRY) => {
                self.clean_up(session).await?;
                Ok(Outcome::Before("it was committed or rolled back"))
            }
            (1, codes::OUT_OF_RANGE) => {
                self.clean_up(session).await?;
                Err(self.unproven(session).await)
            }
            (1, number) if codes::is_locked(number) || number == codes::INTERRUPTED => {
                self.clean_up(session).await?;
                Err(Error::Busy {
                    detail: format!(
                        "the marker row of {} is locked: it is in doubt or is being ended",
                        self.store.branch(&self.prepare.transaction)
                    ),
                })
            }
            (1, _) if failure.class() == Some(Class::BranchLost) => {
                self.clean_up(session).await?;
                Ok(Outcome::Failed(failure))
            }
            // Under FLUSH TABLES WITH READ LOCK XA PREPARE answers 1205 and the branch is rolled
            // back already (measured on MariaDB 10.11 and MySQL 9.7); whatever else it was, the
            // session is closed and the marker row tells.
            _ => Err(self.error(failure)),
        }
    }

    /// Rolls an active branch back, whatever state an error left it in. XA END fails where a
    /// deadlock ended the branch (1399 on MariaDB, 1614 on MySQL), so it goes in its own packet.
    pub(crate) async fn clean_up(&self, session: &mut Session) -> Result<(), Error> {
        let deadline = self.store.statement_deadline();
        let end = format!("XA END {}", self.xid());
        if let Err(failure) = session.run(&end, deadline).await
            && failure.number().is_none()
        {
            return Err(self.error(failure));
        }
        let roll_back = format!("XA ROLLBACK {}", self.xid());
        match session.run(&roll_back, deadline).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// Until when the next packet may take.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.min(self.store.statement_deadline())
    }

    pub(crate) fn error(&self, failure: Failure) -> Error {
        let branch = self.store.branch(&self.prepare.transaction);
        failure.into_error(&format!("preparing {branch}"))
    }

    fn xid(&self) -> String {
        xid::literal(&self.prepare.transaction, &self.store.name)
    }
}

fn check(prepare: &Prepare) -> Result<(), Error> {
    let transaction = &prepare.transaction;
    if prepare.entries.is_empty() {
        return Err(Error::Invalid {
            detail: format!("{transaction} has no entries"),
        });
    }
    // Two of one id would make the second look like a purchase that is committed already.
    let mut ids = HashSet::new();
    for entry in &prepare.entries {
        if !ids.insert(&entry.purchase.purchase_id) {
            return Err(Error::Invalid {
                detail: format!(
                    "{transaction} has purchase {:?} twice",
                    entry.purchase.purchase_id
                ),
            });
        }
    }
    Ok(())
}
