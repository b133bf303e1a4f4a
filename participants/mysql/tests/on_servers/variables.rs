//! Servers whose variables are turned: whatever a session takes from them, purchases, recovery and
//! audit come out the same.

use std::sync::Arc;

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row};
use tandem_mysql::{MysqlParticipant, Per, Settings, Statement};
use tandem_participant::audit_question::{
    AuditAnswer, AuditQuestion, KeptItem, KeptPurchase, More,
};
use tandem_participant::{CommitEvidence, Participant};
use tandem_protocol::{Entry, Purchase, Reason, Timestamp};

use crate::entries::{by, reasons, refused_entries};
use crate::stand::{
    Stand, World, ask, column, decision, enlist, entry, in_doubt, prepared, roll_back, sql,
    try_sql, tx,
};

/// With it each variable of the servers' lists is turned alone; without, those of [`HOSTILE`].
const EVERY: &str = "TANDEM_VARIABLES";

/// What a server may be set to that sessions of an app would have to live with.
const HOSTILE: [(&str, &str); 32] = [
    ("autocommit", "0"),
    ("completion_type", "'RELEASE'"),
    ("completion_type", "'CHAIN'"),
    ("sql_select_limit", "0"),
    ("sql_select_limit", "1"),
    ("sql_mode", "''"),
    (
        "sql_mode",
        "'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,IGNORE_SPACE,HIGH_NOT_PRECEDENCE,\
         NO_UNSIGNED_SUBTRACTION,PAD_CHAR_TO_FULL_LENGTH,REAL_AS_FLOAT,NO_AUTO_VALUE_ON_ZERO,\
         ONLY_FULL_GROUP_BY,NO_ZERO_DATE,NO_ZERO_IN_DATE'",
    ),
    ("sql_mode", "'EMPTY_STRING_IS_NULL'"),
    (
        "sql_mode",
        "'ORACLE,EMPTY_STRING_IS_NULL,PAD_CHAR_TO_FULL_LENGTH'",
    ),
    ("time_zone", "'+09:00'"),
    ("max_join_size", "1"),
    ("sql_safe_updates", "1"),
    ("sql_auto_is_null", "1"),
    ("transaction_read_only", "1"),
    ("tx_read_only", "1"),
    ("tx_isolation", "'SERIALIZABLE'"),
    ("transaction_isolation", "'SERIALIZABLE'"),
    ("foreign_key_checks", "0"),
    ("unique_checks", "0"),
    ("check_constraint_checks", "0"),
    ("max_statement_time", "0.000001"),
    ("max_execution_time", "1"),
    ("innodb_lock_wait_timeout", "100000"),
    ("lock_wait_timeout", "100000"),
    ("wait_timeout", "1"),
    ("idle_transaction_timeout", "1"),
    ("collation_connection", "utf16_general_ci"),
    ("character_set_results", "latin1"),
    ("lc_messages", "'de_DE'"),
    ("default_storage_engine", "MyISAM"),
    ("group_concat_max_len", "4"),
    ("query_cache_type", "ON"),
];

/// Variables that are not turned, and why.
const LEFT: [(&str, &str); 7] = [
    ("max_allowed_packet", "its finding is PACKET_TOO_SMALL"),
    ("binlog_format", "its finding is BINLOG_FORMAT_STATEMENT"),
    ("xa_detach_on_prepare", "its finding is XA_DETACH_OFF"),
    ("server_id", "another number is another server"),
    (
        "max_user_connections",
        "how many there may be is waited for",
    ),
    ("max_session_mem_used", "no session has room in 8 KB"),
    ("connection_memory_limit", "no session has room in 2 MB"),
];

pub(crate) async fn a_server_with_all_its_variables_turned_is_as_any_other(stand: Stand) {
    let mut hand = stand.hand().await;
    shop_tables(&mut hand).await;
    let mut turned = Vec::new();
    for (name, value) in HOSTILE {
        if try_sql(&mut hand, &format!("SET GLOBAL {name} = {value}"))
            .await
            .is_ok()
        {
            turned.push(name);
        }
    }
    assert!(turned.len() >= 23, "{turned:?}");
    trade(&stand, &mut hand, 1, "all").await;
}

