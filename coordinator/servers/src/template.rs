use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::unistd::geteuid;

use crate::binary::{Flavor, ServerBinary};
use crate::cache::cache_folder;
use crate::command::run;
use crate::lock::FileLock;
use crate::search::find_program;
use crate::spawner::guarded;

/// Measured: 1 to 8 seconds; a cold and busy disk takes longer.
const INITIALIZE_TIMEOUT: Duration = Duration::from_secs(120);
/// Another process may be initializing the same template.
const LOCK_TIMEOUT: Duration = Duration::from_secs(150);

/// Makes `data` a fresh MariaDB or MySQL data folder, unless it exists.
///
/// Initializing takes seconds, so it is done once per binary into the cache
/// and copied from there.
pub(crate) fn fresh_data(binary: &ServerBinary, data: &Path) -> Result<()> {
    if data.exists() {
        return Ok(());
    }
    let template = template(binary)?;
    // An interrupted copy must not be taken for data: the name comes last.
    let partial = data.with_extension("partial");
    remove_if_exists(&partial)?;
    copy_folder(&template, &partial)
        .with_context(|| format!("copy {} to {}", template.display(), partial.display()))?;
    // The server's identity; it makes a new one for each copy.
    let _ = fs::remove_file(partial.join("auto.cnf"));
    fs::rename(&partial, data)?;
    Ok(())
}

/// Arguments that MySQL needs to find its own files when it runs from an
/// extracted root instead of `/`.
pub(crate) fn place_args(binary: &ServerBinary) -> Vec<OsString> {
    let Some(root) = &binary.library_root else {
        return Vec::new();
    };
    let usr = root.join("usr");
    [
        ("--basedir", usr.clone()),
        ("--lc-messages-dir", usr.join("share/mysql")),
        ("--character-sets-dir", usr.join("share/mysql/charsets")),
        ("--plugin-dir", usr.join("lib/mysql/plugin")),
    ]
    .into_iter()
    .map(|(name, path)| joined(name, &path))
    .collect()
}

/// Servers refuse to run as root unless told to by name.
pub(crate) fn user_args() -> Vec<OsString> {
    if geteuid().is_root() {
        vec!["--user=root".into()]
    } else {
        Vec::new()
    }
}

/// `--name=path`, for any path.
pub(crate) fn joined(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(name);
    argument.push("=");
    argument.push(path);
    argument
}

fn template(binary: &ServerBinary) -> Result<PathBuf> {
    let folder = cache_folder()?.join("templates");
    let template = folder.join(template_name(binary)?);
    if template.exists() {
        return Ok(template);
    }
    let _lock = FileLock::wait(&folder.join("lock"), LOCK_TIMEOUT)?;
    if template.exists() {
        return Ok(template);
    }
    let partial = folder.join("partial");
    remove_if_exists(&partial)?;
    tracing::info!("initializing a data folder for {binary}");
    initialize(binary, &partial)?;
    fs::rename(&partial, &template)?;
    Ok(template)
}

/// Another build of the same version gets another template.
fn template_name(binary: &ServerBinary) -> Result<String> {
    let metadata = fs::metadata(&binary.program)
        .with_context(|| format!("look at {}", binary.program.display()))?;
    let mut hasher = DefaultHasher::new();
    (&binary.program, metadata.len(), metadata.modified()?).hash(&mut hasher);
    let build = hasher.finish();
    Ok(format!("{}-{}-{build:016x}", binary.flavor, binary.version).to_lowercase())
}

fn initialize(binary: &ServerBinary, data: &Path) -> Result<()> {
    let mut command = if binary.flavor == Flavor::MariaDb {
        let installer = find_program("mariadb-install-db")
            .or_else(|| find_program("mysql_install_db"))
            .context("MariaDB's mariadb-install-db is missing: install mariadb-server")?;
        let mut command = guarded(installer);
        command.args([
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]);
        command
    } else {
        let mut command = binary.command()?;
        command.args([
            "--no-defaults",
            "--initialize-insecure",
            // The compiled-in folder does not exist when MySQL is not installed.
            "--secure-file-priv=NULL",
        ]);
        command
    };
    command
        .args(place_args(binary))
        .args(user_args())
        .arg(joined("--datadir", data));
    run(
        &format!("initializing a data folder for {binary}"),
        command,
        INITIALIZE_TIMEOUT,
    )?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

fn remove_if_exists(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("remove {}", folder.display()))?;
    }
    Ok(())
}
