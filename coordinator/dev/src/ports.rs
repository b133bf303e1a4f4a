//! Which ports of 127.0.0.1 everything gets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use anyhow::Context;

/// Where clients connect unless told otherwise; operators and the stores come after it.
const USUAL: u16 = 7650;

/// Where ports are chosen from when the usual ones are taken: below those that the kernel gives to
/// outgoing connections, and apart from those that private servers choose for themselves.
const FREE: Range<u16> = 10_000..20_000;

/// The coordinator's ports, and those that the stores would have by preference.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) clients: u16,
    pub(crate) operators: u16,
    /// `None`: any free one.
    pub(crate) mysql: Option<u16>,
    /// `None`: any free one.
    pub(crate) redis: Option<u16>,
    /// Bound, so that nobody else takes the coordinator's ports while the stores start.
    reserved: Vec<TcpListener>,
}

impl Ports {
    /// The usual ones, or others for those that are taken; each of these is named in a note.
    /// With `wanted`, the coordinator's two must be free.
    pub(crate) fn usual(wanted: Option<u16>) -> anyhow::Result<(Ports, Vec<String>)> {
        let clients = wanted.unwrap_or(USUAL);
        let (operators, mysql, redis) = (clients + 1, clients + 2, clients + 3);
        let mut notes = Vec::new();
        let mut reserve = |port: u16, who: &str| match bind(port) {
            Some(listener) => Ok((port, listener)),
            None if wanted.is_some() => anyhow::bail!(
                "port {port} of 127.0.0.1 is in use; stop its owner, or choose another --port \
                 (clients connect there, operators one above it)"
            ),
            None => {
                let (other, listener) = any()?;
                notes.push(format!(
                    "Port {port} is taken, so {who} connect to {other}."
                ));
                Ok((other, listener))
            }
        };
        let (clients, first) = reserve(clients, "clients")?;
        let (operators, second) = reserve(operators, "operators")?;
        let ports = Ports {
            clients,
            operators,
            mysql: Some(mysql),
            redis: Some(redis),
            reserved: vec![first, second],
        };
        Ok((ports, notes))
    }

    /// Any free ones.
    pub(crate) fn any() -> anyhow::Result<Ports> {
        let (clients, first) = any()?;
        let (operators, second) = any()?;
        Ok(Ports {
            clients,
            operators,
            mysql: None,
            redis: None,
            reserved: vec![first, second],
        })
    }

    /// Lets go of the coordinator's ports, for the coordinator.
    pub(crate) fn release(&mut self) {
        self.reserved.clear();
    }
}

/// Whether nobody has the port.
pub(crate) fn is_free(port: u16) -> bool {
    bind(port).is_some()
}

fn bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

/// From a random start, so that processes that start together choose apart.
fn any() -> anyhow::Result<(u16, TcpListener)> {
    let span = usize::from(FREE.end - FREE.start);
    let offset = RandomState::new().hash_one(std::process::id()) as usize % span;
    FREE.cycle()
        .skip(offset)
        .take(span)
        .find_map(|port| Some((port, bind(port)?)))
        .with_context(|| format!("no free port of 127.0.0.1 in {FREE:?}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn reserved_port_is_refused_to_who_asks_for_it() {
        let mut ports = Ports::any().unwrap();
        assert_ne!(ports.clients, ports.operators);
        assert!(FREE.contains(&ports.clients) && FREE.contains(&ports.operators));
        let error = Ports::usual(Some(ports.clients)).unwrap_err().to_string();
        assert!(
            error.contains(&format!("port {} ", ports.clients)),
            "{error}"
        );
        ports.release();
        assert!(is_free(ports.clients));
    }

    #[test]
    fn taken_usual_port_is_replaced_with_a_note() {
        // Whoever has the usual ports, the second to ask does not get them.
        let (_first, _) = Ports::usual(None).unwrap();
        let (second, notes) = Ports::usual(None).unwrap();
        assert!(FREE.contains(&second.clients));
        let note = format!(
            "Port {USUAL} is taken, so clients connect to {}.",
            second.clients
        );
        assert!(notes.contains(&note), "{notes:?}");
    }
}
