//! How a person calls a program in a shell.

use std::env;
use std::fs;
use std::path::Path;

/// `tandem` where that finds this very program, else its full path.
pub(crate) fn invocation(program: &Path) -> String {
    if is_in_path(program) {
        "tandem".to_owned()
    } else {
        quoted(&program.to_string_lossy())
    }
}

fn is_in_path(program: &Path) -> bool {
    let Ok(program) = fs::canonicalize(program) else {
        return false;
    };
    let path = env::var_os("PATH").unwrap_or_default();
    // The first of the name is the one that a shell runs.
    env::split_paths(&path)
        .map(|folder| folder.join("tandem"))
        .find(|candidate| candidate.is_file())
        .and_then(|first| fs::canonicalize(first).ok())
        .is_some_and(|first| first == program)
}

/// One word of a POSIX shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%,".contains(c);
    if word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_one_word_of_a_shell() {
        assert_eq!(quoted("/opt/tandem-1.0/tandem"), "/opt/tandem-1.0/tandem");
        assert_eq!(quoted("/my files/ann's"), r"'/my files/ann'\''s'");
    }
}
