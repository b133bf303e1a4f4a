//! Where the words go: data to stdout, all else to stderr.

use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::VerbFailure;

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Output {
    /// For a person
    #[default]
    Table,
    /// One JSON document; fields are named as in the proto files, times are RFC 3339
    Json,
}

/// Whether stdout has a document already: a program reads one, whatever a verb comes to after it.
static HAS_DOCUMENT: AtomicBool = AtomicBool::new(false);

impl Output {
    /// The form that a command line asks for.
    pub fn of(matches: &clap::ArgMatches) -> Output {
        match matches.subcommand() {
            Some((_, verb)) => Output::of(verb),
            None => {
                let given = matches.try_get_one::<Output>("output");
                given.ok().flatten().copied().unwrap_or_default()
            }
        }
    }

    /// The form that a command line asks for that can't be read.
    pub fn of_words(words: impl Iterator<Item = String>) -> Output {
        let words: Vec<String> = words.collect();
        let is_json = words.iter().any(|word| word == "--output=json")
            || words.windows(2).any(|pair| pair == ["--output", "json"]);
        match is_json {
            true => Output::Json,
            false => Output::Table,
        }
    }
}

/// Prints data.
///
/// # Errors
/// [`VerbFailure::ClosedPipe`] when the reader went away, as `head` does; other failures of stdout.
pub fn data(text: &str) -> Result<(), VerbFailure> {
    let mut stdout = io::stdout().lock();
    let written = writeln!(stdout, "{}", text.trim_end()).and_then(|()| stdout.flush());
    written.map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => VerbFailure::ClosedPipe,
        _ => VerbFailure::Other(anyhow::Error::from(error).context("can't write to stdout")),
    })
}

/// Prints a JSON document.
///
/// # Errors
/// As [`data`].
pub fn json(document: &Value) -> Result<(), VerbFailure> {
    HAS_DOCUMENT.store(true, Ordering::Relaxed);
    data(&format!("{document:#}"))
}

/// Prints why a verb failed, unless a document is there that says what it came to.
pub(super) fn failure(document: &Value) {
    if !HAS_DOCUMENT.load(Ordering::Relaxed) {
        // stderr has it too.
        let _ = json(document);
    }
}

/// Says something that is not data.
pub fn note(text: &str) {
    // Nobody is left to be told that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{}", text.trim_end());
}

/// The same text without control characters, which a store's words may hold and which would act on
/// the reader's terminal.
pub fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        assert_eq!(clean("a\u{1b}[2Jé\n"), "a\\u{1b}[2Jé\\n");
    }
}
