//! Redoing a branch that somebody ended against its decision.
//!
//! What is still prepared is committed, as ever. Otherwise the rows are inserted again, with the
//! marker row, in a plain transaction of its own: what is committed by it or was committed before
//! is told by unique keys, the marker's for the branch and the purchase's for each entry. A statement
//! that finds its rows must meet as many as ever: where it does not, since the row has changed after the
//! purchase, nothing at all is redone, and a person is told which.

use tandem_participant::{
    Commit, CommitEvidence, Error, HeuristicKind, RefusedEntry, Repaired, clock,
};
use tandem_protocol::Reason;
use tokio::time::Instant;

use crate::branch::commit::check_entries;
use crate::branch::its_session::claimed;
use crate::branch::refusal;
use crate::branch::settle::{self, Goal, Settled};
use crate::branch::singly::{self, UNDO};
use crate::enlistment::enlisted;
use crate::records::marker::{self, Marker, Proof};
use crate::session::codes::{self, Class};
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::script;
use crate::sql::fill::Begun;
use crate::sql::line::Line;
use crate::store::Store;

/// Redoes what is missing of a commit decision.
pub(crate) async fn repair(store: &Store, commit: &Commit) -> Result<Repaired, Error> {
    let transaction = &commit.transaction;
    check_entries(commit)?;
    let deadline = Instant::now() + store.settings.settle_timeout;
    enlisted::check(
        store,
        &transaction.coordinator,
        commit.caller_epoch,
        deadline,
    )
    .await?;
    let mut claim = claimed(store, transaction, deadline).await?;
    // A session that keeps the branch to itself lets go of it, so that it can be settled.
    let _ = std::mem::take(claim.held());
    let settled = settle::settle(store, transaction, Goal::Commit, false, deadline).await;
    let was_committed = match settled {
        Ok(Settled::Now) => {
            return Ok(Repaired {
                evidence: CommitEvidence::Applied,
                present: Vec::new(),
                debts: Vec::new(),
            });
        }
        Ok(Settled::Before) => true,
        Err(Error::Heuristic { .. }) => false,
        Err(error) => return Err(error),
    };
    let mut session = store.branch_sessions.lease(deadline).await?;
    let redo = Redo {
        store,
        commit,
        was_committed,
    };
    let done = redo.run(&mut session).await;
    // After a failure nobody knows what is open in the session: it is closed, and the server rolls
    // back what it had begun.
    let repaired = done?;
    session.give_back();
    Ok(repaired)
}

struct Redo<'a> {
    store: &'a Store,
    commit: &'a Commit,
    /// Whether the marker row was there, so that only rows may be missing.
    was_committed: bool,
}

impl Redo<'_> {
    async fn run(&self, session: &mut Session) -> Result<Repaired, Error> {
        self.begin(session).await?;
        let mut present = Vec::new();
        let begun = Begun {
            transaction: &self.commit.transaction,
            time: self.commit.begin_time,
        };
        for entry in &self.commit.entries {
            if let Some(detail) = self.store.settings.templates.why_unfit(&entry.purchase) {
                return Err(Error::Invalid { detail });
            }
            let statements = singly::statements(self.store, session, begun, entry);
            let deadline = self.store.statement_deadline();
            let Err(failure) = script::run(session, &statements, deadline).await else {
                continue;
            };
            // Nothing is wrong with the entry where the server can't take it now.
            if failure.class().is_none_or(Class::is_not_now)
                || failure.class() == Some(Class::BranchLost)
            {
                return Err(self.error(failure));
            }
            let deadline = self.store.statement_deadline();
            let refused = refusal::refuse(
                self.store,
                session,
                &failure,
                (&self.commit.transaction, entry),
                Some(UNDO),
                deadline,
            )
            .await;
            let refused = refused.map_err(|failure| self.error(failure))?;
            match refused.refusal.reason {
                Reason::DuplicatePurchase => {
                    self.send(session, UNDO).await?;
                    present.push(entry.number);
                }
                Reason::Misconfigured => return Err(self.error(failure)),
                _ => return Err(self.refused(&refused)),
            }
        }
        self.send(session, "COMMIT").await?;
        let nothing_was_missing = present.len() == self.commit.entries.len();
        Ok(Repaired {
            evidence: if self.was_committed && nothing_was_missing {
                CommitEvidence::AlreadyApplied
            } else {
                CommitEvidence::Redone
            },
            // Of a branch that was committed all rows are expected to be there.
            present: if self.was_committed && nothing_was_missing {
                Vec::new()
            } else {
                present
            },
            debts: Vec::new(),
        })
    }

    /// Opens the transaction with the marker row, which waits for, and then fails on, any branch
    /// or repair of the same transaction that is at work elsewhere. The marker of a roll back makes
    /// way for it.
    async fn begin(&self, session: &mut Session) -> Result<(), Error> {
        let (transaction, name) = (&self.commit.transaction, &self.store.name);
        let mut statements = vec![Line::from("START TRANSACTION".to_owned())];
        if !self.was_committed {
            statements.push(marker::delete_tombstone(transaction, name).into());
            let marker = Marker {
                transaction,
                participant: name,
                now: clock::now(),
                // The participants of the transaction are not told here.
                contents: None,
            };
            let proof = Proof::Epoch(self.commit.caller_epoch);
            statements.push(marker::insert_marker(&marker, session, &proof).into());
        }
        let deadline = self.store.statement_deadline();
        let Err(failure) = script::run(session, &statements, deadline).await else {
            return Ok(());
        };
        let branch = self.store.branch(transaction);
        match failure.number() {
            Some(codes::DUPLICATE_ENTRY) => Err(Error::Busy {
                detail: format!("{branch} was ended by somebody else just now"),
            }),
            Some(codes::OUT_OF_RANGE) => Err(self.store.fenced(transaction)),
            _ => Err(self.error(failure)),
        }
    }

    async fn send(&self, session: &mut Session, statement: &str) -> Result<(), Error> {
        let deadline = self.store.statement_deadline();
        match session.run(statement, deadline).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.error(failure)),
        }
    }

    /// The schema does not take an entry that it took before: all of the branch stays undone.
    fn refused(&self, refused: &RefusedEntry) -> Error {
        let remedy = match refused.refusal.reason {
            Reason::NoSuchRow | Reason::TooManyRows => {
                "; put that row as it was before the purchase and repair again, or write the purchase by \
                 hand and settle it as committed"
            }
            _ => "",
        };
        Error::Heuristic {
            kind: HeuristicKind::RolledBack,
            detail: format!(
                "{} could not be redone, and nothing of it was: entry {} is refused now: {}: {}{remedy}",
                self.store.branch(&self.commit.transaction),
                refused.number,
                refused.refusal.reason,
                refused.refusal.detail
            ),
        }
    }

    fn error(&self, failure: PacketFailure) -> Error {
        let branch = self.store.branch(&self.commit.transaction);
        failure.into_error(&format!("redoing {branch}"))
    }
}
