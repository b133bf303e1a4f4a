//! Configuration files.

use std::path::Path;

use tandem::config::{Config, ConfigError, MysqlSidecar, ParticipantSettings, RedisSidecar};
use tandem_mysql::MysqlParticipant;
use tandem_redis::RedisParticipant;

use super::shape;
use crate::{Grammar, Target};

const EXAMPLE: &str = include_str!("../../../../coordinator/tandem.example.toml");

/// What must never be in an error, as a URL has it.
const PASSWORD: &str = ":hunter2@";

const WORDS: &[&str] = &[
    "[coordinator]",
    "[limits]",
    "[retention]",
    "[participants.a.mysql]",
    "[participants.b.redis]",
    "[participants.c.sidecar]",
    "[[participants.a.mysql.statements]]",
    "[sidecar]",
    "[mysql]",
    "[redis]",
    "id",
    "data_dir",
    "listen",
    "admin_listen",
    "url",
    "stock_key",
    "stock_hash",
    "stock_field",
    "key_prefix",
    "accept",
    "per",
    "sql",
    "endpoint",
    "name",
    "=",
    "\"",
    "'''",
    "\"\"\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    "#",
    "true",
    "1e9",
    "-1",
    "0x10",
    "inf",
    "nan",
    "1979-05-27",
    "\\u0000",
    "\\",
    "mysql://u:hunter2@h:1/d",
    "redis://u:hunter2@h:1/0",
    "rediss://",
    "redis+unix:///s",
    "http://127.0.0.1:7660",
    "{sku}",
    "\"purchase\"",
    "\"item\"",
    "::1",
    "statement_timeout_ms",
    "sessions_max",
    "lock_wait_timeout_s",
    "create_tables",
    "rows",
    "\"any\"",
    "name",
];

const MYSQL: &str = r#"[sidecar]
name = "ledger"
listen = "127.0.0.1:7660"

[mysql]
url = "mysql://app:hunter2@127.0.0.1:3306/shop?ssl-mode=REQUIRED"
accept = ["REPLICA_STATE_UNKNOWN"]
sessions_max = 4

[[mysql.statements]]
per = "purchase"
sql = "INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)"

[[mysql.statements]]
per = "item"
sql = "INSERT INTO lines (id, sku) VALUES (:purchase_id, :sku)"

[[mysql.statements]]
per = "item"
name = "sold"
rows = "any"
sql = "UPDATE sold SET n = n + :quantity WHERE sku = :sku"
"#;

const REDIS: &str = r#"[sidecar]
name = "stock"
listen = "127.0.0.1:7661"

[redis]
url = "redis://app:hunter2@127.0.0.1:6379/0"
stock_hash = "stock"
stock_field = "{sku}"
key_prefix = "tandem:"
accept = ["NO_AOF"]
response_timeout_ms = 500
"#;

pub(super) fn targets() -> Vec<Target> {
    let grammar = Grammar::Text(WORDS);
    vec![
        Target {
            name: "configuration",
            grammar,
            seeds: || {
                let lines = EXAMPLE
                    .lines()
                    .filter(|line| !line.starts_with('#') && !line.is_empty());
                let text = lines.collect::<Vec<_>>().join("\n");
                vec![text.replace("app:secret", "app:hunter2").into()]
            },
            read: |input| {
                read(input, Config::read, |config| {
                    let made =
                        config
                            .participants
                            .into_iter()
                            .map(|(name, settings)| match settings {
                                ParticipantSettings::Mysql(s) => {
                                    told(MysqlParticipant::new(name, s))
                                }
                                ParticipantSettings::Redis(s) => {
                                    told(RedisParticipant::new(name, s))
                                }
                                ParticipantSettings::Sidecar(_) => "sidecar".to_owned(),
                            });
                    made.take(3).collect::<Vec<_>>().join(", ")
                })
            },
        },
        Target {
            name: "mysql_configuration",
            grammar,
            seeds: || vec![MYSQL.into()],
            read: |input| {
                read(input, MysqlSidecar::read, |config| {
                    told(MysqlParticipant::new(config.sidecar.name, config.mysql))
                })
            },
        },
        Target {
            name: "redis_configuration",
            grammar,
            seeds: || vec![REDIS.into()],
            read: |input| {
                read(input, RedisSidecar::read, |config| {
                    told(RedisParticipant::new(config.sidecar.name, config.redis))
                })
            },
        },
    ]
}

/// A refused text is refused at a line and a column of it, and no password is told.
fn read<T>(
    input: &[u8],
    read: fn(&Path, &str) -> Result<T, ConfigError>,
    then: impl FnOnce(T) -> String,
) -> String {
    let text = String::from_utf8_lossy(input);
    match read(Path::new("tandem.toml"), &text) {
        Ok(config) => format!("read: {}", then(config)),
        Err(error) => {
            let report = error.to_string();
            let place = report
                .split_once("at line ")
                .and_then(|(_, rest)| rest.split_once(", column "))
                .and_then(|(line, rest)| {
                    let column: String = rest.chars().take_while(char::is_ascii_digit).collect();
                    Some((line.parse::<usize>().ok()?, column.parse::<usize>().ok()?))
                });
            let Some((line, column)) = place else {
                panic!("no line and column in: {report}");
            };
            let lines = text.split('\n').count();
            assert!(
                (1..=lines).contains(&line) && column >= 1,
                "{line}:{column} of {lines}: {report}"
            );
            // The rule is below the line that breaks it.
            shape(report.trim_end().lines().last().unwrap_or_default())
        }
    }
}

fn told<T, E: std::fmt::Display>(made: Result<T, E>) -> String {
    match made {
        Ok(_) => "made".to_owned(),
        Err(error) => {
            let error = error.to_string();
            // A statement is no URL, whatever is in it.
            let is_statement = error.starts_with("statement ");
            assert!(is_statement || !error.contains(PASSWORD), "{error}");
            shape(&error)
        }
    }
}
