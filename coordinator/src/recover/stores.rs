//! What each store holds and remembers, of every coordinator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tandem_participant::audit_question::{AuditAnswer, AuditQuestion, TransactionHolding};
use tandem_participant::{BranchState, Error, Look, Participant};
use tandem_protocol::{CoordinatorId, ParticipantName, PreparedId, TransactionId};

use super::verdict::Holds;
use crate::store_kind::StoreKind;

/// Transactions that a store may remember; beyond, it is not looked at whole.
const REMEMBERED_MAX: usize = 2_000_000;

/// One store, as it was read.
pub(super) struct Store {
    pub(super) name: ParticipantName,
    pub(super) participant: Arc<dyn Participant>,
    /// As it said, or as the configuration does.
    pub(super) kind: StoreKind,
    /// Prepared branches of tandem's.
    pub(super) prepared: BTreeSet<TransactionId>,
    /// Prepared branches that are not tandem's, as the store prints them.
    pub(super) others: Vec<String>,
    /// How each remembered transaction ended: whether it was committed.
    remembered: BTreeMap<TransactionId, bool>,
    /// The coordinators that it knows.
    known: BTreeSet<CoordinatorId>,
    /// What prepared transactions hold, where it keeps stock.
    pub(super) holds: Vec<TransactionHolding>,
    /// Why it could not be looked at.
    pub(super) failure: Option<String>,
}

impl Store {
    /// One of which nothing is known yet.
    pub(super) fn new(
        name: ParticipantName,
        participant: Arc<dyn Participant>,
        kind: StoreKind,
    ) -> Store {
        Store {
            name,
            participant,
            kind,
            prepared: BTreeSet::new(),
            others: Vec::new(),
            remembered: BTreeMap::new(),
            known: BTreeSet::new(),
            holds: Vec::new(),
            failure: None,
        }
    }

    /// Reads what is prepared; a failure is kept.
    pub(super) async fn list_prepared(&mut self) {
        let listed = async {
            if self.kind == StoreKind::Other {
                let description = self.participant.describe().await?;
                self.kind = StoreKind::of_name(&description.kind);
            }
            self.participant.list_prepared().await
        };
        match listed.await {
            Ok(branches) => {
                for branch in branches {
                    match branch.id {
                        PreparedId::Transaction(id) => {
                            self.prepared.insert(id);
                        }
                        PreparedId::Foreign(text) => self.others.push(text),
                    }
                }
            }
            Err(error) => self.failure = Some(error.to_string()),
        }
    }

    /// Reads what it remembers of a coordinator; a failure is kept.
    pub(super) async fn list_remembered(&mut self, coordinator: &CoordinatorId) {
        if self.failure.is_none()
            && let Err(error) = self.try_remembered(coordinator).await
        {
            self.failure = Some(error.to_string());
        }
    }

    async fn try_remembered(&mut self, coordinator: &CoordinatorId) -> Result<(), Error> {
        let look = Look {
            coordinator: coordinator.clone(),
        };
        if self.participant.look(&look).await?.known.is_none() {
            return Ok(());
        }
        self.known.insert(coordinator.clone());
        let mut after = None;
        loop {
            let question = AuditQuestion::Memory {
                coordinator: coordinator.clone(),
                after,
            };
            let AuditAnswer::Memory(page) = self.participant.audit(&question).await? else {
                return Ok(());
            };
            let ended = page.transactions.into_iter();
            self.remembered
                .extend(ended.map(|one| (one.transaction, one.committed)));
            if self.remembered.len() > REMEMBERED_MAX {
                return Err(Error::Invalid {
                    detail: format!("it remembers more than {REMEMBERED_MAX} transactions"),
                });
            }
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Reads what is held, where it keeps stock; a failure leaves that open.
    pub(super) async fn list_holds(&mut self) {
        if let Ok(AuditAnswer::Holdings(holdings)) =
            self.participant.audit(&AuditQuestion::Holdings).await
        {
            self.holds = holdings.holds;
        }
    }

    /// All that it holds or remembers.
    pub(super) fn transactions(&self) -> impl Iterator<Item = &TransactionId> {
        self.prepared.iter().chain(self.remembered.keys())
    }

    /// What it said of a transaction when all of it was read.
    pub(super) fn holds(&self, id: &TransactionId) -> Holds {
        match self.remembered.get(id) {
            _ if self.failure.is_some() => Holds::Unknown,
            _ if self.prepared.contains(id) => Holds::Prepared,
            Some(true) => Holds::Committed,
            Some(false) => Holds::RolledBack,
            None if self.known.contains(&id.coordinator) => Holds::Nothing,
            None => Holds::NoMemory,
        }
    }

    /// What it says of a transaction now.
    pub(super) async fn holds_now(&self, id: &TransactionId) -> (Holds, String) {
        match self.participant.inspect(id).await {
            Ok(truth) => {
                let holds = match truth.state {
                    BranchState::Prepared => Holds::Prepared,
                    BranchState::Committed => Holds::Committed,
                    BranchState::RolledBack => Holds::RolledBack,
                    BranchState::Absent if self.known.contains(&id.coordinator) => Holds::Nothing,
                    BranchState::Absent => Holds::NoMemory,
                    BranchState::Unclear => Holds::Unknown,
                };
                (holds, truth.detail)
            }
            Err(error) => (Holds::Unknown, error.to_string()),
        }
    }
}
