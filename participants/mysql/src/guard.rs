//! The proof that a statement of the app's has met as many rows as it must: one more statement behind
//! it, in the same packet, that fails when the count is another. The packet stops there, before its
//! XA END, so that it costs no round trip.
//!
//! Measured on MariaDB 10.11 and MySQL 9.7: `SET` fails by the error of its expression under every
//! `sql_mode`, strict or not (MariaDB's `DO` swallows it), and takes half to two thirds of the time of an
//! UPDATE by key, 20 to 30 µs on MariaDB; a `SELECT` takes half as much again, for the row that it answers.
//! With CLIENT_FOUND_ROWS, which sqlx sets, `ROW_COUNT()` counts the rows that an UPDATE matches, changed or
//! not. What triggers and foreign keys write is not counted. An UPDATE of several tables counts the rows of
//! each. RETURNING makes it −1. It is kept over packets.

use crate::codes;
use crate::session::{Cause, Failure};

/// Too few rows, and too many: expressions that are out of the range of their types, which the
/// server's message names. Short, as there may be hundreds of guards in a packet.
const FEWER: &str = "~0 + 1";
const MORE: &str = "EXP(999)";

/// The type of [`FEWER`] in the message of the error.
const TYPE_OF_FEWER: &str = "BIGINT UNSIGNED";

/// The guard behind a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Guard {
    /// What messages call the statement.
    statement: String,
    rows: u32,
}

/// Another number of rows than there must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missed {
    /// Fewer than there must be, or none.
    Fewer,
    /// More than there must be.
    More,
}

impl Guard {
    pub(crate) fn new(statement: &str, rows: u32) -> Self {
        Self {
            statement: statement.to_owned(),
            rows,
        }
    }

    /// It as a statement, to follow the other at once: any between them would be counted instead.
    pub(crate) fn sql(&self) -> String {
        format!(
            "SET @tandem_rows = IF(ROW_COUNT() = {rows}, 0, IF(ROW_COUNT() < {rows}, {FEWER}, {MORE}))",
            rows = self.rows
        )
    }

    /// It in words, for a person who runs the statement by hand.
    pub(crate) fn by_hand(&self) -> String {
        let rows = match self.rows {
            1 => "1 row".to_owned(),
            rows => format!("{rows} rows"),
        };
        format!(" (it must match {rows}: if it does not, roll back and put that row right first)")
    }

    /// What the failure of this very statement says. The same number from a statement of the app's, or
    /// from a trigger, is that statement's.
    pub(crate) fn told(&self, failure: Failure) -> Failure {
        let Failure { completed, cause } = failure;
        let cause = match cause {
            Cause::Server {
                number, message, ..
            } if number == codes::OUT_OF_RANGE => {
                let missed = match message.contains(TYPE_OF_FEWER) {
                    true => Missed::Fewer,
                    false => Missed::More,
                };
                Cause::Missed {
                    missed,
                    detail: self.detail(missed),
                }
            }
            cause => cause,
        };
        Failure { completed, cause }
    }

    fn detail(&self, missed: Missed) -> String {
        let Guard { statement, rows } = self;
        let met = match (missed, rows) {
            (Missed::Fewer, 1) => "no row",
            (Missed::Fewer, _) => "fewer rows",
            (Missed::More, _) => "more rows",
        };
        let wanted = match (missed, rows) {
            (Missed::Fewer, 1) => "and must meet one".to_owned(),
            (Missed::More, 1) => "than the one that it must meet".to_owned(),
            (_, rows) => format!("than the {rows} that it must meet"),
        };
        format!(
            "{statement} met {met} {wanted} (`rows` beside it in the configuration; \"any\" lets it meet \
             any number)"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::Class;

    fn told(rows: u32, number: u16, message: &str) -> Cause {
        let cause = Cause::Server {
            number,
            class: Class::Entry,
            message: message.to_owned(),
        };
        let failure = Failure {
            completed: 3,
            cause,
        };
        Guard::new("statement 2", rows).told(failure).cause
    }

    #[test]
    fn what_either_server_says_of_a_guard_is_told_in_words() {
        for (rows, message, expected) in [
            (
                1,
                "BIGINT UNSIGNED value is out of range in '~0 + 1'",
                "statement 2 met no row and must meet one",
            ),
            (
                3,
                "BIGINT UNSIGNED value is out of range in '(~(0) + 1)'",
                "statement 2 met fewer rows than the 3 that it must meet",
            ),
            (
                1,
                "DOUBLE value is out of range in 'exp(999)'",
                "statement 2 met more rows than the one that it must meet",
            ),
        ] {
            let said = told(rows, 1690, message).to_string();
            assert!(said.starts_with(expected), "{said}");
        }
    }

    #[test]
    fn another_error_at_a_guard_is_no_count() {
        let interrupted = told(1, 1317, "Query execution was interrupted");
        assert!(matches!(interrupted, Cause::Server { number: 1317, .. }));
    }
}
