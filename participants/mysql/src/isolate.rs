//! Finding the bad entries of a branch whose one packet failed.
//!
//! A savepoint before each entry makes a failed one undoable by itself. A packet stops at the
//! first error, so each bad entry costs one round trip: undo it, and go on with those behind it.

use std::time::Duration;

use tandem_participant::{Error, RefusedEntry};
use tandem_protocol::{Entry, Reason, Refusal};
use tokio::time::Instant;

use crate::codes;
use crate::prepare::{Job, Outcome, TRIES_MAX, refusal};
use crate::script;
use crate::server::Flavour;
use crate::session::{Failure, Session};

/// Time that preparing the good entries is given when waiting for locks must end.
const PREPARE_RESERVE: Duration = Duration::from_millis(500);

/// Prepares the entries that can be, one savepoint each, and gives the others with their reasons.
pub(crate) async fn run(job: &Job<'_>, session: &mut Session) -> Result<Outcome, Error> {
    // The packet that failed has waited for a lock already. MariaDB can then refuse what is still
    // locked at once; MySQL's shortest wait is a second, for each locked entry.
    if session.server.flavour == Flavour::MariaDb {
        session
            .wait_for_locks(0, job.deadline())
            .await
            .map_err(|failure| job.error(failure))?;
    }
    let mut refused = Vec::new();
    for _ in 0..TRIES_MAX {
        match attempt(job, session, &mut refused).await? {
            Attempt::Ended(outcome) => return Ok(outcome),
            Attempt::BranchLost => {}
        }
    }
    Err(Error::Busy {
        detail: format!(
            "{} lost a deadlock {TRIES_MAX} times",
            job.store.branch(&job.prepare.transaction)
        ),
    })
}

enum Attempt {
    Ended(Outcome),
    /// The server rolled back the whole branch, not just a statement; it is to be tried again.
    BranchLost,
}

/// Where in the script a statement stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Undoing the bad entry before.
    Undo,
    /// A statement of the entry with this index among the candidates.
    Entry(usize),
    /// XA START, the marker row, XA END or XA PREPARE.
    Branch,
}

async fn attempt(
    job: &Job<'_>,
    session: &mut Session,
    refused: &mut Vec<RefusedEntry>,
) -> Result<Attempt, Error> {
    let candidates: Vec<(&Entry, Vec<String>)> = job
        .prepare
        .entries
        .iter()
        .filter(|entry| !refused.iter().any(|bad| bad.number == entry.number))
        .map(|entry| (entry, statements(job, session, entry)))
        .collect();
    if candidates.is_empty() {
        return Ok(Attempt::Ended(Outcome::AllRefused(refused.clone())));
    }

    let mut script: Vec<(Part, String)> = job
        .begin(session)
        .map(|statement| (Part::Branch, statement))
        .into();
    let mut next = 0;
    let mut good = 0;
    loop {
        for (index, (_, statements)) in candidates.iter().enumerate().skip(next) {
            let part = Part::Entry(index);
            script.extend(statements.iter().map(|statement| (part, statement.clone())));
        }
        script.extend(job.end().map(|statement| (Part::Branch, statement)));
        let (parts, texts): (Vec<Part>, Vec<String>) = script.into_iter().unzip();
        let Err(failure) = script::run(session, &texts, job.deadline()).await else {
            return Ok(Attempt::Ended(Outcome::Prepared(std::mem::take(refused))));
        };
        let number = failure.number().ok_or_else(|| Error::Unavailable {
            detail: format!(
                "preparing {}: {}",
                job.store.branch(&job.prepare.transaction),
                failure.cause
            ),
        })?;
        let index = match parts[failure.completed] {
            Part::Entry(index) => index,
            // The savepoint went with the branch.
            Part::Undo => {
                job.clean_up(session).await?;
                return Ok(Attempt::BranchLost);
            }
            Part::Branch => {
                let failure = from_end(failure, &parts);
                return job.not_an_entry(session, failure).await.map(Attempt::Ended);
            }
        };

        let (entry, _) = candidates[index];
        let Some(bad) = refusal(&failure, entry) else {
            job.clean_up(session).await?;
            return Ok(Attempt::Ended(Outcome::Failed(failure)));
        };
        tracing::debug!(
            transaction_id = %job.prepare.transaction,
            purchase_id = entry.purchase.purchase_id,
            reason = %bad.refusal.reason,
            "entry refused: {}", failure.cause
        );
        let waited = bad.refusal.reason == Reason::Locked;
        refused.push(bad);
        if codes::is_deadlock(number) {
            job.clean_up(session).await?;
            return Ok(Attempt::BranchLost);
        }
        good += index - next;
        next = index + 1;
        if waited && time_is_short(job) {
            refused.extend(candidates[next..].iter().map(|(entry, _)| untried(entry)));
            next = candidates.len();
        }
        if good == 0 && next == candidates.len() {
            job.clean_up(session).await?;
            return Ok(Attempt::Ended(Outcome::AllRefused(std::mem::take(refused))));
        }
        script = vec![(Part::Undo, format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}"))];
    }
}

const SAVEPOINT: &str = "tandem_entry";

fn statements(job: &Job<'_>, session: &Session, entry: &Entry) -> Vec<String> {
    let mut statements = vec![format!("SAVEPOINT {SAVEPOINT}")];
    statements.extend(job.store.settings.templates.render(
        &job.prepare.transaction,
        &[entry],
        session.server.statement_bytes(),
    ));
    statements
}

/// A script that goes on after a bad entry does not begin with XA START, so that its first
/// statements must not be taken for it.
fn from_end(failure: Failure, parts: &[Part]) -> Failure {
    let begins = parts.first() == Some(&Part::Branch);
    Failure {
        completed: if begins {
            failure.completed
        } else {
            usize::MAX
        },
        ..failure
    }
}

/// Whether one more lock wait would leave no time to prepare the good entries.
fn time_is_short(job: &Job<'_>) -> bool {
    let wait = Duration::from_secs(job.store.settings.lock_wait_timeout_s.into());
    Instant::now() + wait + PREPARE_RESERVE > job.deadline()
}

fn untried(entry: &Entry) -> RefusedEntry {
    RefusedEntry {
        number: entry.number,
        refusal: Refusal {
            reason: Reason::Locked,
            detail: "not tried: the time to prepare went by waiting for locks of entries before it"
                .into(),
        },
    }
}
