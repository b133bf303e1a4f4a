//! What the fuzzer calls of the inside of this crate. Each gives a short word for what came of the
//! input, and panics when a promise is broken.

use std::sync::Arc;

use tandem_participant::PreparedId;
use tandem_protocol::{Entry, Item, ParticipantName, Purchase};

use crate::server::Flavour;
use crate::settings::{Per, SettingsError, Statement};
use crate::statements::Templates;
use crate::{codes, encode, refusal, server, xid};

/// A row of `XA RECOVER`: a branch is this participant's only if its bytes are exactly those that
/// this participant would have written.
pub fn xa_recover_row(format_id: &str, gtrid_length: &str, data: &[u8]) -> &'static str {
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
pub fn error(number: u16, state: &str, message: &str, purchase_id: &str) -> String {
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
pub fn literal(value: &str) -> &'static str {
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
pub fn version(text: &str) -> &'static str {
    match server::Flavour::recognised(text) {
        Ok((server::Flavour::MariaDb, _)) => "MariaDB",
        Ok((server::Flavour::MySql, _)) => "MySQL",
        Err(_) => "refused",
    }
}

/// One of the app's statements. Filled in with values that try to break out of it, it has the same
/// structure as with harmless ones.
pub fn statement(per_item: bool, sql: &str, hostile: &str) -> String {
    let per = match per_item {
        true => Per::Item,
        false => Per::Purchase,
    };
    // The one that keeps the id, so that the other need not.
    let keeps = "INSERT INTO t (id) VALUES (:purchase_id)";
    let statements =
        [(Per::Purchase, keeps), (per, sql)].map(|(per, sql)| Statement::new(per, sql));
    let templates = match Templates::parse(&statements) {
        Ok(templates) => templates,
        Err(SettingsError::Statement { source, .. }) => {
            let said = format!("{source:?}");
            return said.split([' ', '{', '(']).next().unwrap_or("").to_owned();
        }
        Err(other) => panic!("{other}"),
    };
    let id = "shop.1.2".parse().expect("well formed");
    let rendered = |value: &str| -> Vec<String> {
        let entries = [entry(0, value), entry(1, value)];
        let lines = templates.render(&id, &[&entries[0], &entries[1]], usize::MAX);
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
    };
    Entry {
        number,
        purchase: Arc::new(Purchase {
            purchase_id: value.to_owned(),
            customer_id: value.to_owned(),
            currency: value.to_owned(),
            items: vec![item.clone(), item],
        }),
    }
}

/// A lexeme as a server reads it, coarsely.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Lexeme {
    /// The content of `'…'` or `"…"`.
    Text(String),
    /// `` `…` ``.
    Name,
    /// What is between them.
    Other(String),
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

/// Written apart from `tokens.rs`, so that both can't be wrong in the same way.
fn lex(sql: &str, backslash_escapes: bool) -> Vec<Lexeme> {
    let mut lexemes = Vec::new();
    let mut other = String::new();
    let mut rest = sql.chars().peekable();
    while let Some(first) = rest.next() {
        if !matches!(first, '\'' | '"' | '`') {
            other.push(first);
            continue;
        }
        if !other.is_empty() {
            lexemes.push(Lexeme::Other(std::mem::take(&mut other)));
        }
        let mut text = String::new();
        loop {
            let Some(next) = rest.next() else {
                panic!("a quote is not closed in {sql:?}");
            };
            if next == '\\' && backslash_escapes && first != '`' {
                text.extend(rest.next());
            } else if next != first {
                text.push(next);
            } else if rest.next_if_eq(&first).is_some() {
                text.push(first);
            } else {
                break;
            }
        }
        lexemes.push(match first {
            '`' => Lexeme::Name,
            _ => Lexeme::Text(text),
        });
    }
    if !other.is_empty() {
        lexemes.push(Lexeme::Other(other));
    }
    lexemes
}
