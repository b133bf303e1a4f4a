//! What is to be prepared, and what is sent for it whichever way it is tried.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tandem_participant::{Error, Prepare, RefusedEntry, clock};
use tandem_protocol::{Entry, TransactionId};
use tokio::time::Instant;

use crate::branch::refusal;
use crate::records::contents::Contents;
use crate::records::lives::{self, Known};
use crate::records::marker::{self, Marker, Proof};
use crate::records::xid;
use crate::session::codes::Class;
use crate::session::connection::Session;
use crate::session::failure::{Cause, PacketFailure};
use crate::session::watch::Holder;
use crate::sql::fill::Begun;
use crate::store::Store;
use crate::store::branches::Claim;

/// How often a branch is tried in all that the server gives up to others, without coming nearer to
/// its end.
pub(super) const TRIES_MAX: u32 = 3;

/// What is to be prepared, and until when.
#[derive(Debug)]
pub(super) struct Job<'a> {
    pub(super) store: &'a Store,
    pub(super) prepare: &'a Prepare,
    /// What was known of the coordinator when it asked.
    pub(super) known: &'a Known,
    claim: &'a Claim<'a>,
    pub(super) deadline: Instant,
    /// Whether its time is over.
    late: AtomicBool,
    /// Who was in the way of the last packet that was looked after.
    holder: Mutex<Option<Holder>>,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        store: &'a Store,
        prepare: &'a Prepare,
        known: &'a Known,
        claim: &'a Claim<'a>,
        deadline: Instant,
    ) -> Self {
        Self {
            store,
            prepare,
            known,
            claim,
            deadline,
            late: AtomicBool::new(false),
            holder: Mutex::default(),
        }
    }

    /// Says that its time is over.
    pub(super) fn set_late(&self) {
        self.late.store(true, Ordering::Relaxed);
    }

    /// Whether nobody wants its answer any more.
    pub(super) fn is_over(&self) -> bool {
        self.late.load(Ordering::Relaxed) || self.claim.is_doomed()
    }

    pub(super) fn note_holder(&self, holder: Option<Holder>) {
        *self.holder.lock().unwrap_or_else(PoisonError::into_inner) = holder;
    }

    fn told(&self, failure: PacketFailure) -> PacketFailure {
        let holder = self.holder.lock().unwrap_or_else(PoisonError::into_inner);
        told(failure, holder.as_ref())
    }

    /// Refuses an entry; see [`refusal::refuse`]. Who holds the row that it needs is told with it.
    pub(super) async fn refuse(
        &self,
        session: &mut Session,
        failure: PacketFailure,
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

    /// What the statements are part of.
    pub(super) fn begun(&self) -> Begun<'_> {
        Begun {
            transaction: &self.prepare.transaction,
            time: self.prepare.begin_time,
        }
    }

    /// XA START and the marker row.
    pub(super) fn begin(&self, session: &Session) -> [String; 2] {
        let transaction = &self.prepare.transaction;
        let marker = Marker {
            transaction,
            participant: &self.store.name,
            now: clock::now(),
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
            marker::insert_marker(&marker, session, &proof),
        ]
    }

    /// XA END and XA PREPARE, and before them what the marker row says of a branch that lacks these.
    pub(super) fn end(&self, refused: &[RefusedEntry]) -> Vec<String> {
        let (transaction, name) = (&self.prepare.transaction, &self.store.name);
        let mut statements = Vec::new();
        if !refused.is_empty()
            && let Some(contents) = self.contents(refused)
        {
            statements.push(marker::update_contents(transaction, name, &contents));
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
    pub(super) fn needed(&self, counts: impl Fn(&TransactionId) -> bool) -> Vec<TransactionId> {
        let coordinator = &self.prepare.transaction.coordinator;
        lives::needed(&self.prepare.acknowledged, coordinator, |transaction| {
            self.known.is_forgotten(transaction) || !counts(transaction)
        })
    }

    /// Rolls an active branch back, whatever state an error left it in. XA END fails where a
    /// deadlock ended the branch (1399 on MariaDB, 1614 on MySQL), so it goes in its own packet.
    pub(super) async fn clean_up(&self, session: &mut Session) -> Result<(), Error> {
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
    pub(super) fn deadline(&self) -> Instant {
        self.deadline.min(self.store.statement_deadline())
    }

    pub(super) fn error(&self, failure: PacketFailure) -> Error {
        let branch = self.store.branch(&self.prepare.transaction);
        failure.into_error(&format!("preparing {branch}"))
    }

    pub(super) fn xid(&self) -> String {
        xid::literal(&self.prepare.transaction, &self.store.name)
    }
}

/// The failure, with who was in the way if it has to do with a lock.
fn told(failure: PacketFailure, holder: Option<&Holder>) -> PacketFailure {
    let PacketFailure { completed, cause } = failure;
    let cause = match (cause, holder) {
        (
            Cause::Server {
                number,
                class: Class::Locked,
                message,
            },
            Some(holder),
        ) => Cause::Server {
            number,
            class: Class::Locked,
            message: format!("{holder} holds a row that was waited for; {message}"),
        },
        (cause, _) => cause,
    };
    PacketFailure { completed, cause }
}
