//! How many files the process may have open at once, connections among them, and who gets how many.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// For the process itself: the decision log, its sessions at the stores, links to sidecars, listeners.
/// With every setting at its highest it needs about half of them.
const OWN_FILES: u64 = 128;

/// Connections of operators at once: there are few of them, and none must wait for a client.
pub(super) const OPERATORS_MAX: usize = 32;

/// Connections of clients at once, however many files may be open: each takes some 20 KiB.
const CLIENTS_MAX: usize = 16_384;

/// However few.
const CLIENTS_MIN: usize = 16;

/// What is assumed where the kernel does not say: what a shell gives.
const USUAL_LIMIT: u64 = 1_024;

/// Raises the limit to the highest that this process may set itself, and gives how many connections of
/// clients there may be at once. What is short is said.
pub(super) fn clients_max() -> usize {
    let limit = raise().unwrap_or_else(|error| {
        tracing::warn!(%error, "can't raise the limit of open files (RLIMIT_NOFILE)");
        getrlimit(Resource::RLIMIT_NOFILE).map_or(USUAL_LIMIT, |(soft, _)| soft)
    });
    let clients = share(limit);
    if clients <= CLIENTS_MIN {
        tracing::warn!(
            limit,
            clients,
            "few files may be open at once: raise the hard limit (`ulimit -Hn`, LimitNOFILE= of systemd)"
        );
    }
    clients
}

/// What to do about an error, behind a colon, if it says that no file could be opened any more: EMFILE or
/// ENFILE, as Linux numbers them.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(23 | 24) => {
            ": let the process open more files (`ulimit -n`, or LimitNOFILE in its unit)"
        }
        _ => "",
    }
}

/// The limit as it is then.
fn raise() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

fn share(limit: u64) -> usize {
    let left = limit.saturating_sub(OWN_FILES + OPERATORS_MAX as u64);
    usize::try_from(left).map_or(CLIENTS_MAX, |left| left.clamp(CLIENTS_MIN, CLIENTS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_neither_stores_nor_operators_need() {
        for (limit, clients) in [
            (64, 16),
            (256, 96),
            (1_024, 864),
            (1_048_576, 16_384),
            (u64::MAX, 16_384),
        ] {
            assert_eq!(share(limit), clients, "{limit}");
        }
    }
}
