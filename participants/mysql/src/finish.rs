//! Commit and roll back: the short way on the session that prepared, else by evidence.

use std::time::Duration;

use tandem_participant::{Commit, CommitEvidence, Committed, Error, RollBack};
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::audit;
use crate::branches::{Claim, Held, Prepared};
use crate::codes::Class;
use crate::coordinators::not_enlisted;
use crate::evidence;
use crate::one_server::Moment;
use crate::participant::{self, Store};
use crate::prepare;
use crate::session::Failure;
use crate::settle::{self, Goal, Settled};
use crate::xid;

/// How long a roll back lets a running prepare of its transaction come to its own end before it
/// interrupts it, and the longest pause between two interruptions.
const PREPARE_PATIENCE_MIN: Duration = Duration::from_millis(50);
const PREPARE_PATIENCE_MAX: Duration = Duration::from_millis(800);

/// Carries out a commit decision.
///
/// What was prepared is committed as it is: an XA branch is all or nothing. That it holds just the
/// decision's entries is the coordinator's duty towards a participant that does not refuse singly;
/// where this process prepared the branch it is checked.
pub(crate) async fn commit(store: &Store, commit: &Commit) -> Result<Committed, Error> {
    let transaction = &commit.transaction;
    check_entries(commit)?;
    let deadline = Instant::now() + store.settings.settle_timeout;
    let begun = store.one_server.now();
    let coordinator = &transaction.coordinator;
    store
        .coordinators
        .check(store, coordinator, commit.caller_epoch, deadline)
        .await?;
    let mut claim = claim(store, transaction, deadline).await?;
    let known = match std::mem::take(claim.held()) {
        Held::Nothing => false,
        Held::Prepared(prepared) => {
            let mut decided: Vec<u32> = commit.entries.iter().map(|entry| entry.number).collect();
            decided.sort_unstable();
            let numbers = prepared.numbers();
            if numbers != decided {
                *claim.held() = Held::Prepared(prepared);
                return Err(Error::Invalid {
                    detail: format!(
                        "the decision commits entries {decided:?} of {}, which holds {numbers:?}",
                        store.branch(transaction)
                    ),
                });
            }
            if finish_on_its_session(store, &mut claim, prepared, Goal::Commit).await? {
                return committed(store, transaction, CommitEvidence::Applied, begun);
            }
            true
        }
    };
    let settled = settle::settle(store, transaction, Goal::Commit, known, deadline).await?;
    let evidence = match settled {
        Settled::Now => CommitEvidence::Applied,
        Settled::Before => CommitEvidence::AlreadyApplied,
    };
    committed(store, transaction, evidence, begun)
}

/// A decision to commit commits something.
pub(crate) fn check_entries(commit: &Commit) -> Result<(), Error> {
    if commit.entries.is_empty() {
        return Err(Error::Invalid {
            detail: format!(
                "the decision to commit {} names no entries",
                commit.transaction
            ),
        });
    }
    Ok(())
}

/// Releases a branch, whatever state it is in, and remembers durably that it was rolled back.
pub(crate) async fn roll_back(store: &Store, roll_back: &RollBack) -> Result<(), Error> {
    let transaction = &roll_back.transaction;
    let deadline = Instant::now() + store.settings.settle_timeout;
    let coordinator = &transaction.coordinator;
    store
        .coordinators
        .check(store, coordinator, roll_back.caller_epoch, deadline)
        .await?;
    let mut claim = claim_from_prepare(store, transaction, deadline).await?;
    let known = match std::mem::take(claim.held()) {
        Held::Nothing => false,
        Held::Prepared(prepared) => {
            if finish_on_its_session(store, &mut claim, prepared, Goal::RollBack).await? {
                return Ok(());
            }
            true
        }
    };
    match settle::settle(store, transaction, Goal::RollBack, known, deadline).await {
        Ok(_) => Ok(()),
        Err(Error::Heuristic { kind, detail }) => {
            let named = audit::purchases_of(store, transaction, deadline).await;
            let detail = detail + &named;
            Err(Error::Heuristic { kind, detail })
        }
        Err(error) => Err(error),
    }
}

