//! A branch that this process prepared: claimed, and ended on the session that it is tied to.

use tandem_participant::{Error, clock};
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::branch::settle::Goal;
use crate::records::{marker, xid};
use crate::session::codes::Class;
use crate::session::failure::PacketFailure;
use crate::store::Store;
use crate::store::branches::{Claim, Held, Prepared};

/// Ends the branch on the session that it is tied to: the one session whose OK is evidence by
/// itself. Gives whether that was all; if not, the marker row must tell.
pub(super) async fn finish_on_its_session(
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
            marker::insert_tombstone(&transaction, &store.name, clock::now())
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
        Err(PacketFailure { completed: 1, .. }) if goal == Goal::RollBack => {
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

/// Waits until no other call is at work on the transaction.
pub(super) async fn claimed<'a>(
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

/// The error where one still is past the deadline.
pub(super) fn busy(store: &Store, transaction: &TransactionId) -> Error {
    Error::Busy {
        detail: format!("another call is at work on {}", store.branch(transaction)),
    }
}
