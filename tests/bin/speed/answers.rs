//! What clients were answered, in short.

use std::time::Duration;

use tandem_tests::Answer;

/// An answer in a word: `committed`, or why it is not.
pub(crate) fn word(answer: &Answer) -> &str {
    match answer {
        Answer::Committed { .. } => "committed",
        Answer::Refused { reason } | Answer::NotMade { reason } => reason,
        Answer::Unknown { what } => what,
    }
}

/// The time that so many of a hundred did not pass, in milliseconds; 0 of none.
pub(crate) fn percentile(took: &[Duration], per_cent: usize) -> f64 {
    let mut took = took.to_vec();
    took.sort_unstable();
    let index = took.len().saturating_sub(1) * per_cent / 100;
    took.get(index).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}
