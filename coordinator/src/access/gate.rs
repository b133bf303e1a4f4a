//! What every call passes before a service sees it.

use std::collections::{BTreeMap, HashMap};

use tandem_participant::ActsFor;
use tokio::sync::watch;
use tonic::Status;
use tonic::codegen::http::{HeaderMap, HeaderValue};

use super::grant::Grant;
use super::role::{Needs, Role, needs};
use super::{Tokens, Who};
use crate::config;
use crate::error_reason::ErrorReason;
use crate::services::status;

/// Who may call what at the listeners of a process.
#[derive(Debug)]
pub struct Gate(Option<Granted>);

#[derive(Debug)]
struct Granted {
    by_name: BTreeMap<Who, Grant>,
    tokens: Option<watch::Receiver<Tokens>>,
}

/// A call that may go on to its service.
#[derive(Debug)]
pub struct Admitted {
    /// By whom it is, as it is told in records: `certificate ann.example`, `token night`.
    pub by: Option<String>,
    /// For which coordinators a participant may be called by it; for none where it calls no participant.
    pub acts_for: ActsFor,
}

impl Gate {
    /// One that lets everybody do everything, as where nothing is configured.
    pub fn open() -> Gate {
        Gate(None)
    }

    /// One that lets those do what `access` and the tokens grant. Over a unix socket root and this process's
    /// own user may do everything, since its memory and its files are open to them anyway.
    pub fn new(access: &config::Access, tokens: Option<watch::Receiver<Tokens>>) -> Gate {
        let mut by_name: BTreeMap<Who, Grant> = BTreeMap::new();
        for (role, who) in access.roles() {
            by_name.entry(who.clone()).or_default().add_role(role);
        }
        for (id, who) in access.coordinators() {
            let grant = by_name.entry(who.clone()).or_default();
            grant.add_coordinator(id.clone());
        }
        for uid in [0, nix::unistd::geteuid().as_raw()] {
            by_name.insert(Who::Uid(uid), Grant::all());
        }
        Gate(Some(Granted { by_name, tokens }))
    }

    /// Whether the call of a path with these headers, over a connection of these names, may go on.
    ///
    /// # Errors
    /// The answer to it: `UNAUTHENTICATED` if nobody knows who calls, `PERMISSION_DENIED` if that is known.
    // A status is as large as tonic made it, and this one is the answer.
    #[allow(clippy::result_large_err)]
    pub fn admit(
        &self,
        names: &[Who],
        path: &str,
        headers: &HeaderMap,
    ) -> Result<Admitted, Status> {
        let Some(granted) = &self.0 else {
            return Ok(Admitted {
                by: names.first().map(Who::to_string),
                acts_for: ActsFor::Anyone,
            });
        };
        let tokens = granted.tokens.as_ref().map(watch::Receiver::borrow);
        let holder = match bearer(headers) {
            Some(token) => {
                let found = tokens.as_ref().and_then(|tokens| tokens.find(token));
                Some(found.ok_or_else(|| unknown("the token is none that is known here"))?)
            }
            None => None,
        };
        let by = holder.map(|(name, _)| format!("token {name}"));
        let by = by.or_else(|| names.first().map(Who::to_string));
        let Some(by) = by else {
            return Err(unknown("nothing tells who calls"));
        };
        let named = names.iter().filter_map(|name| granted.by_name.get(name));
        let of_holder = holder.into_iter().map(|(_, grant)| grant);
        let grants = named.chain(of_holder);
        if grants.clone().next().is_none() {
            return Err(denied(&by, path, "to be named by [access]"));
        }
        let mut acts_for = ActsFor::default();
        match needs(path) {
            Some(Needs::Role(role)) if !grants.clone().any(|grant| grant.has(role)) => {
                return Err(denied(&by, path, &format!("the role {role}")));
            }
            Some(Needs::Role(Role::Participant)) => {
                grants.for_each(|grant| acts_for.add_all(grant.acts_for()));
            }
            // What is not served is told by whoever does not serve it.
            _ => {}
        }
        Ok(Admitted {
            by: Some(by),
            acts_for,
        })
    }
}

/// The token of `authorization: Bearer TOKEN` (RFC 6750, 2.1; the scheme in any case, RFC 9110, 11.1).
fn bearer(headers: &HeaderMap<HeaderValue>) -> Option<&[u8]> {
    let value = headers.get("authorization")?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

fn unknown(why: &str) -> Status {
    let message = format!(
        "nothing was done: {why}; a certificate that a CA of client_ca_file has signed, or a token of \
         tokens_file (authorization: Bearer TOKEN), would tell"
    );
    status::error(ErrorReason::CallerUnknown, message, HashMap::new(), None)
}

fn denied(by: &str, path: &str, needed: &str) -> Status {
    let message = format!("nothing was done: {path} takes {needed}, which {by} has not");
    status::error(ErrorReason::RoleMissing, message, HashMap::new(), None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tonic::Code;

    use super::*;

    const LOOK: &str = "/tandem.v1.OperatorService/ListParticipants";
    const SETTLE: &str = "/tandem.v1.OperatorService/SettleTransaction";

    fn code(gate: &Gate, uid: u32, path: &str) -> Code {
        let admitted = gate.admit(&[Who::Uid(uid)], path, &HeaderMap::new());
        admitted.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    #[test]
    fn user_of_a_socket_may_do_what_his_number_is_granted() {
        let access: config::Access =
            toml::from_str("operator = [\"uid:4242\"]\noperator_admin = [\"uid:4243\"]\n").unwrap();
        let gate = Gate::new(&access, None);
        let own = nix::unistd::geteuid().as_raw();
        for (uid, look, settle) in [
            (4_242, Code::Ok, Code::PermissionDenied),
            (4_243, Code::Ok, Code::Ok),
            (4_244, Code::PermissionDenied, Code::PermissionDenied),
            (0, Code::Ok, Code::Ok),
            (own, Code::Ok, Code::Ok),
        ] {
            assert_eq!(code(&gate, uid, LOOK), look, "{uid}");
            assert_eq!(code(&gate, uid, SETTLE), settle, "{uid}");
        }
        assert_eq!(code(&Gate::open(), 4_244, SETTLE), Code::Ok);
        let admitted = Gate::open().admit(&[Who::Uid(4_244)], SETTLE, &HeaderMap::new());
        assert_eq!(admitted.unwrap().by.as_deref(), Some("uid 4244"));
    }
}
