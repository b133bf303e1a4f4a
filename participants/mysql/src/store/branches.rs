//! What this process knows of branches that are not ended: at most one task at a time works on a
//! transaction, and where a server ties a branch to its session that session is kept here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tandem_participant::RefusedEntry;
use tandem_protocol::TransactionId;
use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, timeout_at};

use crate::session::sessions::Lease;

/// Most votes that are kept for branches without a session, to answer a prepare that is repeated.
/// Those with a session are bounded by the sessions.
const DETACHED_MAX: usize = 1_024;

/// Beside a connection id, which the server keeps far below it.
const DOOMED: u64 = 1 << 63;

/// All transactions that a task works on or that are prepared.
#[derive(Debug, Default)]
pub(crate) struct Branches {
    slots: Mutex<HashMap<TransactionId, Arc<Slot>>>,
}

/// What this process knows of one transaction. Whatever it says, the store may know better.
#[derive(Debug, Default)]
pub(crate) enum Held {
    #[default]
    Nothing,
    /// This process prepared it.
    Prepared(Prepared),
}

/// A branch that this process prepared.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Numbers of the entries that were asked for.
    pub(crate) asked: Vec<u32>,
    /// Those of them that are not in the branch.
    pub(crate) refused: Vec<RefusedEntry>,
    /// The life of the server in which it was prepared.
    pub(crate) incarnation: String,
    /// The session that the branch is tied to.
    pub(crate) session: Option<Lease>,
}

#[derive(Debug, Default)]
struct Slot {
    held: Arc<tokio::sync::Mutex<Held>>,
    /// The connection whose prepare is running, with [`DOOMED`] once somebody ends it; 0 for none.
    preparing: AtomicU64,
}

/// One transaction, exclusively.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    branches: &'a Branches,
    transaction: TransactionId,
    slot: Arc<Slot>,
    /// `None` only while it is awaited or dropped.
    held: Option<OwnedMutexGuard<Held>>,
}

impl Prepared {
    /// Numbers of the entries in the branch, in order.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let refused = |number: &u32| self.refused.iter().any(|entry| entry.number == *number);
        let mut numbers = self.asked.clone();
        numbers.retain(|number| !refused(number));
        numbers.sort_unstable();
        numbers
    }
}

impl Branches {
    /// Waits until no other task works on the transaction; `None` past the deadline.
    pub(crate) async fn claim(
        &self,
        transaction: &TransactionId,
        deadline: Instant,
    ) -> Option<Claim<'_>> {
        let slot = Arc::clone(self.slots().entry(transaction.clone()).or_default());
        let mut claim = Claim {
            branches: self,
            transaction: transaction.clone(),
            slot,
            held: None,
        };
        let held = Arc::clone(&claim.slot.held).lock_owned();
        claim.held = Some(timeout_at(deadline, held).await.ok()?);
        Some(claim)
    }

    /// The connection on which a prepare of the transaction is running in this process, to be
    /// interrupted: it will not be used for anything else.
    pub(crate) fn doom_prepare(&self, transaction: &TransactionId) -> Option<u64> {
        let slots = self.slots();
        let doom = |id| (id != 0).then_some(id | DOOMED);
        let preparing = &slots.get(transaction)?.preparing;
        let id = preparing.fetch_update(Ordering::AcqRel, Ordering::Acquire, doom);
        id.ok().map(|id| id & !DOOMED)
    }

    fn slots(&self) -> std::sync::MutexGuard<'_, HashMap<TransactionId, Arc<Slot>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim<'_> {
    pub(crate) fn transaction(&self) -> &TransactionId {
        &self.transaction
    }

    pub(crate) fn held(&mut self) -> &mut Held {
        self.held.as_mut().expect("held until dropped")
    }

    /// Keeps the branch until the decision.
    pub(crate) fn keep(&mut self, prepared: Prepared) {
        // Without the vote a repeated prepare is merely answered no.
        if prepared.session.is_some() || self.branches.slots().len() <= DETACHED_MAX {
            *self.held() = Held::Prepared(prepared);
        }
    }

    /// Says on which connection the prepare runs, for those who want to end it.
    pub(crate) fn set_preparing(&self, connection_id: u64) {
        self.slot.preparing.store(connection_id, Ordering::Release);
    }

    /// Whether somebody wants the running prepare to end.
    pub(crate) fn is_doomed(&self) -> bool {
        self.slot.preparing.load(Ordering::Acquire) & DOOMED != 0
    }

    /// Says that the prepare has ended. Gives whether its connection may be used again: not when an
    /// interruption is on its way to it, which would meet whatever runs there next.
    pub(crate) fn end_preparing(&self) -> bool {
        self.slot.preparing.swap(0, Ordering::AcqRel) & DOOMED == 0
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.held.is_some() {
            self.slot.preparing.store(0, Ordering::Release);
        }
        drop(self.held.take());
        // Slots are handed out under this lock only, so two holders are the table and this one.
        let mut slots = self.branches.slots();
        if Arc::strong_count(&self.slot) == 2
            && let Ok(held) = self.slot.held.try_lock()
            && matches!(*held, Held::Nothing)
        {
            slots.remove(&self.transaction);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn transaction() -> TransactionId {
        "shop.1.1".parse().expect("well formed")
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn one_task_at_a_time_works_on_a_transaction() {
        let branches = Branches::default();
        let claim = branches.claim(&transaction(), soon()).await.expect("free");
        assert!(branches.claim(&transaction(), soon()).await.is_none());
        drop(claim);
        assert!(branches.claim(&transaction(), soon()).await.is_some());
    }

    #[tokio::test]
    async fn connection_that_is_interrupted_is_not_used_again() {
        let branches = Branches::default();
        let claim = branches.claim(&transaction(), soon()).await.expect("free");
        claim.set_preparing(7);
        assert!(claim.end_preparing());
        assert_eq!(branches.doom_prepare(&transaction()), None, "it has ended");

        claim.set_preparing(7);
        assert!(!claim.is_doomed());
        assert_eq!(branches.doom_prepare(&transaction()), Some(7));
        assert_eq!(branches.doom_prepare(&transaction()), Some(7));
        assert!(claim.is_doomed());
        assert!(!claim.end_preparing());
    }

    #[tokio::test]
    async fn only_what_is_prepared_stays() {
        let branches = Branches::default();
        let mut claim = branches.claim(&transaction(), soon()).await.expect("free");
        claim.keep(Prepared {
            asked: vec![0, 1],
            refused: Vec::new(),
            incarnation: "server.1".into(),
            session: None,
        });
        drop(claim);
        assert_eq!(branches.slots().len(), 1);

        let mut claim = branches.claim(&transaction(), soon()).await.expect("free");
        let held = std::mem::take(claim.held());
        assert!(matches!(held, Held::Prepared(prepared) if prepared.numbers() == [0, 1]));
        drop(claim);
        assert!(branches.slots().is_empty());
    }
}
