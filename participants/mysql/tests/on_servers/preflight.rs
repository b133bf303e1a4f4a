//! What is found and refused before purchases are accepted.

use tandem_mysql::{Per, Settings, Statement};
use tandem_participant::{Error, Finding, Participant};
use tandem_servers::{LaunchOptions, MysqlOptions, MysqlServer, PortLease};

use crate::entries::with_statements;
use crate::stand::{Stand, column, commit, enlist, entry, prepared, sql, try_sql, tx, until};

pub(crate) async fn missing_tables_are_printed(stand: Stand) {
    let mut settings = stand.settings();
    settings.create_tables = false;
    let participant = stand.with(settings);
    let error = participant.enlist(&enlist(1)).await.unwrap_err();
    let Error::Invalid { detail } = error else {
        panic!("{error:?}");
    };
    let (_, ddl) = detail.split_once("create them: ").unwrap();
    let mut hand = stand.hand().await;
    sql(&mut hand, ddl).await;
    participant.enlist(&enlist(1)).await.unwrap();
}

pub(crate) async fn a_user_without_privileges_is_told_which(stand: Stand) {
    let mut root = stand.root().await;
    let user = format!("u{}", stand.name.trim_start_matches("t-"));
    sql(
        &mut root,
        &format!(
            "CREATE USER {user}; GRANT ALL ON `{}`.* TO {user}",
            stand.name
        ),
    )
    .await;
    let mut settings = stand.settings();
    settings.url = format!(
        "{}{}",
        stand.server.url().replace("root", &user),
        stand.name
    )
    .into();
    let error = stand
        .with(settings.clone())
        .enlist(&enlist(1))
        .await
        .unwrap_err();
    let Error::Unsafe { findings } = error else {
        panic!("{error:?}");
    };
    let mut expected = vec!["REPLICA_STATE_UNKNOWN"];
    if stand.world.is_mysql() {
        expected.push("XA_RECOVER_REFUSED");
    }
    assert_eq!(refused(&findings), expected);
    settings
        .accept
        .extend(expected.iter().map(|name| (*name).to_owned()));
    let participant = stand.with(settings);
    participant.enlist(&enlist(1)).await.unwrap();
    // Branches can still be ended without being listed.
    crate::stand::prepared(&participant, &crate::stand::tx(1), &["p1"]).await;
    crate::stand::commit(&participant, &crate::stand::tx(1), &["p1"])
        .await
        .unwrap();
    assert_eq!(stand.purchases().await, ["p1"]);
}

pub(crate) async fn tables_without_transactions_are_found(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY) ENGINE=MyISAM",
    )
    .await;
    let settings = Settings {
        statements: Some(vec![Statement::new(
            Per::Purchase,
            format!("INSERT INTO `{}`.orders VALUES (:purchase_id)", stand.name),
        )]),
        ..stand.settings()
    };
    let error = stand.with(settings).enlist(&enlist(1)).await.unwrap_err();
    let Error::Unsafe { findings } = error else {
        panic!("{error:?}");
    };
    assert_eq!(refused(&findings), ["TABLE_NOT_INNODB"]);
    assert!(
        findings
            .iter()
            .any(|finding| finding.detail.contains("orders"))
    );
}

