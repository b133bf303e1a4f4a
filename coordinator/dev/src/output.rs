//! Where the words go: what was asked for to stdout, all else to stderr.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

use crate::DevError;

/// Prints what was asked for, and a line's end.
pub(crate) fn data(text: &str) -> Result<(), DevError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(DevError::ClosedPipe),
        written => Ok(written.context("can't write to stdout")?),
    }
}

/// Says a line beside it.
pub(crate) fn note(text: &str) {
    // Nobody is left to be told that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
