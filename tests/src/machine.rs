//! Which servers this machine has or can fetch.

use std::fmt;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tandem_servers::fetch::{Fetchable, fetch};
use tandem_servers::{Flavor, ServerBinary, find_installed};

/// The servers that a long run is asked for on its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StoreChoice {
    /// MariaDB and Redis as installed
    Mariadb,
    /// MySQL 9.7 and Redis 8
    Mysql97,
    /// MariaDB and Valkey 9
    Valkey,
}

impl StoreChoice {
    /// Finds or fetches them.
    ///
    /// # Errors
    /// Why they are not here.
    pub fn pair(self) -> Result<Pair> {
        let name = match self {
            StoreChoice::Mariadb => PairName::Installed,
            StoreChoice::Mysql97 => PairName::MysqlRedis,
            StoreChoice::Valkey => PairName::MariaDbValkey,
        };
        match Machine::look().pair(name) {
            Ok(pair) => Ok(pair),
            Err(reason) => bail!("the servers are not here: {reason}"),
        }
    }
}

/// A pair of servers that a case asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PairName {
    /// What Debian's stable suite installs: MariaDB 10.11 and Redis 7.0 on Debian 12.
    Installed,
    /// MySQL 9 and Redis 8, fetched.
    MysqlRedis,
    /// The installed MariaDB and a fetched Valkey 9.
    MariaDbValkey,
    /// MySQL 9 and Valkey 9, fetched.
    MysqlValkey,
}

impl PairName {
    /// All of them, the one that needs no network first.
    pub const ALL: [PairName; 3] = [
        PairName::Installed,
        PairName::MysqlRedis,
        PairName::MariaDbValkey,
    ];
}

/// Two servers that are here.
#[derive(Debug, Clone)]
pub struct Pair {
    /// MariaDB or MySQL.
    pub mysql: ServerBinary,
    /// Redis or Valkey.
    pub redis: ServerBinary,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", tag(&self.mysql), tag(&self.redis))
    }
}

/// What was found, or why it was not. Looked for once a process.
#[derive(Debug)]
pub struct Machine {
    mariadb: Result<ServerBinary, String>,
    mysql: Result<ServerBinary, String>,
    redis_installed: Result<ServerBinary, String>,
    redis: Result<ServerBinary, String>,
    valkey: Result<ServerBinary, String>,
}

impl Machine {
    /// Looks at the machine, and fetches what it lacks.
    pub fn look() -> Machine {
        let installed = find_installed();
        let of = |flavor: Flavor, package: &str| {
            let found = installed.iter().find(|binary| binary.flavor == flavor);
            found
                .cloned()
                .ok_or_else(|| format!("no {flavor} is installed here (apt-get install {package})"))
        };
        let fetched = |server| fetch(server).map_err(|error| format!("{error:#}"));
        Machine {
            mariadb: of(Flavor::MariaDb, "mariadb-server"),
            redis_installed: of(Flavor::Redis, "redis-server"),
            mysql: fetched(Fetchable::MySql),
            redis: fetched(Fetchable::Redis),
            valkey: fetched(Fetchable::Valkey),
        }
    }

    /// The servers of a pair, or why one of them is missing.
    pub fn pair(&self, name: PairName) -> Result<Pair, String> {
        let (mysql, redis) = match name {
            PairName::Installed => (&self.mariadb, &self.redis_installed),
            PairName::MysqlRedis => (&self.mysql, &self.redis),
            PairName::MariaDbValkey => (&self.mariadb, &self.valkey),
            PairName::MysqlValkey => (&self.mysql, &self.valkey),
        };
        Ok(Pair {
            mysql: mysql.clone()?,
            redis: redis.clone()?,
        })
    }

    /// MariaDB and MySQL, each found or with the reason why not.
    pub fn mysqls(&self) -> [(&'static str, &Result<ServerBinary, String>); 2] {
        [("mariadb", &self.mariadb), ("mysql_9", &self.mysql)]
    }

    /// Redis 7, Redis 8 and Valkey 9, each found or with the reason why not.
    pub fn redises(&self) -> [(&'static str, &Result<ServerBinary, String>); 3] {
        [
            ("redis_7", &self.redis_installed),
            ("redis_8", &self.redis),
            ("valkey_9", &self.valkey),
        ]
    }

    /// All servers with their versions, and what is missing, for people.
    pub fn servers(&self) -> String {
        let all = self.mysqls().into_iter().chain(self.redises());
        let shown = all.map(|(name, found)| match found {
            Ok(binary) => binary.to_string(),
            Err(reason) => format!("SKIPPED {name} ({reason})"),
        });
        shown.collect::<Vec<String>>().join(", ")
    }

    /// The pair that is always wanted.
    ///
    /// # Errors
    /// If a server is missing.
    pub fn installed(&self) -> Result<Pair> {
        self.pair(PairName::Installed)
            .map_err(anyhow::Error::msg)
            .context("the servers that every suite needs")
    }
}

/// `mariadb_10.11`: the product and its release series.
pub(crate) fn tag(binary: &ServerBinary) -> String {
    let series: Vec<&str> = binary.version.split('.').take(2).collect();
    format!("{}_{}", binary.flavor, series.join(".")).to_lowercase()
}
