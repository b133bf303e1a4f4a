//! What it means that a branch failed by none of its entries' statements.

use tandem_participant::Error;

use crate::branch::prepare::job::Job;
use crate::branch::prepare::outcome::Outcome;
use crate::enlistment::enlisted::not_enlisted;
use crate::records::{evidence, ids, lives};
use crate::session::answer;
use crate::session::codes::{self, Class};
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;

impl Job<'_> {
    /// What a failure means that no entry's statement caused: at XA START, at the marker row, or
    /// from XA END on.
    pub(crate) async fn not_an_entry(
        &self,
        session: &mut Session,
        failure: PacketFailure,
    ) -> Result<Outcome, Error> {
        let Some(number) = failure.number() else {
            return Err(self.error(failure));
        };
        match (failure.completed, number) {
            (0, codes::XA_DUPLICATE) => Ok(Outcome::Before("it is prepared")),
            (1, codes::DUPLICATE_ENTRY) => {
                self.clean_up(session).await?;
                Ok(Outcome::Before("it was committed or rolled back"))
            }
            (1, codes::OUT_OF_RANGE) => {
                self.clean_up(session).await?;
                Err(self.unproven(session).await)
            }
            (1, number) if codes::is_locked(number) || number == codes::INTERRUPTED => {
                self.clean_up(session).await?;
                Err(Error::Busy {
                    detail: format!(
                        "the marker row of {} is locked: it is in doubt or is being ended",
                        self.store.branch(&self.prepare.transaction)
                    ),
                })
            }
            (1, _) if failure.class() == Some(Class::BranchLost) => {
                self.clean_up(session).await?;
                Ok(Outcome::Failed(failure))
            }
            // Under FLUSH TABLES WITH READ LOCK XA PREPARE answers 1205 and the branch is rolled
            // back already (measured on MariaDB 10.11 and MySQL 9.7); whatever else it was, the
            // session is closed and the marker row tells.
            _ => Err(self.error(failure)),
        }
    }

    /// Why the marker row's proof did not hold.
    pub(crate) async fn unproven(&self, session: &mut Session) -> Error {
        match self.look_for_proof(session).await {
            Ok(error) => error,
            Err(failure) => self.error(failure),
        }
    }

    async fn look_for_proof(&self, session: &mut Session) -> Result<Error, PacketFailure> {
        let (store, prepare) = (self.store, self.prepare);
        let deadline = store.statement_deadline();
        let transaction = &prepare.transaction;
        let coordinator = &transaction.coordinator;
        let rows = session.query("SELECT CONNECTION_ID()", deadline).await?;
        if answer::number(&rows, 0)? != session.id {
            session.give_up();
            let why = "its sessions are moved to another server by what is in between";
            return Ok(not_enlisted(store, coordinator, why));
        }
        let Some(now) = lives::read(session, &store.name, coordinator, deadline).await? else {
            return Ok(not_enlisted(store, coordinator, "its row has gone"));
        };
        if now.epoch > transaction.epoch {
            return Ok(store.fenced(transaction));
        }
        if now.incarnation != self.known.incarnation {
            let why = format!("life {} has begun meanwhile", now.incarnation);
            return Ok(not_enlisted(store, coordinator, &why));
        }
        let needed = self.needed(|needed| !now.is_forgotten(needed));
        let lost = evidence::missing(session, &store.name, &needed, deadline).await?;
        store.coordinators.learn(coordinator, now, session);
        if lost.is_empty() {
            // A commit was forgotten, or the transaction closed, since the row was read.
            return Ok(Error::Busy {
                detail: format!("{} was overtaken", store.branch(transaction)),
            });
        }
        let why = format!(
            "it does not know {}, whose commit it acknowledged",
            ids::listed(&lost)
        );
        Ok(not_enlisted(store, coordinator, &why))
    }
}
