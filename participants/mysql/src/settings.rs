//! What a user configures.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnectOptions;

use crate::preflight::FINDINGS;
use crate::rows::Rows;
use crate::statements::{self, StatementError, Templates};

/// Longest name of a statement, in characters.
const NAME_MAX: usize = 32;

/// Settings of the MySQL participant. Only `url` is required.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the server is: `mysql://USER:PASSWORD@HOST:PORT/DATABASE`. tandem's own tables live
    /// in this database. TLS by `?ssl-mode=REQUIRED` (`DISABLED`, `PREFERRED`, `REQUIRED`,
    /// `VERIFY_CA`, `VERIFY_IDENTITY`; `PREFERRED` without it) and `&ssl-ca=FILE`; a unix socket
    /// by `?socket=PATH`. It must reach the server itself: a proxy that shares connections among
    /// clients breaks XA.
    pub url: SecretString,

    /// The statements that record a purchase, run in this order in each branch. Without them
    /// purchases go to the tables `purchases` and `purchase_items`, which are created if missing.
    #[serde(default)]
    pub statements: Option<Vec<Statement>>,

    /// Names of findings (see `tandem participants`) that are accepted though they may lose or
    /// block decided purchases, for example `["REPLICA_STATE_UNKNOWN"]`.
    #[serde(default)]
    pub accept: Vec<String>,

    /// How many sessions hold branches at most, 1 to 256. On MariaDB a prepared branch keeps its
    /// session until the decision, so this is also how many transactions are in doubt at most
    /// before prepares have to wait. A few more sessions are used to list and finish branches.
    #[serde(default = "defaults::sessions_max")]
    pub sessions_max: u16,

    /// Longest wait for a connection, in milliseconds.
    #[serde(default = "defaults::connect_timeout_ms")]
    pub connect_timeout_ms: u64,

    /// Longest wait for the answer to one packet of statements, in milliseconds; the connection
    /// is given up then. Must be longer than `lock_wait_timeout_s`.
    #[serde(default = "defaults::statement_timeout_ms")]
    pub statement_timeout_ms: u64,

    /// Longest time that one commit or roll back goes on trying before it answers that the branch
    /// is still in doubt, in milliseconds. It is then asked again.
    #[serde(default = "defaults::settle_timeout_ms")]
    pub settle_timeout_ms: u64,

    /// How long a statement waits for another session's lock, in whole seconds, 1 to 60: the
    /// sessions' `innodb_lock_wait_timeout` and `lock_wait_timeout`. A purchase that is prepared alone
    /// waits so long. One that others are prepared with is refused sooner where the user may look up
    /// who holds the row; else it delays them by this much (twice this much on MySQL).
    #[serde(default = "defaults::lock_wait_timeout_s")]
    pub lock_wait_timeout_s: u32,

    /// Whether tandem may create its own tables (and the default schema's, when `statements` is
    /// absent). If not, and they are missing, the error prints what to create.
    #[serde(default = "defaults::create_tables")]
    pub create_tables: bool,
}

/// One statement of the app's, with named parameters.
///
/// Per purchase: `:purchase_id :customer_id :currency :total_minor :transaction_id
/// :purchase_time`. Per item also: `:sku :quantity :unit_price_minor :item_number` (from 1).
/// `:total_minor` is the sum of quantity times unit price, in the currency's minor unit;
/// `:purchase_time` is the server's UTC time with milliseconds, for a DATETIME(3) or TIMESTAMP(3)
/// column. Values are written into the statement as literals that no `sql_mode` can misread.
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
}

impl Statement {
    /// A statement without a name, that must meet one row if it finds its rows.
    pub fn new(per: Per, sql: impl Into<String>) -> Self {
        Self {
            per,
            sql: sql.into(),
            rows: None,
            name: None,
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
        };
        statements::check_whole(&statement).map_err(A::Error::custom)?;
        Ok(statement)
    }
}

/// Refuses it at its own line and column in the file.
fn checked_sql<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let sql = String::deserialize(deserializer)?;
    statements::check(&sql).map_err(D::Error::custom)?;
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

/// How often a statement runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Once for each purchase.
    Purchase,
    /// Once for each item of each purchase.
    Item,
}

/// Settings that can't work.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The url does not parse. The url itself is not printed, as it holds the password.
    #[error("url must be mysql://USER:PASSWORD@HOST:PORT/DATABASE")]
    Url(#[source] sqlx::Error),
    /// The url ends its password early.
    #[error("url: {0}")]
    Unencoded(&'static str),
    /// The url is of another kind of server.
    #[error("url must begin with mysql://, also for MariaDB")]
    Scheme,
    /// The url names no database.
    #[error("url must name a database, as in mysql://USER:PASSWORD@HOST:PORT/DATABASE")]
    Database,
    /// A number is out of its range.
    #[error("{name} must be {min} to {max}, not {value}")]
    Range {
        /// The field.
        name: &'static str,
        /// Lowest value.
        min: u64,
        /// Highest value.
        max: u64,
        /// The value found.
        value: u64,
    },
    /// `accept` holds a name that no finding has.
    #[error("accept names {name:?}, which is no finding; findings are {}", FINDINGS.join(", "))]
    Accept {
        /// The name.
        name: String,
    },
    /// A statement breaks a rule.
    #[error("statement {number}: {source}")]
    Statement {
        /// Its place in the list, from 1.
        number: usize,
        /// The rule.
        #[source]
        source: StatementError,
    },
    /// The statements together break a rule.
    #[error("statements: {0}")]
    Statements(#[source] StatementError),
}

/// Settings after their checks, in the types that the crate works with.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) options: MySqlConnectOptions,
    /// `HOST:PORT/DATABASE`, or the socket's path: for people, without credentials.
    pub(crate) address: String,
    pub(crate) templates: Templates,
    pub(crate) default_schema: bool,
    pub(crate) accept: Vec<String>,
    pub(crate) sessions_max: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) statement_timeout: Duration,
    pub(crate) settle_timeout: Duration,
    pub(crate) lock_wait_timeout_s: u32,
    pub(crate) create_tables: bool,
}

