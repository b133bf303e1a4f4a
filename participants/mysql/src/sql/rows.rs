//! How many rows a statement must meet.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// The most that can be asked for.
const ROWS_MAX: u32 = 1_000_000;

/// How many rows a statement must meet each time that it runs: those that an UPDATE matches, whether it
/// changes them or not, that a DELETE deletes, that an `INSERT … SELECT` inserts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// This many, else the purchase is refused. 1 to 1,000,000 in a configuration.
    Exactly(u32),
    /// However many there are, none included: `"any"`.
    Any,
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Written)
    }
}

struct Written;

impl Visitor<'_> for Written {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a number of rows, 1 to {ROWS_MAX}, or \"any\"")
    }

    fn visit_i64<E: Error>(self, rows: i64) -> Result<Rows, E> {
        match u32::try_from(rows) {
            Ok(rows @ 1..=ROWS_MAX) => Ok(Rows::Exactly(rows)),
            _ => Err(E::invalid_value(Unexpected::Signed(rows), &self)),
        }
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<Rows, E> {
        match word {
            "any" => Ok(Rows::Any),
            _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
        }
    }
}
