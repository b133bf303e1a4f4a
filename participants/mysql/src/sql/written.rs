//! A statement as a file has it: each rule that it breaks is told at its place in the file.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::sql::rows::Rows;
use crate::sql::statement::{Per, Statement};
use crate::sql::template::Template;
use crate::sql::{forbidden, tokens};

/// Longest name of a statement, in characters.
const NAME_MAX: usize = 32;

/// A statement as a file has it: each field is refused at its own line and column, and what they are
/// together at the statement's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename = "Statement")]
struct Fields {
    per: Per,
    #[serde(deserialize_with = "checked_sql")]
    sql: String,
    #[serde(default)]
    rows: Option<Rows>,
    #[serde(default, deserialize_with = "checked_name")]
    name: Option<String>,
}

impl<'de> Deserialize<'de> for Statement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Whole)
    }
}

/// Reads all fields within the table, so that what they are together is refused at its place.
struct Whole;

impl<'de> Visitor<'de> for Whole {
    type Value = Statement;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a statement")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Statement, A::Error> {
        let Fields {
            per,
            sql,
            rows,
            name,
        } = Fields::deserialize(MapAccessDeserializer::new(map))?;
        let statement = Statement {
            per,
            sql,
            rows,
            name,
            position: None,
        };
        Template::parse(1, &statement).map_err(A::Error::custom)?;
        Ok(statement)
    }
}

/// Refuses it at its own line and column in the file.
fn checked_sql<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let sql = String::deserialize(deserializer)?;
    let tokens = tokens::split(&sql).map_err(D::Error::custom)?;
    forbidden::check(&tokens).map_err(D::Error::custom)?;
    Ok(sql)
}

fn checked_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if (1..=NAME_MAX).contains(&name.len()) && name.chars().all(is_plain) {
        Ok(Some(name))
    } else {
        Err(D::Error::custom(format!(
            "a statement's name is 1 to {NAME_MAX} characters of a-z 0-9 - _, not {name:?}"
        )))
    }
}
