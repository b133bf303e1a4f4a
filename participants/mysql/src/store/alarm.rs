//! What a person must mend, as the prepares find it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tandem_participant::{Finding, RefusedEntry};
use tandem_protocol::Reason;

/// The name of its finding.
const MISCONFIGURED: &str = "MISCONFIGURED";

/// What the newest prepare that met it said; silent when one has met nothing of it since.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Mutex<Option<String>>);

impl Alarm {
    /// Looks at what a prepare refused. The log is told when it changes.
    pub(crate) fn heed(&self, address: &str, refused: &[RefusedEntry]) {
        let found = refused
            .iter()
            .map(|entry| &entry.refusal)
            .find(|refusal| refusal.reason == Reason::Misconfigured);
        let found = found.map(|refusal| refusal.detail.clone());
        let mut said = self.lock();
        if *said == found {
            return;
        }
        match &found {
            Some(detail) => tracing::error!(
                address,
                detail,
                "purchases are refused that the tables, the rights or the statements are not fit for"
            ),
            None => tracing::info!(address, "purchases are taken again"),
        }
        *said = found;
    }

    /// It as a finding, for people.
    pub(crate) fn finding(&self) -> Option<Finding> {
        let detail = self.lock().clone()?;
        Some(Finding {
            name: MISCONFIGURED.into(),
            detail: format!(
                "purchases are refused until it is mended, and may be tried again then: {detail}"
            ),
            accepted: false,
            told: false,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
