//! Which ports of 127.0.0.1 everything gets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::{Context, ensure};

/// Where clients connect unless told otherwise; operators and the stores come after it.
const USUAL: u16 = 7650;

/// Where ports are chosen from when the usual ones are taken: below those that the kernel gives to
/// outgoing connections, and apart from those that private servers choose for themselves.
const FREE: Range<u16> = 10_000..20_000;

/// The coordinator's ports, and those that the stores would have by preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ports {
    pub(super) clients: u16,
    pub(super) operators: u16,
    /// `None`: any free one.
    pub(super) mysql: Option<u16>,
    /// `None`: any free one.
    pub(super) redis: Option<u16>,
}

impl Ports {
    /// The usual ones, or others for those that are taken; each of these is named in a note.
    /// With `wanted`, the coordinator's two must be free.
    pub(super) fn usual(wanted: Option<u16>) -> anyhow::Result<(Ports, Vec<String>)> {
        let [clients, operators, mysql, redis] = following(wanted.unwrap_or(USUAL));
        let mut notes = Vec::new();
        if wanted.is_some() {
            for port in [clients, operators] {
                ensure!(
                    is_free(port),
                    "port {port} of 127.0.0.1 is in use; stop its owner, or choose another --port \
                     (clients connect there, operators one above it)"
                );
            }
        }
        let mut chosen = Vec::new();
        let mut or_other = |port: u16, who: &str| -> anyhow::Result<u16> {
            if is_free(port) {
                return Ok(port);
            }
            let other = other(&chosen)?;
            chosen.push(other);
            notes.push(format!(
                "Port {port} is taken, so {who} connect to {other}."
            ));
            Ok(other)
        };
        let ports = Ports {
            clients: or_other(clients, "clients")?,
            operators: or_other(operators, "operators")?,
            mysql: Some(mysql).filter(|port| is_free(*port)),
            redis: Some(redis).filter(|port| is_free(*port)),
        };
        Ok((ports, notes))
    }

    /// Any free ones.
    pub(super) fn any() -> anyhow::Result<Ports> {
        let clients = other(&[])?;
        Ok(Ports {
            clients,
            operators: other(&[clients])?,
            mysql: None,
            redis: None,
        })
    }
}

fn following(first: u16) -> [u16; 4] {
    [first, first + 1, first + 2, first + 3]
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// From a random start, so that processes that start together choose apart.
fn other(chosen: &[u16]) -> anyhow::Result<u16> {
    let span = usize::from(FREE.end - FREE.start);
    let offset = RandomState::new().hash_one(std::process::id()) as usize % span;
    FREE.cycle()
        .skip(offset)
        .take(span)
        .find(|port| !chosen.contains(port) && is_free(*port))
        .with_context(|| format!("no free port of 127.0.0.1 in {FREE:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn taken_port_is_replaced_with_a_note_unless_it_was_asked_for() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Ports::usual(Some(port)).unwrap_err().to_string();
        assert!(error.contains(&format!("port {port} ")), "{error}");
        let ports = Ports::any().unwrap();
        assert_ne!(ports.clients, ports.operators);
        assert!(FREE.contains(&ports.clients) && FREE.contains(&ports.operators));
    }
}
