//! The sections `[tls]` and `[access]`: who can read along, and who may do what.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tandem_protocol::CoordinatorId;

use super::listener::Listener;
use crate::access::{Role, Who};

/// The section `[tls]`: PEM files, which are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate that peers are shown, followed by those between it and its CA.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The CAs of callers' certificates; without it no caller is asked for one.
    pub client_ca_file: Option<PathBuf>,
}

/// The section `[access]`. Whoever it does not name has no role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Bearer tokens and their roles; it is read again when it changes.
    pub tokens_file: Option<PathBuf>,
    /// Who has [`Role::Client`].
    client: BTreeSet<Who>,
    /// Who has [`Role::Operator`].
    operator: BTreeSet<Who>,
    /// Who has [`Role::OperatorAdmin`].
    operator_admin: BTreeSet<Who>,
    /// At a sidecar, who has [`Role::Participant`]: who calls as the coordinator of which id.
    coordinators: BTreeMap<Id, BTreeSet<Who>>,
}

/// A coordinator's id as a key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(transparent)]
struct Id(#[serde(deserialize_with = "super::rules::parsed")] CoordinatorId);

impl Access {
    /// Who has which role, but for those who call as a coordinator.
    pub fn roles(&self) -> impl Iterator<Item = (Role, &Who)> {
        let client = self.client.iter().map(|who| (Role::Client, who));
        let operator = self.operator.iter().map(|who| (Role::Operator, who));
        let admin = self.operator_admin.iter();
        let admin = admin.map(|who| (Role::OperatorAdmin, who));
        client.chain(operator).chain(admin)
    }

    /// Who may call as which coordinator.
    pub fn coordinators(&self) -> impl Iterator<Item = (&CoordinatorId, &Who)> {
        let each = self.coordinators.iter();
        each.flat_map(|(Id(id), all)| all.iter().map(move |who| (id, who)))
    }

    fn names_certificates(&self) -> bool {
        let all = self.roles().map(|(_, who)| who);
        let mut all = all.chain(self.coordinators().map(|(_, who)| who));
        all.any(|who| matches!(who, Who::Certificate(_)))
    }
}

/// What can't be used of both sections and the listeners, each with its key, for a person.
pub(super) fn refusal(
    tls: Option<&Tls>,
    access: Option<&Access>,
    listeners: &[(&str, &Listener)],
) -> Option<String> {
    let exposed = |(_, listener): &&(&str, &Listener)| listener.is_refused(tls.is_some());
    if let Some((key, listener)) = listeners.iter().find(exposed) {
        return Some(format!(
            "{key} = \"{listener}\" would be plain text that other machines can reach, read and change: add \
             [tls]; or, on a network that nobody else is in, say so by {key} = {{ address = \
             \"{listener}\", plaintext = true }}"
        ));
    }
    let is_checked = tls.is_some_and(|tls| tls.client_ca_file.is_some());
    if access.is_some_and(Access::names_certificates) && !is_checked {
        return Some(
            "[access] names certificates, and none is asked for: add client_ca_file to [tls]"
                .to_owned(),
        );
    }
    if tls.is_some() && access.is_none() {
        return Some(
            "with [tls] alone whoever can connect could do everything: add [access] with who may do what"
                .to_owned(),
        );
    }
    None
}

/// Makes relative paths start at `folder`.
pub(super) fn resolve(folder: &Path, tls: Option<&mut Tls>, access: Option<&mut Access>) {
    let of_tls = tls.into_iter().flat_map(|tls| {
        let Tls {
            certificate_file,
            key_file,
            client_ca_file,
        } = tls;
        [
            Some(certificate_file),
            Some(key_file),
            client_ca_file.as_mut(),
        ]
    });
    let of_access = access.into_iter().map(|access| access.tokens_file.as_mut());
    for path in of_tls.chain(of_access).flatten() {
        *path = folder.join(&*path);
    }
}
