//! Commit: the short way on the session that prepared, else by evidence.

use tandem_participant::{Commit, CommitEvidence, Committed, Error};
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::branch::its_session::{claimed, finish_on_its_session};
use crate::branch::settle::{self, Goal, Settled};
use crate::enlistment::enlisted::{self, not_enlisted};
use crate::session::one_server::Moment;
use crate::store::Store;
use crate::store::branches::Held;

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
    enlisted::check(store, coordinator, commit.caller_epoch, deadline).await?;
    let mut claim = claimed(store, transaction, deadline).await?;
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
