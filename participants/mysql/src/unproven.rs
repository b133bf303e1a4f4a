//! Why a marker row's proof did not hold: error 1690 says only that it did not.

use tandem_participant::Error;

use crate::coordinators::not_enlisted;
use crate::lives;
use crate::prepare::Job;
use crate::session::{self, Failure, Session};

impl Job<'_> {
    /// Why the marker row's proof did not hold.
    pub(crate) async fn unproven(&self, session: &mut Session) -> Error {
        match self.look_for_proof(session).await {
            Ok(error) => error,
            Err(failure) => self.error(failure),
        }
    }

    async fn look_for_proof(&self, session: &mut Session) -> Result<Error, Failure> {
        let (store, prepare) = (self.store, self.prepare);
        let deadline = store.statement_deadline();
        let transaction = &prepare.transaction;
        let coordinator = &transaction.coordinator;
        let rows = session.query("SELECT CONNECTION_ID()", deadline).await?;
        if session::number(&rows, 0)? != session.id {
            session.give_up();
            let why = "its sessions are moved to another server by what is in between";
            return Ok(not_enlisted(store, coordinator, why));
        }
        let Some(now) = lives::read(store, session, coordinator, deadline).await? else {
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
        let lost = lives::missing(store, session, &needed, deadline).await?;
        store.coordinators.learn(coordinator, now, session);
        if lost.is_empty() {
            // A commit was forgotten, or the transaction closed, since the row was read.
            return Ok(Error::Busy {
                detail: format!("{} was overtaken", store.branch(transaction)),
            });
        }
        let why = format!(
            "it does not know {}, whose commit it acknowledged",
            lives::listed(&lost)
        );
        Ok(not_enlisted(store, coordinator, &why))
    }
}
