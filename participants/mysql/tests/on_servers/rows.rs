//! Statements that find their rows, and must meet as many as they say.

use std::sync::Arc;

use tandem_mysql::{MysqlParticipant, Per, Rows, Settings, Statement};
use tandem_participant::{CommitEvidence, Error, HeuristicKind, Participant, RefusedEntry};
use tandem_protocol::{Entry, Item, Purchase, Reason, TransactionId};

use crate::entries::{by, reasons, refused_entries};
use crate::stand::{
    SQL_MODES, Stand, ask, column, decision, enlist, entry, in_doubt, in_sql_mode, roll_back, sql,
    tx,
};

const INSERT: &str = "INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)";

/// A shop whose orders name their customer by a key of the database's, and take a cart.
const SHOP: &str = "CREATE TABLE customers (id INT PRIMARY KEY, ext VARCHAR(64)); \
     CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, customer INT, tx VARCHAR(64)); \
     CREATE TABLE carts (customer VARCHAR(64), state VARCHAR(8))";

const FOUND: &str = "INSERT INTO orders (id, customer, tx) SELECT :purchase_id, c.id, :transaction_id \
                     FROM customers c WHERE c.ext = :customer_id";

const CART: &str =
    "UPDATE carts SET state = 'ordered' WHERE customer = :customer_id AND state = 'open'";

fn per_purchase(sql: &str) -> Statement {
    Statement::new(Per::Purchase, sql)
}

fn meeting(rows: Rows, mut statement: Statement) -> Statement {
    statement.rows = Some(rows);
    statement
}

fn named(name: &str, mut statement: Statement) -> Statement {
    statement.name = Some(name.into());
    statement
}

async fn with(stand: &Stand, statements: Vec<Statement>) -> MysqlParticipant {
    let participant = stand.with(Settings {
        statements: Some(statements),
        ..stand.settings()
    });
    participant.enlist(&enlist(1)).await.unwrap();
    participant
}

async fn shop(stand: &Stand) -> MysqlParticipant {
    let mut hand = stand.hand().await;
    sql(&mut hand, SHOP).await;
    let cart = named("cart", per_purchase(CART));
    with(stand, vec![per_purchase(FOUND), cart]).await
}

/// Prepares the entries, and commits those that are not refused.
async fn bought(
    participant: &MysqlParticipant,
    transaction: &TransactionId,
    mut entries: Vec<Entry>,
) -> Vec<RefusedEntry> {
    for (number, entry) in (0..).zip(&mut entries) {
        entry.number = number;
    }
    let refused = refused_entries(participant, &ask(transaction, entries.clone())).await;
    entries.retain(|entry| refused.iter().all(|refused| refused.number != entry.number));
    if !entries.is_empty() {
        let commit = decision(transaction, entries);
        participant.commit(&commit).await.unwrap();
    }
    assert_eq!(in_doubt(participant).await, []);
    refused
}

pub(crate) async fn a_purchase_whose_row_is_not_found_is_refused_alone(stand: Stand) {
    let participant = shop(&stand).await;
    let mut hand = stand.hand().await;
    let people: Vec<String> = (0..22).map(|n| format!("c{n:02}")).collect();
    for (n, who) in people.iter().enumerate() {
        sql(
            &mut hand,
            &format!(
                "INSERT INTO carts VALUES ('{who}', 'open'), ('{who}', 'old'); \
                 INSERT INTO customers SELECT {n}, '{who}' WHERE {n} <> 7"
            ),
        )
        .await;
    }
    sql(
        &mut hand,
        "UPDATE carts SET state = 'gone' WHERE customer = 'c11' AND state = 'open'",
    )
    .await;
    let order = |who: &String| by(&format!("o-{who}"), who);
    let refused = bought(&participant, &tx(1), people.iter().map(order).collect()).await;
    let expected = [(7, Reason::NoSuchRow), (11, Reason::NoSuchRow)];
    assert_eq!(reasons(&refused), expected);
    let details = [0, 1].map(|n: usize| refused[n].refusal.detail.as_str());
    assert!(
        details[0].starts_with("statement 1 met no row"),
        "{details:?}"
    );
    assert!(
        details[1].starts_with("statement 2 (cart) met no row"),
        "{details:?}"
    );
    let count = "SELECT COUNT(*) FROM orders JOIN customers c ON c.id = customer WHERE CONCAT('o-', c.ext) \
                 = orders.id";
    assert_eq!(column(&mut hand, count).await, ["20"]);
    let carts = "SELECT CONCAT(state, ' ', COUNT(*)) FROM carts GROUP BY state ORDER BY state";
    assert_eq!(
        column(&mut hand, carts).await,
        ["gone 1", "old 22", "open 1", "ordered 20"]
    );

    // The same ids, once the rows have come; alone, and with another.
    let alone = bought(&participant, &tx(2), vec![order(&people[7])]).await;
    assert_eq!(reasons(&alone), [(0, Reason::NoSuchRow)]);
    sql(
        &mut hand,
        "INSERT INTO customers VALUES (7, 'c07'); UPDATE carts SET state = 'open' WHERE state = 'gone'",
    )
    .await;
    let again = [7, 11].map(|n: usize| order(&people[n]));
    assert_eq!(bought(&participant, &tx(3), again.into()).await, []);
    assert_eq!(column(&mut hand, count).await, ["22"]);
}

