//! What a file takes from outside of itself: `${NAME}` from the environment, and secrets from files.

use std::env::VarError;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Longest file of a secret, in bytes: a URL or a password is far shorter, and a mistaken path may lead to
/// anything.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Rights of others than a file's owner and its group.
const OTHERS: u32 = 0o007;

/// Why a value could not be taken from outside. None of them says what it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum OutsideError {
    /// No such variable.
    #[error(
        "the environment variable {0} is not set; a ${{ that is meant as it stands is written $${{"
    )]
    NotSet(String),
    /// A variable that no text can hold.
    #[error("the environment variable {0} is not UTF-8")]
    NotText(String),
    /// No variable at all.
    #[error(
        "${{ takes the name of an environment variable, of A-Z a-z 0-9 _, and a }}; a ${{ that is meant as it \
         stands is written $${{"
    )]
    NoName,
    /// A file that can't be read.
    #[error("can't read {path}: {source}")]
    Unreadable {
        /// As the configuration names it.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file that can't be a secret.
    #[error("{path} {what}")]
    NoSecret {
        /// As the configuration names it.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
}

/// A text, and what it has from the environment.
pub(super) struct Expanded {
    pub(super) whole: String,
    /// Each variable's name and value.
    pub(super) variables: Vec<(String, String)>,
}

/// The text with each `${NAME}` replaced by the environment's value, and each `$${` by `${`. With an error,
/// where in the text it is, in bytes.
pub(super) fn expanded(
    text: &str,
    environment: impl Fn(&str) -> Result<String, VarError>,
) -> Result<Expanded, (OutsideError, usize)> {
    let mut whole = String::with_capacity(text.len());
    let mut variables = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let place = text.len() - rest.len() + at;
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            whole.push_str(before);
            whole.push_str("${");
            rest = after;
            continue;
        }
        whole.push_str(before);
        let name = after.split_once('}').filter(|(name, _)| is_name(name));
        let (name, after) = name.ok_or((OutsideError::NoName, place))?;
        let value = environment(name).map_err(|error| {
            let error = match error {
                VarError::NotPresent => OutsideError::NotSet(name.to_owned()),
                VarError::NotUnicode(_) => OutsideError::NotText(name.to_owned()),
            };
            (error, place)
        })?;
        whole.push_str(&value);
        variables.push((name.to_owned(), value));
        rest = after;
    }
    whole.push_str(rest);
    Ok(Expanded { whole, variables })
}

fn is_name(text: &str) -> bool {
    let is_first_a_digit = text.starts_with(|c: char| c.is_ascii_digit());
    let is_of_names = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && !is_first_a_digit && text.chars().all(is_of_names)
}

/// What a file holds, without the newline at its end, and a warning if others may read it. A relative path
/// starts at `folder`.
pub(super) fn secret(
    path: &str,
    folder: Option<&Path>,
) -> Result<(String, Option<String>), OutsideError> {
    let full = folder.map_or_else(|| path.into(), |folder| folder.join(path));
    let unreadable = |source| OutsideError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let none = |what| OutsideError::NoSecret {
        path: path.to_owned(),
        what,
    };
    // Before it is opened, since opening a pipe that nobody writes would wait for ever.
    let about = std::fs::metadata(&full).map_err(unreadable)?;
    if !about.is_file() {
        return Err(none("is no regular file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(&full).map_err(unreadable)?;
    let mut file = file.take(SECRET_BYTES_MAX + 1);
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(none("is too long for a secret"));
    }
    let text = String::from_utf8(bytes).map_err(|_| none("is not UTF-8"))?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(none("is empty"));
    }
    let mode = about.permissions().mode() & 0o7777;
    let warning = (mode & OTHERS != 0).then(|| {
        format!(
            "{path} holds a secret and is open to others (mode {mode:04o}): chmod o= {}",
            full.display()
        )
    });
    Ok((line.to_owned(), warning))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn environment(name: &str) -> Result<String, VarError> {
        match name {
            "USER_" => Ok("shop".into()),
            "P2" => Ok("${USER_}".into()),
            "BYTES" => Err(VarError::NotUnicode("?".into())),
            _ => Err(VarError::NotPresent),
        }
    }

    #[test]
    fn variables_are_replaced_once_and_doubled_dollars_are_not() {
        for (text, expected, variables) in [
            ("mysql://${USER_}:${P2}@h", "mysql://shop:${USER_}@h", 2),
            ("${USER_}${USER_}", "shopshop", 2),
            ("$${USER_}", "${USER_}", 0),
            ("$$${USER_}", "$${USER_}", 0),
            ("$USER_ {USER_} $", "$USER_ {USER_} $", 0),
        ] {
            let told = expanded(text, environment).unwrap();
            assert_eq!(told.whole, expected);
            assert_eq!(told.variables.len(), variables, "{text}");
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_place() {
        for (text, place, said) in [
            ("a${NONE}", 1, "variable NONE is not set"),
            ("${USER_}${BYTES}", 8, "variable BYTES is not UTF-8"),
            ("é${}", 2, "$${"),
            ("${sku", 0, "$${"),
            ("${1}", 0, "$${"),
            ("${a b}", 0, "$${"),
        ] {
            let (error, at) = expanded(text, environment).err().unwrap();
            assert_eq!(at, place, "{text}");
            assert!(error.to_string().contains(said), "{error}");
        }
    }

    #[test]
    fn secret_is_a_files_text_without_its_last_newline() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for (held, expected) in [
            ("hunter2\n", "hunter2"),
            ("hunter2", "hunter2"),
            ("hunter2\r\n", "hunter2"),
            (" two\nlines\n\n", " two\nlines\n"),
        ] {
            std::fs::write(&path, held).unwrap();
            let (secret, _) = secret("password", Some(folder.path())).unwrap();
            assert_eq!(secret, expected);
        }
    }

    #[test]
    fn file_that_others_may_read_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2").unwrap();
        for (mode, is_warned) in [(0o600, false), (0o640, false), (0o644, true), (0o602, true)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let (_, warning) = secret(path.to_str().unwrap(), None).unwrap();
            assert_eq!(warning.is_some(), is_warned, "{mode:o}");
            assert!(!warning.unwrap_or_default().contains("hunter2"));
        }
    }

    #[test]
    fn file_that_can_be_no_secret_is_named_without_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let refusal = |held: &[u8]| {
            std::fs::write(&path, held).unwrap();
            secret("password", Some(folder.path()))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(refusal(b"\n"), "password is empty");
        assert_eq!(refusal(b"hunter2\xff"), "password is not UTF-8");
        assert!(refusal(&[b'h'; 70_000]).contains("too long"));
        let missing = secret("none", Some(folder.path())).unwrap_err();
        assert!(missing.to_string().contains("can't read none: No such"));
        let special = secret("/dev/zero", None).unwrap_err();
        assert_eq!(special.to_string(), "/dev/zero is no regular file");
    }
}
