//! Orders as a shop has them: keys that the database makes, lines of one sku, money with a point, and what
//! else they carry.

use std::sync::Arc;

use tandem_mysql::{MysqlParticipant, Per, Settings, Statement};
use tandem_participant::Participant;
use tandem_participant::attributes::{Attribute, AttributeType, Attributes};
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion, More};
use tandem_protocol::{Entry, Item, Purchase, Reason};

use crate::entries::{reasons, refused_entries};
use crate::stand::{
    SQL_MODES, Stand, ask, column, decision, enlist, in_doubt, in_sql_mode, sql, tx,
};

const SHOP: &str = "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, \
     ref VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL UNIQUE, email VARCHAR(40) UNIQUE, cart INT, \
     fee DECIMAL(12,4), gift BOOLEAN, due DATETIME(6), doc JSON, total DECIMAL(14,2) NOT NULL, items JSON) \
     CHARACTER SET utf8mb4; \
     CREATE TABLE order_lines (order_id BIGINT NOT NULL, line VARCHAR(64), sku VARCHAR(128) NOT NULL, \
     quantity INT NOT NULL, price DECIMAL(12,2) NOT NULL, cents BIGINT NOT NULL, total DECIMAL(14,2) NOT NULL, \
     tracked BOOLEAN NOT NULL, PRIMARY KEY (order_id, line))";

const ORDER: &str = "INSERT INTO orders (ref, email, cart, fee, gift, due, doc, total, items) VALUES \
     (:purchase_id, :attr.email, :attr.cart, :attr.fee, :attr.gift, :attr.due, :attr.doc, :total, :items_json)";

/// Joined with the lines of other orders into one statement.
const LINE: &str = "INSERT INTO order_lines (order_id, line, sku, quantity, price, cents, total, tracked) VALUES \
     ((SELECT id FROM orders WHERE ref = :purchase_id), :line_id, :sku, :quantity, :unit_price, \
     :line_total_minor, :line_total, :tracked)";

fn declared() -> Attributes {
    let named = [
        ("email", AttributeType::Text),
        ("cart", AttributeType::Integer),
        ("fee", AttributeType::Decimal),
        ("gift", AttributeType::Boolean),
        ("due", AttributeType::Time),
        ("doc", AttributeType::Json),
    ];
    let attribute = |(name, kind): (&str, AttributeType)| {
        let mut attribute = Attribute::new(kind);
        attribute.personal = name == "email";
        (name.to_owned(), attribute)
    };
    named.into_iter().map(attribute).collect()
}

async fn shop(stand: &Stand) -> MysqlParticipant {
    let mut hand = stand.hand().await;
    sql(&mut hand, SHOP).await;
    let participant = stand.with(Settings {
        statements: Some(vec![
            Statement::new(Per::Purchase, ORDER),
            Statement::new(Per::Item, LINE),
        ]),
        attributes: declared(),
        ..stand.settings()
    });
    participant.enlist(&enlist(1)).await.unwrap();
    participant
}

/// A lamp twice at two prices, its shipping and a discount.
fn order(number: u32, id: &str, attributes: &[(&str, &str)]) -> Entry {
    let line = |line_id: &str, sku: &str, quantity, unit_price_minor, untracked| Item {
        sku: sku.into(),
        quantity,
        unit_price_minor,
        line_id: line_id.into(),
        untracked,
        ..Default::default()
    };
    let pair = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
    Entry {
        number,
        purchase: Arc::new(Purchase {
            purchase_id: id.into(),
            customer_id: "ann".into(),
            currency: "EUR".into(),
            items: vec![
                line("1", "lamp", 2, 1999, false),
                line("2", "lamp", 1, 999, false),
                line("3", "shipping", 1, 495, true),
                line("4", "coupon", 1, -500, true),
            ],
            attributes: attributes.iter().map(pair).collect(),
        }),
    }
}

async fn bought(participant: &MysqlParticipant, sequence: u64, entries: Vec<Entry>) {
    let refused = refused_entries(participant, &ask(&tx(sequence), entries.clone())).await;
    assert_eq!(refused, []);
    let commit = decision(&tx(sequence), entries);
    participant.commit(&commit).await.unwrap();
    assert_eq!(in_doubt(participant).await, []);
}

