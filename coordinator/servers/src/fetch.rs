//! Servers of Debian's unstable suite, for machines that run something else.
//!
//! Packages come from the mirror that the machine's own apt sources name,
//! through apt-get with a private state (own lists, own archives, nothing
//! installed), so signatures are checked and the machine's packages stay as
//! they are. Everything a server needs, its C library included, is extracted
//! into one folder per server, and the server runs with that folder's loader.
//! Needs no privileges, and neither a chroot nor a container.
//!
//! What was fetched is kept in the [cache folder](crate::cache_folder) for
//! good; remove its `fetched` folder to get newer versions.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::binary::ServerBinary;
use crate::cache::cache_folder;
use crate::command::run;
use crate::lock::FileLock;
use crate::search::find_program;
use crate::sources::Mirror;
use crate::spawner::guarded;

const SUITE: &str = "unstable";

const UPDATE_TIMEOUT: Duration = Duration::from_secs(120);
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(300);
const EXTRACT_TIMEOUT: Duration = Duration::from_secs(60);
/// Another process may be fetching: as long as it may take for one server.
const LOCK_TIMEOUT: Duration = Duration::from_secs(600);

/// Written last; a root without it was interrupted.
const COMPLETE: &str = "complete";

/// A server that can be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fetchable {
    /// MySQL 9.7 at the time of writing.
    MySql,
    /// Redis 8 at the time of writing.
    Redis,
    /// Valkey 9 at the time of writing.
    Valkey,
}

impl Fetchable {
    /// All of them.
    pub const ALL: [Fetchable; 3] = [Fetchable::MySql, Fetchable::Redis, Fetchable::Valkey];

    fn package(self) -> &'static str {
        match self {
            Fetchable::MySql => "mysql-server-core",
            Fetchable::Redis => "redis-server",
            Fetchable::Valkey => "valkey-server",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Fetchable::MySql => "usr/sbin/mysqld",
            Fetchable::Redis => "usr/bin/redis-server",
            Fetchable::Valkey => "usr/bin/valkey-server",
        }
    }
}

impl fmt::Display for Fetchable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.package())
    }
}

/// The server, from the cache or, the first time, from the network: some
/// seconds, 14 to 60 MB to download, 50 to 330 MB extracted.
///
/// # Errors
///
/// With the reason, if the machine has no apt, its sources name no Debian
/// mirror, the network or the mirror fails, or a command takes too long. A
/// test turns that into a visible skip.
pub fn fetch(server: Fetchable) -> Result<ServerBinary> {
    try_fetch(server).with_context(|| format!("{server} of Debian {SUITE} can't be fetched"))
}

fn try_fetch(server: Fetchable) -> Result<ServerBinary> {
    let cache = cache_folder()?.join("fetched");
    let root = cache.join(server.package());
    if is_complete(&root) {
        return probe(server, &root);
    }
    let _lock = FileLock::wait(&cache.join("lock"), LOCK_TIMEOUT)?;
    if is_complete(&root) {
        return probe(server, &root);
    }
    for tool in ["apt-get", "dpkg"] {
        ensure!(
            find_program(tool).is_some(),
            "this machine has no {tool}, and only Debian's packages are known here"
        );
    }
    tracing::info!(
        "fetching {server} of Debian {SUITE} into {}",
        cache.display()
    );
    let apt = PrivateApt::new(&cache.join("apt"), &Mirror::of_this_machine()?)?;
    let packages = apt.download(server.package())?;
    extract(&packages, &root)?;
    let binary = probe(server, &root)?;
    fs::write(root.join(COMPLETE), binary.to_string())?;
    apt.remove_downloads()?;
    Ok(binary)
}

/// False for a root whose extraction was interrupted.
fn is_complete(root: &Path) -> bool {
    root.join(COMPLETE).exists()
}

fn probe(server: Fetchable, root: &Path) -> Result<ServerBinary> {
    ServerBinary::probe(&root.join(server.program()), Some(root))
}

fn extract(packages: &[PathBuf], root: &Path) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("remove {}", root.display()))?;
    }
    fs::create_dir_all(root)?;
    for package in packages {
        let mut command = guarded("dpkg");
        command.arg("-x").arg(package).arg(root);
        run("dpkg -x", command, EXTRACT_TIMEOUT)
            .with_context(|| format!("extract {}", package.display()))?;
    }
    Ok(())
}

/// apt with lists, archives and an (empty) set of installed packages of its
/// own. The machine's other settings, a proxy for example, stay in force.
struct PrivateApt {
    config: PathBuf,
    archives: PathBuf,
}

impl PrivateApt {
    fn new(folder: &Path, mirror: &Mirror) -> Result<Self> {
        let archives = folder.join("archives");
        fs::create_dir_all(folder.join("state/lists/partial"))?;
        fs::create_dir_all(archives.join("partial"))?;
        fs::write(folder.join("status"), "")?;
        fs::write(folder.join("sources.list"), mirror.source_line(SUITE))?;
        let config = folder.join("apt.conf");
        let folder = folder.display();
        fs::write(
            &config,
            format!(
                r#"Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::archives "{folder}/archives";
Dir::Log "{folder}/log";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
# Its user could not write into a home folder.
APT::Sandbox::User "root";
APT::Install-Recommends "false";
# Without this, a mirror that is down is a mere warning.
APT::Update::Error-Mode "any";
# Hooks are about the machine's own packages; some need root.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"#
            ),
        )?;
        Ok(Self { config, archives })
    }

    /// The package and all that it depends on, as files.
    fn download(&self, package: &str) -> Result<Vec<PathBuf>> {
        self.remove_downloads()?;
        run("apt-get update", self.apt_get(&["update"]), UPDATE_TIMEOUT)?;
        let install = ["install", "--yes", "--download-only", "--", package];
        run("apt-get install", self.apt_get(&install), DOWNLOAD_TIMEOUT)?;
        let packages = self.downloads()?;
        ensure!(
            !packages.is_empty(),
            "apt-get downloaded nothing for {package}"
        );
        Ok(packages)
    }

    fn remove_downloads(&self) -> Result<()> {
        for package in self.downloads()? {
            fs::remove_file(package)?;
        }
        Ok(())
    }

    fn downloads(&self) -> Result<Vec<PathBuf>> {
        let mut packages = Vec::new();
        for entry in fs::read_dir(&self.archives)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                packages.push(path);
            }
        }
        Ok(packages)
    }

    fn apt_get(&self, args: &[&str]) -> Command {
        let mut command = guarded("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("--quiet")
            .arg("--config-file")
            .arg(&self.config)
            .args(args);
        command
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_mirror_that_is_down_is_an_error_with_its_reason() {
        if find_program("apt-get").is_none() {
            println!("SKIPPED: this machine has no apt-get");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let mirror = Mirror {
            // Nothing listens on port 1.
            uri: "http://127.0.0.1:1/debian".to_owned(),
            signed_by: None,
        };
        let apt = PrivateApt::new(folder.path(), &mirror).unwrap();
        let error = apt.download("redis-server").unwrap_err().to_string();
        assert!(error.contains("apt-get update failed"), "{error}");
        assert!(error.contains("127.0.0.1"), "{error}");
    }

    #[test]
    fn an_interrupted_extraction_is_not_believed_and_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("redis-server");
        fs::create_dir_all(root.join("usr/bin")).unwrap();
        fs::write(root.join("usr/bin/redis-server"), "half of a program").unwrap();
        assert!(!is_complete(&root));
        extract(&[], &root).unwrap();
        assert!(!root.join("usr").exists());
    }
}
