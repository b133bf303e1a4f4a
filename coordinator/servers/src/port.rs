use std::collections::hash_map::RandomState;
use std::env;
use std::fs;
use std::hash::BuildHasher;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::unistd::geteuid;

use crate::lock::FileLock;

/// Below 32768: ports from there on are the kernel's to give to any outgoing
/// connection. Above the well-known servers' own.
const PORTS: Range<u16> = 20_000..32_000;

/// A port of 127.0.0.1 that is this server's until the lease is dropped, also
/// while the server is down between `kill9` and `restart`.
///
/// Among processes that use this crate the lease is a locked file, so that
/// tests which run in parallel never race for a port; against all others it is
/// a bind probe.
#[derive(Debug)]
pub struct PortLease {
    port: u16,
    _lock: FileLock,
}

impl PortLease {
    /// Leases the wanted port, or any free one.
    ///
    /// # Errors
    ///
    /// If the wanted port, or every port, is in use, or the folder of the leases can't be made.
    pub fn take(wanted: Option<u16>) -> Result<Self> {
        let folder = lock_folder()?;
        if let Some(port) = wanted {
            return try_take(&folder, port).with_context(|| {
                format!("port {port} of 127.0.0.1 is in use; choose another or stop its owner")
            });
        }
        let span = usize::from(PORTS.end - PORTS.start);
        // A random start keeps processes that start together from walking
        // through the same taken ports.
        let offset = RandomState::new().hash_one(std::process::id()) as usize % span;
        PORTS
            .cycle()
            .skip(offset)
            .take(span)
            .find_map(|port| try_take(&folder, port))
            .with_context(|| format!("no free port of 127.0.0.1 in {PORTS:?}"))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// The folder of the lock files, shared by all processes of this user.
fn lock_folder() -> Result<PathBuf> {
    let folder = env::temp_dir().join(format!("tandem-ports-{}", geteuid()));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&folder)
        .with_context(|| format!("create the folder {}", folder.display()))?;
    Ok(folder)
}

fn try_take(folder: &Path, port: u16) -> Option<PortLease> {
    // A lock file that can't be opened is like one that is held: next port.
    let lock = FileLock::try_take(&folder.join(port.to_string())).ok()??;
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
    Some(PortLease { port, _lock: lock })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_leased_port_is_nobody_elses_until_it_is_dropped() {
        let lease = PortLease::take(None).unwrap();
        assert!(PORTS.contains(&lease.port()));
        let port = lease.port();
        assert!(PortLease::take(Some(port)).is_err());
        drop(lease);
        assert_eq!(PortLease::take(Some(port)).unwrap().port(), port);
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_leased() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(PortLease::take(Some(port)).is_err());
    }
}
