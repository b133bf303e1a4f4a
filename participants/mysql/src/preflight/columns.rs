//! The types of the columns that the statements fill, as the server has them now.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::session::answer;
use crate::session::connection::Session;
use crate::session::failure::PacketFailure;
use crate::sql::kept::Kept;
use crate::sql::names::{place, unquoted};
use crate::sql::templates::Templates;

/// The columns of all tables that the statements insert into by their columns' names.
#[derive(Debug, Default)]
pub(crate) struct Columns(BTreeMap<(String, String), Column>);

/// One of them, by the server's own words in `information_schema.COLUMNS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    /// `varchar`, in lower case.
    pub(crate) data_type: String,
    /// `varchar(64)`.
    pub(crate) column_type: String,
    /// Of a text: its most characters, or bytes where it has no character set.
    pub(crate) length: Option<u64>,
    /// Of a DECIMAL: its digits, and those behind the point.
    pub(crate) digits: Option<(u32, u32)>,
    pub(crate) character_set: String,
    /// Empty where it has none.
    pub(crate) collation: String,
    pub(crate) is_nullable: bool,
    /// Of a table, and not of a view.
    pub(crate) is_of_a_table: bool,
    /// Of a view that may leave rows out which are written through it.
    pub(crate) is_filtered: bool,
    /// Whether 0 stands for the next number.
    pub(crate) counts: bool,
    /// Whether the table makes its value of other columns.
    pub(crate) is_generated: bool,
}

impl Columns {
    /// Whether the server shows none of them.
    pub(crate) fn are_unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// The column of a table, both as a statement writes them; `None` where the server shows none.
    pub(crate) fn of(&self, table: &str, column: &str) -> Option<&Column> {
        self.0
            .get(&(table.to_owned(), unquoted(column).to_lowercase()))
    }
}

/// Reads them all by one query. Each table is asked for by a SELECT of its own, as MariaDB opens every table
/// that there is where its name is one of several in a condition.
pub(crate) async fn of(
    session: &mut Session,
    templates: &Templates,
    deadline: Instant,
) -> Result<Columns, PacketFailure> {
    let kept = templates.each().filter_map(|one| one.kept.as_ref());
    let mut tables: Vec<&str> = kept.map(|kept: &Kept| kept.table.as_str()).collect();
    tables.sort_unstable();
    tables.dedup();
    let select = |(number, table): (usize, &&str)| {
        format!(
            "SELECT {number}, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_MAXIMUM_LENGTH, \
             NUMERIC_PRECISION, NUMERIC_SCALE, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE = 'YES', \
             TABLE_TYPE = 'BASE TABLE', VIEW_DEFINITION LIKE '% where %' OR VIEW_DEFINITION LIKE '% join %', EXTRA \
             FROM information_schema.COLUMNS JOIN information_schema.TABLES USING (TABLE_SCHEMA, TABLE_NAME) \
             LEFT JOIN (SELECT VIEW_DEFINITION FROM information_schema.VIEWS WHERE {place}) AS of_view ON TRUE \
             WHERE {place}",
            place = place(table)
        )
    };
    let selects: Vec<String> = tables.iter().enumerate().map(select).collect();
    let mut columns = Columns::default();
    if selects.is_empty() {
        return Ok(columns);
    }
    for row in &session
        .query(&selects.join(" UNION ALL "), deadline)
        .await?
    {
        let text = |at| answer::field(row, at);
        let number = |at| text(at).map(|text| text.parse().ok());
        let Some(table) = text(0)?.parse().ok().and_then(|at: usize| tables.get(at)) else {
            continue;
        };
        let digits = number(5)?.zip(number(6)?);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let extra = text(12)?.to_lowercase();
        let column = Column {
            data_type: text(2)?.to_lowercase(),
            column_type: text(3)?,
            length: number(4)?,
            digits: digits.map(|(all, behind)| (small(all), small(behind))),
            character_set: text(7)?,
            collation: text(8)?,
            is_nullable: text(9)? == "1",
            is_of_a_table: text(10)? == "1",
            is_filtered: text(11)? == "1",
            counts: extra.contains("auto_increment"),
            is_generated: extra.contains("stored generated") || extra.contains("virtual generated"),
        };
        let place = ((*table).to_owned(), text(1)?.to_lowercase());
        columns.0.insert(place, column);
    }
    Ok(columns)
}
