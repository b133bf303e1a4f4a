//! Where a coordinator's operators connect: as the command line says, or where one is found.

use std::fmt;
use std::path::{Path, PathBuf};

use tonic::transport::Uri;

use super::VerbFailure;
use crate::config::{Config, RUN_FOLDER, SOCKET};

/// Where it was always, and still is if nothing else is found.
const USUAL: &str = "http://127.0.0.1:7651";

/// A listener as its URL has it: `http://HOST:PORT`, `https://HOST:PORT`, `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct At(String);

impl At {
    /// Reads what the command line says.
    pub(super) fn parse(text: &str) -> Result<At, String> {
        let is_socket = text
            .strip_prefix("unix:")
            .is_some_and(|path| !path.is_empty());
        let uri = text.parse::<Uri>().map_err(|error| error.to_string());
        let is_known =
            |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
        if is_socket || uri.as_ref().is_ok_and(is_known) {
            return Ok(At(text.to_owned()));
        }
        uri.and_then(
            |_| Err("must be a URL such as http://127.0.0.1:7650, or unix:PATH".to_owned()),
        )
    }

    fn socket(path: &Path) -> At {
        At(format!("unix:{}", path.display()))
    }

    /// As tonic takes it.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a unix socket, whose peer is known by his user.
    pub(super) fn is_socket(&self) -> bool {
        self.0.starts_with("unix:")
    }

    /// Whether it is reached through TLS.
    pub(super) fn is_encrypted(&self) -> bool {
        self.0.starts_with("https://")
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where the coordinator of this configuration has its operators connect.
pub(super) fn of_config(path: &Path) -> Result<At, VerbFailure> {
    let config = Config::load(path)?;
    let url = config.operators_url();
    url.map(At)
        .map_err(|why| VerbFailure::Usage(format!("{} {why}", path.display())))
}

/// The only socket that there is, else where it was always.
pub(super) fn found() -> Result<At, VerbFailure> {
    let sockets = sockets(Path::new(RUN_FOLDER));
    match &*sockets {
        [] => Ok(At(USUAL.to_owned())),
        [one] => Ok(At::socket(one)),
        several => {
            let several: Vec<String> = several
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            Err(VerbFailure::Usage(format!(
                "several coordinators have sockets here: name one with --admin unix:PATH, of {}",
                several.join(", ")
            )))
        }
    }
}

/// The sockets `FOLDER/*/admin.sock`, in order.
fn sockets(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut sockets: Vec<PathBuf> = entries
        .map(|entry| entry.path().join(SOCKET))
        .filter(|path| path.exists())
        .collect();
    sockets.sort();
    sockets
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn address_is_a_url_or_a_socket() {
        for good in [
            "http://127.0.0.1:7651",
            "https://shop.example:7651",
            "unix:/run/a.sock",
        ] {
            assert_eq!(At::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "",
            "unix:",
            "127.0.0.1:7651",
            "ftp://a:1",
            "/run/a.sock",
            "http://",
        ] {
            assert!(At::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn every_coordinators_socket_is_found() {
        let folder = tempfile::tempdir().unwrap();
        assert!(sockets(&folder.path().join("none")).is_empty());
        for id in ["shop", "bank", "gone"] {
            std::fs::create_dir(folder.path().join(id)).unwrap();
        }
        for id in ["shop", "bank"] {
            std::fs::write(folder.path().join(id).join(SOCKET), "").unwrap();
        }
        let expected = ["bank", "shop"].map(|id| folder.path().join(id).join(SOCKET));
        assert_eq!(sockets(folder.path()), expected);
    }
}
