//! What the operator's verbs work on, and how it is asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use tandem_participant::attributes::Attributes;
use tandem_proto::v1;
use tandem_protocol::{
    Coordinator, Entry, ParticipantName, Record, RememberedOutcome, TransactionId, TransactionView,
};
use tokio::time::timeout;
use tonic::Status;
use tonic_types::FieldViolation;

use super::read_back::{self, READ_BACK_MAX};
use super::status;
use crate::daemon::{Clock, Handle, Identity, Link, LogReader};
use crate::error_reason::ErrorReason;
use crate::xid;

/// The operator's service: the driver, its links and its log.
#[derive(Debug)]
pub struct Operator {
    pub(super) driver: Handle,
    pub(super) clock: Clock,
    pub(super) identity: Identity,
    pub(super) links: BTreeMap<ParticipantName, Arc<Link>>,
    pub(super) log: LogReader,
    pub(super) attributes: Attributes,
}

impl Operator {
    /// A service over a driver, its links and its log.
    pub fn new(
        driver: Handle,
        clock: Clock,
        identity: Identity,
        links: BTreeMap<ParticipantName, Arc<Link>>,
        log: LogReader,
        attributes: Attributes,
    ) -> Operator {
        Operator {
            driver,
            clock,
            identity,
            links,
            log,
            attributes,
        }
    }

    pub(super) fn link(&self, name: &str) -> Result<&Arc<Link>, Status> {
        let found = name
            .parse::<ParticipantName>()
            .ok()
            .and_then(|name| self.links.get(&name));
        found.ok_or_else(|| {
            let known: Vec<&str> = self.links.keys().map(ParticipantName::as_str).collect();
            let rule = format!("must be one of: {}", known.join(", "));
            status::invalid(vec![FieldViolation::new("participant", rule)])
        })
    }

    pub(super) async fn view(&self, id: &TransactionId) -> Result<Option<TransactionView>, Status> {
        let id = id.clone();
        self.ask(move |core| core.transaction(&id)).await
    }

    pub(super) async fn ask<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Coordinator) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.driver
            .query(read)
            .await
            .map_err(|stopped| Status::unavailable(stopped.to_string()))
    }

    /// Each participant's own truth, asked at once; one that can't be asked says why.
    pub(super) async fn truths(&self, id: &TransactionId) -> Vec<v1::ParticipantTruth> {
        join_all(self.links.values().map(|link| self.truth(link, id))).await
    }

    /// One participant's own truth.
    pub(super) async fn truth(&self, link: &Link, id: &TransactionId) -> v1::ParticipantTruth {
        let call = link.participant().inspect(id);
        let answer = timeout(link.call_timeout(), call).await;
        let (inspected, error) = match answer {
            Ok(Ok(truth)) => (Some(truth.into_wire(self.clock.now())), String::new()),
            Ok(Err(error)) => (None, error.to_string()),
            Err(_) => (None, format!("no answer within {:?}", link.call_timeout())),
        };
        let description = link.status().description;
        v1::ParticipantTruth {
            participant: link.name().to_string(),
            inspected,
            error,
            kind: description
                .map(|description| description.kind)
                .unwrap_or_default(),
        }
    }

    /// The purchases of a transaction whose outcome the log holds; none if it was forgotten meanwhile.
    pub(super) async fn purchases(
        &self,
        outcome: &RememberedOutcome,
    ) -> Result<Vec<v1::Purchase>, Status> {
        let record = read_back::record(&self.driver, &self.log, outcome).await?;
        Ok(record.map_or_else(Vec::new, |record| read_back::purchases(outcome, &record)))
    }

    /// What a transaction holds. What the log does not give back in time is left out, so that all else is
    /// seen.
    pub(super) async fn content(&self, view: &TransactionView) -> Result<Content, Status> {
        let id = view.id.clone();
        let outcome = self.ask(move |core| core.outcome(&id)).await?;
        let record = match &outcome {
            Some(outcome) => {
                let read = read_back::record(&self.driver, &self.log, outcome);
                let read = timeout(READ_BACK_MAX, read).await;
                read.ok().and_then(Result::ok).flatten()
            }
            None => None,
        };
        let mut content = Content {
            entries: view.entries.clone(),
            refused: Vec::new(),
        };
        if let (Some(outcome), Some(record)) = (&outcome, record) {
            let all = read_back::purchases(outcome, &record).into_iter();
            let is_refused = |one: &v1::Purchase| one.state() == v1::PurchaseState::Refused;
            content.refused = all.filter(is_refused).collect();
            // Memory has them until the transaction has ended.
            if let Record::Decided(decision) = record
                && content.entries.is_empty()
            {
                content.entries = decision.entries;
            }
        }
        Ok(content)
    }

    /// The transaction that a request names, or that a branch is of as a store lists it.
    pub(super) async fn meant(&self, text: &str) -> Result<TransactionId, Status> {
        let meanings = xid::meanings(text);
        if meanings.len() <= 1 {
            let meant = meanings.into_iter().next();
            return meant.map_or_else(|| transaction_id(text), |(id, _)| Ok(id));
        }
        let participants: BTreeSet<ParticipantName> = self.links.keys().cloned().collect();
        let likeliest = self.ask(move |core| {
            let is_known = |id: &TransactionId| core.transaction(id).is_some();
            xid::likeliest(meanings, |name| participants.contains(name), is_known)
        });
        likeliest.await?.map_or_else(|| transaction_id(text), Ok)
    }
}

/// What a transaction holds.
#[derive(Debug, Default)]
pub(super) struct Content {
    /// The purchases that it commits or may commit.
    pub(super) entries: Vec<Entry>,
    /// Those that a store refused for good.
    pub(super) refused: Vec<v1::Purchase>,
}

/// Reads the id of a transaction as a request has it; the error names the field.
pub fn transaction_id(text: &str) -> Result<TransactionId, Status> {
    text.parse().map_err(|error: tandem_protocol::IdError| {
        let violation = FieldViolation::new("transaction_id", error.to_string());
        status::invalid(vec![violation])
    })
}

pub(super) fn unknown(id: &TransactionId) -> Status {
    status::error(
        ErrorReason::TransactionNotFound,
        format!("transaction {id} is neither unfinished nor in the retained log"),
        status::one("transaction_id", &id.to_string()),
        None,
    )
}
