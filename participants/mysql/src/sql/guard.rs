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

    /// What the server's error says that it answers to this very statement, out of the range of its
    /// type: the same for a person beside it.
    pub(crate) fn missed(&self, message: &str) -> (Missed, String) {
        let missed = match message.contains(TYPE_OF_FEWER) {
            true => Missed::Fewer,
            false => Missed::More,
        };
        (missed, self.detail(missed))
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
