//! The word that is in every personal value of the suites, and where it must not be.

use std::fs;
use std::path::PathBuf;

/// In each value of an attribute that is marked as personal, and nowhere else. `tests/run` looks for it in all that
/// the suites print, and fails where it finds it.
pub const PERSONAL: &str = "Pers0nal";

/// Prints what has a personal value in it, for `tests/run` to find. Gives whether there was something.
pub(crate) fn tell_of(what: &str, text: &str) -> bool {
    let line = text.lines().find(|line| line.contains(PERSONAL));
    if let Some(line) = line {
        eprintln!("{what} has a personal value: {line}");
    }
    line.is_some()
}

/// The log of one of tandem's processes, which is searched when its world ends.
#[derive(Debug)]
pub(crate) struct SearchedLog(pub(crate) PathBuf);

impl SearchedLog {
    /// All that it says so far.
    pub(crate) fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_default()
    }
}

impl Drop for SearchedLog {
    fn drop(&mut self) {
        tell_of(&self.0.display().to_string(), &self.text());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_with_a_personal_value_is_told() {
        let said = format!("started\nDuplicate entry '{PERSONAL}@example.org'\nended");
        assert!(tell_of("a log", &said));
        assert!(!tell_of("a log", "started\nDuplicate entry\nended"));
    }
}
