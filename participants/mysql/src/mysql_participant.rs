//! The participant: its rooms put together, and the calls of the trait, each handed to its room.

use std::sync::Arc;

use async_trait::async_trait;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    Admission, BranchTruth, CheckedStore, Commit, Committed, Description, Enlist, Enlisted, Error,
    Examined, Forget, Look, Looked, Participant, Prepare, PreparedBranch, Recall, Recalled,
    Repaired, RollBack, RolledBack, Stock, Voted,
};
use tandem_protocol::{ParticipantName, TransactionId};

use crate::branch::{audit_pages, commit, inspect, prepare, repair, roll_back};
use crate::enlistment::{enlist, forget, look, recall};
use crate::preflight::{check, describe, examine};
use crate::session::dial::Dial;
use crate::session::one_server::OneServer;
use crate::session::sessions::{House, Sessions};
use crate::session::watch::Watch;
use crate::settings::{Settings, SettingsError};
use crate::store::Store;
use crate::store::alarm::Alarm;
use crate::store::branches::Branches;
use crate::store::coordinators::Coordinators;
use crate::store::layout::Layout;

/// Sessions that list, inspect and finish branches; apart from those that prepare, so that a
/// decision never waits for a prepare.
const SERVICE_SESSIONS_MAX: usize = 4;

/// A MySQL or MariaDB server as a participant.
#[derive(Debug)]
pub struct MysqlParticipant {
    store: Store,
}

impl MysqlParticipant {
    /// Checks the settings; connects to nothing. Connections are made when they are needed and
    /// made again after they are lost. The name is the bqual of the branches: a store keeps the
    /// same name for as long as it holds branches.
    pub fn new(name: ParticipantName, settings: Settings) -> Result<Self, SettingsError> {
        let settings = settings.checked()?;
        let one_server = Arc::new(OneServer::default());
        let admission = Arc::new(Admission::default());
        let dial = Dial {
            options: settings.options.clone(),
            address: settings.address.clone(),
            connect_timeout: settings.connect_timeout,
            lock_wait_timeout_s: settings.lock_wait_timeout_s,
            admission: Arc::clone(&admission),
            entering: tokio::sync::Mutex::default(),
        };
        let house = House::new(dial, Arc::clone(&one_server));
        Ok(Self {
            store: Store {
                name,
                branch_sessions: Sessions::new("branch", Arc::clone(&house), settings.sessions_max),
                watch: Watch::new(Arc::clone(&house)),
                service_sessions: Sessions::new("service", house, SERVICE_SESSIONS_MAX),
                branches: Branches::default(),
                coordinators: Coordinators::default(),
                alarm: Alarm::default(),
                one_server,
                admission,
                layout: Layout::default(),
                settings,
            },
        })
    }
}

#[async_trait]
impl Participant for MysqlParticipant {
    async fn look(&self, look: &Look) -> Result<Looked, Error> {
        look::look(&self.store, look).await
    }

    async fn enlist(&self, enlist: &Enlist) -> Result<Enlisted, Error> {
        enlist::enlist(&self.store, enlist).await
    }

    async fn prepare(&self, prepare: &Prepare) -> Result<Voted, Error> {
        let vote = prepare::prepare(&self.store, prepare).await?;
        Ok(vote.into())
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, Error> {
        commit::commit(&self.store, commit).await
    }

    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        repair::repair(&self.store, commit).await
    }

    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error> {
        roll_back::roll_back(&self.store, roll_back).await?;
        Ok(RolledBack::default())
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        inspect::list_prepared(&self.store).await
    }

    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error> {
        inspect::inspect(&self.store, transaction).await
    }

    async fn forget(&self, forget: &Forget) -> Result<(), Error> {
        forget::forget(&self.store, forget).await
    }

    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error> {
        recall::recall(&self.store, recall).await
    }

    async fn describe(&self) -> Result<Description, Error> {
        let mut description = describe::describe(&self.store).await?;
        let findings = &mut description.findings;
        findings.extend(self.store.alarm.finding());
        findings.extend(self.store.admission.finding());
        Ok(description)
    }

    async fn check(&self) -> Result<CheckedStore, Error> {
        check::check(&self.store).await
    }

    async fn examine(&self) -> Result<Examined, Error> {
        examine::examine(&self.store).await
    }

    async fn reconnect(&self) -> Result<(), Error> {
        self.store.admission.permit();
        let deadline = self.store.statement_deadline();
        let session = self.store.service_sessions.lease_anew(deadline).await?;
        session.give_back();
        Ok(())
    }

    async fn stock(&self, _sku: &str) -> Result<Option<Stock>, Error> {
        Ok(None)
    }

    async fn audit(&self, question: &AuditQuestion) -> Result<AuditAnswer, Error> {
        audit_pages::answer(&self.store, question).await
    }
}
