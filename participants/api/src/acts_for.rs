//! For which coordinators a caller may speak.

use std::collections::BTreeSet;

use tandem_protocol::CoordinatorId;
use tonic::Status;

/// The coordinators for which a call may be made. Whoever serves a participant puts it among a request's
/// extensions; a request without it may be for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActsFor {
    /// Any of them.
    Anyone,
    /// These; none at all if it is empty.
    Only(BTreeSet<CoordinatorId>),
}

impl Default for ActsFor {
    fn default() -> ActsFor {
        ActsFor::Only(BTreeSet::new())
    }
}

impl ActsFor {
    /// This one too.
    pub fn add(&mut self, id: CoordinatorId) {
        if let ActsFor::Only(ids) = self {
            ids.insert(id);
        }
    }

    /// Those of another too.
    pub fn add_all(&mut self, other: &ActsFor) {
        match other {
            ActsFor::Anyone => *self = ActsFor::Anyone,
            ActsFor::Only(ids) => ids.iter().for_each(|id| self.add(id.clone())),
        }
    }

    /// `PERMISSION_DENIED`, which names the first of these that is another.
    pub(crate) fn check<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a CoordinatorId>,
    ) -> Result<(), Status> {
        let ActsFor::Only(served) = self else {
            return Ok(());
        };
        match ids.into_iter().find(|id| !served.contains(id)) {
            None => Ok(()),
            Some(id) => Err(Status::permission_denied(format!(
                "nothing was done: this caller may not call as coordinator {id}; [access.coordinators] says \
                 who may"
            ))),
        }
    }
}