pub(crate) async fn more_rows_than_there_may_be_refuse_the_purchase(stand: Stand) {
    let participant = shop(&stand).await;
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "INSERT INTO customers VALUES (1, 'ann'), (2, 'bob'); \
         INSERT INTO carts VALUES ('ann', 'open'), ('ann', 'open'), ('bob', 'open')",
    )
    .await;
    let refused = bought(&participant, &tx(1), vec![by("a", "ann"), by("b", "bob")]).await;
    assert_eq!(reasons(&refused), [(0, Reason::TooManyRows)]);
    let detail = &refused[0].refusal.detail;
    assert!(
        detail.starts_with("statement 2 (cart) met more rows than the one"),
        "{detail}"
    );
    let alone = bought(&participant, &tx(2), vec![by("a", "ann")]).await;
    assert_eq!(reasons(&alone), [(0, Reason::TooManyRows)]);
    let open = "SELECT COUNT(*) FROM carts WHERE state = 'open' AND customer = 'ann'";
    assert_eq!(column(&mut hand, open).await, ["2"]);
}

/// One item whose row is there twice and one without a row add up to two rows for two items.
pub(crate) async fn a_row_too_many_does_not_make_up_for_one_too_few(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, customer VARCHAR(64)); \
         CREATE TABLE sold (sku VARCHAR(64), n INT); INSERT INTO sold VALUES ('apple', 0), ('apple', 0); \
         CREATE TABLE names (sku VARCHAR(64), name VARCHAR(64)); \
         CREATE TABLE order_lines (id VARCHAR(64), name VARCHAR(64)); \
         INSERT INTO names VALUES ('apple', 'Apple'), ('apple', 'Apfel')",
    )
    .await;
    let update = "UPDATE sold SET n = n + :quantity WHERE sku = :sku";
    let insert =
        "INSERT INTO order_lines (id, name) SELECT :purchase_id, name FROM names WHERE sku = :sku";
    for (sequence, item) in (1..).zip([update, insert]) {
        let statements = vec![per_purchase(INSERT), Statement::new(Per::Item, item)];
        let participant = with(&stand, statements).await;
        let asked = vec![entry(0, "a"), entry(1, "b")];
        let refused = bought(&participant, &tx(sequence), asked).await;
        let expected = [(0, Reason::TooManyRows), (1, Reason::TooManyRows)];
        assert_eq!(reasons(&refused), expected, "{item}");
    }
    // Many purchases of one row, in one transaction: each meets it once.
    sql(
        &mut hand,
        "DELETE FROM sold; INSERT INTO sold VALUES ('apple', 0), ('pear', 0)",
    )
    .await;
    let statements = vec![per_purchase(INSERT), Statement::new(Per::Item, update)];
    let participant = with(&stand, statements).await;
    let mut asked: Vec<Entry> = (0..20).map(|n| entry(n, &format!("o{n}"))).collect();
    let nothing: &mut Purchase = Arc::make_mut(&mut asked[13].purchase);
    nothing.items.push(Item {
        sku: "nowhere".into(),
        quantity: 1,
        unit_price_minor: 1,
        ..Default::default()
    });
    let refused = bought(&participant, &tx(9), asked).await;
    assert_eq!(reasons(&refused), [(13, Reason::NoSuchRow)]);
    let sold = column(&mut hand, "SELECT CAST(n AS CHAR) FROM sold ORDER BY sku").await;
    assert_eq!(sold, ["38", "19"]);
}

const ONE: Rows = Rows::Exactly(1);
const TWO: Rows = Rows::Exactly(2);

