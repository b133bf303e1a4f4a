//! What a user configures.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sqlx::ConnectOptions;
use sqlx::mysql::MySqlConnectOptions;
use tandem_participant::attributes::Attributes;

use crate::danger::Danger;
use crate::rights::{self, Right};
use crate::sql::statement::{Position, Statement};
use crate::sql::statement_error::{StatementError, StatementsError};
use crate::sql::tables;
use crate::sql::templates::Templates;

/// The time zone of sessions of which nothing is said.
pub(crate) const UTC: &str = "+00:00";

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

    /// The user's password, where the url has none: as it is, not percent-encoded.
    #[serde(default)]
    pub password: Option<SecretString>,

    /// The statements that record a purchase, run in this order in each branch. Without them
    /// purchases go to the tables `purchases` and `purchase_items`, which are created if missing.
    #[serde(default)]
    pub statements: Option<Vec<Statement>>,

    /// What else a purchase may carry, for `:attr.NAME` in the statements: of the file's `[attributes.NAME]`.
    #[serde(skip)]
    pub attributes: Attributes,

    /// The sessions' time zone, as the server takes it: an offset (`+09:00`), a zone that it has loaded
    /// (`Europe/Berlin`), or `SYSTEM`, the server's own. `NOW()`, `CURRENT_TIMESTAMP` and
    /// `:purchase_time` are in it. UTC where nothing is said; `TIME_ZONE_DIFFERS` tells where that
    /// is not what the app's own sessions have.
    #[serde(default)]
    pub time_zone: Option<String>,

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

/// Settings that can't work.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum SettingsError {
    /// The url does not parse. The url itself is not printed, as it holds the password.
    #[error("url must be mysql://USER:PASSWORD@HOST:PORT/DATABASE")]
    Url(#[source] sqlx::Error),
    /// The url ends its password early.
    #[error("url: {0}")]
    Unencoded(&'static str),
    /// Two passwords for one user.
    #[error("the url has a password, and password or password_file gives another: leave one out")]
    TwoPasswords,
    /// The time zone is none.
    #[error(
        "time_zone must be an offset such as \"+09:00\", a zone such as \"Europe/Berlin\", or \"SYSTEM\", not \
         {0:?}"
    )]
    TimeZone(String),
    /// The url is of another kind of server.
    #[error("url must begin with mysql://, also for MariaDB")]
    Scheme,
    /// The url names no database.
    #[error("url must name a database, as in mysql://USER:PASSWORD@HOST:PORT/DATABASE")]
    Database,
    /// A number is out of its range.
    #[error("{name} must be {min} to {max}, not {value}")]
    Range {
        name: &'static str,
        min: u64,
        max: u64,
        value: u64,
    },
    /// `accept` holds a name that no finding has.
    #[error("accept names {name:?}, which is no finding; findings are {}", Danger::NAMES.join(", "))]
    Accept { name: String },
    /// The statements break a rule.
    #[error(transparent)]
    Statements(#[from] StatementsError),
}

