//! What all calls share, and what this process keeps in memory between them.

pub(crate) mod alarm;
pub(crate) mod branches;
pub(crate) mod coordinators;
pub(crate) mod layout;

use std::sync::Arc;

use tandem_participant::{Admission, Error};
use tandem_protocol::{ParticipantName, TransactionId};
use tokio::time::Instant;

use crate::session::one_server::OneServer;
use crate::session::sessions::Sessions;
use crate::session::watch::Watch;
use crate::settings::Checked;
use crate::store::alarm::Alarm;
use crate::store::branches::Branches;
use crate::store::coordinators::Coordinators;
use crate::store::layout::Layout;

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
