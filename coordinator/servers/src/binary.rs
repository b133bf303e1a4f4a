use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::command::run;
use crate::search::search_folders;
use crate::spawner::guarded;

/// How long `--version` may take; the first start of a big binary reads it
/// from a cold disk.
const VERSION_TIMEOUT: Duration = Duration::from_secs(20);

const PROGRAMS: [&str; 4] = ["mariadbd", "mysqld", "redis-server", "valkey-server"];

/// Which server a binary is, by its own word and not by its file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flavor {
    /// MariaDB's `mariadbd`, also installed as `mysqld`.
    MariaDb,
    /// Oracle's MySQL.
    MySql,
    /// Redis.
    Redis,
    /// Valkey.
    Valkey,
}

impl Flavor {
    /// True for the servers that speak MySQL's protocol.
    pub fn is_mysql(self) -> bool {
        matches!(self, Flavor::MariaDb | Flavor::MySql)
    }

    /// True for the servers that speak Redis' protocol.
    pub fn is_redis(self) -> bool {
        !self.is_mysql()
    }
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Flavor::MariaDb => "MariaDB",
            Flavor::MySql => "MySQL",
            Flavor::Redis => "Redis",
            Flavor::Valkey => "Valkey",
        })
    }
}

/// A server program that answered `--version`.
///
/// Displayed as `MariaDB 10.11.14`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerBinary {
    /// What it is.
    pub flavor: Flavor,
    /// Its version, digits and dots only: `10.11.14`.
    pub version: String,
    /// The executable.
    pub program: PathBuf,
    /// The extracted file system that the program belongs to, if it is not the
    /// machine's own: the program then runs with that root's loader and
    /// libraries.
    pub library_root: Option<PathBuf>,
}

impl ServerBinary {
    /// Asks the program what it is.
    ///
    /// # Errors
    ///
    /// If it can't be run, or says something that no known server says.
    pub fn probe(program: &Path, library_root: Option<&Path>) -> Result<Self> {
        let mut command = command_for(program, library_root)?;
        command.arg("--version");
        let said = run(&program.to_string_lossy(), command, VERSION_TIMEOUT)?;
        let Some((flavor, version)) = parse_version(&said) else {
            bail!(
                "{} is no server that can be started here; to --version it said: {}",
                program.display(),
                said.trim()
            );
        };
        Ok(Self {
            flavor,
            version,
            program: program.to_owned(),
            library_root: library_root.map(Path::to_owned),
        })
    }

    /// A command that runs the program, without arguments yet.
    pub(crate) fn command(&self) -> Result<Command> {
        command_for(&self.program, self.library_root.as_deref())
    }
}

impl fmt::Display for ServerBinary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.flavor, self.version)
    }
}

/// No server of a kind is installed on this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no {kind} server is installed on this machine (looked for {programs} in PATH and \
     /usr/sbin); on Debian and Ubuntu: apt-get install --no-install-recommends {package}"
)]
pub struct MissingServer {
    /// What is missing, for people.
    pub kind: &'static str,
    /// The programs that would have done.
    pub programs: &'static str,
    /// The apt package that brings one of them.
    pub package: &'static str,
}

/// All servers that the machine has, each once: those of PATH first, then
/// those of the usual system folders. A program that can't be run is left out.
pub fn find_installed() -> Vec<ServerBinary> {
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for name in PROGRAMS {
        for folder in search_folders() {
            let candidate = folder.join(name);
            // Names are often links to one file: `mysqld` to `mariadbd`,
            // `redis-server` to `redis-check-rdb`, which looks at the name it
            // was called by. So links are followed to compare, never to run.
            let Ok(real) = fs::canonicalize(&candidate) else {
                continue;
            };
            if !seen.insert(real) {
                continue;
            }
            match ServerBinary::probe(&candidate, None) {
                Ok(binary) => found.push(binary),
                Err(error) => tracing::debug!(program = %candidate.display(), "skipped: {error:#}"),
            }
        }
    }
    found
}

