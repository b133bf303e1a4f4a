//! Prepare: the whole branch in one packet, and what to do when a statement of it fails.

mod attempt;
mod isolate;
mod job;
mod not_an_entry;
mod outcome;
mod watched;

use std::collections::HashSet;
use std::pin::pin;
use std::time::Duration;

use tandem_participant::{Error, Prepare, Vote};
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::branch::interrupt::interrupt;
use crate::branch::its_session::claimed;
use crate::branch::prepare::job::Job;
use crate::branch::prepare::outcome::Outcome;
use crate::enlistment::enlisted::{self, not_enlisted};
use crate::records::lives::Known;
use crate::session::connection::Session;
use crate::session::sessions::Lease;
use crate::store::Store;
use crate::store::branches::{Claim, Held, Prepared};

/// Time kept from the prepare's timeout for the last packet, so that its vote still arrives.
const MARGIN: Duration = Duration::from_millis(20);

/// How long before its end a prepare is interrupted that waits at the server, at most: time to take
/// back what it has done, on a session that then goes on.
const INTERRUPTION: Duration = Duration::from_millis(250);

/// Prepares what can be, and votes. A repeated prepare is answered as the first was.
pub(crate) async fn prepare(store: &Store, prepare: &Prepare) -> Result<Vote, Error> {
    let transaction = &prepare.transaction;
    check(prepare)?;
    let deadline = Instant::now() + prepare.timeout.saturating_sub(MARGIN);
    let known = admitted(store, prepare, deadline).await?;
    if known.is_past(transaction) {
        return Ok(Vote::No {
            detail: format!("{transaction} ended so long ago that it is forgotten here"),
        });
    }
    let mut claim = claimed(store, transaction, deadline).await?;
    if let Held::Prepared(prepared) = claim.held() {
        return Ok(repeated(prepared, prepare, &known));
    }
    let mut session = store.branch_sessions.lease(deadline).await?;
    claim.set_preparing(session.id);
    let job = Job::new(store, prepare, &known, &claim, deadline);
    // Any error leaves here with the session, which is closed: its state is not known.
    let outcome = in_time(&job, &mut session).await?;
    if !claim.end_preparing() {
        session.retire();
    }
    stays(&job, &mut session, &outcome).await?;
    if let Outcome::Prepared(refused) | Outcome::AllRefused(refused) = &outcome {
        store.alarm.heed(&store.settings.address, refused);
    }
    voted(store, &mut claim, session, (prepare, &known), outcome)
}

/// The vote on a transaction that this process has prepared already.
fn repeated(prepared: &Prepared, prepare: &Prepare, known: &Known) -> Vote {
    let transaction = &prepare.transaction;
    if prepared.incarnation != known.incarnation {
        Vote::No {
            detail: format!("{transaction} was prepared in another life of the server"),
        }
    } else if prepared.asked == asked(prepare) {
        Vote::Yes {
            refused: prepared.refused.clone(),
            incarnation: known.incarnation.clone(),
        }
    } else {
        Vote::No {
            detail: format!("{transaction} is prepared with other entries"),
        }
    }
}

/// What the outcome is to the caller. The session is kept by a branch that is tied to it, and given back
/// otherwise.
fn voted(
    store: &Store,
    claim: &mut Claim<'_>,
    session: Lease,
    (prepare, known): (&Prepare, &Known),
    outcome: Outcome,
) -> Result<Vote, Error> {
    let transaction = &prepare.transaction;
    let yes = |refused| Vote::Yes {
        refused,
        incarnation: known.incarnation.clone(),
    };
    let kept = match outcome {
        Outcome::Prepared(_) if !session.server.detaches => Some(session),
        _ => {
            session.give_back();
            None
        }
    };
    match outcome {
        Outcome::Prepared(refused) => {
            claim.keep(Prepared {
                asked: asked(prepare),
                refused: refused.clone(),
                incarnation: known.incarnation.clone(),
                session: kept,
            });
            Ok(yes(refused))
        }
        Outcome::AllRefused(refused) => Ok(yes(refused)),
        Outcome::Before(detail) => Ok(Vote::No {
            detail: format!("{transaction} was here before: {detail}"),
        }),
        Outcome::Failed(failure) => {
            Err(failure.into_error(&format!("preparing {}", store.branch(transaction))))
        }
        Outcome::GivenUp => Err(Error::Busy {
            detail: format!(
                "preparing {} was interrupted: its time was over, or it was to be rolled back",
                store.branch(transaction)
            ),
        }),
    }
}

fn asked(prepare: &Prepare) -> Vec<u32> {
    prepare.entries.iter().map(|entry| entry.number).collect()
}

/// What is known of the coordinator, which is enlisted in the life that it says. Before lives were
/// told apart it said none.
async fn admitted(store: &Store, prepare: &Prepare, deadline: Instant) -> Result<Known, Error> {
    let TransactionId {
        coordinator, epoch, ..
    } = &prepare.transaction;
    let is_its_life =
        |known: &Known| [String::new(), known.incarnation.clone()].contains(&prepare.incarnation);
    let mut known = enlisted::check(store, coordinator, *epoch, deadline).await?;
    if !is_its_life(&known) {
        // Another process may have enlisted it meanwhile.
        known = enlisted::read(store, coordinator, deadline).await?;
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

/// Runs it, and interrupts it shortly before its time is over: a prepare that is cut off by its
/// deadline leaves a session of which nobody knows what it does, and a server that seems dead.
async fn in_time(job: &Job<'_>, session: &mut Session) -> Result<Outcome, Error> {
    let connection_id = session.id;
    let margin = INTERRUPTION.min(job.prepare.timeout / 4);
    let mut work = pin!(job.run(session));
    tokio::select! {
        outcome = &mut work => return outcome,
        () = tokio::time::sleep_until(job.deadline - margin) => {}
    }
    job.set_late();
    let interruption = interrupt(job.store, connection_id, job.deadline);
    tokio::join!(work, interruption).0
}

/// Undoes what was prepared on a server that all other sessions have left meanwhile.
async fn stays(job: &Job<'_>, session: &mut Session, outcome: &Outcome) -> Result<(), Error> {
    if job.store.one_server.is_home_of(session) {
        return Ok(());
    }
    if matches!(outcome, Outcome::Prepared(_)) {
        let roll_back = format!("XA ROLLBACK {}", job.xid());
        let undone = session.run(&roll_back, job.store.statement_deadline());
        undone.await.map_err(|failure| job.error(failure))?;
    }
    let coordinator = &job.prepare.transaction.coordinator;
    let why = "another server answers at its address now";
    Err(not_enlisted(job.store, coordinator, why))
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