/// A view over a view over one, a trigger on that one which writes another, and a trigger that calls.
pub(crate) async fn tables_without_transactions_are_found_behind_views_and_triggers(stand: Stand) {
    let mut hand = stand.hand().await;
    for text in [
        "CREATE TABLE `all orders` (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, made DATETIME(3)) \
         CHARACTER SET utf8mb4",
        "CREATE VIEW inner_orders AS SELECT id, made FROM `all orders`",
        "CREATE VIEW orders AS SELECT o.id FROM inner_orders o",
        "CREATE TABLE trail (id VARCHAR(64)) ENGINE=MyISAM",
        "CREATE TABLE quiet (id VARCHAR(64)) ENGINE=MyISAM",
        "CREATE TRIGGER t1 AFTER INSERT ON `all orders` FOR EACH ROW INSERT INTO trail VALUES (NEW.id)",
    ] {
        sql(&mut hand, text).await;
    }
    let by_view = Statement::new(Per::Purchase, "INSERT INTO orders VALUES (:purchase_id)");
    let by_table = Statement::new(
        Per::Purchase,
        "INSERT INTO `all orders` (id) VALUES (CONCAT('a', :purchase_id))",
    );
    let settings = Settings {
        statements: Some(vec![by_view, by_table]),
        ..accepting(&stand, &["NO_UNIQUE_KEY"])
    };
    let found = |error: Error| match error {
        Error::Unsafe { findings } => findings,
        other => panic!("{other:?}"),
    };
    let participant = stand.with(settings.clone());
    let findings = found(participant.enlist(&enlist(1)).await.unwrap_err());
    assert_eq!(refused(&findings), ["TABLE_NOT_INNODB"]);
    let innodb = |findings: &[Finding]| -> String {
        let found = findings.iter().find(|one| one.name == "TABLE_NOT_INNODB");
        found.expect("it is refused").detail.clone()
    };
    let detail = innodb(&findings);
    let trigger = format!(
        ".trail, written by trigger {}.t1, is of engine MyISAM",
        stand.name
    );
    assert!(detail.contains(&trigger), "{detail}");

    sql(
        &mut hand,
        "ALTER TABLE trail ENGINE=InnoDB; DROP TRIGGER t1; ALTER TABLE `all orders` ENGINE=MyISAM",
    )
    .await;
    let by_view_alone = Settings {
        statements: settings.statements.clone().map(|all| all[..1].to_vec()),
        ..settings.clone()
    };
    let findings = stand.with(by_view_alone.clone()).enlist(&enlist(1)).await;
    let findings = found(findings.unwrap_err());
    assert_eq!(refused(&findings), ["TABLE_NOT_INNODB"]);
    let view = format!(
        ".all orders, written by view {}.inner_orders, is of engine MyISAM",
        stand.name
    );
    assert!(innodb(&findings).contains(&view), "{findings:?}");

    sql(&mut hand, "ALTER TABLE `all orders` ENGINE=InnoDB").await;
    sql(
        &mut hand,
        "CREATE PROCEDURE p(id VARCHAR(64)) INSERT INTO quiet VALUES (id)",
    )
    .await;
    sql(
        &mut hand,
        "CREATE TRIGGER t2 BEFORE INSERT ON `all orders` FOR EACH ROW CALL p(NEW.id)",
    )
    .await;
    let participant = stand.with(by_view_alone);
    participant.enlist(&enlist(1)).await.unwrap();
    let described = participant.describe().await.unwrap();
    let told: Vec<&str> = described
        .findings
        .iter()
        .map(|one| one.detail.as_str())
        .collect();
    let calls = format!("trigger {}.t2 calls a procedure", stand.name);
    assert!(
        told.iter().any(|detail| detail.contains(&calls)),
        "{told:?}"
    );
}

/// Whoever may not see views' definitions and triggers is told that they were not looked at.
pub(crate) async fn what_may_not_be_seen_is_said_not_to_be_looked_at(stand: Stand) {
    let mut root = stand.root().await;
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE o (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY) CHARACTER SET utf8mb4",
    )
    .await;
    sql(&mut hand, "CREATE VIEW orders AS SELECT id FROM o").await;
    let user = format!("v{}", stand.name.trim_start_matches("t-"));
    let grants = format!(
        "CREATE USER {user}; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE ON `{}`.* TO {user}",
        stand.name
    );
    sql(&mut root, &grants).await;
    let names = [
        "REPLICA_STATE_UNKNOWN",
        "XA_RECOVER_REFUSED",
        "NO_UNIQUE_KEY",
    ];
    let mut settings = accepting(&stand, &names);
    let url = stand.server.url().replace("root", &user);
    settings.url = format!("{url}{}", stand.name).into();
    settings.statements = Some(vec![Statement::new(
        Per::Purchase,
        "INSERT INTO orders VALUES (:purchase_id)",
    )]);
    let participant = stand.with(settings);
    participant.enlist(&enlist(1)).await.unwrap();
    let described = participant.describe().await.unwrap();
    let unseen = described
        .findings
        .iter()
        .filter(|one| one.name == "TABLE_NOT_INNODB");
    let unseen: Vec<&str> = unseen.map(|one| one.detail.as_str()).collect();
    assert_eq!(unseen.len(), 2, "{described:?}");
    let grant = format!("GRANT SHOW VIEW ON `{}`.`orders` to", stand.name);
    assert!(unseen[0].contains(&grant), "{unseen:?}");
    assert!(unseen[1].contains("GRANT TRIGGER"), "{unseen:?}");
}

