//! One audit, from its first page to its summary.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tandem_participant::Error;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion, Uncompared};
use tandem_participant::convert::timestamp_to_wire;
use tandem_proto::v1;
use tandem_protocol::{Coordinator, ParticipantName, Timestamp};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tonic::Status;

use super::auditor::Auditor;
use super::subject::{Look, Subject};
use crate::daemon::{Link, Stopped};

/// How long what was under way at the first look may take until the second.
const SETTLE: Duration = Duration::from_millis(1_500);

/// Pause between two further looks at what is still under way.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How long it is looked at again, at most; then it is in flight, and no disagreement.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// What is suspected and looked at again, at most; beyond that the audit is not complete.
const SUSPECTS_MAX: usize = 1_000;

/// Why an audit ended before its summary.
pub(super) enum Ended {
    /// Nobody reads it any more.
    ReaderGone,
    /// The process is stopping.
    Stopped(Stopped),
}

impl From<Stopped> for Ended {
    fn from(stopped: Stopped) -> Self {
        Ended::Stopped(stopped)
    }
}

pub(super) type Step = Result<(), Ended>;

pub(super) struct Run<'a> {
    pub(super) auditor: &'a Auditor,
    sender: mpsc::Sender<Result<v1::AuditResponse, Status>>,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    suspects: BTreeSet<Subject>,
    /// What has been said about things that could not be compared, each once.
    said: BTreeSet<String>,
    /// Participants that could not be asked, and are not asked again.
    pub(super) silent: BTreeSet<ParticipantName>,
    /// Participants that keep no memory of transactions.
    pub(super) forgetful: BTreeSet<ParticipantName>,
    /// Participants that keep rows which can be looked up.
    pub(super) rows_at: BTreeSet<ParticipantName>,
    /// Participants that hold units of stock.
    pub(super) stock_at: BTreeSet<ParticipantName>,
    pub(super) summary: v1::AuditSummary,
}