pub(crate) async fn each_variable_turned_alone_changes_nothing(stand: Stand) {
    if stand.world == World::MySqlTied {
        return;
    }
    let mut hand = stand.hand().await;
    shop_tables(&mut hand).await;
    let all = match std::env::var(EVERY) {
        Ok(_) => every_variable(&stand, &mut hand).await,
        Err(_) => HOSTILE
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
    };
    let mut turned = 0;
    let mut refused = Vec::new();
    for (name, value) in all {
        let before = global(&mut hand, &name).await;
        let Some(before) = before else { continue };
        let set = format!("SET GLOBAL {name} = {value}");
        if try_sql(&mut hand, &set).await.is_err() {
            refused.push(set);
            continue;
        }
        turned += 1;
        trade(&stand, &mut hand, turned, &set).await;
        sql(&mut hand, &format!("SET GLOBAL {name} = {before}")).await;
    }
    println!(
        "{:?}: {turned} turned, {} refused by the server",
        stand.world,
        refused.len()
    );
    assert!(turned >= 20, "{turned}; {refused:?}");
}

/// A server that cuts what does not fit, and takes what it does not understand for nothing.
pub(crate) async fn what_a_lenient_server_would_cut_is_refused(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "SET GLOBAL sql_mode = ''; \
         CREATE TABLE orders (id VARCHAR(8) PRIMARY KEY, customer VARCHAR(10), currency \
         ENUM('EUR', 'USD'), total SMALLINT); \
         CREATE TABLE items (id VARCHAR(8), sku VARCHAR(6), quantity SMALLINT, PRIMARY KEY (id, sku))",
    )
    .await;
    let participant = shop(
        &stand,
        "INSERT INTO orders (id, customer, currency, total) VALUES (:purchase_id, :customer_id, \
         :currency, :total_minor)",
        "INSERT INTO items (id, sku, quantity) VALUES (:purchase_id, :sku, :quantity)",
    );
    participant.enlist(&enlist(1)).await.unwrap();
    let mut bad = vec![
        by("long-id-9", "customer-7"),
        by("b1", "customer-77"),
        by("b2", "c"),
        by("b3", "c"),
        by("b4", "c"),
        by("b5", "c"),
    ];
    edit(&mut bad[2], |purchase| purchase.currency = "GBP".into());
    edit(&mut bad[3], |purchase| {
        purchase.items[0].sku = "longest".into()
    });
    edit(&mut bad[4], |purchase| purchase.items[0].quantity = 40_000);
    edit(&mut bad[5], |purchase| {
        purchase.items[0].unit_price_minor = 40_000
    });
    let mut asked = vec![entry(0, "good")];
    asked.extend(bad);
    for (entry, number) in asked.iter_mut().zip(0..) {
        entry.number = number;
    }
    let refused = refused_entries(&participant, &ask(&tx(1), asked.clone())).await;
    let expected: Vec<(u32, Reason)> = (1..7).map(|n| (n, Reason::ConstraintViolated)).collect();
    assert_eq!(reasons(&refused), expected, "{refused:?}");
    participant
        .commit(&decision(&tx(1), asked[..1].to_vec()))
        .await
        .unwrap();
    let rows = "SELECT CONCAT_WS(' ', o.id, customer, currency, total, sku, quantity) FROM orders o \
                JOIN items USING (id) ORDER BY sku";
    assert_eq!(
        column(&mut hand, rows).await,
        [
            "good customer-7 EUR 750 apple 2",
            "good customer-7 EUR 750 pear 1"
        ]
    );
}

