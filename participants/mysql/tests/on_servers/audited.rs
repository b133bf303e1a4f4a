//! What of the app's rows an audit can compare, and that it says what it can't.

use tandem_mysql::{MysqlParticipant, Per, Settings, Statement};
use tandem_participant::Participant;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion, KeptPurchase, Uncompared};
use tandem_protocol::Timestamp;

use crate::stand::{Stand, commit, enlist, prepared, sql, tx};

/// The finding's words, if there is one.
async fn told(participant: &MysqlParticipant) -> Option<String> {
    let findings = participant.describe().await.unwrap().findings;
    let mut named = findings.into_iter().filter(|one| one.name == "NOT_AUDITED");
    let found = named.next()?;
    assert!(found.accepted && named.next().is_none());
    Some(found.detail)
}

/// The rows of some purchases, or that there are none, and what is not compared.
async fn audited(
    participant: &MysqlParticipant,
    ids: &[&str],
) -> (Option<Vec<KeptPurchase>>, Uncompared) {
    let question = AuditQuestion::Purchases {
        purchase_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    match participant.audit(&question).await.unwrap() {
        AuditAnswer::Purchases(rows) => (Some(rows.purchases), rows.uncompared),
        AuditAnswer::Uncompared(uncompared) => (None, uncompared),
        other => panic!("{other:?}"),
    }
}

fn with(stand: &Stand, statements: &[(Per, &str)], accept: &[&str]) -> MysqlParticipant {
    let mut settings = stand.settings();
    settings.accept.push("NO_UNIQUE_KEY".into());
    settings
        .accept
        .extend(accept.iter().map(|name| (*name).to_owned()));
    let statements = statements
        .iter()
        .map(|(per, sql)| Statement::new(*per, *sql));
    stand.with(Settings {
        statements: Some(statements.collect()),
        ..settings
    })
}

pub(crate) async fn all_of_the_default_tables_is_compared(stand: Stand) {
    let participant = stand.enlisted().await;
    assert_eq!(told(&participant).await, None);
    prepared(&participant, &tx(1), &["p1"]).await;
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    let (rows, uncompared) = audited(&participant, &["p1"]).await;
    assert_eq!(uncompared, Uncompared::default());
    let [row] = &rows.unwrap()[..] else {
        panic!("not one row");
    };
    assert_eq!(row.purchase_time, Some(Timestamp(1_000)));
    assert_eq!(row.transaction_id.as_deref(), Some("shop.1.1"));
}

pub(crate) async fn what_a_column_does_not_keep_as_it_is_is_not_compared(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, total FLOAT, euro DECIMAL(20, 2), \
         currency ENUM('EUR', 'USD'), day DATE, made TIMESTAMP NULL, customer BINARY(20)) CHARACTER SET utf8mb4; \
         CREATE TABLE carts (owner VARCHAR(64)); INSERT INTO carts VALUES ('customer-7'); \
         CREATE TABLE items (id VARCHAR(64) COLLATE utf8mb4_bin, n INT, sku CHAR(64), units DOUBLE) \
         CHARACTER SET utf8mb4",
    )
    .await;
    let statements = [
        (
            Per::Purchase,
            "INSERT INTO orders (id, total, euro, currency, day, made, customer) VALUES (:purchase_id, \
             :total_minor, :total_minor / 100, :currency, :purchase_time, :purchase_time, :customer_id)",
        ),
        (
            Per::Item,
            "INSERT INTO items (id, n, sku, units) VALUES (:purchase_id, :item_number, :sku, :quantity)",
        ),
        (
            Per::Purchase,
            "UPDATE carts SET owner = '' WHERE owner = :customer_id",
        ),
    ];
    let participant = with(&stand, &statements, &[]);
    participant.enlist(&enlist(1)).await.unwrap();
    let detail = told(&participant).await.expect("it is told");
    for part in [
        "statement 1: total of orders is of type float, which does not keep :total_minor as it is",
        "statement 1: euro of orders, whose value is made of others",
        "day of orders is of type date",
        "customer of orders is of type binary(20)",
        "statement 2: units of items is of type double",
        "statement 3: it is no INSERT",
    ] {
        assert!(detail.contains(part), "{part:?} is missing in {detail}");
    }
    assert!(!detail.contains("currency"), "{detail}");

    prepared(&participant, &tx(1), &["p1"]).await;
    commit(&participant, &tx(1), &["p1"]).await.unwrap();
    let (rows, uncompared) = audited(&participant, &["p1"]).await;
    assert_eq!(uncompared.what.len(), 6, "{uncompared:?}");
    assert!(!uncompared.accepted);
    let [row] = &rows.unwrap()[..] else {
        panic!("not one row");
    };
    assert_eq!((&row.total_minor, &row.customer_id), (&None, &None));
    assert_eq!(row.currency.as_deref(), Some("EUR"));
    assert_eq!(row.purchase_time, Some(Timestamp(1_000)));
    let items = row.items.as_ref().unwrap();
    let shown = items
        .iter()
        .map(|one| (one.sku.as_deref(), one.item_number, one.quantity));
    let mut shown: Vec<_> = shown.collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        [
            (Some("apple"), Some(1), None),
            (Some("pear"), Some(2), None)
        ]
    );

    let accepting = with(&stand, &statements, &["NOT_AUDITED"]);
    let (_, uncompared) = audited(&accepting, &[]).await;
    assert!(uncompared.accepted && uncompared.what.len() == 6);
    // What is mended is compared from the next look on.
    sql(
        &mut hand,
        "ALTER TABLE orders MODIFY total BIGINT; UPDATE orders SET total = 750",
    )
    .await;
    let (rows, uncompared) = audited(&participant, &["p1"]).await;
    assert_eq!(rows.unwrap()[0].total_minor, Some(750));
    assert_eq!(uncompared.what.len(), 5, "{uncompared:?}");
}

