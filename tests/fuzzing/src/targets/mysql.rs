//! What a MySQL server says, and the app's statements.

use tandem_mysql::fuzzing;

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
                fuzzing::xa_recover_row(&text(format_id), &text(length), data).to_owned()
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
                fuzzing::error(number, state, message, id)
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
                fuzzing::statement(input.len() % 2 == 0, &sql, hostile)
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
            read: |input| fuzzing::literal(&String::from_utf8_lossy(input)).to_owned(),
        },
        Target {
            name: "mysql_version",
            grammar: Grammar::Text(&["MariaDB", "-", ".", "8.0.29", "10.11.0"]),
            seeds: || {
                ["10.11.14-MariaDB-0+deb12u2", "9.7.4", "8.0.28"]
                    .map(|text| text.into())
                    .into()
            },
            read: |input| fuzzing::version(&String::from_utf8_lossy(input)).to_owned(),
        },
    ]
}
