//! One of the app's statements, as it is configured.

use std::fmt;

use serde::Deserialize;

use crate::sql::rows::Rows;

/// One statement of the app's, with named parameters.
///
/// Per purchase: `:purchase_id :customer_id :currency :total_minor :transaction_id
/// :purchase_time`. Per item also: `:sku :quantity :unit_price_minor :item_number` (from 1).
/// `:total_minor` is the sum of quantity times unit price, in the currency's minor unit;
/// `:purchase_time` is when the coordinator began the transaction, to the millisecond and in the sessions' time
/// zone, for a DATETIME(3) or TIMESTAMP(3) column. Values are written into the statement as literals that no `sql_mode` can misread.
///
/// Allowed is one INSERT, UPDATE or DELETE, without what `forbidden` lists, each with what to write
/// instead. An INSERT that ends after its one VALUES tuple is joined with those of other purchases into
/// one statement. A statement that finds its rows (UPDATE, DELETE, `INSERT … SELECT`) runs by itself and
/// must meet as many as `rows` says, else the purchase is refused.
#[derive(Debug, Clone)]
pub struct Statement {
    /// How often it runs.
    pub per: Per,
    /// The statement: `INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)`.
    pub sql: String,
    /// How many rows it must meet each time that it runs, once for each purchase or item: 1 where it says
    /// nothing. Not for an `INSERT … VALUES` or `INSERT … SET`, which writes what it spells out or fails.
    pub rows: Option<Rows>,
    /// What messages call it beside its place: 1 to 32 characters of `a-z 0-9 - _`.
    pub name: Option<String>,
    /// Where its SQL begins in the file that it was read from.
    pub position: Option<Position>,
}

/// A place in a file, both from 1, in lines and characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Statement {
    /// A statement without a name, that must meet one row if it finds its rows.
    pub fn new(per: Per, sql: impl Into<String>) -> Self {
        Self {
            per,
            sql: sql.into(),
            rows: None,
            name: None,
            position: None,
        }
    }

    /// What an operator is told of it: its place in the file besides, if that is known.
    pub(crate) fn located(&self, number: usize) -> String {
        let called = self.called(number);
        match self.position {
            Some(position) => format!("{called} at {position}"),
            None => called,
        }
    }

    /// What messages call it, at this place in the list.
    pub(crate) fn called(&self, number: usize) -> String {
        match &self.name {
            Some(name) => format!("statement {number} ({name})"),
            None => format!("statement {number}"),
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// How often a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Once for each purchase.
    Purchase,
    /// Once for each item of each purchase.
    Item,
}
