//! How the story is told: plain sentences, small tables, a mark for each checked fact.

use std::env;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use anyhow::bail;

/// Columns of a line of prose.
const WIDTH: usize = 78;

/// Writes to stdout. A reader who went away changes nothing: the exit code still tells the end.
#[derive(Debug)]
pub(crate) struct Story {
    colours: bool,
    checks: u32,
}

/// One line of a table: where, what, and how much of it.
pub(crate) type Row = (&'static str, String, String);

impl Story {
    pub(crate) fn new() -> Self {
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            colours: io::stdout().is_terminal() && !plain,
            checks: 0,
        }
    }

    /// How many facts were checked and found right.
    pub(crate) fn checks(&self) -> u32 {
        self.checks
    }

    /// Begins a part.
    pub(crate) fn heading(&self, title: &str) {
        self.line("");
        self.line(&self.painted("1", title));
        self.line("");
    }

    /// Tells something.
    pub(crate) fn say(&self, text: &str) {
        self.line(&wrapped(text));
    }

    /// Shows what the stores hold.
    pub(crate) fn table(&self, rows: &[Row]) {
        self.line("");
        let width = rows.iter().map(|(_, what, _)| what.len()).max();
        let width = width.unwrap_or_default();
        for (store, what, holds) in rows {
            self.line(&format!("    {store:<6} {what:<width$}  {holds}"));
        }
        self.line("");
    }

    /// Shows a command and what it printed.
    pub(crate) fn command(&self, command: &str, printed: &str) {
        self.line("");
        self.line(&format!("    $ {command}"));
        for line in printed.lines() {
            self.line(format!("    {line}").trim_end());
        }
        self.line("");
    }

    /// Marks a fact as right, or says what it should have been.
    ///
    /// # Errors
    /// If the two are not the same.
    pub(crate) fn check(
        &mut self,
        fact: &str,
        expected: impl Display,
        found: impl Display,
    ) -> anyhow::Result<()> {
        let (expected, found) = (expected.to_string(), found.to_string());
        if expected == found {
            self.checks += 1;
            self.line(&format!("  {} {fact}", self.painted("32", "✓")));
            return Ok(());
        }
        self.line(&format!("  {} {fact}", self.painted("31", "✗")));
        self.line(&format!("      expected: {expected}"));
        self.line(&format!("      found:    {found}"));
        bail!("{fact}: expected {expected}, found {found}")
    }

    fn painted(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// One line as it is.
    pub(crate) fn line(&self, text: &str) {
        let mut stdout = io::stdout().lock();
        let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    }
}

/// The text in lines of at most [`WIDTH`] columns, but for longer words.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut column = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > WIDTH {
            lines.push('\n');
            column = 0;
        } else if column > 0 {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_between_words() {
        let word = "x".repeat(30);
        let text = format!("{word} {word}\n{word} end");
        assert_eq!(wrapped(&text), format!("{word} {word}\n{word} end"));
    }

    #[test]
    fn wrong_fact_is_an_error_that_says_both_sides() {
        let mut story = Story::new();
        assert!(story.check("stock", 98, "98").is_ok());
        let error = story.check("stock", 98, 97).expect_err("they differ");
        assert_eq!(error.to_string(), "stock: expected 98, found 97");
        assert_eq!(story.checks(), 1);
    }
}
