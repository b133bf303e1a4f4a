//! What a MySQL server says, and the app's statements.

use std::sync::Arc;

use tandem_mysql::{
    Begun, Flavour, Per, Statement, StatementsError, Templates, codes, encode, refusal, xid,
};
use tandem_participant::PreparedId;
use tandem_participant::attributes::Attributes;
use tandem_protocol::{Entry, Item, ParticipantName, Purchase, Timestamp};

use crate::lexer::{Lexeme, lex};
use crate::{Grammar, Target};

const WORDS: &[&str] = &[
    "INSERT INTO",
    "REPLACE",
    "UPDATE",
    "DELETE FROM",
    "IGNORE",
    "VALUES",
    "SET",
    "(",
    ")",
    ",",
    ";",
    "--",
    "-- ",
    "#",
    "/*",
    "*/",
    "/*!",
    "/*+",
    "'",
    "\"",
    "`",
    "''",
    "\\",
    ":purchase_id",
    ":customer_id",
    ":currency",
    ":total_minor",
    ":transaction_id",
    ":purchase_time",
    ":sku",
    ":quantity",
    ":unit_price_minor",
    ":item_number",
    ":",
    "::",
    ":=",
    "ON DUPLICATE KEY UPDATE",
    "SELECT",
    "FROM",
    "x",
    "N",
    "_latin1",
    "=",
    "0",
    "@",
    "$",
    "\n",
    "\u{a0}",
    "é",
];

pub(super) fn targets() -> Vec<Target> {
    vec![
        Target {
            name: "mysql_xa_recover",
            grammar: Grammar::Text(&[
                "1952542308",
                "-1",
                "|",
                "shop.3.1042",
                "mysql",
                "11",
                "+",
                "\u{0}",
            ]),
            seeds: || {
                let rows = [
                    "1952542308|11|shop.3.1042mysql",
                    "1|4|abcdef",
                    "1952542308|11|shop.3.1042other",
                ];
                rows.map(|row| row.into()).into()
            },
            read: |input| {
                let mut fields = input.splitn(3, |byte| *byte == b'|');
                let mut next = || fields.next().unwrap_or_default();
                let (format_id, length, data) = (next(), next(), next());
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                xa_recover_row(&text(format_id), &text(length), data).to_owned()
            },
        },
        Target {
            name: "mysql_error",
            grammar: Grammar::Text(&[
                "1062",
                "1205",
                "1213",
                "3572",
                "1452",
                "1048",
                "4025",
                "23000",
                "22001",
                "45000",
                "HY000",
                "Duplicate entry '",
                "' for key '",
                "PRIMARY",
                "-",
                "|",
                "p-1",
            ]),
            seeds: || {
                let errors = [
                    "1062|23000|p-1|Duplicate entry 'p-1' for key 'PRIMARY'",
                    "1062|23000|p-1|Duplicate entry 'shop-p-1' for key 'orders.id'",
                    "1205|HY000|p-1|Lock wait timeout exceeded",
                    "4025|23000|p-1|CONSTRAINT `c` failed for `shop`.`t`",
                    "1146|42S02|p-1|Table 'shop.t' doesn't exist",
                ];
                errors.map(|error| error.into()).into()
            },
            read: |input| {
                let text = String::from_utf8_lossy(input);
                let mut fields = text.splitn(4, '|');
                let mut next = || fields.next().unwrap_or_default();
                let number = next().parse().unwrap_or(1062);
                let (state, id, message) = (next(), next(), next());
                error(number, state, message, id)
            },
        },
        Target {
            name: "mysql_statement",
            grammar: Grammar::Text(WORDS),
            seeds: || {
                let statements = [
                    "INSERT INTO orders (id, customer) VALUES (:purchase_id, :customer_id)",
                    "insert into i values (:purchase_id, :item_number, :sku, :total_minor)",
                    "INSERT INTO t (id) VALUES (:purchase_id) RETURNING id",
                    "INSERT INTO `a:b` (id, t, u) VALUES (:purchase_id, '12:30', \"it's\") -- note",
                    "UPDATE t SET a = :quantity, b = :purchase_time WHERE c = :sku /* x */",
                    "DELETE FROM t WHERE a = :transaction_id AND b = ':' # c",
                    "INSERT INTO o (id, n) SELECT :purchase_id, c.n FROM c WHERE c.e = :customer_id",
                    "INSERT INTO shop.set (a) SELECT :purchase_id UNION VALUES (:sku)",
                ];
                statements.map(|sql| sql.into()).into()
            },
            read: |input| {
                let sql = String::from_utf8_lossy(input);
                let hostile = "a' OR \\\"`1; -- ";
                statement(input.len() % 2 == 0, &sql, hostile)
            },
        },
        Target {
            name: "mysql_value",
            grammar: Grammar::Text(WORDS),
            seeds: || {
                ["o'neil", "shop.3.1042", "\\", "é", ""]
                    .map(|text| text.into())
                    .into()
            },
            read: |input| literal(&String::from_utf8_lossy(input)).to_owned(),
        },
        Target {
            name: "mysql_version",
            grammar: Grammar::Text(&["MariaDB", "-", ".", "8.0.29", "10.11.0"]),
            seeds: || {
                ["10.11.14-MariaDB-0+deb12u2", "9.7.4", "8.0.28"]
                    .map(|text| text.into())
                    .into()
            },
            read: |input| version(&String::from_utf8_lossy(input)).to_owned(),
        },
    ]
}

