//! Finding the bad entries of a branch whose one packet failed.
//!
//! A savepoint before each entry makes a failed one undoable by itself. A packet stops at the
//! first error, so each bad entry costs one round trip: undo it, and go on with those behind it.

use std::time::Duration;

use tandem_participant::{Error, RefusedEntry};
use tandem_protocol::{Entry, Reason, Refusal};
use tokio::time::Instant;

use crate::branch::prepare::job::{Job, TRIES_MAX};
use crate::branch::prepare::outcome::Outcome;
use crate::branch::prepare::watched::{self, Manners};
use crate::branch::singly::{self, UNDO};
use crate::session::codes::Class;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::session::script;
use crate::session::server::Flavour;
use crate::sql::line::Line;

/// Time that preparing the good entries is given when waiting for locks must end.
const PREPARE_RESERVE: Duration = Duration::from_millis(500);

/// Pause before a statement is tried again that met a lock.
const LOCK_POLL: Duration = Duration::from_millis(4);

/// Prepares the entries that can be, one savepoint each, and gives the others with their reasons; some of
/// them are refused already.
pub(crate) async fn run(
    job: &Job<'_>,
    session: &mut Session,
    refused: Vec<RefusedEntry>,
) -> Result<Outcome, Error> {
    // What is locked, the packet that failed has waited for already. MariaDB can then say at once
    // what is still locked; MySQL's shortest wait is a second, which is looked after.
    let at_once = session.server.flavour == Flavour::MariaDb;
    if at_once {
        session
            .wait_for_locks(0, job.deadline())
            .await
            .map_err(|failure| job.error(failure))?;
    }
    let mut isolation = Isolation {
        job,
        refused,
        reached: 0,
        not_now: None,
        at_once,
        locked: None,
        has_no_savepoints: false,
    };
    // A try that refuses an entry has brought the others nearer to their end. With
    // `innodb_rollback_on_timeout` each locked entry costs the whole branch.
    let mut fruitless = 0;
    while fruitless < TRIES_MAX {
        let refused = isolation.refused.len();
        match isolation.attempt(session).await? {
            Attempt::Ended(outcome) => return Ok(outcome),
            Attempt::BranchLost if isolation.refused.len() > refused => fruitless = 0,
            Attempt::BranchLost => fruitless += 1,
        }
    }
    Err(Error::Busy {
        detail: format!(
            "{} was lost to other transactions {TRIES_MAX} times",
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
    /// A statement of the entry with this index.
    Entry(usize),
    /// XA START, the marker row, XA END or XA PREPARE.
    Branch,
}

/// What is known of the entries so far.
struct Isolation<'a> {
    job: &'a Job<'a>,
    refused: Vec<RefusedEntry>,
    /// The index of the first entry whose statements have not been tried yet.
    reached: usize,
    /// What the server said of an entry that it can't take now.
    not_now: Option<PacketFailure>,
    /// Whether the server says at once that a row is locked.
    at_once: bool,
    /// The entry that it said it of last, and since when.
    locked: Option<(usize, Instant)>,
    /// Whether a lock costs the whole branch, savepoints with it.
    has_no_savepoints: bool,
}

impl Isolation<'_> {
    /// One branch, with all entries that are not refused.
    async fn attempt(&mut self, session: &mut Session) -> Result<Attempt, Error> {
        let job = self.job;
        let entries = &job.prepare.entries;
        let mut script = vec_of(Part::Branch, job.begin(session));
        let mut next = 0;
        let mut good = 0;
        loop {
            let left: Vec<usize> = (next..entries.len())
                .filter(|index| !self.is_refused(&entries[*index]))
                .collect();
            if good == 0 && left.is_empty() {
                if !begins(&script) {
                    job.clean_up(session).await?;
                }
                return Ok(Attempt::Ended(self.none_left()));
            }
            for index in &left {
                let part = Part::Entry(*index);
                script.extend(vec_of(part, statements(job, session, &entries[*index])));
            }
            script.extend(vec_of(Part::Branch, job.end(&self.refused)));
            let (parts, lines): (Vec<Part>, Vec<Line<'_>>) = script.into_iter().unzip();
            let sent = match self.at_once {
                true => script::run(session, &lines, job.deadline()).await,
                false => {
                    let shape = (left.len(), Manners::Interrupt);
                    watched::run(job, session, &lines, shape).await
                }
            };
            let Err(failure) = sent else {
                let refused = std::mem::take(&mut self.refused);
                return Ok(Attempt::Ended(Outcome::Prepared(refused)));
            };
            let Some(class) = failure.class() else {
                return Err(job.error(failure));
            };
            let index = match parts[failure.completed] {
                Part::Entry(index) => index,
                // The savepoint went with the branch.
                Part::Undo => {
                    self.has_no_savepoints = true;
                    job.clean_up(session).await?;
                    return Ok(Attempt::BranchLost);
                }
                Part::Branch => {
                    let failure = from_end(failure, &parts);
                    return job.not_an_entry(session, failure).await.map(Attempt::Ended);
                }
            };
            if job.is_over() {
                job.clean_up(session).await?;
                return Ok(Attempt::Ended(Outcome::GivenUp));
            }
            good += left.iter().filter(|passed| **passed < index).count();
            script = vec_of(Part::Undo, [UNDO.to_owned()]);
            next = index;
            if class == Class::Locked && self.may_pass(index) {
                tokio::time::sleep(LOCK_POLL).await;
                continue;
            }
            self.refuse(session, failure, class, index).await?;
            if class == Class::BranchLost {
                job.clean_up(session).await?;
                return Ok(Attempt::BranchLost);
            }
            next = index + 1;
        }
    }

    /// Whether a lock that was met just now is given the time to pass that a packet usually takes
    /// twice over: most are of branches of tandem's own, which go as soon as they are decided.
    fn may_pass(&mut self, index: usize) -> bool {
        if !self.at_once || self.has_no_savepoints {
            return false;
        }
        let since = match self.locked {
            Some((locked, since)) if locked == index => since,
            _ => Instant::now(),
        };
        self.locked = Some((index, since));
        since.elapsed()
            < self
                .job
                .store
                .watch
                .patience(self.job.prepare.entries.len())
    }

    /// Refuses the entry with this index, and those behind it where waiting for one more lock
    /// would leave no time to prepare the good ones.
    async fn refuse(
        &mut self,
        session: &mut Session,
        failure: PacketFailure,
        class: Class,
        index: usize,
    ) -> Result<(), Error> {
        let entries = &self.job.prepare.entries;
        if matches!(class, Class::Room | Class::NotNow) {
            self.not_now = Some(failure.clone());
        }
        let refused = self
            .job
            .refuse(session, failure, &entries[index], Some(UNDO))
            .await?;
        self.refused.push(refused);
        self.reached = self.reached.max(index + 1);
        if class == Class::Locked && time_is_short(self.job) {
            for entry in &entries[self.reached..] {
                if !self.is_refused(entry) {
                    self.refused.push(untried(entry));
                }
            }
        }
        Ok(())
    }

    fn is_refused(&self, entry: &Entry) -> bool {
        let mut refused = self.refused.iter();
        refused.any(|refused| refused.number == entry.number)
    }

    /// What it means that no entry could be taken: where the server said that it can't now, it was
    /// not about the entries.
    fn none_left(&mut self) -> Outcome {
        match self.not_now.take() {
            Some(failure) => Outcome::Failed(failure),
            None => Outcome::AllRefused(std::mem::take(&mut self.refused)),
        }
    }
}

fn vec_of<'a>(
    part: Part,
    lines: impl IntoIterator<Item = impl Into<Line<'a>>>,
) -> Vec<(Part, Line<'a>)> {
    let lines = lines.into_iter();
    lines.map(|line| (part, line.into())).collect()
}

/// Whether the script is the branch's first, so that nothing of it was sent yet.
fn begins(script: &[(Part, Line<'_>)]) -> bool {
    matches!(script.first(), Some((Part::Branch, _)))
}

fn statements<'a>(job: &'a Job<'_>, session: &Session, entry: &Entry) -> Vec<Line<'a>> {
    singly::statements(job.store, session, job.begun(), entry)
}

/// A script that goes on after a bad entry does not begin with XA START, so that its first
/// statements must not be taken for it.
fn from_end(failure: PacketFailure, parts: &[Part]) -> PacketFailure {
    let begins = parts.first() == Some(&Part::Branch);
    PacketFailure {
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