pub(crate) async fn a_column_that_folds_the_case_of_ids_is_found(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE `the orders` (`order id` VARCHAR(70) CHARACTER SET utf8mb4 COLLATE \
         utf8mb4_general_ci NOT NULL PRIMARY KEY); \
         CREATE TABLE items (id VARCHAR(64) CHARACTER SET latin1 COLLATE latin1_bin, sku VARCHAR(64))",
    )
    .await;
    let items = "INSERT INTO items (id, sku) VALUES (:purchase_id, :sku)";
    let orders = format!(
        "INSERT INTO `{}`.`the orders` (`order id`) VALUES (:purchase_id)",
        stand.name
    );
    let participant =
        with_statements(&stand, &[(Per::Purchase, &orders), (Per::Item, items)]).await;
    let folding = || async {
        let found = participant.describe().await.unwrap().findings;
        let mut folding = found
            .into_iter()
            .filter(|finding| finding.name == "ID_FOLDS_CASE");
        let found = folding.next();
        assert_eq!(folding.next(), None);
        found
    };
    let found = folding().await.unwrap();
    assert!(found.accepted);
    // Its words are followed as they are.
    let (_, mend) = found.detail.split_once("; ").unwrap();
    let (mend, _) = mend.split_once(", with").unwrap();
    sql(&mut hand, mend).await;
    assert_eq!(folding().await, None);
    let kept = "SELECT CONCAT_WS(' ', COLUMN_TYPE, COLLATION_NAME, IS_NULLABLE, COLUMN_KEY) FROM \
                information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = \
                'the orders'";
    assert_eq!(
        column(&mut hand, kept).await,
        ["varchar(70) utf8mb4_bin NO PRI"]
    );
    for (sequence, id) in [(1, "order-1"), (2, "Order-1")] {
        crate::stand::prepared(&participant, &crate::stand::tx(sequence), &[id]).await;
    }
}

