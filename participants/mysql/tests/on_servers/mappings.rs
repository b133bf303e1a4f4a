//! What a shop's schema may be like so that a mapping onto it could break a promise: each is refused where it
//! stands, told by a check before any coordinator works with the server, or sound.

use tandem_mysql::{MysqlParticipant, Per, Settings, Statement};
use tandem_participant::{CheckedStore, Participant};

use crate::stand::{Stand, column, commit, enlist, prepared, sql, try_sql, tx};

/// What comes of a mapping.
enum Comes {
    /// Its statements break a rule, with these words.
    Refused(&'static str),
    /// A statement can't run, as the server says.
    Fault(&'static str),
    /// A finding of this name, with these words.
    Found(&'static str, &'static str),
    /// Nothing: a purchase is whole, as this query tells by 1.
    Sound(&'static str),
}

use Comes::{Fault, Found, Refused, Sound};

/// What it is, what makes its tables, what is written per purchase, what per item (nothing where empty), and
/// what comes of it.
type Mapping = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Comes,
);

/// Those that a check tells, on both servers in the same words.
const TOLD: [Mapping; 20] = [
    (
        "a statement on tandem's own tables",
        "",
        "DELETE FROM tandem_branches WHERE coordinator = :purchase_id",
        "",
        Refused("a table of tandem's own"),
    ),
    (
        "a table of another database without rights on it",
        "",
        "INSERT INTO OTHER.orders (id) VALUES (:purchase_id)",
        "",
        Fault("denied"),
    ),
    (
        "a column that the table makes itself",
        "CREATE TABLE made_up (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, who VARCHAR(64), \
         upper_who VARCHAR(64) AS (UPPER(who)) STORED)",
        "INSERT INTO made_up (id, upper_who) VALUES (:purchase_id, :customer_id)",
        "",
        Fault("generated column"),
    ),
    (
        "a view that joins two tables, both written",
        "CREATE TABLE heads (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY); CREATE TABLE tails (of_id \
         VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, who VARCHAR(64)); CREATE VIEW joined AS SELECT id, of_id, who \
         FROM heads JOIN tails ON id = of_id",
        "INSERT INTO joined (id, who) VALUES (:purchase_id, :customer_id)",
        "",
        Fault("error 1393"),
    ),
    (
        "a view that can't be inserted into",
        "CREATE TABLE grouped (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY); CREATE VIEW groups_of AS SELECT id \
         FROM grouped GROUP BY id",
        "INSERT INTO groups_of (id) VALUES (:purchase_id)",
        "",
        Fault("error 1471"),
    ),
    (
        "a view that shows some rows only",
        "CREATE TABLE parted (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, state VARCHAR(8) DEFAULT 'new'); \
         CREATE VIEW open_ones AS SELECT id FROM parted WHERE state = 'open'",
        "INSERT INTO open_ones (id) VALUES (:purchase_id)",
        "",
        Found("NOT_AUDITED", "view open_ones does not show every row"),
    ),
    (
        "a trigger that takes a lock of the session",
        "CREATE TABLE locking (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, n INT); CREATE TRIGGER locks BEFORE \
         INSERT ON locking FOR EACH ROW SET NEW.n = GET_LOCK('orders', 1)",
        "INSERT INTO locking (id) VALUES (:purchase_id)",
        "",
        Found("TRIGGER_UNSOUND", "locks uses GET_LOCK()"),
    ),
    (
        "a trigger with a temporary table",
        "CREATE TABLE scratching (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY); CREATE TRIGGER scratches AFTER \
         INSERT ON scratching FOR EACH ROW BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS scratch (a INT); END",
        "INSERT INTO scratching (id) VALUES (:purchase_id)",
        "",
        Found("TRIGGER_UNSOUND", "scratches uses CREATE TEMPORARY TABLE"),
    ),
    (
        "a trigger that gives the row another id",
        "CREATE TABLE renamed (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY); CREATE TRIGGER renames BEFORE INSERT \
         ON renamed FOR EACH ROW SET NEW.id = CONCAT(NEW.id, '-', UUID_SHORT())",
        "INSERT INTO renamed (id) VALUES (:purchase_id)",
        "",
        Found("TRIGGER_UNSOUND", "renames sets NEW.id"),
    ),
    (
        "a unique key of a prefix of the id",
        "CREATE TABLE prefixed (n INT AUTO_INCREMENT PRIMARY KEY, id VARCHAR(64) COLLATE utf8mb4_bin, UNIQUE by_id \
         (id(8)))",
        "INSERT INTO prefixed (id) VALUES (:purchase_id)",
        "",
        Found(
            "KEY_TOO_NARROW",
            "unique key by_id of prefixed has the first 8 characters",
        ),
    ),
    (
        "an id that the table counts",
        "CREATE TABLE counted (id BIGINT AUTO_INCREMENT PRIMARY KEY)",
        "INSERT INTO counted (id) VALUES (:purchase_id)",
        "",
        Found("KEY_TOO_NARROW", "and 0 for the next number of its own"),
    ),
    (
        "an id that is a number",
        "CREATE TABLE numbered (id DECIMAL(20) PRIMARY KEY)",
        "INSERT INTO numbered (id) VALUES (:purchase_id)",
        "",
        Found("KEY_TOO_NARROW", "takes ids such as 7 and 007 for the same"),
    ),
    (
        "a key of items that takes one of each purchase",
        "CREATE TABLE single (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, sku VARCHAR(128))",
        "",
        "INSERT INTO single (id, sku) VALUES (:purchase_id, :sku)",
        Found(
            "KEY_TOO_NARROW",
            "unique key PRIMARY of single has nothing that tells",
        ),
    ),
    (
        "a unique key of the id with a number of the table's",
        "CREATE TABLE widened (n INT AUTO_INCREMENT, id VARCHAR(64) COLLATE utf8mb4_bin, PRIMARY KEY (n, id))",
        "INSERT INTO widened (id) VALUES (:purchase_id)",
        "",
        Found("NO_UNIQUE_KEY", "it has PRIMARY (n, id)"),
    ),
    (
        "a unique key of what is made of the id",
        "CREATE TABLE derived (id VARCHAR(64) COLLATE utf8mb4_bin, tail CHAR(2) AS (RIGHT(id, 2)) STORED UNIQUE)",
        "INSERT INTO derived (id) VALUES (:purchase_id)",
        "",
        Found("NO_UNIQUE_KEY", "it has tail (tail)"),
    ),
    (
        "a table in memory",
        "CREATE TABLE fleeting (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY) ENGINE=MEMORY",
        "INSERT INTO fleeting (id) VALUES (:purchase_id)",
        "",
        Found("TABLE_NOT_INNODB", ".fleeting is of engine MEMORY"),
    ),
    (
        "a table that is a text file",
        "CREATE TABLE filed (id VARCHAR(64) NOT NULL) ENGINE=CSV",
        "INSERT INTO filed (id) VALUES (:purchase_id)",
        "",
        Found("TABLE_NOT_INNODB", ".filed is of engine CSV"),
    ),
    (
        "a table of tables without transactions",
        "CREATE TABLE part_one (id VARCHAR(64) NOT NULL) ENGINE=MyISAM; CREATE TABLE merged (id VARCHAR(64) NOT NULL) \
         ENGINE=MERGE UNION=(part_one) INSERT_METHOD=LAST",
        "INSERT INTO merged (id) VALUES (:purchase_id)",
        "",
        Found("TABLE_NOT_INNODB", ".merged is of engine MRG_M"),
    ),
    (
        "labels in other letters than the codes",
        "CREATE TABLE lettered (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, currency ENUM('eur', 'usd'))",
        "INSERT INTO lettered (id, currency) VALUES (:purchase_id, :currency)",
        "",
        Found(
            "NOT_AUDITED",
            "currency of lettered is of type enum('eur','usd')",
        ),
    ),
    (
        "an id in a column too short for it",
        "CREATE TABLE short_ids (id CHAR(36) COLLATE utf8mb4_bin PRIMARY KEY)",
        "INSERT INTO short_ids (id) VALUES (:purchase_id)",
        "",
        Found("COLUMN_TOO_SMALL", "id of short_ids is of type char(36)"),
    ),
];

/// Those that look bad and are not.
const SOUND: [Mapping; 7] = [
    (
        "an id that may be NULL, of which a unique key takes many: no purchase has it",
        "CREATE TABLE nullable (id VARCHAR(64) COLLATE utf8mb4_bin NULL UNIQUE)",
        "INSERT INTO nullable (id) VALUES (:purchase_id)",
        "",
        Sound("SELECT COUNT(*) FROM nullable WHERE id = 'p1'"),
    ),
    (
        "an id with a default, which is not asked for",
        "CREATE TABLE defaulted (id VARCHAR(64) COLLATE utf8mb4_bin NOT NULL DEFAULT '' PRIMARY KEY)",
        "INSERT INTO defaulted (id) VALUES (:purchase_id)",
        "",
        Sound("SELECT COUNT(*) FROM defaulted WHERE id = 'p1'"),
    ),
    (
        "a default that no calendar has: it is the table's own, and not the purchase's",
        "SET SESSION sql_mode = ''; CREATE TABLE dated (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, shipped \
         DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00'); SET SESSION sql_mode = DEFAULT",
        "INSERT INTO dated (id) VALUES (:purchase_id)",
        "",
        Sound("SELECT COUNT(*) FROM dated WHERE id = 'p1' AND shipped + 0 = 0"),
    ),
    (
        "rows that are grouped and cut: the guard counts what is left",
        "CREATE TABLE people (ext VARCHAR(64), n INT); INSERT INTO people VALUES ('customer-7', 1), ('customer-7', 2); \
         CREATE TABLE chosen (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, n INT)",
        "INSERT INTO chosen (id, n) SELECT :purchase_id, MAX(n) FROM people WHERE ext = :customer_id GROUP BY ext LIMIT 1",
        "",
        Sound("SELECT COUNT(*) FROM chosen WHERE id = 'p1' AND n = 2"),
    ),
    (
        "words that only tables without transactions heed",
        "CREATE TABLE patient (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY)",
        "INSERT LOW_PRIORITY INTO patient (id) VALUES (:purchase_id)",
        "",
        Sound("SELECT COUNT(*) FROM patient WHERE id = 'p1'"),
    ),
    (
        "rows that go with others: what is deleted later is the shop's own doing",
        "CREATE TABLE shops (id INT PRIMARY KEY); INSERT INTO shops VALUES (1); CREATE TABLE cascading (id VARCHAR(64) \
         COLLATE utf8mb4_bin PRIMARY KEY, shop INT, FOREIGN KEY (shop) REFERENCES shops (id) ON DELETE CASCADE)",
        "INSERT INTO cascading (id, shop) VALUES (:purchase_id, 1)",
        "",
        Sound("SELECT COUNT(*) FROM cascading WHERE id = 'p1'"),
    ),
    (
        "a trigger that refuses: the purchase, and nothing else",
        "CREATE TABLE picky (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, who VARCHAR(64)); CREATE TRIGGER picks \
         BEFORE INSERT ON picky FOR EACH ROW BEGIN IF NEW.who = 'mallory' THEN SIGNAL SQLSTATE '45000'; END IF; END",
        "INSERT INTO picky (id, who) VALUES (:purchase_id, :customer_id)",
        "",
        Sound("SELECT COUNT(*) FROM picky WHERE id = 'p1'"),
    ),
];

/// The app's own user has rights on the app's own database.
async fn settings(stand: &Stand) -> Settings {
    let mut root = stand.root().await;
    let user = format!("m{}", stand.name.trim_start_matches("t-"));
    let besides = match stand.world.is_mysql() {
        true => "XA_RECOVER_ADMIN, REPLICATION CLIENT",
        false => "REPLICA MONITOR",
    };
    let grants = format!(
        "CREATE DATABASE `{0}-other`; CREATE TABLE `{0}-other`.orders (id VARCHAR(64) PRIMARY KEY); CREATE USER \
         {user}; GRANT ALL ON `{0}`.* TO {user}; GRANT {besides} ON *.* TO {user}",
        stand.name
    );
    sql(&mut root, &grants).await;
    let mut settings = stand.settings();
    let url = stand.server.url().replace("root", &user);
    settings.url = format!("{url}{}", stand.name).into();
    settings
}

fn mapped(stand: &Stand, settings: &Settings, (_, _, purchase, item, _): &Mapping) -> Settings {
    let written = [(Per::Purchase, purchase), (Per::Item, item)];
    let written = written.iter().filter(|(_, sql)| !sql.is_empty());
    let other = format!("`{}-other`", stand.name);
    let statements = written.map(|(per, sql)| Statement::new(*per, sql.replace("OTHER", &other)));
    Settings {
        statements: Some(statements.collect()),
        ..settings.clone()
    }
}

async fn checked(stand: &Stand, settings: Settings) -> (MysqlParticipant, CheckedStore) {
    let participant = stand.with(settings);
    let checked = participant.check().await.unwrap();
    (participant, checked)
}

pub(crate) async fn a_mapping_that_could_break_a_promise_is_told_before_it_is_used(stand: Stand) {
    let mut hand = stand.hand().await;
    let settings = settings(&stand).await;
    for mapping in &TOLD {
        let (what, ddl, .., comes) = mapping;
        if !ddl.is_empty() {
            sql(&mut hand, ddl).await;
        }
        let settings = mapped(&stand, &settings, mapping);
        if let Refused(words) = comes {
            let refusal = settings.check().unwrap_err().to_string();
            assert!(refusal.contains(words), "{what}: {refusal}");
            continue;
        }
        let (_, checked) = checked(&stand, settings).await;
        let findings = &checked.description.findings;
        match comes {
            Fault(words) => assert!(
                checked.faults.iter().any(|fault| fault.contains(words)),
                "{what}: {checked:?}"
            ),
            Found(name, words) => assert!(
                findings
                    .iter()
                    .any(|one| one.name == *name && one.detail.contains(words)),
                "{what}: {checked:?}"
            ),
            Refused(_) | Sound(_) => unreachable!("{what}"),
        }
    }
    let own = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE \
               'tandem%'";
    assert_eq!(column(&mut hand, own).await, ["0"]);
}

pub(crate) async fn a_mapping_that_only_looks_bad_is_taken(stand: Stand) {
    let mut hand = stand.hand().await;
    let settings = settings(&stand).await;
    for (mapping, number) in SOUND.iter().zip(1..) {
        let (what, ddl, .., comes) = mapping;
        sql(&mut hand, ddl).await;
        let (participant, checked) = checked(&stand, mapped(&stand, &settings, mapping)).await;
        let refused = checked.description.findings.iter().any(|one| !one.accepted);
        assert!(checked.faults.is_empty() && !refused, "{what}: {checked:?}");
        participant.enlist(&enlist(1)).await.unwrap();
        prepared(&participant, &tx(number), &["p1"]).await;
        commit(&participant, &tx(number), &["p1"]).await.unwrap();
        let Sound(proof) = comes else {
            panic!("{what}");
        };
        assert_eq!(column(&mut hand, proof).await, ["1"], "{what}");
    }
    // What no server lets be.
    sql(
        &mut hand,
        "CREATE TABLE parents (id INT PRIMARY KEY) ENGINE=MyISAM",
    )
    .await;
    let child = "CREATE TABLE children (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES parents (id)) ENGINE=InnoDB";
    try_sql(&mut hand, child)
        .await
        .expect_err("a key that leads out of the transaction");
}
