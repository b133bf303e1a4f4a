//! On what a world of chaos stands: its servers' settings and where the shop keeps what.

use std::ffi::OsString;
use std::fmt;

use tandem_servers::Flavor;

use crate::machine::Pair;
use crate::random::Random;
use crate::schema::Schema;
use crate::shop::fixture;
use crate::stores::StockPlace;

/// What a world is opened with.
#[derive(Debug, Clone, Default)]
pub(super) struct Ground {
    pub(super) mysql_args: Vec<OsString>,
    pub(super) redis_args: Vec<OsString>,
    /// Appended to the settings of the participant at Redis.
    pub(super) redis_settings: String,
    pub(super) stock: StockPlace,
    pub(super) schema: Schema,
    /// Whether ids are in a column that takes upper and lower case for the same.
    pub(super) folds: bool,
    /// Whether the build under test is one that counts nothing.
    pub(super) is_older: bool,
    /// Of the rights of the participant's user at Redis, as `ACL SETUSER` takes it.
    pub(super) forbidden: Option<&'static str>,
}

/// What a server may find set that others set; one of each list is drawn. What changes no more than how a
/// session begins is for the app's user alone, since whoever heals and judges relies on the defaults.
const SESSIONS: [&[&str]; 5] = [
    &["", "sql_select_limit = 1", "sql_select_limit = 3"],
    &[
        "",
        "completion_type = 'CHAIN'",
        "completion_type = 'RELEASE'",
    ],
    &["", "autocommit = 0"],
    &["", "time_zone = '+09:00'", "time_zone = '-03:30'"],
    &[
        "",
        "sql_mode = ''",
        "sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE'",
        "sql_mode = 'ANSI_QUOTES'",
    ],
];
const MYSQL: [&[&str]; 4] = [
    &["", "--innodb-rollback-on-timeout=ON"],
    &[
        "--innodb-autoinc-lock-mode=0",
        "--innodb-autoinc-lock-mode=1",
        "--innodb-autoinc-lock-mode=2",
    ],
    &[
        "",
        "--transaction-isolation=SERIALIZABLE",
        "--transaction-isolation=REPEATABLE-READ",
    ],
    &["", "--innodb-lock-wait-timeout=1", "--wait-timeout=2"],
];
const MARIADB: [&[&str]; 2] = [
    &["", "--lower-case-table-names=1"],
    &["", "--innodb-snapshot-isolation=ON"],
];
const REDIS: [&[&str]; 6] = [
    &["", "--timeout 1", "--timeout 3"],
    &["", "--databases 1"],
    &[
        "",
        "--auto-aof-rewrite-min-size 64kb --auto-aof-rewrite-percentage 20",
    ],
    &["", "--aof-use-rdb-preamble no"],
    &[
        "",
        "--hash-max-listpack-entries 0 --zset-max-listpack-entries 0",
    ],
    &[
        "",
        "--lazyfree-lazy-user-del yes --lazyfree-lazy-server-del yes",
    ],
];

impl Ground {
    /// A shop's own schema, which wants servers at +09:00, as somebody may have set them besides.
    pub(super) fn draw(pair: &Pair, random: &mut Random) -> Ground {
        let mut one_of_each = |lists: &[&[&'static str]]| -> Vec<&'static str> {
            let drawn = lists.iter().map(|list| *random.one_of(list));
            drawn.filter(|one| !one.is_empty()).collect()
        };
        let sessions = one_of_each(&SESSIONS);
        let mut mysql = one_of_each(&MYSQL);
        let of_mariadb = one_of_each(&MARIADB);
        if pair.mysql.flavor == Flavor::MariaDb {
            mysql.extend(of_mariadb);
        }
        let redis = one_of_each(&REDIS);
        let mut mysql_args = fixture::stores().mysql_args;
        mysql_args.extend(mysql.into_iter().map(OsString::from));
        if !sessions.is_empty() {
            let set = format!("--init-connect=SET SESSION {}", sessions.join(", "));
            mysql_args.push(set.into());
        }
        Ground {
            mysql_args,
            redis_args: redis
                .iter()
                .flat_map(|args| args.split(' '))
                .map(OsString::from)
                .collect(),
            stock: StockPlace::Warehouses,
            schema: Schema::Shop,
            folds: random.between(0, 1) == 1,
            ..Ground::default()
        }
    }
}

impl fmt::Display for Ground {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args = self.mysql_args.iter().chain(&self.redis_args);
        let args: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
        write!(
            f,
            "{:?} schema, stock by {:?}, {}{}",
            self.schema,
            self.stock,
            if self.folds { "ids fold case, " } else { "" },
            args.join(" ")
        )
    }
}
