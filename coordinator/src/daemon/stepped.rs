//! A participant that passes named steps before and after each call that changes its store.

use std::sync::Arc;

use async_trait::async_trait;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    BranchTruth, Commit, Committed, Description, Enlist, Enlisted, Error, Forget, Look, Looked,
    Participant, Prepare, PreparedBranch, Recall, Recalled, Repaired, RollBack, RolledBack, Stock,
    Voted,
};
use tandem_protocol::TransactionId;

use super::crash_point::{CrashPoint, StoreStep, reach};

/// Wraps the participant of a sidecar that was told of a step.
#[derive(Debug)]
pub(super) struct Stepped(pub(super) Arc<dyn Participant>);

#[async_trait]
impl Participant for Stepped {
    async fn look(&self, look: &Look) -> Result<Looked, Error> {
        self.0.look(look).await
    }

    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        between(
            StoreStep::Enlisting,
            self.0.enlist(enlist),
            StoreStep::Enlisted,
        )
        .await
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        between(
            StoreStep::Preparing,
            self.0.prepare(prepare),
            StoreStep::Prepared,
        )
        .await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, Error> {
        between(
            StoreStep::Committing,
            self.0.commit(commit),
            StoreStep::Committed,
        )
        .await
    }

    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        self.0.repair(commit).await
    }

    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error> {
        between(
            StoreStep::RollingBack,
            self.0.roll_back(roll_back),
            StoreStep::RolledBack,
        )
        .await
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        self.0.list_prepared().await
    }

    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error> {
        self.0.inspect(transaction).await
    }

    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error> {
        between(
            StoreStep::Recalling,
            self.0.recall(recall),
            StoreStep::Recalled,
        )
        .await
    }

    async fn forget(&self, forget: &Forget) -> Result<(), Error> {
        between(
            StoreStep::Forgetting,
            self.0.forget(forget),
            StoreStep::Forgotten,
        )
        .await
    }

    async fn describe(&self) -> Result<Description, Error> {
        self.0.describe().await
    }

    async fn reconnect(&self) -> Result<(), Error> {
        self.0.reconnect().await
    }

    async fn stock(&self, sku: &str) -> Result<Option<Stock>, Error> {
        self.0.stock(sku).await
    }

    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        self.0.audit(question).await
    }
}

async fn between<T>(
    before: StoreStep,
    call: impl Future<Output = Result<T, Error>>,
    after: StoreStep,
) -> Result<T, Error> {
    reach(CrashPoint::Store(before));
    let answer = call.await;
    if answer.is_ok() {
        reach(CrashPoint::Store(after));
    }
    answer
}
