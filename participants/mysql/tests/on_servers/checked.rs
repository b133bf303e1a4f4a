//! What a check tells of the statements and of the columns that they write, before any coordinator works with the
//! server.

use tandem_mysql::{Per, Position, Settings, Statement};
use tandem_participant::{Error, Participant, Vote};

use crate::entries::with_statements;
use crate::preflight::refused;
use crate::stand::{Stand, ask, column, enlist, entries, sql, tx};

/// What is missing is told, and nothing is made.
pub(crate) async fn a_check_leaves_no_trace(stand: Stand) {
    let mut hand = stand.hand().await;
    let faults = async |settings: &Settings| -> Vec<String> {
        let checked = stand.with(settings.clone()).check().await.unwrap();
        assert_eq!(refused(&checked.description.findings), [""; 0]);
        if settings.statements.is_none() {
            // Tables that are still to be made are not doubted.
            let told = checked.description.findings.iter().find(|one| one.told);
            assert_eq!(told, None);
        }
        checked.faults
    };
    let mut settings = stand.settings();
    assert_eq!(faults(&settings).await, [""; 0]);
    settings.create_tables = false;
    let told = faults(&settings).await;
    assert!(told[0].contains("create them: CREATE TABLE"), "{told:?}");

    let mut root = stand.root().await;
    let user = format!("c{}", stand.name.trim_start_matches("t-"));
    let recovers = if stand.world.is_mysql() {
        ", XA_RECOVER_ADMIN, REPLICATION CLIENT"
    } else {
        ", REPLICA MONITOR"
    };
    let grants = format!(
        "CREATE USER {user}; GRANT SELECT, INSERT, UPDATE, DELETE ON `{}`.* TO {user}; GRANT TRIGGER{recovers} ON \
         *.* TO {user}",
        stand.name
    );
    sql(&mut root, &grants).await;
    settings.create_tables = true;
    let mut as_user = settings.clone();
    let url = stand.server.url().replace("root", &user);
    as_user.url = format!("{url}{}", stand.name).into();
    let told = faults(&as_user).await;
    assert!(
        told.len() == 1 && told[0].contains("CREATE command denied"),
        "{told:?}"
    );

    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, n INT) CHARACTER SET utf8mb4",
    )
    .await;
    let mut update = Statement::new(Per::Item, "UPDATE stock SET n = n - 1 WHERE sku = :sku");
    update.position = Some(Position {
        line: 31,
        column: 7,
    });
    settings.statements = Some(vec![
        Statement::new(
            Per::Purchase,
            "INSERT INTO orders (id) VALUES (:purchase_id)",
        ),
        update,
    ]);
    let told = faults(&settings).await;
    let located = "statement 2 at line 31, column 7 can't run at ";
    assert!(told[0].starts_with(located), "{told:?}");
    sql(&mut hand, "CREATE TABLE stock (sku VARCHAR(64), n INT)").await;
    assert_eq!(faults(&settings).await, [""; 0]);
    let tables = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() ORDER BY 1";
    assert_eq!(column(&mut hand, tables).await, ["orders", "stock"]);
}

pub(crate) async fn statements_that_can_not_run_are_named(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, customer VARCHAR(64) NOT NULL)",
    )
    .await;
    let with = |statement: &str| {
        let plain = "INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)";
        let statements = [(Per::Purchase, plain), (Per::Item, statement)];
        stand.with(Settings {
            statements: Some(statements.map(|(per, sql)| Statement::new(per, sql)).into()),
            ..stand.settings()
        })
    };
    for (statement, number) in [
        (
            "INSERT INTO order_lines (id, sku) VALUES (:purchase_id, :sku)",
            "1146",
        ),
        (
            "UPDATE orders SET units = 1 WHERE id = :purchase_id",
            "1054",
        ),
        ("INSERT INTO orders VALUES (:sku)", "1136"),
        ("UPDATE orders SET WHERE id = :sku", "1064"),
        ("DELETE FROM orders WHERE id = nowhere(:sku)", "1305"),
    ] {
        let error = with(statement).enlist(&enlist(1)).await.unwrap_err();
        let Error::Invalid { detail } = error else {
            panic!("{error:?}");
        };
        assert!(detail.starts_with("statement 2 can't run at "), "{detail}");
        assert!(detail.contains(&format!("error {number}")), "{detail}");
    }
    let known = "SELECT COUNT(*) FROM tandem_coordinators";
    assert_eq!(column(&mut hand, known).await, ["0"]);

    // One that runs; and once a coordinator is known its decisions come first.
    let participant = with("UPDATE orders SET customer = :sku WHERE id = :purchase_id");
    participant.enlist(&enlist(1)).await.unwrap();
    sql(&mut hand, "DROP TABLE orders").await;
    participant.enlist(&enlist(1)).await.unwrap();
}

pub(crate) async fn columns_too_small_for_the_limits_are_told(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin PRIMARY KEY, total INT, \
         currency CHAR(2), customer VARCHAR(64)); \
         CREATE TABLE items (id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin, n SMALLINT, price DECIMAL(12, 2))",
    )
    .await;
    let statements = [
        (
            Per::Purchase,
            "INSERT INTO orders (id, total, currency, customer) VALUES (:purchase_id, :total_minor, \
             :currency, :customer_id)",
        ),
        (
            Per::Item,
            "INSERT INTO items (id, n, price) VALUES (:purchase_id, :quantity, :unit_price_minor)",
        ),
    ];
    let participant = with_statements(&stand, &statements).await;
    let findings = participant.describe().await.unwrap().findings;
    let found = findings.iter().find(|one| one.name == "COLUMN_TOO_SMALL");
    let found = found.expect("a finding");
    assert!(found.accepted);
    for part in [
        "id of orders is of type varchar(20), and :purchase_id may have 64 characters",
        "total of orders is of type int",
        ":total_minor may be 9000000000000000",
        "currency of orders is of type char(2)",
        "n of items is of type smallint",
        ":quantity may be 1000000",
        "price of items is of type decimal(12,2), and :unit_price_minor may be 1000000000000",
    ] {
        assert!(
            found.detail.contains(part),
            "{part:?} is missing in {found:?}"
        );
    }
    assert!(!found.detail.contains("customer of"), "{found:?}");
    // None of it is written cut.
    let long = "x".repeat(21);
    let vote = participant
        .prepare(&ask(&tx(1), entries(&[&long])))
        .await
        .unwrap()
        .vote;
    assert!(
        matches!(&vote, Vote::Yes { refused, .. } if refused.len() == 1),
        "{vote:?}"
    );
}
