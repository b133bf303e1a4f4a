//! The whole branch in one packet, tried again where the server has given it up.

use tandem_participant::{Error, RefusedEntry};
use tandem_protocol::{Entry, Reason, Refusal};

use crate::branch::prepare::isolate;
use crate::branch::prepare::job::{Job, TRIES_MAX};
use crate::branch::prepare::outcome::Outcome;
use crate::branch::prepare::watched::{self, Manners};
use crate::session::codes::Class;
use crate::session::connection::Session;
use crate::sql::line::Line;

impl Job<'_> {
    pub(super) async fn run(&self, session: &mut Session) -> Result<Outcome, Error> {
        let unfit = self.unfit();
        if !unfit.is_empty() {
            return isolate::run(self, session, unfit).await;
        }
        let entries: Vec<&Entry> = self.prepare.entries.iter().collect();
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = self.whole(session, &entries).await?;
            let Outcome::Failed(failure) = outcome else {
                return Ok(outcome);
            };
            if self.is_over() {
                return Ok(Outcome::GivenUp);
            }
            let class = failure.class();
            if class == Some(Class::BranchLost) && tries < TRIES_MAX {
                tracing::debug!(transaction_id = %self.prepare.transaction, tries, "branch lost, trying again");
                continue;
            }
            return match (class, &entries[..]) {
                (Some(Class::Room | Class::NotNow) | None, [_]) => Ok(Outcome::Failed(failure)),
                (Some(_), [entry]) => {
                    let refused = self.refuse(session, failure, entry, None).await?;
                    Ok(Outcome::AllRefused(vec![refused]))
                }
                _ => isolate::run(self, session, Vec::new()).await,
            };
        }
    }

    /// The entries that the statements can't be filled in for: no server is asked about them.
    fn unfit(&self) -> Vec<RefusedEntry> {
        let templates = &self.store.settings.templates;
        let refused = |entry: &Entry| {
            let detail = templates.why_unfit(&entry.purchase)?;
            let reason = Reason::Misconfigured;
            Some(RefusedEntry {
                number: entry.number,
                refusal: Refusal { reason, detail },
            })
        };
        self.prepare.entries.iter().filter_map(refused).collect()
    }

    /// One packet from XA START to XA PREPARE.
    async fn whole(&self, session: &mut Session, entries: &[&Entry]) -> Result<Outcome, Error> {
        let wait = self.store.settings.lock_wait_timeout_s;
        session
            .wait_for_locks(wait, self.deadline)
            .await
            .map_err(|failure| self.error(failure))?;
        let mut statements: Vec<Line<'_>> = self.begin(session).map(Line::from).into();
        statements.extend(self.store.settings.templates.render(
            self.begun(),
            entries,
            session.server.statement_bytes(),
        ));
        let end = statements.len();
        statements.extend(self.end(&[]).into_iter().map(Line::from));
        let manners = match entries {
            [_] => Manners::Look,
            _ => Manners::Interrupt,
        };
        let packet = watched::run(self, session, &statements, (entries.len(), manners));
        match packet.await {
            Ok(()) => Ok(Outcome::Prepared(Vec::new())),
            Err(failure) if (2..end).contains(&failure.completed) && failure.number().is_some() => {
                self.clean_up(session).await?;
                Ok(Outcome::Failed(failure))
            }
            Err(failure) => self.not_an_entry(session, failure).await,
        }
    }
}
