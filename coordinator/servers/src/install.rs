use std::io;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::geteuid;

use crate::binary::{installed_mysql, installed_redis};
use crate::search::find_program;

/// The apt packages that are missing for one server of each kind; empty if
/// the machine has both.
pub fn missing_packages() -> Vec<&'static str> {
    [installed_mysql().err(), installed_redis().err()]
        .into_iter()
        .flatten()
        .map(|missing| missing.package)
        .collect()
}

/// Installs packages with apt-get, through sudo unless run by root; its output
/// goes to stderr. It takes as long as the network does and can be interrupted
/// with Ctrl-C. Whether to do this is the caller's to ask.
///
/// The packages start system services on their default ports where the machine
/// has an init system; the private servers here have nothing to do with those.
///
/// # Errors
///
/// If the machine has no apt-get (the error says what to install by hand), if
/// sudo is needed and missing, or if apt-get fails.
pub fn install_with_apt(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let wanted = packages.join(" ");
    ensure!(
        find_program("apt-get").is_some(),
        "this machine has no apt-get; install a MariaDB (10.11 or later) or MySQL (8.0.29 or \
         later) server and a Redis (7.0 or later) or Valkey server with its own package manager \
         (Debian calls them {wanted})"
    );
    // Somebody else's broken source fails the update but not what is needed.
    if let Err(error) = apt_get(&["update"]) {
        tracing::warn!("going on with the package lists as they are: {error:#}");
    }
    let mut install = vec!["install", "-y", "--no-install-recommends", "--"];
    install.extend(packages);
    apt_get(&install).with_context(|| format!("install {wanted}"))
}

fn apt_get(args: &[&str]) -> Result<()> {
    // sudo clears the environment, so the variable goes behind it.
    let line = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    let mut command = if geteuid().is_root() {
        Command::new(line[0])
    } else if find_program("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg(line[0]);
        sudo
    } else {
        bail!("installing packages takes root, and there is no sudo: run apt-get as root yourself");
    };
    let status = command
        .args(&line[1..])
        .args(args)
        .stdout(Stdio::from(io::stderr()))
        .status()
        .context("run apt-get")?;
    ensure!(
        status.success(),
        "apt-get {} failed ({status})",
        args.join(" ")
    );
    Ok(())
}