impl Settings {
    /// Settings with defaults for everything but the url.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            statements: None,
            accept: Vec::new(),
            sessions_max: defaults::sessions_max(),
            connect_timeout_ms: defaults::connect_timeout_ms(),
            statement_timeout_ms: defaults::statement_timeout_ms(),
            settle_timeout_ms: defaults::settle_timeout_ms(),
            lock_wait_timeout_s: defaults::lock_wait_timeout_s(),
            create_tables: defaults::create_tables(),
        }
    }

    pub(crate) fn checked(self) -> Result<Checked, SettingsError> {
        let url = self.url.expose_secret();
        if !url.starts_with("mysql://") && !url.starts_with("mariadb://") {
            return Err(SettingsError::Scheme);
        }
        if let Some(what) = tandem_participant::address::unencoded(url) {
            return Err(SettingsError::Unencoded(what));
        }
        let options: MySqlConnectOptions = url.parse().map_err(SettingsError::Url)?;
        let database = options.get_database().ok_or(SettingsError::Database)?;
        let address = match options.get_socket() {
            Some(path) => format!("{}/{database}", path.display()),
            None => format!("{}:{}/{database}", options.get_host(), options.get_port()),
        };
        // The session's mode is set in `setup`. Statements are not logged: they hold customers' data.
        let options = options
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .timezone(Some("+00:00".into()))
            .charset("utf8mb4")
            .disable_statement_logging();

        let second = 1_000;
        let in_range = |name, value: u64, min, max| {
            if (min..=max).contains(&value) {
                Ok(value)
            } else {
                Err(SettingsError::Range {
                    name,
                    min,
                    max,
                    value,
                })
            }
        };
        let sessions_max = in_range("sessions_max", self.sessions_max.into(), 1, 256)?;
        let lock_wait = in_range(
            "lock_wait_timeout_s",
            self.lock_wait_timeout_s.into(),
            1,
            60,
        )?;
        let connect = in_range(
            "connect_timeout_ms",
            self.connect_timeout_ms,
            1,
            60 * second,
        )?;
        let statement = in_range(
            "statement_timeout_ms",
            self.statement_timeout_ms,
            (lock_wait + 1) * second,
            600 * second,
        )?;
        let settle = in_range(
            "settle_timeout_ms",
            self.settle_timeout_ms,
            100,
            600 * second,
        )?;

        for name in &self.accept {
            if !FINDINGS.contains(&name.as_str()) {
                return Err(SettingsError::Accept { name: name.clone() });
            }
        }
        let default_schema = self.statements.is_none();
        let statements = self
            .statements
            .unwrap_or_else(crate::tables::default_statements);
        Ok(Checked {
            options,
            address,
            templates: Templates::parse(&statements)?,
            default_schema,
            accept: self.accept,
            sessions_max: usize::try_from(sessions_max).expect("at most 256"),
            connect_timeout: Duration::from_millis(connect),
            statement_timeout: Duration::from_millis(statement),
            settle_timeout: Duration::from_millis(settle),
            lock_wait_timeout_s: self.lock_wait_timeout_s,
            create_tables: self.create_tables,
        })
    }
}

mod defaults {
    pub(super) fn sessions_max() -> u16 {
        8
    }

    pub(super) fn connect_timeout_ms() -> u64 {
        3_000
    }

    pub(super) fn statement_timeout_ms() -> u64 {
        10_000
    }

    pub(super) fn settle_timeout_ms() -> u64 {
        5_000
    }

    pub(super) fn lock_wait_timeout_s() -> u32 {
        1
    }

    pub(super) fn create_tables() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> Settings {
        Settings::new(url.to_owned().into())
    }

    #[test]
    fn address_holds_no_credentials() {
        let checked = settings("mysql://me:secret@db.example:3307/shop")
            .checked()
            .expect("valid");
        assert_eq!(checked.address, "db.example:3307/shop");
    }

    #[test]
    fn wrong_settings_are_refused_by_name() {
        let error = |settings: Settings| settings.checked().expect_err("invalid").to_string();
        assert!(error(settings("postgres://h/d")).contains("mysql://"));
        assert!(error(settings("mysql://h:3306")).contains("database"));
        assert!(!error(settings("mysql://u:hunter2@h:99999/d")).contains("hunter2"));
        for password in ["31#72", "31/72", "31?72", "hun#ter"] {
            let error = error(settings(&format!("mysql://u:{password}@h/d")));
            assert!(error.contains("percent-encoded"), "{error}");
            let parts = ["31", "72", "hun", "ter"];
            assert!(!parts.iter().any(|part| error.contains(part)), "{error}");
        }
        let mut wrong = settings("mysql://h/d");
        wrong.sessions_max = 0;
        assert!(error(wrong).starts_with("sessions_max must be 1 to 256, not 0"));
        let mut wrong = settings("mysql://h/d");
        wrong.accept = vec!["EVERYTHING".into()];
        assert!(error(wrong).contains("READ_ONLY"));
        let mut wrong = settings("mysql://h/d");
        wrong.lock_wait_timeout_s = 30;
        assert!(error(wrong).contains("statement_timeout_ms must be 31000"));
    }
}
