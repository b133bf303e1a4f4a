//! What a store does for a coordinator.

use std::fmt;

use async_trait::async_trait;
use tandem_protocol::{PreparedBranch, Repaired, TransactionId};

use crate::audit_question::{AuditAnswer, AuditQuestion};
use crate::call::{
    BranchTruth, CheckedStore, Commit, Committed, Description, Enlist, Enlisted, Forget, Look,
    Looked, Prepare, Recall, Recalled, RollBack, RolledBack, Stock, Voted,
};
use crate::error::Error;
use crate::examination::Examined;

/// A store's side of two-phase commit.
///
/// What every implementation keeps (the conformance suite checks it):
///
/// - An answer is durable in the store before it is given.
/// - Calls may be repeated, may overtake each other, and may run at the same time for the same
///   transaction: a roll back can arrive while the prepare is still running.
/// - A prepare that arrives after its transaction was committed or rolled back votes no.
/// - `commit` and `roll_back` are idempotent and end only with evidence from the store itself,
///   never with an error code taken for an answer.
/// - A store that was restarted, restored from a copy, or has lost what it remembered may answer
///   [`Error::NotEnlisted`] until the coordinator has enlisted again; so no coordinator goes on
///   without what the store has lost.
/// - The branches of other coordinators are never touched.
/// - A future that is dropped leaves the store in a state that a later call can settle; what it
///   had asked of the store may still take effect.
/// - Every call ends within a bounded time by itself, with [`Error::Unavailable`] if need be.
#[async_trait]
pub trait Participant: fmt::Debug + Send + Sync + 'static {
    /// What the store knows of a coordinator. It changes and creates nothing, not even a table, so
    /// that a coordinator whose log is not the newest learns so before it has left a trace.
    async fn look(&self, look: &Look) -> Result<Looked, Error>;

    /// Makes a coordinator known to the store, durably, and checks the store's settings
    /// ([`Error::Unsafe`]). [`Error::Fenced`] where the store knows a higher epoch, the same epoch
    /// of another instance, or another log of the same coordinator. Where the store does not know
    /// what [`Enlist::acknowledged`] names, another life of it begins.
    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error>;

    /// Prepares a branch with every entry that the store can promise to commit. The entries that
    /// it can't are in the vote. When all are refused nothing stays prepared. A store that does not
    /// know what [`Prepare::acknowledged`] names, or that lives another life than
    /// [`Prepare::incarnation`], has lost something: it prepares nothing and answers
    /// [`Error::NotEnlisted`].
    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error>;

    /// Carries out a stored commit decision: the entries named, once, whatever the store
    /// remembers of the branch; what was prepared beyond them is released.
    async fn commit(&self, commit: &Commit) -> Result<Committed, Error>;

    /// Carries out a stored commit decision that the store has ended another way, by an operator's
    /// stored order: what of it is missing is done again, once, and what is there is left as it is.
    /// Where the branch is still prepared it is committed.
    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        Err(Error::Invalid {
            detail: format!(
                "this participant redoes nothing of {}: do it by hand and settle it",
                commit.transaction
            ),
        })
    }

    /// Releases what the transaction prepared and makes later prepares of it vote no.
    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error>;

    /// Every branch that is prepared at the store now, other coordinators' included.
    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error>;

    /// The store's own truth about one transaction; changes nothing.
    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error>;

    /// The coordinator will never ask again about the transactions named; their memory may go.
    async fn forget(&self, forget: &Forget) -> Result<(), Error>;

    /// Which of some transactions the store does not remember any more, all of which were committed
    /// here. [`Error::NotEnlisted`] where the store finds by itself that it has lost something.
    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error>;

    /// What the store is and what is unsafe about it, read now.
    async fn describe(&self) -> Result<Description, Error>;

    /// What [`Participant::describe`] says, and what would keep every purchase from being made there. Changes
    /// and creates nothing, for whoever looks before a coordinator works with the store.
    async fn check(&self) -> Result<CheckedStore, Error> {
        Ok(CheckedStore {
            description: self.describe().await?,
            faults: Vec::new(),
        })
    }

    /// What [`Participant::check`] says, what mends it, and how a trial transaction goes. For a person who wants
    /// to know before purchases do; it leaves nothing at the store.
    async fn examine(&self) -> Result<Examined, Error> {
        let checked = self.check().await?;
        Ok(Examined::looked_at(
            checked,
            "this participant tries nothing",
        ))
    }

    /// Connects to the store anew because a person asks for it: also where the store has denied the
    /// access so lately that it would not be tried again yet. Changes nothing there; connections that
    /// are there stay.
    async fn reconnect(&self) -> Result<(), Error> {
        self.describe().await.map(drop)
    }

    /// Stock of one sku and who holds how much; `None` where the store keeps no stock.
    async fn stock(&self, sku: &str) -> Result<Option<Stock>, Error>;

    /// What the store holds, for an audit; changes nothing, and each answer is bounded.
    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        let _ = question;
        Ok(AuditAnswer::NotKept(
            "this participant answers no audits".into(),
        ))
    }
}