/// Tables with a rule of each kind, and a purchase that is there already.
async fn shop_tables(hand: &mut MySqlConnection) {
    sql(
        hand,
        "CREATE TABLE customers (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY) CHARACTER SET \
         utf8mb4 ENGINE=InnoDB; INSERT INTO customers VALUES ('customer-7'), ('O''Neil \\\\'); \
         CREATE TABLE orders (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, customer VARCHAR(64) \
         COLLATE utf8mb4_bin, currency CHAR(5), total BIGINT, tx VARCHAR(64), made DATETIME(3), \
         number INT UNIQUE, CHECK (total < 10000), FOREIGN KEY (customer) REFERENCES customers (id)) \
         CHARACTER SET utf8mb4 ENGINE=InnoDB; \
         CREATE TABLE items (id VARCHAR(64) COLLATE utf8mb4_bin, sku VARCHAR(64), quantity INT, \
         price BIGINT, PRIMARY KEY (id, sku)) CHARACTER SET utf8mb4 ENGINE=InnoDB; \
         INSERT INTO orders (id, customer) VALUES ('old', 'customer-7')",
    )
    .await;
}

fn shop(stand: &Stand, order: &str, item: &str) -> MysqlParticipant {
    let statements = [(Per::Purchase, order), (Per::Item, item)];
    let statements = statements.map(|(per, sql)| Statement::new(per, sql));
    stand.with(Settings {
        statements: Some(statements.into()),
        ..stand.settings()
    })
}

/// Says under which setting a check fails.
struct Under<'a>(&'a str);

impl Drop for Under<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("under {}", self.0);
        }
    }
}

/// Purchases, a refusal of each kind, a roll back, a recovery by the next process, and the audit, on
/// sessions of the server as it is set now. `hand` is from before it was.
async fn trade(stand: &Stand, hand: &mut MySqlConnection, round: u64, set: &str) {
    let _under = Under(set);
    let fresh = || {
        shop(
            stand,
            "INSERT INTO orders (id, customer, currency, total, tx, made) VALUES (:purchase_id, \
             :customer_id, :currency, :total_minor, :transaction_id, :purchase_time)",
            "INSERT INTO items (id, sku, quantity, price) VALUES (:purchase_id, :sku, :quantity, \
             :unit_price_minor)",
        )
    };
    let tx = |n: u64| tx(10 * round + n);
    let participant = fresh();
    participant.enlist(&enlist(1)).await.unwrap();
    let findings = participant.describe().await.unwrap().findings;
    assert!(
        findings.iter().all(|finding| finding.accepted),
        "{findings:?}"
    );

    let ids = [1, 2, 3].map(|n| format!("p{round}-{n}"));
    let mut asked = vec![
        by(&ids[0], "customer-7"),
        by("old", "customer-7"),
        by("stranger", "nobody"),
        by("dear", "customer-7"),
        by(&ids[1], "O'Neil \\"),
    ];
    edit(&mut asked[3], |purchase| {
        purchase.items[0].unit_price_minor = 9_000
    });
    for (entry, number) in asked.iter_mut().zip(0..) {
        entry.number = number;
    }
    let refused = refused_entries(&participant, &ask(&tx(1), asked.clone())).await;
    assert_eq!(
        reasons(&refused),
        [
            (1, Reason::DuplicatePurchase),
            (2, Reason::ConstraintViolated),
            (3, Reason::ConstraintViolated)
        ],
        "{refused:?}"
    );
    asked.drain(1..4);
    let committed = participant.commit(&decision(&tx(1), asked)).await.unwrap();
    assert_eq!(committed.evidence, CommitEvidence::Applied);
    prepared(&participant, &tx(2), &["never"]).await;
    roll_back(&participant, &tx(2)).await.unwrap();

    prepared(&participant, &tx(3), &[&ids[2]]).await;
    drop(participant);
    let next = fresh();
    next.enlist(&enlist(1)).await.unwrap();
    assert_eq!(in_doubt(&next).await, [tx(3)]);
    next.commit(&decision(&tx(3), vec![entry(0, &ids[2])]))
        .await
        .unwrap();
    assert_eq!(in_doubt(&next).await, []);

    let expected = [
        kept(&ids[0], "customer-7", &tx(1).to_string()),
        kept(&ids[1], "O'Neil \\", &tx(1).to_string()),
        kept(&ids[2], "customer-7", &tx(3).to_string()),
    ];
    assert_eq!(kept_now(&next, ids).await, expected);
    let made = format!(
        "SELECT COUNT(*) FROM orders WHERE id LIKE 'p{round}-%' AND made = '1970-01-01 00:00:01'"
    );
    assert_eq!(column(hand, &made).await, ["3"]);
}