/// Ends the branch on the session that it is tied to: the one session whose OK is evidence by
/// itself. Gives whether that was all; if not, the marker row must tell.
async fn finish_on_its_session(
    store: &Store,
    claim: &mut Claim<'_>,
    prepared: Prepared,
    goal: Goal,
) -> Result<bool, Error> {
    let Prepared {
        asked,
        refused,
        incarnation,
        session: Some(mut session),
    } = prepared
    else {
        return Ok(false);
    };
    // What another server than the present one says is no evidence.
    if !store.one_server.is_home_of(&session) {
        return Ok(false);
    }
    let transaction = claim.transaction().clone();
    let xid = xid::literal(&transaction, &store.name);
    let packet = match goal {
        Goal::Commit => format!("XA COMMIT {xid}"),
        Goal::RollBack => format!(
            "XA ROLLBACK {xid}; {}",
            evidence::insert_tombstone(&transaction, &store.name, participant::now())
        ),
    };
    match session.run(&packet, store.statement_deadline()).await {
        Ok(_) => {
            if goal == Goal::RollBack {
                store.coordinators.remembers(&transaction);
            }
            session.give_back();
            Ok(true)
        }
        // Rolled back; only remembering it failed.
        Err(Failure { completed: 1, .. }) if goal == Goal::RollBack => {
            session.give_back();
            Ok(false)
        }
        // A backup's lock or read_only: still prepared, still tied to this session.
        Err(failure) if failure.class().is_some_and(Class::is_not_now) => {
            let branch = store.branch(&transaction);
            *claim.held() = Held::Prepared(Prepared {
                asked,
                refused,
                incarnation,
                session: Some(session),
            });
            Err(failure.into_error(&format!("{branch} stays prepared")))
        }
        Err(failure) => {
            tracing::info!(
                transaction_id = %transaction,
                "the session that prepared the branch is lost, settling by evidence: {}",
                failure.cause
            );
            Ok(false)
        }
    }
}

/// Waits until no other call is at work on the transaction, and interrupts a prepare that is: its
/// answer is not wanted any more. The prepare takes back by itself what it has done.
///
/// An interruption meets one statement, so it is repeated: one that comes between two meets none,
/// and XA PREPARE, whose forced writes may take long, goes on regardless (measured on MariaDB
/// 10.11).
async fn claim_from_prepare<'a>(
    store: &'a Store,
    transaction: &TransactionId,
    deadline: Instant,
) -> Result<Claim<'a>, Error> {
    let mut pause = PREPARE_PATIENCE_MIN;
    loop {
        let patience = deadline.min(Instant::now() + pause);
        if let Some(claim) = store.branches.claim(transaction, patience).await {
            return Ok(claim);
        }
        if patience >= deadline {
            return Err(busy(store, transaction));
        }
        if let Some(connection_id) = store.branches.doom_prepare(transaction) {
            tracing::info!(transaction_id = %transaction, connection_id, "interrupting a prepare that is to be rolled back");
            let until = deadline.min(Instant::now() + PREPARE_PATIENCE_MAX);
            prepare::interrupt(store, connection_id, until).await;
        }
        pause = PREPARE_PATIENCE_MAX.min(2 * pause);
    }
}

pub(crate) async fn claim<'a>(
    store: &'a Store,
    transaction: &TransactionId,
    deadline: Instant,
) -> Result<Claim<'a>, Error> {
    store
        .branches
        .claim(transaction, deadline)
        .await
        .ok_or_else(|| busy(store, transaction))
}

fn busy(store: &Store, transaction: &TransactionId) -> Error {
    Error::Busy {
        detail: format!("another call is at work on {}", store.branch(transaction)),
    }
}

/// The answer to a call that began at this moment. If another server has come since, it is not known
/// which of them was shown to have committed.
fn committed(
    store: &Store,
    transaction: &TransactionId,
    evidence: CommitEvidence,
    begun: Moment,
) -> Result<Committed, Error> {
    if !store.one_server.is_still(begun) {
        let why = "another server answers at its address now";
        return Err(not_enlisted(store, &transaction.coordinator, why));
    }
    store.one_server.note_committed(transaction, begun);
    Ok(Committed {
        evidence,
        debts: Vec::new(),
        changes: 0,
    })
}