/// Nothing is said to be missing where nothing can be looked up.
pub(crate) async fn rows_whose_id_is_in_another_form_are_not_compared_at_all(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id BINARY(16) PRIMARY KEY, customer VARCHAR(64))",
    )
    .await;
    for statement in [
        "INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)",
        "INSERT INTO orders (id, customer) VALUES (UNHEX(LPAD(HEX(:purchase_id), 32, '0')), :customer_id)",
        "INSERT INTO orders VALUES (:purchase_id, :customer_id)",
        "INSERT INTO orders SET id = :purchase_id, customer = :customer_id",
    ] {
        let participant = with(&stand, &[(Per::Purchase, statement)], &[]);
        participant.enlist(&enlist(1)).await.unwrap();
        let (rows, uncompared) = audited(&participant, &["p1"]).await;
        assert_eq!(rows, None, "{statement}");
        assert_eq!(uncompared.what.len(), 2, "{uncompared:?}");
        assert!(uncompared.what[0].starts_with("no row of a purchase can be looked up"));
        let detail = told(&participant).await.expect("it is told");
        assert!(detail.contains(&uncompared.what[1]), "{detail}");
        let rows = AuditQuestion::Rows {
            since: Timestamp(0),
            until: Timestamp(2_000),
            after: String::new(),
        };
        let answer = participant.audit(&rows).await.unwrap();
        assert!(matches!(answer, AuditAnswer::Uncompared(_)), "{answer:?}");
    }
}

/// A number is the same number, however the client writes it and the column shows it.
pub(crate) async fn ids_that_are_numbers_are_compared_by_their_value(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id INT(8) ZEROFILL PRIMARY KEY, total VARCHAR(20)); \
         CREATE TABLE items (id BIGINT, sku VARCHAR(64), PRIMARY KEY (id, sku))",
    )
    .await;
    let statements = [
        (
            Per::Purchase,
            "INSERT INTO orders (id, total) VALUES (:purchase_id, :total_minor)",
        ),
        (
            Per::Item,
            "INSERT INTO items (id, sku) VALUES (:purchase_id, :sku)",
        ),
    ];
    let participant = with(&stand, &statements, &[]);
    participant.enlist(&enlist(1)).await.unwrap();
    assert_eq!(told(&participant).await, None);
    prepared(&participant, &tx(1), &["0042", "7"]).await;
    commit(&participant, &tx(1), &["0042", "7"]).await.unwrap();
    let (rows, _) = audited(&participant, &["0042", "7"]).await;
    let shown = rows.unwrap();
    let mut shown: Vec<_> = shown
        .iter()
        .map(|row| {
            let items = row.items.as_ref().map(Vec::len);
            (row.purchase_id.as_str(), row.total_minor, items)
        })
        .collect();
    shown.sort_unstable();
    assert_eq!(
        shown,
        [("0042", Some(750), Some(2)), ("7", Some(750), Some(2))]
    );
}

/// In autumn an hour comes twice where there is summer time.
pub(crate) async fn a_time_is_compared_where_it_is_one_moment(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) COLLATE utf8mb4_bin PRIMARY KEY, made DATETIME(3)) \
         CHARACTER SET utf8mb4",
    )
    .await;
    let statement = "INSERT INTO orders (id, made) VALUES (:purchase_id, :purchase_time)";
    for zone in ["+09:00", "SYSTEM"] {
        let settings = Settings {
            time_zone: Some(zone.into()),
            statements: Some(vec![Statement::new(Per::Purchase, statement)]),
            ..stand.settings()
        };
        let participant = stand.with(settings);
        participant.enlist(&enlist(1)).await.unwrap();
        let id = zone.trim_start_matches('+');
        let number = if zone == "SYSTEM" { 2 } else { 1 };
        prepared(&participant, &tx(number), &[id]).await;
        commit(&participant, &tx(number), &[id]).await.unwrap();
        let (rows, _) = audited(&participant, &[id]).await;
        let time = rows.unwrap()[0].purchase_time;
        match told(&participant).await {
            None => assert_eq!(time, Some(Timestamp(1_000)), "{zone}"),
            Some(detail) => {
                assert!(zone == "SYSTEM" && time.is_none(), "{detail}");
                assert!(detail.contains("comes twice"), "{detail}");
            }
        }
    }
}