/// What an audit is shown of these purchases, in order.
async fn kept_now(participant: &MysqlParticipant, ids: [String; 3]) -> Vec<KeptPurchase> {
    let question = AuditQuestion::Purchases {
        purchase_ids: ids.into(),
    };
    let AuditAnswer::Purchases(rows) = participant.audit(&question).await.unwrap() else {
        panic!("no purchases");
    };
    let mut found = rows.purchases;
    for purchase in &mut found {
        purchase.items.as_mut().unwrap().sort();
    }
    found.sort_by(|a, b| a.purchase_id.cmp(&b.purchase_id));
    found
}

fn kept(purchase_id: &str, customer: &str, transaction: &str) -> KeptPurchase {
    let item = |sku: &str, quantity| KeptItem {
        sku: Some(sku.into()),
        quantity: Some(quantity),
        unit_price_minor: Some(250),
        item_number: None,
        more: More::new(),
    };
    KeptPurchase {
        purchase_id: purchase_id.into(),
        customer_id: Some(customer.into()),
        currency: Some("EUR".into()),
        total_minor: Some(750),
        transaction_id: Some(transaction.into()),
        purchase_time: Some(Timestamp(1_000)),
        items: Some(vec![item("apple", 2), item("pear", 1)]),
        more: More::new(),
    }
}

fn edit(entry: &mut Entry, edit: impl FnOnce(&mut Purchase)) {
    edit(Arc::make_mut(&mut entry.purchase));
}

/// The variable's value as SQL; `None` where the server has no such global variable.
async fn global(hand: &mut MySqlConnection, name: &str) -> Option<String> {
    let value = format!("SELECT CAST(@@GLOBAL.{name} AS CHAR)");
    let row = sqlx::raw_sql(AssertSqlSafe(value))
        .fetch_one(hand)
        .await
        .ok()?;
    let value: Option<Vec<u8>> = row.try_get_unchecked(0).unwrap();
    let value = value.map(|value| String::from_utf8(value).unwrap());
    Some(match value {
        None => "NULL".into(),
        Some(value) if value.parse::<f64>().is_ok() => value,
        Some(value) => format!("'{value}'"),
    })
}

/// Each session variable of the server's own list, with its lowest and highest number, or each of
/// its words by number.
async fn every_variable(stand: &Stand, hand: &mut MySqlConnection) -> Vec<(String, String)> {
    let list = match stand.world {
        World::MariaDb => {
            "SELECT CONCAT_WS('|', LOWER(VARIABLE_NAME), VARIABLE_TYPE, NUMERIC_MIN_VALUE, \
             NUMERIC_MAX_VALUE) FROM information_schema.SYSTEM_VARIABLES WHERE VARIABLE_SCOPE = \
             'SESSION' AND READ_ONLY = 'NO' ORDER BY 1"
        }
        World::MySql | World::MySqlTied => {
            "SELECT CONCAT_WS('|', VARIABLE_NAME, DATA_TYPE, MIN_VALUE, MAX_VALUE) FROM \
             performance_schema.variables_metadata WHERE VARIABLE_SCOPE = 'SESSION' ORDER BY 1"
        }
    };
    let mut all: Vec<(String, String)> = HOSTILE
        .map(|(name, value)| (name.into(), value.into()))
        .into();
    for variable in column(hand, list).await {
        let parts: Vec<&str> = variable.split('|').collect();
        if LEFT.iter().any(|(name, _)| *name == parts[0]) {
            continue;
        }
        let values: Vec<String> = match parts[1] {
            "BOOLEAN" | "Boolean" => vec!["0".into(), "1".into()],
            "ENUM" | "Enumeration" => (0..6).map(|n: u32| n.to_string()).collect(),
            "SET" | "Set" => (0..36).map(|bit| (1_u64 << bit).to_string()).collect(),
            "FLAGSET" => vec!["0".into()],
            _ => parts[2..]
                .iter()
                .map(|number| (*number).to_owned())
                .collect(),
        };
        all.extend(values.into_iter().map(|value| (parts[0].to_owned(), value)));
    }
    all
}
