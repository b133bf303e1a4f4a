//! A case's stage: a coordinator of its own, and what cases expect, said once.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tandem_protocol::{CoordinatorId, Entry, Epoch, TransactionId};

use super::{Bench, unique_id};
use crate::audit_question::{AuditAnswer, AuditQuestion};
use crate::clock;
use crate::{
    Acknowledged, BranchState, Commit, Committed, Enlist, Enlisted, Error, Participant, Prepare,
    PreparedId, Repaired, RollBack, RolledBack, Vote,
};

/// What a case and its parts end with.
pub(super) type Checked<T> = Result<T, String>;

/// Time that a participant has for a prepare.
pub(super) const PREPARE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an outcome may take that needs repeated calls.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Fails a case with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}
pub(super) use ensure;

/// One coordinator's start, enlisted at the bench's store.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) bench: Arc<dyn Bench>,
    pub(super) participant: Arc<dyn Participant>,
    pub(super) enlist: Enlist,
    pub(super) enlisted: Enlisted,
    sequence: AtomicU64,
}

impl Scene {
    /// A coordinator that the store has never seen, in its first epoch.
    pub(super) async fn open(bench: &Arc<dyn Bench>) -> Checked<Arc<Self>> {
        let coordinator: CoordinatorId = unique_id("c")
            .parse()
            .map_err(|error| format!("the suite's own coordinator id: {error}"))?;
        let enlist = Enlist {
            coordinator,
            log_id: unique_id("log-"),
            epoch: Epoch(1),
            instance_id: unique_id("run-"),
            acknowledged: Acknowledged::default(),
        };
        Self::enlisted(bench.clone(), bench.participant().await?, enlist).await
    }

    /// The same coordinator started again, talking to the same participant object.
    pub(super) async fn next_epoch(&self) -> Checked<Arc<Self>> {
        let (bench, participant) = (self.bench.clone(), self.participant.clone());
        Self::enlisted(bench, participant, self.next_enlist()).await
    }

    /// The same coordinator started again with a participant object of its own, the one before
    /// being gone.
    pub(super) async fn restart(self: Arc<Self>) -> Checked<Arc<Self>> {
        let (bench, enlist) = (self.bench.clone(), self.next_enlist());
        drop(self);
        let participant = bench.participant().await?;
        Self::enlisted(bench, participant, enlist).await
    }

    async fn enlisted(
        bench: Arc<dyn Bench>,
        participant: Arc<dyn Participant>,
        enlist: Enlist,
    ) -> Checked<Arc<Self>> {
        let enlisted = settle("enlist", || participant.enlist(&enlist)).await?;
        Ok(Arc::new(Self {
            bench,
            participant,
            enlist,
            enlisted,
            sequence: AtomicU64::new(0),
        }))
    }

    fn next_enlist(&self) -> Enlist {
        Enlist {
            epoch: Epoch(self.enlist.epoch.0 + 1),
            instance_id: unique_id("run-"),
            ..self.enlist.clone()
        }
    }