pub(crate) async fn a_table_that_takes_an_id_twice_is_refused(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) NOT NULL, shop VARCHAR(8) NOT NULL, made DATETIME(3) NOT NULL, \
         sku VARCHAR(64) NOT NULL) PARTITION BY RANGE COLUMNS (made) (PARTITION p VALUES LESS THAN (MAXVALUE)); \
         CREATE VIEW seen AS SELECT * FROM orders; CREATE TABLE sold (id VARCHAR(64) PRIMARY KEY)",
    )
    .await;
    let insert = "INSERT INTO orders (id, shop, made, sku) VALUES (:purchase_id, 'main', :purchase_time, 'x')";
    let of_items = "INSERT INTO orders (id, shop, made, sku) VALUES (:purchase_id, 'main', :purchase_time, :sku)";
    let found = async |statements: &[(Per, &str)]| -> Option<Finding> {
        let statements = statements
            .iter()
            .map(|(per, sql)| Statement::new(*per, *sql));
        let participant = stand.with(Settings {
            statements: Some(statements.collect()),
            ..stand.settings()
        });
        let findings = participant.describe().await.unwrap().findings;
        let named = |finding: &Finding| finding.name == "NO_UNIQUE_KEY";
        let found = findings.iter().find(|finding| named(finding)).cloned();
        let enlisted = participant.enlist(&enlist(1)).await;
        match found.as_ref().is_some_and(|found| !found.accepted) {
            true => {
                let Err(Error::Unsafe { findings }) = enlisted else {
                    panic!("{enlisted:?}");
                };
                assert!(findings.iter().any(named), "{findings:?}");
            }
            false => drop(enlisted.unwrap()),
        }
        found
    };
    let missing = |found: Option<Finding>, keys: &str| {
        let found = found.expect("a finding");
        assert!(!found.accepted && found.detail.contains(keys), "{found:?}");
        found.detail
    };
    let plain = [(Per::Purchase, insert)];
    missing(found(&plain).await, "it has none");
    sql(&mut hand, "ALTER TABLE orders ADD PRIMARY KEY (id, made)").await;
    missing(found(&plain).await, "it has PRIMARY (id, made)");
    sql(&mut hand, "ALTER TABLE orders REMOVE PARTITIONING").await;
    sql(&mut hand, "ALTER TABLE orders ADD UNIQUE by_sku (sku, id)").await;
    missing(
        found(&[(Per::Purchase, &insert.replace("'x'", ":customer_id"))]).await,
        "by_sku (sku, id)",
    );
    // A constant beside it, or which item it is, are written again by the same purchase.
    assert_eq!(found(&plain).await, None);
    assert_eq!(found(&[(Per::Item, of_items)]).await, None);
    sql(&mut hand, "ALTER TABLE orders DROP INDEX by_sku").await;
    // What is advised, either way.
    let advised = [
        (Per::Purchase, insert),
        (Per::Purchase, "INSERT INTO sold (id) VALUES (:purchase_id)"),
    ];
    assert_eq!(found(&advised).await, None);
    let detail = missing(found(&plain).await, "PRIMARY (id, made)");
    let (_, mend) = detail.split_once("): ").unwrap();
    let (mend, _) = mend.split_once("; or,").unwrap();
    sql(&mut hand, mend).await;
    assert_eq!(found(&plain).await, None);
    // What can't be looked at keeps nobody from working.
    let view = insert.replace("orders", "seen");
    let bare = "INSERT INTO orders VALUES (:purchase_id, 'main', :purchase_time, 'x')";
    for (sql, why) in [
        (view.as_str(), "seen is a view"),
        (bare, "names the column"),
    ] {
        let unknown = found(&[(Per::Purchase, sql)]).await.expect("a finding");
        assert!(
            unknown.accepted && unknown.detail.contains(why),
            "{unknown:?}"
        );
    }
}

