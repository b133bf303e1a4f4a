//! Where this machine gets Debian's packages from, by its own apt sources.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Holds the keys of all suites; for sources that name no keyring.
const DEFAULT_KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Debian's main archive as the machine's administrator reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    pub(crate) uri: String,
    /// The keyring file; without one apt uses those that it trusts anyway.
    pub(crate) signed_by: Option<PathBuf>,
}

impl Mirror {
    /// The first one that `/etc/apt` names.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let mirror = Self::find(Path::new("/etc/apt"))?;
        Ok(mirror.with_default_keyring(Path::new(DEFAULT_KEYRING)))
    }

    /// A line for a sources.list of the given suite.
    pub(crate) fn source_line(&self, suite: &str) -> String {
        let signed_by = match &self.signed_by {
            Some(keyring) => format!(" signed-by={}", keyring.display()),
            None => String::new(),
        };
        // Package lists only; the machine may want descriptions and icons.
        format!(
            "deb [target=Packages{signed_by}] {} {suite} main\n",
            self.uri
        )
    }

    fn find(apt: &Path) -> Result<Self> {
        let mut files = vec![apt.join("sources.list")];
        let mut parts: Vec<PathBuf> = fs::read_dir(apt.join("sources.list.d"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        parts.sort();
        files.extend(parts);
        files
            .iter()
            .find_map(|file| {
                let parse = match file.extension()?.to_str()? {
                    "list" => from_lines,
                    "sources" => from_stanzas,
                    _ => return None,
                };
                parse(&fs::read_to_string(file).ok()?)
            })
            .with_context(|| {
                format!(
                    "the apt sources in {} name no mirror of Debian's main archive",
                    apt.display()
                )
            })
    }

    fn with_default_keyring(mut self, keyring: &Path) -> Self {
        if self.signed_by.is_none() && keyring.exists() {
            self.signed_by = Some(keyring.to_owned());
        }
        self
    }
}

/// The one-line format: `deb [signed-by=/file arch=amd64] URI SUITE main`.
/// See sources.list(5).
fn from_lines(text: &str) -> Option<Mirror> {
    text.lines().find_map(|line| {
        let rest = line.trim().strip_prefix("deb")?;
        let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
        let (options, rest) = match rest.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => ("", rest),
        };
        let mut words = rest.split_whitespace();
        let uri = words.next().filter(|uri| is_main_archive(uri))?;
        let _suite = words.next()?;
        words.find(|component| *component == "main")?;
        let signed_by = options
            .split_whitespace()
            .find_map(|option| option.strip_prefix("signed-by="))
            .and_then(keyring_file);
        Some(Mirror {
            uri: uri.to_owned(),
            signed_by,
        })
    })
}

/// The deb822 format: stanzas of `Field: value`, continued on indented lines.
fn from_stanzas(text: &str) -> Option<Mirror> {
    let without_comments: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| if line.trim().is_empty() { "" } else { line })
        .collect();
    without_comments
        .split(|line| line.is_empty())
        .find_map(|stanza| {
            let disabled = field(stanza, "Enabled").is_some_and(|value| value.trim() == "no");
            let packages = field(stanza, "Types")?
                .split_whitespace()
                .any(|kind| kind == "deb");
            let main = field(stanza, "Components")?
                .split_whitespace()
                .any(|name| name == "main");
            if disabled || !packages || !main {
                return None;
            }
            let uris = field(stanza, "URIs")?;
            let uri = uris.split_whitespace().find(|uri| is_main_archive(uri))?;
            Some(Mirror {
                uri: uri.to_owned(),
                signed_by: field(stanza, "Signed-By").as_deref().and_then(keyring_file),
            })
        })
}

/// A field's value; its name's case does not matter.
fn field(stanza: &[&str], name: &str) -> Option<String> {
    let mut lines = stanza.iter();
    let first = lines.find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then_some(value)
    })?;
    let rest = lines.take_while(|line| line.starts_with([' ', '\t']));
    Some(rest.fold(first.to_owned(), |value, line| value + "\n" + line))
}

/// `…/debian`, or a mirror list of that name as cloud images have; neither
/// `…/debian-security` nor anyone else's archive.
fn is_main_archive(uri: &str) -> bool {
    let last = uri.trim_end_matches('/').rsplit('/').next();
    matches!(last, Some("debian" | "debian.list"))
}

/// A keyring's path; a key that is written out in the source is none.
fn keyring_file(value: &str) -> Option<PathBuf> {
    let path = PathBuf::from(
        value
            .split([',', ' ', '\n'])
            .find(|part| !part.is_empty())?,
    );
    path.is_absolute().then_some(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const STANZAS: &str = "\
Types: deb
# A comment inside.
URIs: http://deb.debian.org/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Enabled: no
Types: deb
URIs: http://old.example/debian
Suites: bullseye
Components: main

Types: deb deb-src
uris: http://other.example/ubuntu
 http://near.example/debian/
Suites: bookworm
 bookworm-updates
Components: main contrib
Signed-By:
 /etc/apt/keyrings/near.gpg
";

    #[test]
    fn stanzas_give_the_main_archive_and_its_keyring() {
        let mirror = from_stanzas(STANZAS).unwrap();
        assert_eq!(mirror.uri, "http://near.example/debian/");
        assert_eq!(
            mirror.source_line("unstable"),
            "deb [target=Packages signed-by=/etc/apt/keyrings/near.gpg] \
             http://near.example/debian/ unstable main\n"
        );
    }

    #[test]
    fn lines_give_the_main_archive_and_its_keyring() {
        let text = "\
# deb http://comment.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb http://security.debian.org/debian-security bookworm-security main
deb https://packages.example/apt stable main
deb [arch=amd64 signed-by=/k.gpg] https://near.example/debian bookworm main contrib
";
        assert_eq!(
            from_lines(text).unwrap(),
            Mirror {
                uri: "https://near.example/debian".to_owned(),
                signed_by: Some("/k.gpg".into()),
            }
        );
        let plain = from_lines("deb http://ftp.example/debian/ sid main\n").unwrap();
        assert_eq!(
            plain.source_line("unstable"),
            "deb [target=Packages] http://ftp.example/debian/ unstable main\n"
        );
    }

    #[test]
    fn a_key_written_into_the_source_is_replaced_by_the_default_keyring() {
        let text = "Types: deb\nURIs: mirror+file:///etc/apt/mirrors/debian.list\nSuites: sid\n\
                    Components: main\nSigned-By: -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xyz\n";
        let mirror = from_stanzas(text).unwrap();
        assert_eq!(mirror.signed_by, None);
        let keyring = tempfile::NamedTempFile::new().unwrap();
        let mirror = mirror.with_default_keyring(keyring.path());
        assert_eq!(mirror.signed_by.as_deref(), Some(keyring.path()));
    }

    #[test]
    fn a_machine_without_a_debian_mirror_is_told_so() {
        let apt = tempfile::tempdir().unwrap();
        fs::write(
            apt.path().join("sources.list"),
            "deb http://archive.example/ubuntu noble main\n",
        )
        .unwrap();
        let error = Mirror::find(apt.path()).unwrap_err();
        assert!(error.to_string().contains("no mirror of Debian"), "{error}");
        let parts = apt.path().join("sources.list.d");
        fs::create_dir(&parts).unwrap();
        fs::write(parts.join("debian.sources"), STANZAS).unwrap();
        assert_eq!(
            Mirror::find(apt.path()).unwrap().uri,
            "http://near.example/debian/"
        );
    }
}