    /// A transaction id that was not used yet.
    pub(super) fn next(&self) -> TransactionId {
        TransactionId {
            coordinator: self.enlist.coordinator.clone(),
            epoch: self.enlist.epoch,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    /// One call of repair, repeated until it is answered.
    pub(super) async fn repair(
        &self,
        transaction: &TransactionId,
        entries: &[Entry],
    ) -> Checked<Repaired> {
        let commit = self.commit_of(transaction, entries);
        let what = format!("repair of {transaction}");
        settle(&what, || self.participant.repair(&commit)).await
    }

    /// The store's answer to an audit.
    pub(super) async fn audit(&self, question: &AuditQuestion) -> Checked<AuditAnswer> {
        settle("audit", || self.participant.audit(question)).await
    }

    pub(super) async fn good(&self) -> Checked<Entry> {
        self.bench.good_entry(0).await
    }

    pub(super) async fn exclusive(&self) -> Checked<Entry> {
        self.bench.exclusive_entry(0).await
    }

    /// One call of prepare, answered as it may be.
    pub(super) async fn try_prepare(
        &self,
        transaction: &TransactionId,
        entries: &[Entry],
    ) -> Result<Vote, Error> {
        let prepare = Prepare {
            transaction: transaction.clone(),
            entries: entries.to_vec(),
            participants: Vec::new(),
            incarnation: String::new(),
            acknowledged: Acknowledged::default(),
            begin_time: clock::now(),
            timeout: PREPARE_TIMEOUT,
        };
        let voted = self.participant.prepare(&prepare).await?;
        Ok(voted.vote)
    }

    /// Prepares a new transaction and expects every entry to be promised.
    pub(super) async fn prepared(&self, entries: &[Entry]) -> Checked<TransactionId> {
        let transaction = self.next();
        match self.try_prepare(&transaction, entries).await {
            Ok(Vote::Yes { refused, .. }) if refused.is_empty() => Ok(transaction),
            other => Err(format!(
                "prepare of {transaction}: expected yes with nothing refused, got {other:?}"
            )),
        }
    }

    /// A new transaction, prepared and committed.
    pub(super) async fn committed(&self, entries: &[Entry]) -> Checked<TransactionId> {
        let transaction = self.prepared(entries).await?;
        self.commit(&transaction, entries).await?;
        Ok(transaction)
    }

    pub(super) fn commit_of(&self, transaction: &TransactionId, entries: &[Entry]) -> Commit {
        Commit {
            transaction: transaction.clone(),
            caller_epoch: self.enlist.epoch,
            entries: entries.to_vec(),
            begin_time: clock::now(),
            decide_time: clock::now(),
        }
    }

    /// Commits, repeating what could not be done yet.
    pub(super) async fn commit(
        &self,
        transaction: &TransactionId,
        entries: &[Entry],
    ) -> Checked<Committed> {
        let commit = self.commit_of(transaction, entries);
        let committed = settle(&format!("commit of {transaction}"), || {
            self.participant.commit(&commit)
        })
        .await?;
        ensure!(
            committed.debts.is_empty(),
            "commit of {transaction}: expected no debt, got {:?}",
            committed.debts
        );
        Ok(committed)
    }

    pub(super) fn roll_back_of(&self, transaction: &TransactionId) -> RollBack {
        RollBack {
            transaction: transaction.clone(),
            caller_epoch: self.enlist.epoch,
        }
    }

    /// Rolls back, repeating what could not be done yet.
    pub(super) async fn roll_back(&self, transaction: &TransactionId) -> Checked<RolledBack> {
        let roll_back = self.roll_back_of(transaction);
        settle(&format!("roll back of {transaction}"), || {
            self.participant.roll_back(&roll_back)
        })
        .await
    }

    /// Expects the entry's effect to be visible so many times.
    pub(super) async fn expect_effects(
        &self,
        entry: &Entry,
        times: u64,
        when: &str,
    ) -> Checked<()> {
        let effects = self.bench.effects(entry).await?;
        ensure!(
            effects == times,
            "{when}: expected purchase {} to be in the store {times} times, found {effects}",
            entry.purchase.purchase_id
        );
        Ok(())
    }

    pub(super) async fn is_listed(&self, transaction: &TransactionId) -> Checked<bool> {
        let listed = settle("list prepared", || self.participant.list_prepared()).await?;
        let id = PreparedId::Transaction(transaction.clone());
        Ok(listed.iter().any(|branch| branch.id == id))
    }

    /// Expects the transaction to be among the prepared branches, or not to be.
    pub(super) async fn expect_listed(
        &self,
        transaction: &TransactionId,
        expected: bool,
        when: &str,
    ) -> Checked<()> {
        let listed = self.is_listed(transaction).await?;
        let word = if expected { "listed" } else { "not listed" };
        ensure!(
            listed == expected,
            "{when}: expected {transaction} to be {word} as prepared, it is the opposite"
        );
        Ok(())
    }

    /// Expects the store's own truth about the transaction.
    pub(super) async fn expect_state(
        &self,
        transaction: &TransactionId,
        state: BranchState,
        when: &str,
    ) -> Checked<()> {
        let inspect = || self.participant.inspect(transaction);
        let truth = settle("inspect", inspect).await?;
        ensure!(
            truth.state == state,
            "{when}: expected {transaction} to be {state:?}, found {truth:?}"
        );
        Ok(())
    }

    /// Expects that nothing holds what an exclusive entry needs: another transaction is promised
    /// it. That one is then rolled back.
    pub(super) async fn expect_free(&self, entry: &Entry, when: &str) -> Checked<()> {
        let transaction = self.next();
        let entries = std::slice::from_ref(entry);
        let vote = self.try_prepare(&transaction, entries).await;
        self.roll_back(&transaction).await?;
        match vote {
            Ok(Vote::Yes { refused, .. }) if refused.is_empty() => Ok(()),
            other => Err(format!(
                "{when}: expected purchase {} to be free for another transaction, its prepare \
                 answered {other:?}",
                entry.purchase.purchase_id
            )),
        }
    }

    /// Expects that a roll back left nothing: no branch, no effect, nothing held. A participant
    /// may still be catching a prepare that was under way, so this is given time.
    pub(super) async fn expect_nothing_left(
        &self,
        transaction: &TransactionId,
        entry: &Entry,
        when: &str,
    ) -> Checked<()> {
        eventually(|| async {
            self.expect_listed(transaction, false, when).await?;
            self.expect_free(entry, when).await
        })
        .await?;
        self.expect_effects(entry, 0, when).await
    }
}

/// Repeats a call that could not be answered yet, as coordinators do, until it is answered one
/// way or another or [`SETTLE_TIMEOUT`] has passed.
pub(super) async fn answered<T, F>(mut call: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let answer = call().await;
        let asks_again = matches!(answer, Err(Error::Unavailable { .. } | Error::Busy { .. }));
        if !asks_again || Instant::now() >= deadline {
            return answer;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Repeats a call as [`answered`] does and expects it to be done.
pub(super) async fn settle<T, F>(what: &str, call: impl FnMut() -> F) -> Checked<T>
where
    F: Future<Output = Result<T, Error>>,
{
    let answer = answered(call).await;
    answer.map_err(|error| {
        format!("{what}: expected it to be done within {SETTLE_TIMEOUT:?}, got {error:?}")
    })
}

/// Repeats a check until it passes or [`SETTLE_TIMEOUT`] has passed.
pub(super) async fn eventually<T, F>(mut check: impl FnMut() -> F) -> Checked<T>
where
    F: Future<Output = Checked<T>>,
{
    let deadline = Instant::now() + SETTLE_TIMEOUT;
    loop {
        let result = check().await;
        if result.is_ok() || Instant::now() >= deadline {
            return result;
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Expects [`Error::Fenced`].
pub(super) fn expect_fenced<T: std::fmt::Debug>(
    what: &str,
    answer: Result<T, Error>,
) -> Checked<()> {
    ensure!(
        matches!(answer, Err(Error::Fenced { .. })),
        "{what}: expected it to be fenced, got {answer:?}"
    );
    Ok(())
}

/// Whether a vote promises the entry with this number.
pub(super) fn promises(vote: &Result<Vote, Error>, number: u32) -> bool {
    match vote {
        Ok(Vote::Yes { refused, .. }) => refused.iter().all(|entry| entry.number != number),
        _ => false,
    }
}
