//! Roll back: the short way on the session that prepared, else by evidence.

use std::time::Duration;

use tandem_participant::{Error, RollBack};
use tandem_protocol::TransactionId;
use tokio::time::Instant;

use crate::branch::interrupt::interrupt;
use crate::branch::its_session::{busy, finish_on_its_session};
use crate::branch::named;
use crate::branch::settle::{self, Goal};
use crate::enlistment::enlisted;
use crate::store::Store;
use crate::store::branches::{Claim, Held};

/// How long a roll back lets a running prepare of its transaction come to its own end before it
/// interrupts it, and the longest pause between two interruptions.
const PREPARE_PATIENCE_MIN: Duration = Duration::from_millis(50);
const PREPARE_PATIENCE_MAX: Duration = Duration::from_millis(800);

/// Releases a branch, whatever state it is in, and remembers durably that it was rolled back.
pub(crate) async fn roll_back(store: &Store, roll_back: &RollBack) -> Result<(), Error> {
    let transaction = &roll_back.transaction;
    let deadline = Instant::now() + store.settings.settle_timeout;
    let coordinator = &transaction.coordinator;
    enlisted::check(store, coordinator, roll_back.caller_epoch, deadline).await?;
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
            let named = named::purchases_of(store, transaction, deadline).await;
            let detail = detail + &named;
            Err(Error::Heuristic { kind, detail })
        }
        Err(error) => Err(error),
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
            interrupt(store, connection_id, until).await;
        }
        pause = PREPARE_PATIENCE_MAX.min(2 * pause);
    }
}