/// Statements, how many rows each must meet, and why a purchase of it is refused.
const COUNTED: [(&str, Rows, Option<Reason>); 17] = [
    ("UPDATE t SET a = a + 1 WHERE id = 1", ONE, None),
    // Matched and not changed.
    ("UPDATE t SET a = a WHERE id = 1", ONE, None),
    ("UPDATE t SET a = a WHERE id IN (1, 2)", TWO, None),
    ("UPDATE v SET a = 5 WHERE id = 1", ONE, None),
    (
        "UPDATE v SET a = 5 WHERE id = 3",
        ONE,
        Some(Reason::NoSuchRow),
    ),
    ("UPDATE t SET a = 1 WHERE id = 9", Rows::Any, None),
    ("UPDATE t SET a = 1", Rows::Any, None),
    (
        "UPDATE t SET a = 1 WHERE id = 9",
        ONE,
        Some(Reason::NoSuchRow),
    ),
    (
        "UPDATE t SET a = 1 WHERE id = 1",
        TWO,
        Some(Reason::NoSuchRow),
    ),
    ("UPDATE t SET a = 1", TWO, Some(Reason::TooManyRows)),
    ("DELETE FROM t WHERE id = 2", ONE, None),
    ("DELETE FROM t WHERE id = 9", ONE, Some(Reason::NoSuchRow)),
    ("DELETE FROM t", ONE, Some(Reason::TooManyRows)),
    ("INSERT INTO log SELECT 7 FROM t WHERE id = 3", ONE, None),
    (
        "INSERT INTO log SELECT 7 FROM t WHERE NOT EXISTS (SELECT 1 FROM u) LIMIT 1",
        ONE,
        Some(Reason::NoSuchRow),
    ),
    (
        "INSERT INTO log SELECT 7 FROM t",
        ONE,
        Some(Reason::TooManyRows),
    ),
    // Each of the two tables' rows.
    (
        "UPDATE t, u SET t.a = 1, u.id = u.id WHERE t.id = u.id AND t.id = 1",
        TWO,
        None,
    ),
];

/// What counts as a row that is met, and that no mode of the server's changes it.
pub(crate) async fn rows_are_counted_as_documented_in_every_sql_mode(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, customer VARCHAR(64)); \
         CREATE TABLE t (id INT PRIMARY KEY, a INT); INSERT INTO t VALUES (1, 1), (2, 1), (3, 1); \
         CREATE TABLE u (id INT PRIMARY KEY, FOREIGN KEY (id) REFERENCES t (id) ON DELETE CASCADE); \
         CREATE TABLE log (what INT); CREATE VIEW v AS SELECT id, a FROM t WHERE id < 3; \
         CREATE TRIGGER counts AFTER UPDATE ON t FOR EACH ROW BEGIN \
         INSERT INTO log VALUES (1), (2), (3); UPDATE log SET what = what + 1; \
         DELETE FROM log WHERE what = 99; END",
    )
    .await;
    let modes: &[&str] = match stand.world.is_mysql() {
        true => &SQL_MODES,
        false => &[
            "",
            SQL_MODES[1],
            "TRADITIONAL",
            "ORACLE",
            "EMPTY_STRING_IS_NULL",
        ],
    };
    let mut sequence = 0;
    for mode in modes {
        for (statement, rows, expected) in COUNTED {
            sql(&mut hand, "INSERT INTO u SELECT id FROM t WHERE id < 3").await;
            let statements = vec![per_purchase(INSERT), meeting(rows, per_purchase(statement))];
            let first = sequence;
            sequence += 2;
            let tried = in_sql_mode(&mut hand, mode, async {
                let participant = with(&stand, statements).await;
                // What one deletes the next would not find.
                let together = if statement.starts_with("DELETE") {
                    1
                } else {
                    3
                };
                for (sequence, entries) in [(first + 1, 1), (first + 2, together)] {
                    let asked = (0..entries).map(|n| entry(n, &format!("p{sequence}-{n}")));
                    let prepare = ask(&tx(sequence), asked.collect());
                    let refused = refused_entries(&participant, &prepare).await;
                    let all: Vec<(u32, Reason)> = expected
                        .iter()
                        .flat_map(|reason| (0..entries).map(|n| (n, *reason)))
                        .collect();
                    assert_eq!(reasons(&refused), all, "{mode}: {statement}: {refused:?}");
                    roll_back(&participant, &tx(sequence)).await.unwrap();
                }
            });
            tried.await;
            sql(&mut hand, "DELETE FROM u").await;
        }
    }
    println!("{:?}: {sequence} transactions", stand.world);
}

