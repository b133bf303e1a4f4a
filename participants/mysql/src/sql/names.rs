//! Names as the app's statements write them, and as the server's own tables have them.

use crate::sql::encode;

/// The condition that finds a table, as a statement writes it, in the server's information schema.
pub(crate) fn place(table: &str) -> String {
    Place::written(table).condition(["TABLE_SCHEMA", "TABLE_NAME"])
}

/// Which table: its schema and its name, each as SQL writes such a value.
#[derive(Debug)]
pub(crate) struct Place {
    schema: String,
    table: String,
}

impl Place {
    /// The table of a name that a statement writes.
    pub(crate) fn written(table: &str) -> Place {
        let (schema, table) = match table.split_once('.') {
            Some((schema, table)) => (encode::literal(&unquoted(schema)), table),
            None => ("DATABASE()".to_owned(), table),
        };
        Place {
            schema,
            table: encode::literal(&unquoted(table)),
        }
    }

    /// The table that the server calls so.
    pub(crate) fn named(schema: &str, table: &str) -> Place {
        Place {
            schema: encode::literal(schema),
            table: encode::literal(table),
        }
    }

    /// Its schema, as SQL writes that.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    /// That these columns, of schemas and of tables, name it.
    pub(crate) fn condition(&self, [schema, table]: [&str; 2]) -> String {
        format!("{schema} = {} AND {table} = {}", self.schema, self.table)
    }
}

/// That these columns name one of some tables.
pub(crate) fn any_of(places: &[Place], columns: [&str; 2]) -> String {
    let conditions = places.iter().map(|place| place.condition(columns));
    let conditions: Vec<String> = conditions.map(|one| format!("({one})")).collect();
    conditions.join(" OR ")
}

/// A name without its backticks.
pub(crate) fn unquoted(name: &str) -> String {
    name.trim_matches('`').replace("``", "`")
}