/// One of each type.
fn carried(text: &str) -> [(&'static str, &str); 6] {
    [
        ("email", text),
        ("cart", "-7"),
        ("fee", "-12.5000"),
        ("gift", "true"),
        ("due", "2026-03-01T12:00:00.000007Z"),
        ("doc", "{\"a\": [1, \"it's\"]}"),
    ]
}

pub(crate) async fn an_order_is_written_with_all_that_it_carries(stand: Stand) {
    let participant = shop(&stand).await;
    let mut hand = stand.hand().await;
    let name = "O'Neil \\ \"ü\" \u{1F600}@x.org";
    for (mode, sequence) in SQL_MODES.into_iter().zip(1..) {
        let text = format!("{sequence} {name}");
        let ids = [sequence * 2, sequence * 2 + 1].map(|n| format!("o-{n}"));
        let entries = vec![order(0, &ids[0], &carried(&text)), order(1, &ids[1], &[])];
        in_sql_mode(&mut stand.hand().await, mode, async {
            let fresh = stand.with(Settings {
                statements: Some(vec![
                    Statement::new(Per::Purchase, ORDER),
                    Statement::new(Per::Item, LINE),
                ]),
                attributes: declared(),
                ..stand.settings()
            });
            fresh.enlist(&enlist(1)).await.unwrap();
            bought(&fresh, sequence, entries).await;
        })
        .await;
        let with = format!(
            "SELECT CONCAT_WS('|', email, cart, fee, gift, due, total) FROM orders WHERE ref = '{}'",
            ids[0]
        );
        let expected = format!("{text}|-7|-12.5000|1|2026-03-01 12:00:00.000007|49.92");
        assert_eq!(column(&mut hand, &with).await, [expected], "{mode}");
        let read = "JSON_UNQUOTE(JSON_EXTRACT(doc, '$.a[1]')), JSON_EXTRACT(items, '$[3].unit_price_minor'), \
                    JSON_EXTRACT(items, '$[0].tracked'), JSON_UNQUOTE(JSON_EXTRACT(items, '$[2].sku'))";
        let json = format!(
            "SELECT CONCAT_WS('|', {read}) FROM orders WHERE ref = '{}'",
            ids[0]
        );
        assert_eq!(
            column(&mut hand, &json).await,
            ["it's|-500|true|shipping"],
            "{mode}"
        );
        let without = format!(
            "SELECT COALESCE(email, cart, fee, gift, due, doc, 'none') FROM orders WHERE ref = '{}'",
            ids[1]
        );
        assert_eq!(column(&mut hand, &without).await, ["none"], "{mode}");
        let lines = format!(
            "SELECT CONCAT_WS('|', line, sku, quantity, price, cents, l.total, tracked) FROM order_lines l JOIN \
             orders o ON o.id = order_id WHERE ref = '{}' ORDER BY line",
            ids[1]
        );
        assert_eq!(
            column(&mut hand, &lines).await,
            [
                "1|lamp|2|19.99|3998|39.98|1",
                "2|lamp|1|9.99|999|9.99|1",
                "3|shipping|1|4.95|495|4.95|0",
                "4|coupon|1|-5.00|-500|-5.00|0"
            ],
            "{mode}"
        );
    }
    let text = format!("1 {name}");
    let again = vec![order(0, "o-2", &carried(&text)), order(1, "o-3", &[])];
    let again = decision(&tx(1), again);
    sql(
        &mut hand,
        "DELETE FROM order_lines WHERE order_id IN (SELECT id FROM orders WHERE ref IN ('o-2', 'o-3')); \
         DELETE FROM orders WHERE ref IN ('o-2', 'o-3')",
    )
    .await;
    participant.repair(&again).await.unwrap();
    let count = "SELECT COUNT(*) FROM order_lines JOIN orders ON orders.id = order_id WHERE ref IN ('o-2', \
                 'o-3')";
    assert_eq!(column(&mut hand, count).await, ["8"]);
}

/// Also of lines that have the key which the database made, and nothing of the purchase's id.
pub(crate) async fn an_audit_is_shown_all_that_an_order_carries(stand: Stand) {
    let participant = shop(&stand).await;
    let entries = vec![order(0, "o-1", &carried("ann")), order(1, "o-2", &[])];
    bought(&participant, 1, entries).await;
    let question = AuditQuestion::Purchases {
        purchase_ids: vec!["o-1".into(), "o-2".into()],
    };
    let AuditAnswer::Purchases(shown) = participant.audit(&question).await.unwrap() else {
        panic!("nothing is shown");
    };
    assert_eq!(shown.uncompared.what, Vec::<String>::new());
    let text = |row: &More, name: &str| row[name].clone();
    let of = |id: &str| {
        let found = shown.purchases.iter().find(|row| row.purchase_id == id);
        found.unwrap_or_else(|| panic!("{id} is not shown"))
    };
    let (first, second) = (of("o-1"), of("o-2"));
    for (name, value) in [
        ("attr.email", "ann"),
        ("attr.cart", "-7"),
        ("attr.fee", "-12.5000"),
        ("attr.gift", "1"),
        ("attr.due", "1772366400000007"),
        ("total", "49.92"),
    ] {
        assert_eq!(text(&first.more, name), Some(value.to_owned()), "{name}");
        let none = second.more[name].is_none();
        assert_eq!(none, name != "total", "{name}");
    }
    let items = first.items.as_ref().expect("lines are found");
    let lines: Vec<_> = items
        .iter()
        .map(|item| text(&item.more, "line_id"))
        .collect();
    assert_eq!(items.len(), 4);
    for line in ["1", "2", "3", "4"] {
        assert!(lines.contains(&Some(line.to_owned())), "{lines:?}");
    }
    let discount = items
        .iter()
        .find(|item| item.sku.as_deref() == Some("coupon"));
    let discount = &discount.expect("it is a line").more;
    assert_eq!(text(discount, "line_total"), Some("-5.00".to_owned()));
    assert_eq!(text(discount, "tracked"), Some("0".to_owned()));
}

/// Many orders in each packet, and several packets at once.
pub(crate) async fn lines_are_of_the_order_whose_key_the_database_made(stand: Stand) {
    let participant = Arc::new(shop(&stand).await);
    let groups = (1..=6_u64).map(|sequence| {
        let participant = Arc::clone(&participant);
        tokio::spawn(async move {
            let entry = |number| order(number, &format!("o-{sequence}-{number}"), &[]);
            let entries: Vec<Entry> = (0..40).map(entry).collect();
            let refused = refused_entries(&participant, &ask(&tx(sequence), entries.clone())).await;
            assert_eq!(refused, []);
            let commit = decision(&tx(sequence), entries);
            participant.commit(&commit).await.unwrap();
        })
    });
    for group in groups.collect::<Vec<_>>() {
        group.await.unwrap();
    }
    let mut hand = stand.hand().await;
    let whole = "SELECT COUNT(*) FROM (SELECT ref FROM orders JOIN order_lines ON order_id = orders.id GROUP BY \
                 ref HAVING COUNT(*) = 4 AND SUM(cents) = 4992 AND COUNT(DISTINCT line) = 4) whole";
    assert_eq!(column(&mut hand, whole).await, ["240"]);
    let lines = "SELECT COUNT(*) FROM order_lines";
    assert_eq!(column(&mut hand, lines).await, ["960"]);
}

/// Where each statement locks the counter, and keys come in another step.
pub(crate) async fn lines_are_of_their_order_with_locked_counters(stand: Stand) {
    let mut root = stand.root().await;
    sql(
        &mut root,
        "SET GLOBAL auto_increment_increment = 3; SET GLOBAL auto_increment_offset = 2",
    )
    .await;
    lines_are_of_the_order_whose_key_the_database_made(stand).await;
}

pub(crate) async fn what_the_server_says_of_a_personal_attribute_is_not_told(stand: Stand) {
    let participant = shop(&stand).await;
    let taken = "Pers0nal.ann@secret.example";
    let long = "b".repeat(30) + "Pers0nal@secret.example";
    bought(&participant, 1, vec![order(0, "o-1", &[("email", taken)])]).await;
    // By itself, and beside others.
    for (sequence, others) in [(2, 0), (3, 2)] {
        let mut entries = vec![
            order(0, &format!("o-{sequence}-a"), &[("email", taken)]),
            order(1, &format!("o-{sequence}-b"), &[("email", &long)]),
        ];
        entries.extend((0..others).map(|n| order(n + 2, &format!("o-{sequence}-{n}"), &[])));
        for entries in match others {
            0 => vec![entries[..1].to_vec(), entries[1..].to_vec()],
            _ => vec![entries],
        } {
            let asked = entries.len();
            let sequence = sequence * 10 + u64::from(entries[0].number);
            let refused = refused_entries(&participant, &ask(&tx(sequence), entries)).await;
            assert_eq!(refused.len(), asked.min(2), "{refused:?}");
            for refused in &refused {
                assert_eq!(refused.refusal.reason, Reason::ConstraintViolated);
                let detail = &refused.refusal.detail;
                assert!(
                    !detail.contains("secret") && !detail.contains("bbb"),
                    "{detail}"
                );
                assert!(detail.contains("statement 1 failed"), "{detail}");
                let of_key = refused.number == 0;
                assert_eq!(detail.contains("for key"), of_key, "{detail}");
            }
        }
    }
}

/// As where a sidecar's file declares another type than the coordinator's.
pub(crate) async fn what_can_not_be_written_here_refuses_its_purchase_alone(stand: Stand) {
    let participant = shop(&stand).await;
    let mut gold = order(2, "o-gold", &[]);
    Arc::make_mut(&mut gold.purchase).currency = "XAU".into();
    let entries = vec![
        order(0, "o-0", &[("cart", "1); DROP TABLE orders; --")]),
        order(1, "o-1", &[("cart", "8")]),
        gold,
    ];
    let refused = refused_entries(&participant, &ask(&tx(1), entries.clone())).await;
    let expected = [(0, Reason::Misconfigured), (2, Reason::Misconfigured)];
    assert_eq!(reasons(&refused), expected);
    let details = [0, 1].map(|n: usize| refused[n].refusal.detail.as_str());
    assert!(details[0].starts_with("attribute cart must be a whole number"));
    assert!(
        details[1].contains("how many digits XAU has"),
        "{details:?}"
    );
    let commit = decision(&tx(1), entries[1..2].to_vec());
    participant.commit(&commit).await.unwrap();
    let mut hand = stand.hand().await;
    assert_eq!(column(&mut hand, "SELECT cart FROM orders").await, ["8"]);
    assert_eq!(
        column(&mut hand, "SELECT COUNT(*) FROM order_lines").await,
        ["4"]
    );
}
