//! Finding the machine's own servers, and installing what is missing.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tandem_servers::{ServerBinary, find_installed, install_with_apt, missing_packages};

use crate::output;

/// What is run: tandem itself, and one server of each kind.
#[derive(Debug)]
pub(crate) struct Binaries {
    pub(crate) tandem: PathBuf,
    pub(crate) mysql: ServerBinary,
    pub(crate) redis: ServerBinary,
}

/// What to do about a server that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Say what to do.
    Refuse,
    /// Install it if the person at the terminal agrees; without a terminal, `--install` said so.
    Ask,
    /// Install it.
    Install,
}

impl Binaries {
    /// Finds a server of each kind, after installing what is missing where that is wanted.
    pub(crate) fn find(tandem: &Path, missing: Missing) -> anyhow::Result<Binaries> {
        if let Some(binaries) = installed(tandem) {
            return Ok(binaries);
        }
        let packages = missing_packages();
        let wanted = packages.join(" ");
        match missing {
            Missing::Refuse => bail!(refusal(&wanted)),
            Missing::Ask if io::stdin().is_terminal() && !agreed(&wanted)? => {
                bail!("nothing was installed");
            }
            Missing::Ask | Missing::Install => {}
        }
        output::note(&format!("Installing {wanted} with apt-get."));
        install_with_apt(&packages)?;
        installed(tandem).with_context(|| {
            format!(
                "apt-get installed {wanted}, and still there is no server that can be run among \
                 mariadbd, mysqld, redis-server and valkey-server; run them with --version to see \
                 why"
            )
        })
    }
}

fn installed(tandem: &Path) -> Option<Binaries> {
    let found = find_installed();
    let mysql = found.iter().find(|binary| binary.flavor.is_mysql())?;
    let redis = found.iter().find(|binary| binary.flavor.is_redis())?;
    Some(Binaries {
        tandem: tandem.to_owned(),
        mysql: mysql.clone(),
        redis: redis.clone(),
    })
}

fn refusal(packages: &str) -> String {
    format!(
        "this machine lacks servers that `tandem dev` starts: it needs a MariaDB (10.11 or later) \
         or MySQL (8.0.29 or later) and a Redis (7.0 or later) or Valkey.\n\
         On Debian and Ubuntu `tandem dev --install` installs what is missing, which is: \
         {packages}\n\
         Elsewhere, install them with the system's own package manager; they need not run."
    )
}

fn agreed(packages: &str) -> anyhow::Result<bool> {
    let mut stderr = io::stderr().lock();
    let asked = write!(stderr, "Install {packages} with apt-get? [y/N] ");
    asked.and_then(|()| stderr.flush())?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_names_the_packages_and_the_flag() {
        let text = refusal("mariadb-server redis-server");
        assert!(text.contains("which is: mariadb-server redis-server\n"));
        assert!(text.contains("`tandem dev --install`"));
    }
}