impl Run<'_> {
    pub(super) fn new(
        auditor: &Auditor,
        sender: mpsc::Sender<Result<v1::AuditResponse, Status>>,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Run<'_> {
        // What is decided after the begin is under way.
        let now = auditor.clock.now();
        Run {
            auditor,
            sender,
            since: since.unwrap_or_default(),
            until: until.unwrap_or(now).min(now),
            suspects: BTreeSet::new(),
            said: BTreeSet::new(),
            silent: BTreeSet::new(),
            forgetful: BTreeSet::new(),
            rows_at: BTreeSet::new(),
            stock_at: BTreeSet::new(),
            summary: v1::AuditSummary::default(),
        }
    }

    pub(super) async fn run(mut self) -> Step {
        let oldest = self.ask_core(Coordinator::remembers_since).await?;
        if let Some(oldest) = oldest
            && self.since < oldest
        {
            // Without a first moment everything that is remembered is meant.
            if self.since > Timestamp::default() {
                self.unchecked(format!(
                    "the log has forgotten what was decided before {} ms of Unix time; see \
                     [retention] in the configuration",
                    oldest.0
                ))
                .await?;
            }
            self.since = oldest;
        }
        if self.since > self.until {
            self.unchecked(format!(
                "the time begins at {} ms of Unix time and ends before it, at {} ms: no decision is \
                 of this time",
                self.since.0, self.until.0
            ))
            .await?;
        }
        self.find_row_keepers().await?;
        self.look_at_unfinished().await?;
        self.compare_decisions().await?;
        self.compare_rows().await?;
        self.compare_holdings().await?;
        self.compare_deductions().await?;
        self.compare_branches().await?;
        self.look_again().await?;
        if self.summary.transactions == 0 {
            let text = "the log has no ended decision of this time: no purchase was compared";
            self.unchecked(text.into()).await?;
        }
        self.summary.since = Some(timestamp_to_wire(self.since));
        self.summary.until = Some(timestamp_to_wire(self.until));
        let summary = v1::audit_response::Part::Summary(self.summary);
        self.send(summary).await
    }

    async fn find_row_keepers(&mut self) -> Step {
        for link in self.links() {
            let question = AuditQuestion::Purchases {
                purchase_ids: Vec::new(),
            };
            match self.ask(&link, &question).await? {
                Some(AuditAnswer::Purchases(rows)) => {
                    self.rows_at.insert(link.name().clone());
                    self.tell(link.name(), rows.uncompared).await?;
                }
                Some(AuditAnswer::Uncompared(all)) => self.tell(link.name(), all).await?,
                Some(_) | None => {}
            }
        }
        Ok(())
    }

    /// Says what of a participant's rows is not compared.
    async fn tell(&mut self, name: &ParticipantName, uncompared: Uncompared) -> Step {
        for what in uncompared.what {
            match uncompared.accepted {
                true => {
                    let note =
                        format!("not compared, as the configuration accepts: {name}: {what}");
                    self.note(note).await?;
                }
                false => self.unchecked(format!("{name}: {what}")).await?,
            }
        }
        Ok(())
    }

    /// The second look at everything that is suspected, and further ones at what is under way.
    async fn look_again(&mut self) -> Step {
        let begun = Instant::now();
        let mut suspects = std::mem::take(&mut self.suspects);
        if suspects.is_empty() {
            return Ok(());
        }
        tokio::time::sleep(SETTLE).await;
        loop {
            let mut under_way = BTreeSet::new();
            for subject in suspects {
                match self.look(&subject).await? {
                    Look::Agrees => self.summary.settled_meanwhile += 1,
                    Look::UnderWay => {
                        under_way.insert(subject);
                    }
                    Look::Differs(disagreement) => {
                        self.summary.disagreements += 1;
                        let part = v1::audit_response::Part::Disagreement(*disagreement);
                        self.send(part).await?;
                    }
                    // It is said that the participant could not be asked.
                    Look::Unknown => {}
                }
            }
            if under_way.is_empty() {
                return Ok(());
            }
            if begun.elapsed() > SETTLE_MAX {
                self.summary.in_flight += under_way.len() as u64;
                return Ok(());
            }
            suspects = under_way;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(super) async fn suspect(&mut self, subject: Subject) -> Step {
        if self.suspects.len() < SUSPECTS_MAX {
            self.suspects.insert(subject);
            return Ok(());
        }
        self.unchecked(format!(
            "more than {SUSPECTS_MAX} things differ; only so many are looked at again: mend these \
             and audit again, or audit a shorter time"
        ))
        .await
    }

    /// Asks a participant, unless it could not be asked before.
    pub(super) async fn ask(
        &mut self,
        link: &Link,
        question: &AuditQuestion,
    ) -> Result<Option<AuditAnswer>, Ended> {
        let call = link.participant().audit(question);
        self.answered(link, call).await
    }

    /// A participant's answer; `None` when there is none, which is said once.
    pub(super) async fn answered<T>(
        &mut self,
        link: &Link,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<Option<T>, Ended> {
        if self.silent.contains(link.name()) {
            return Ok(None);
        }
        let answer = timeout(link.call_timeout(), call).await;
        let detail = match answer {
            Ok(Ok(answer)) => return Ok(Some(answer)),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {:?}", link.call_timeout()),
        };
        self.silent.insert(link.name().clone());
        self.unchecked(format!("{}: {detail}", link.name())).await?;
        Ok(None)
    }

    pub(super) async fn ask_core<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Coordinator) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        Ok(self.auditor.driver.query(read).await?)
    }

    pub(super) fn links(&self) -> Vec<Arc<Link>> {
        self.auditor.links.values().cloned().collect()
    }

    /// Something could not be compared; said once.
    pub(super) async fn unchecked(&mut self, text: String) -> Step {
        if self.said.insert(text.clone()) {
            self.send(v1::audit_response::Part::Unchecked(text)).await?;
        }
        Ok(())
    }

    pub(super) async fn note(&self, text: String) -> Step {
        self.send(v1::audit_response::Part::Note(text)).await
    }

    async fn send(&self, part: v1::audit_response::Part) -> Step {
        let answer = v1::AuditResponse { part: Some(part) };
        let sent = self.sender.send(Ok(answer)).await;
        sent.map_err(|_| Ended::ReaderGone)
    }
}