/// The number of a guard's error from a trigger or a statement of the app's says nothing of rows.
pub(crate) async fn an_error_of_the_apps_is_not_taken_for_a_count(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "CREATE TABLE orders (id VARCHAR(64) PRIMARY KEY, customer VARCHAR(64)); \
         CREATE TABLE carts (customer VARCHAR(64), n BIGINT UNSIGNED); \
         INSERT INTO carts VALUES ('good', 1), ('trigger', 1), ('signal', 1), ('full', ~0); \
         CREATE TRIGGER picky BEFORE UPDATE ON carts FOR EACH ROW BEGIN \
         IF NEW.customer = 'trigger' THEN SET NEW.n = ~0 + NEW.n; END IF; \
         IF NEW.customer = 'signal' THEN SIGNAL SQLSTATE '22003' SET MYSQL_ERRNO = 1690, \
         MESSAGE_TEXT = 'BIGINT UNSIGNED'; END IF; END",
    )
    .await;
    let update = "UPDATE carts SET n = n + 1 WHERE customer = :customer_id";
    let participant = with(&stand, vec![per_purchase(INSERT), per_purchase(update)]).await;
    let bad = ["trigger", "signal", "full"];
    for (sequence, who) in (1..).zip(bad) {
        let alone = bought(&participant, &tx(sequence), vec![by(who, who)]).await;
        assert_eq!(
            reasons(&alone),
            [(0, Reason::ConstraintViolated)],
            "{alone:?}"
        );
        assert!(alone[0].refusal.detail.contains("error 1690"), "{alone:?}");
    }
    let mut asked: Vec<Entry> = bad.iter().map(|who| by(who, who)).collect();
    asked.extend([by("a", "good"), by("nobody", "nobody"), by("b", "good")]);
    let refused = bought(&participant, &tx(9), asked).await;
    let violated = Reason::ConstraintViolated;
    let expected = [
        (0, violated),
        (1, violated),
        (2, violated),
        (4, Reason::NoSuchRow),
    ];
    assert_eq!(reasons(&refused), expected);
    let orders = column(&mut hand, "SELECT id FROM orders ORDER BY id").await;
    assert_eq!(orders, ["a", "b"]);
}

/// A purchase that is there has left its cart as it is, which is no reason to say that it is not made.
pub(crate) async fn a_purchase_that_is_there_is_a_duplicate_and_lacks_no_row(stand: Stand) {
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        &format!(
            "{SHOP}; INSERT INTO customers VALUES (1, 'ann'), (2, 'bob'); \
             INSERT INTO carts VALUES ('ann', 'open'), ('bob', 'open')"
        ),
    )
    .await;
    let statements = vec![per_purchase(CART), per_purchase(FOUND)];
    let participant = with(&stand, statements).await;
    assert_eq!(bought(&participant, &tx(1), vec![by("a", "ann")]).await, []);
    let alone = bought(&participant, &tx(2), vec![by("a", "ann")]).await;
    assert_eq!(reasons(&alone), [(0, Reason::DuplicatePurchase)]);
    let asked = vec![by("a", "ann"), by("b", "bob"), by("c", "ann")];
    let refused = bought(&participant, &tx(3), asked).await;
    let expected = [(0, Reason::DuplicatePurchase), (2, Reason::NoSuchRow)];
    assert_eq!(reasons(&refused), expected);
}

/// A repair does what its statements do, or nothing: a cart that is ordered already is told.
pub(crate) async fn a_repair_that_does_not_find_its_rows_changes_nothing(stand: Stand) {
    let participant = shop(&stand).await;
    let mut hand = stand.hand().await;
    sql(
        &mut hand,
        "INSERT INTO customers VALUES (1, 'ann'), (2, 'bob'); \
         INSERT INTO carts VALUES ('ann', 'open'), ('bob', 'open')",
    )
    .await;
    let mut both = vec![by("a", "ann"), by("b", "bob")];
    both[1].number = 1;
    assert_eq!(bought(&participant, &tx(1), both.clone()).await, []);
    let commit = decision(&tx(1), both);
    let rows = "SELECT CONCAT(id, ' ', customer) FROM orders ORDER BY id";
    let open = "SELECT customer FROM carts WHERE state = 'open' ORDER BY customer";

    // Nothing is lost: the statements are tried and taken back.
    let whole = participant.repair(&commit).await.unwrap();
    assert_eq!(whole.evidence, CommitEvidence::AlreadyApplied);
    // Both rows are deleted by hand, and one of the carts can't be ordered a second time.
    sql(
        &mut hand,
        "DELETE FROM orders; UPDATE carts SET state = 'open' WHERE customer = 'ann'",
    )
    .await;
    let refused = participant.repair(&commit).await.unwrap_err();
    let Error::Heuristic { kind, detail } = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(*kind, HeuristicKind::RolledBack);
    for part in [
        "nothing of it was",
        "entry 1",
        "NO_SUCH_ROW",
        "statement 2 (cart)",
        "by hand",
    ] {
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(column(&mut hand, rows).await, Vec::<String>::new());
    assert_eq!(column(&mut hand, open).await, ["ann"]);
    // Once that is mended as it was told.
    sql(
        &mut hand,
        "UPDATE carts SET state = 'open' WHERE customer = 'bob'",
    )
    .await;
    let redone = participant.repair(&commit).await.unwrap();
    assert_eq!(redone.evidence, CommitEvidence::Redone);
    assert_eq!(column(&mut hand, rows).await, ["a 1", "b 2"]);
    assert_eq!(column(&mut hand, open).await, Vec::<String>::new());
}