/// Settings after their checks, in the types that the crate works with.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) options: MySqlConnectOptions,
    /// `HOST:PORT/DATABASE`, or the socket's path: for people, without credentials.
    pub(crate) address: String,
    pub(crate) templates: Templates,
    /// The least that the user must be allowed.
    pub(crate) rights: Vec<Right>,
    pub(crate) default_schema: bool,
    /// Whether the file says for sure in which time zone sessions are.
    pub(crate) means_time_zone: bool,
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
            password: None,
            statements: None,
            attributes: Attributes::default(),
            time_zone: None,
            accept: Vec::new(),
            sessions_max: defaults::sessions_max(),
            connect_timeout_ms: defaults::connect_timeout_ms(),
            statement_timeout_ms: defaults::statement_timeout_ms(),
            settle_timeout_ms: defaults::settle_timeout_ms(),
            lock_wait_timeout_s: defaults::lock_wait_timeout_s(),
            create_tables: defaults::create_tables(),
        }
    }

    /// Whether they can work, as far as can be said without the server, and without the attributes, which are
    /// declared elsewhere.
    pub fn check(&self) -> Result<(), SettingsError> {
        match self.clone().checked() {
            Err(SettingsError::Statements(StatementsError::One {
                source: StatementError::UndeclaredAttribute { .. },
                ..
            })) => Ok(()),
            checked => checked.map(drop),
        }
    }

    /// An attribute that a statement uses and that is not declared, and where that statement stands.
    pub fn undeclared_attribute(&self) -> Option<(String, Option<Position>)> {
        let statements = self.statements.as_deref()?;
        match Templates::parse(statements, &self.attributes) {
            Err(StatementsError::One {
                number,
                source: StatementError::UndeclaredAttribute { name },
            }) => Some((name, statements.get(number - 1)?.position)),
            _ => None,
        }
    }

    /// The sessions' time zone.
    pub(crate) fn zone(&self) -> &str {
        self.time_zone.as_deref().unwrap_or(UTC)
    }

    pub(crate) fn checked(self) -> Result<Checked, SettingsError> {
        let zone = self.zone();
        if !is_time_zone(zone) {
            return Err(SettingsError::TimeZone(zone.to_owned()));
        }
        let url = self.url.expose_secret();
        let (mut options, address) = server(url, zone)?;
        if let Some(password) = &self.password {
            if tandem_participant::address::has_password(url) {
                return Err(SettingsError::TwoPasswords);
            }
            options = options.password(password.expose_secret());
        }
        let second = 1_000;
        let sessions_max = in_range("sessions_max", self.sessions_max, 1, 256)?;
        let lock_wait = in_range("lock_wait_timeout_s", self.lock_wait_timeout_s, 1, 60)?;
        let connect = in_range(
            "connect_timeout_ms",
            self.connect_timeout_ms,
            1,
            60 * second,
        )?;
        let (ms, min) = (self.statement_timeout_ms, (lock_wait + 1) * second);
        let statement = in_range("statement_timeout_ms", ms, min, 600 * second)?;
        let settle = in_range(
            "settle_timeout_ms",
            self.settle_timeout_ms,
            100,
            600 * second,
        )?;
        for name in &self.accept {
            if !Danger::NAMES.contains(&name.as_str()) {
                return Err(SettingsError::Accept { name: name.clone() });
            }
        }
        let default_schema = self.statements.is_none();
        let statements = self.statements.clone();
        let statements = statements.unwrap_or_else(tables::default_statements);
        let templates = Templates::parse(&statements, &self.attributes)?;
        let database = options.get_database().unwrap_or_default();
        Ok(Checked {
            rights: rights::needed(&self, database, &templates),
            options,
            address,
            templates,
            default_schema,
            means_time_zone: self.time_zone.as_deref().is_some_and(is_sure),
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

/// Whether a time zone is meant for sure: `SYSTEM` is taken for the server's own, and is the machine's.
fn is_sure(zone: &str) -> bool {
    !zone.eq_ignore_ascii_case("SYSTEM")
}

/// Whether a server could know a time zone by this text. It is written into a statement between quotes.
fn is_time_zone(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_/+:-".contains(c);
    (1..=64).contains(&text.len()) && text.chars().all(is_plain)
}

/// How to connect to the server that a url names, and its address for people.
fn server(url: &str, zone: &str) -> Result<(MySqlConnectOptions, String), SettingsError> {
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
        .timezone(Some(zone.into()))
        .charset("utf8mb4")
        .disable_statement_logging();
    Ok((options, address))
}

fn in_range(
    name: &'static str,
    value: impl Into<u64>,
    min: u64,
    max: u64,
) -> Result<u64, SettingsError> {
    let value = value.into();
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
    fn password_stands_in_the_url_or_beside_it() {
        let beside = |url: &str| {
            let mut settings = settings(url);
            settings.password = Some("h#n/t@r:2".to_owned().into());
            settings.checked()
        };
        for url in [
            "mysql://me@h/d",
            "mysql://h/d",
            "mysql://me@h/d?ssl-ca=a:b@c",
        ] {
            let checked = beside(url).expect("valid");
            let spelled = checked.options.to_url_lossy();
            assert_eq!(spelled.password(), Some("h%23n%2Ft%40r%3A2"), "{url}");
        }
        let both = beside("mysql://me:other@h/d").expect_err("two passwords");
        assert!(both.to_string().contains("leave one out"), "{both}");
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
        wrong.time_zone = Some("+00:00', autocommit='0".into());
        assert!(error(wrong).starts_with("time_zone must be an offset"));
        let mut wrong = settings("mysql://h/d");
        wrong.accept = vec!["EVERYTHING".into()];
        assert!(error(wrong).contains("READ_ONLY"));
        let mut wrong = settings("mysql://h/d");
        wrong.lock_wait_timeout_s = 30;
        assert!(error(wrong).contains("statement_timeout_ms must be 31000"));
    }
}