/// The machine's MariaDB or MySQL.
///
/// # Errors
///
/// [`MissingServer`] if there is neither.
pub fn installed_mysql() -> Result<ServerBinary, MissingServer> {
    find_installed()
        .into_iter()
        .find(|binary| binary.flavor.is_mysql())
        .ok_or(MissingServer {
            kind: "MariaDB or MySQL",
            programs: "mariadbd, mysqld",
            package: "mariadb-server",
        })
}

/// The machine's Redis or Valkey.
///
/// # Errors
///
/// [`MissingServer`] if there is neither.
pub fn installed_redis() -> Result<ServerBinary, MissingServer> {
    find_installed()
        .into_iter()
        .find(|binary| binary.flavor.is_redis())
        .ok_or(MissingServer {
            kind: "Redis or Valkey",
            programs: "redis-server, valkey-server",
            package: "redis-server",
        })
}

fn command_for(program: &Path, library_root: Option<&Path>) -> Result<Command> {
    let Some(root) = library_root else {
        return Ok(guarded(program));
    };
    let (loader, libraries) = loader(root)?;
    let mut command = guarded(loader);
    command.arg("--library-path").arg(libraries).arg(program);
    Ok(command)
}

/// The dynamic loader of an extracted root, and its library path.
fn loader(root: &Path) -> Result<(PathBuf, OsString)> {
    for libraries in [root.join("usr/lib"), root.join("lib")] {
        for folder in subfolders(&libraries) {
            if !folder.to_string_lossy().ends_with("-linux-gnu") {
                continue;
            }
            let loader = fs::read_dir(&folder)?
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .find(|path| is_loader(path));
            if let Some(loader) = loader {
                // Packages that keep private libraries: Valkey's systemd one.
                let path = env::join_paths([&folder, &folder.join("systemd"), &libraries])
                    .context("the cache folder's path must not contain a colon")?;
                return Ok((loader, path));
            }
        }
    }
    bail!(
        "no dynamic loader below {}: remove that folder and let it be fetched again",
        root.display()
    )
}

fn subfolders(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .map(|entries| {
            entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .filter(|path| path.is_dir())
                .collect()
        })
        .unwrap_or_default()
}

fn is_loader(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("ld-linux") && name.contains(".so."))
}

fn parse_version(said: &str) -> Option<(Flavor, String)> {
    let first = said.lines().find(|line| !line.trim().is_empty())?;
    let lower = first.to_lowercase();
    let (flavor, marker) = if lower.contains("mariadb") {
        (Flavor::MariaDb, "ver ")
    } else if lower.contains("mysqld") {
        (Flavor::MySql, "ver ")
    } else if lower.starts_with("valkey server") {
        (Flavor::Valkey, "v=")
    } else if lower.starts_with("redis server") {
        (Flavor::Redis, "v=")
    } else {
        return None;
    };
    let after = &lower[lower.find(marker)? + marker.len()..];
    let version: String = after
        .trim_start()
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    (!version.is_empty()).then_some((flavor, version))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_server_is_told_by_what_it_says() {
        for (said, flavor, version) in [
            (
                "mariadbd  Ver 10.11.14-MariaDB-0+deb12u2 for debian-linux-gnu on x86_64 (Debian 12)",
                Flavor::MariaDb,
                "10.11.14",
            ),
            (
                "/usr/sbin/mysqld  Ver 10.6.1-MariaDB for Linux on x86_64",
                Flavor::MariaDb,
                "10.6.1",
            ),
            (
                "/usr/sbin/mysqld  Ver 9.7.4-2 for Linux on x86_64 ((Debian))",
                Flavor::MySql,
                "9.7.4",
            ),
            (
                "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
                Flavor::Redis,
                "7.0.15",
            ),
            (
                "Valkey server v=9.1.2 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64",
                Flavor::Valkey,
                "9.1.2",
            ),
        ] {
            assert_eq!(parse_version(said), Some((flavor, version.to_owned())));
        }
        assert_eq!(parse_version("psql (PostgreSQL) 17.2"), None);
        assert_eq!(parse_version(""), None);
    }

    #[test]
    fn a_missing_server_names_its_package() {
        let missing = MissingServer {
            kind: "Redis or Valkey",
            programs: "redis-server, valkey-server",
            package: "redis-server",
        };
        assert!(
            missing
                .to_string()
                .contains("apt-get install --no-install-recommends redis-server")
        );
    }
}