/// A row of `XA RECOVER`: a branch is this participant's only if its bytes are exactly those that
/// this participant would have written.
fn xa_recover_row(format_id: &str, gtrid_length: &str, data: &[u8]) -> &'static str {
    let name: ParticipantName = "mysql".parse().expect("well formed");
    match xid::read(format_id, gtrid_length, data, &name) {
        Ok(PreparedId::Transaction(id)) => {
            assert_eq!(format_id.parse(), Ok(xid::FORMAT_ID));
            assert_eq!(format!("{id}{name}").as_bytes(), data);
            "ours"
        }
        Ok(PreparedId::Foreign(text)) => {
            assert!(
                text.bytes()
                    .all(|byte| byte.is_ascii_graphic() || byte == b' ')
            );
            "foreign"
        }
        Err(reason) if reason.starts_with("formatID") => "no formatID",
        Err(_) => "no length",
    }
}

/// A server's error and what it means for one purchase.
fn error(number: u16, state: &str, message: &str, purchase_id: &str) -> String {
    let class = codes::class(number, Flavour::MariaDb);
    let ends = codes::may_end_the_session(number, state);
    let detail = refusal::shortened(message.to_owned());
    assert!(detail.len() <= 300, "{} bytes", detail.len());
    let duplicate = refusal::names_purchase(message, purchase_id);
    if duplicate {
        assert!(message.contains(purchase_id), "a duplicate of another id");
    }
    format!("{class:?} {ends} {duplicate}")
}

/// A text as a value: read as either `sql_mode` reads it, it is one literal of just that text.
fn literal(value: &str) -> &'static str {
    let mut out = String::new();
    encode::text(&mut out, value);
    let lexed = [true, false].map(|escapes| lex(&out, escapes));
    assert_eq!(lexed[0], lexed[1], "it depends on NO_BACKSLASH_ESCAPES");
    match lexed[0].as_slice() {
        [Lexeme::Text(text)] => {
            assert_eq!(text, value);
            "plain"
        }
        [Lexeme::Other(introducer), Lexeme::Text(digits)] => {
            assert_eq!(introducer, "_utf8mb4 x");
            let bytes: Vec<String> = value.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digits, &bytes.concat());
            "hexadecimal"
        }
        other => panic!("not one literal: {other:?}"),
    }
}

/// The version that a server tells.
fn version(text: &str) -> &'static str {
    match Flavour::recognised(text) {
        Ok((Flavour::MariaDb, _)) => "MariaDB",
        Ok((Flavour::MySql, _)) => "MySQL",
        Err(_) => "refused",
    }
}

/// One of the app's statements. Filled in with values that try to break out of it, it has the same
/// structure as with harmless ones.
fn statement(per_item: bool, sql: &str, hostile: &str) -> String {
    let per = match per_item {
        true => Per::Item,
        false => Per::Purchase,
    };
    // The one that keeps the id, so that the other need not.
    let keeps = "INSERT INTO t (id) VALUES (:purchase_id)";
    let statements =
        [(Per::Purchase, keeps), (per, sql)].map(|(per, sql)| Statement::new(per, sql));
    let templates = match Templates::parse(&statements, &Attributes::default()) {
        Ok(templates) => templates,
        Err(StatementsError::One { source, .. }) => {
            let said = format!("{source:?}");
            return said.split([' ', '{', '(']).next().unwrap_or("").to_owned();
        }
        Err(other) => panic!("{other}"),
    };
    let id = "shop.1.2".parse().expect("well formed");
    let rendered = |value: &str| -> Vec<String> {
        let entries = [entry(0, value), entry(1, value)];
        let begun = Begun {
            transaction: &id,
            time: Timestamp(1),
        };
        let lines = templates.render(begun, &[&entries[0], &entries[1]], usize::MAX);
        lines.into_iter().map(|line| line.sql).collect()
    };
    let (plain, attacked) = (rendered("a"), rendered(hostile));
    let structure = |statements: &[String], escapes| -> Vec<Vec<Lexeme>> {
        let lexed = statements.iter().map(|sql| lex(sql, escapes));
        lexed
            .map(|lexemes| lexemes.into_iter().filter_map(kind).collect())
            .collect()
    };
    for escapes in [true, false] {
        let (plain, attacked) = (structure(&plain, escapes), structure(&attacked, escapes));
        assert_eq!(plain, attacked);
    }
    let tables = templates.tables().len();
    format!("{per:?}, {tables} tables, {} statements", plain.len())
}

fn entry(number: u32, value: &str) -> Entry {
    let item = Item {
        sku: value.to_owned(),
        quantity: 1,
        unit_price_minor: 1,
        ..Default::default()
    };
    Entry {
        number,
        purchase: Arc::new(Purchase {
            purchase_id: value.to_owned(),
            customer_id: value.to_owned(),
            currency: value.to_owned(),
            items: vec![item.clone(), item],
            ..Default::default()
        }),
    }
}

/// A lexeme without what values are: texts, and what introduces a hexadecimal one.
fn kind(lexeme: Lexeme) -> Option<Lexeme> {
    Some(match lexeme {
        Lexeme::Text(_) => Lexeme::Text(String::new()),
        Lexeme::Other(text) => match text.strip_suffix("_utf8mb4 x") {
            Some("") => return None,
            Some(before) => Lexeme::Other(before.to_owned()),
            None => Lexeme::Other(text),
        },
        Lexeme::Name => Lexeme::Name,
    })
}
