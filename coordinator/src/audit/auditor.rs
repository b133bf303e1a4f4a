//! What an audit looks at.

use std::collections::BTreeMap;
use std::sync::Arc;

use tandem_participant::attributes::Attributes;
use tandem_protocol::{CoordinatorId, ParticipantName};

use crate::daemon::{Clock, Handle, Link, LogReader};

/// What an audit looks at.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the types say it")]
pub struct Auditor {
    pub driver: Handle,
    pub clock: Clock,
    pub coordinator: CoordinatorId,
    pub links: BTreeMap<ParticipantName, Arc<Link>>,
    pub log: LogReader,
    /// What purchases may carry besides.
    pub attributes: Attributes,
}
