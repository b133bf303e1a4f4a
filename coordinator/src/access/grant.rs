//! What one who is known may do.

use std::collections::BTreeSet;

use strum::VariantArray;
use tandem_participant::ActsFor;
use tandem_protocol::CoordinatorId;

use super::Role;

/// Roles; that of a participant's caller is for some coordinators.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    roles: BTreeSet<Role>,
    acts_for: ActsFor,
}

impl Grant {
    /// These roles, and [`Role::Participant`] for these coordinators if there are any.
    pub fn new(roles: BTreeSet<Role>, coordinators: BTreeSet<CoordinatorId>) -> Grant {
        let mut grant = Grant {
            roles,
            acts_for: ActsFor::default(),
        };
        for id in coordinators {
            grant.add_coordinator(id);
        }
        grant
    }

    /// Everything.
    pub fn all() -> Grant {
        Grant {
            roles: Role::VARIANTS.iter().copied().collect(),
            acts_for: ActsFor::Anyone,
        }
    }

    /// Whether it has the role, or one that includes it.
    pub fn has(&self, needed: Role) -> bool {
        self.roles.iter().any(|role| role.includes(needed))
    }

    /// For which coordinators a participant may be called.
    pub fn acts_for(&self) -> &ActsFor {
        &self.acts_for
    }

    pub(super) fn add_role(&mut self, role: Role) {
        self.roles.insert(role);
    }

    pub(super) fn add_coordinator(&mut self, id: CoordinatorId) {
        self.roles.insert(Role::Participant);
        self.acts_for.add(id);
    }
}
