//! The participant: what its rooms share, and the trait.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use tandem_participant::audit::{AuditAnswer, AuditQuestion};
use tandem_participant::{
    Admission, BranchTruth, Commit, Committed, Description, Enlist, Enlisted, Error, Forget, Look,
    Looked, Participant, Prepare, PreparedBranch, Recall, Recalled, Repaired, RollBack, RolledBack,
    Stock, Voted,
};
use tandem_protocol::{ParticipantName, Timestamp, TransactionId};
use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::branches::Branches;
use crate::coordinators::Coordinators;
use crate::layout::Layout;
use crate::one_server::OneServer;
use crate::sessions::{Dial, House, Sessions};
use crate::settings::{Checked, Settings, SettingsError};
use crate::watch::Watch;
use crate::{audit, enlist, finish, forget, look, preflight, prepare, recall, recover, repair};

/// Sessions that list, inspect and finish branches; apart from those that prepare, so that a
/// decision never waits for a prepare.
const SERVICE_SESSIONS_MAX: usize = 4;

/// A MySQL or MariaDB server as a participant.
#[derive(Debug)]
pub struct MysqlParticipant {
    store: Store,
}

/// What all rooms share.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) name: ParticipantName,
    pub(crate) settings: Checked,
    /// Sessions for branches; on MariaDB each is kept by its branch until the decision.
    pub(crate) branch_sessions: Sessions,
    /// Sessions for everything else.
    pub(crate) service_sessions: Sessions,
    /// Who is in the way of prepares.
    pub(crate) watch: Arc<Watch>,
    pub(crate) branches: Branches,
    pub(crate) coordinators: Coordinators,
    pub(crate) alarm: Alarm,
    /// Which server all sessions are on.
    pub(crate) one_server: Arc<OneServer>,
    /// Whether it lets tandem in.
    pub(crate) admission: Arc<Admission>,
    /// What tandem's tables are known to have.
    pub(crate) layout: Layout,
}

impl MysqlParticipant {
    /// Checks the settings; connects to nothing. Connections are made when they are needed and
    /// made again after they are lost. The name is the bqual of the branches: a store keeps the
    /// same name for as long as it holds branches.
    pub fn new(name: ParticipantName, settings: Settings) -> Result<Self, SettingsError> {
        let settings = settings.checked()?;
        let one_server = Arc::new(OneServer::default());
        let admission = Arc::new(Admission::default());
        let house = House::new(Dial {
            options: settings.options.clone(),
            address: settings.address.clone(),
            connect_timeout: settings.connect_timeout,
            lock_wait_timeout_s: settings.lock_wait_timeout_s,
            one_server: Arc::clone(&one_server),
            admission: Arc::clone(&admission),
            entering: tokio::sync::Mutex::default(),
        });
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

impl Store {
    /// Until when one packet may take.
    pub(crate) fn statement_deadline(&self) -> Instant {
        Instant::now() + self.settings.statement_timeout
    }

    /// The transaction and this participant, as log lines and messages name a branch.
    pub(crate) fn branch(&self, transaction: &TransactionId) -> String {
        format!(
            "branch {transaction} at {} ({})",
            self.name, self.settings.address
        )
    }

    /// What the overflow of a marker row's statement means.
    pub(crate) fn fenced(&self, transaction: &TransactionId) -> Error {
        Error::Fenced {
            detail: format!(
                "a higher epoch of {} is enlisted at {}; this coordinator must stop",
                transaction.coordinator, self.settings.address
            ),
        }
    }
}

/// Now, for what is written into rows for people and for comparison with the coordinator's clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    Timestamp::default() + since_epoch
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
        finish::commit(&self.store, commit).await
    }

    async fn repair(&self, commit: &Commit) -> Result<Repaired, Error> {
        repair::repair(&self.store, commit).await
    }

    async fn roll_back(&self, roll_back: &RollBack) -> Result<RolledBack, Error> {
        finish::roll_back(&self.store, roll_back).await?;
        Ok(RolledBack::default())
    }

    async fn list_prepared(&self) -> Result<Vec<PreparedBranch>, Error> {
        recover::list_prepared(&self.store).await
    }

    async fn inspect(&self, transaction: &TransactionId) -> Result<BranchTruth, Error> {
        recover::inspect(&self.store, transaction).await
    }

    async fn forget(&self, forget: &Forget) -> Result<(), Error> {
        forget::forget(&self.store, forget).await
    }

    async fn recall(&self, recall: &Recall) -> Result<Recalled, Error> {
        recall::recall(&self.store, recall).await
    }

    async fn describe(&self) -> Result<Description, Error> {
        let mut description = preflight::describe(&self.store).await?;
        let findings = &mut description.findings;
        findings.extend(self.store.alarm.finding());
        findings.extend(self.store.admission.finding());
        Ok(description)
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
        audit::answer(&self.store, question).await
    }
}