/// What is advised in place of `LAST_INSERT_ID()`: right for many purchases in one transaction.
pub(crate) async fn lines_find_their_order_by_the_purchases_id(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, \
         purchase_id VARCHAR(64) NOT NULL UNIQUE); \
         CREATE TABLE order_lines (order_id BIGINT, sku VARCHAR(64), PRIMARY KEY (order_id, sku), \
         FOREIGN KEY (order_id) REFERENCES orders (id))",
    )
    .await;
    let statements = [
        (
            Per::Purchase,
            "INSERT INTO orders (purchase_id) VALUES (:purchase_id)",
        ),
        (
            Per::Item,
            "INSERT INTO order_lines (order_id, sku) \
             SELECT id, :sku FROM orders WHERE purchase_id = :purchase_id",
        ),
    ];
    let participant = with_statements(&stand, &statements).await;
    let ids: Vec<String> = (0..20).map(|number| format!("p-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    prepared(&participant, &tx(1), &ids).await;
    commit(&participant, &tx(1), &ids).await.unwrap();
    let lines = column(
        &mut hand,
        "SELECT CAST(COUNT(*) AS CHAR) FROM orders JOIN order_lines ON order_id = id \
         GROUP BY purchase_id",
    )
    .await;
    let items = entry(0, "p").purchase.items.len();
    assert_eq!(lines, vec![items.to_string(); 20]);
}

pub(crate) async fn unsafe_settings_are_refused_unless_accepted(stand: Stand) {
    let mut root = stand.root().await;
    sql(
        &mut root,
        "SET GLOBAL innodb_flush_log_at_trx_commit = 2; SET GLOBAL sync_binlog = 0; \
         SET GLOBAL read_only = 1",
    )
    .await;
    let participant = stand.fresh();
    let described = participant.describe().await.unwrap();
    let expected = ["BINLOG_NOT_SYNCED", "FLUSH_LOG_NOT_AT_COMMIT", "READ_ONLY"];
    assert_eq!(refused(&described.findings), expected);
    let version = column(&mut root, "SELECT VERSION()").await;
    let number = version[0].split('-').next().unwrap();
    assert!(
        described.server.ends_with(&format!(" {number}")),
        "{}",
        described.server
    );
    assert!(!described.address.contains("root"));

    let error = participant.enlist(&enlist(1)).await.unwrap_err();
    assert!(matches!(error, Error::Unsafe { .. }), "{error:?}");
    let mut settings = stand.settings();
    settings.accept.extend(expected.map(str::to_owned));
    stand.with(settings).enlist(&enlist(1)).await.unwrap();
}

pub(crate) async fn settings_that_change_while_running_are_found(stand: Stand) {
    let participant = stand.enlisted().await;
    let described = participant.describe().await.unwrap();
    assert!(refused(&described.findings).is_empty());
    let mut root = stand.root().await;
    let (change, found) = if stand.world.is_mysql() {
        ("innodb_doublewrite = 'DETECT_ONLY'", "DOUBLEWRITE_OFF")
    } else {
        (
            "innodb_flush_log_at_trx_commit = 0",
            "FLUSH_LOG_NOT_AT_COMMIT",
        )
    };
    sql(&mut root, &format!("SET GLOBAL {change}")).await;
    let described = participant.describe().await.unwrap();
    assert_eq!(refused(&described.findings), [found]);
}

const GALERA: &str = "/usr/lib/galera/libgalera_smm.so";

pub(crate) async fn a_galera_node_is_refused(stand: Stand) {
    if stand.world.is_mysql() || !std::path::Path::new(GALERA).exists() {
        eprintln!("SKIPPED: {:?}: no Galera in {GALERA}", stand.world);
        return;
    }
    let listen = PortLease::take(None).unwrap();
    let args = [
        "--wsrep-on=ON",
        "--wsrep-cluster-address=gcomm://",
        "--wsrep-node-address=127.0.0.1",
        "--binlog-format=ROW",
        &format!("--wsrep-provider={GALERA}"),
        &format!(
            "--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:{};pc.recovery=false",
            listen.port()
        ),
    ];
    let options = MysqlOptions {
        launch: LaunchOptions {
            extra_args: args.iter().map(Into::into).collect(),
            ..LaunchOptions::default()
        },
        ..MysqlOptions::default()
    };
    let node = MysqlServer::start(stand.server.binary(), options).unwrap();
    let options: sqlx::mysql::MySqlConnectOptions = node.url().parse().unwrap();
    until("the node serves", || async {
        let mut root = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let made = try_sql(&mut root, "CREATE DATABASE IF NOT EXISTS shop").await;
        made.is_ok()
    })
    .await;
    let settings = Settings::new(format!("{}shop", node.url()).into());
    let participant = stand.with(settings);
    let refusal = participant.enlist(&enlist(1)).await.unwrap_err();
    let Error::Unsafe { findings } = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(refused(&findings), ["GALERA"]);
    let mut root = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let tables = column(&mut root, "SHOW TABLES FROM shop").await;
    assert!(tables.is_empty(), "a refused enlistment leaves {tables:?}");
}

/// The stand's settings that accept these besides.
fn accepting(stand: &Stand, names: &[&str]) -> Settings {
    let mut settings = stand.settings();
    let names = names.iter().map(|name| (*name).to_owned());
    settings.accept.extend(names);
    settings
}

pub(crate) fn refused(findings: &[Finding]) -> Vec<&str> {
    let mut names: Vec<&str> = findings
        .iter()
        .filter(|finding| !finding.accepted)
        .map(|finding| finding.name.as_str())
        .collect();
    names.sort_unstable();
    names
}
