//! Names as the app's statements write them, and as the server's own tables have them.

use crate::sql::encode;

/// The condition that finds a table, as a statement writes it, in the server's information schema.
pub(crate) fn place(table: &str) -> String {
    let (schema, table) = match table.split_once('.') {
        Some((schema, table)) => (encode::literal(&unquoted(schema)), table),
        None => ("DATABASE()".to_owned(), table),
    };
    format!(
        "TABLE_SCHEMA = {schema} AND TABLE_NAME = {}",
        encode::literal(&unquoted(table))
    )
}

/// A name without its backticks.
pub(crate) fn unquoted(name: &str) -> String {
    name.trim_matches('`').replace("``", "`")
}
