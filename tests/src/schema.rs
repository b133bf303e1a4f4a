//! Which tables purchases are kept in: tandem's own, or a shop's.

use tandem_proto::v1;

use crate::shop::fixture::{UNTRACKED, WAREHOUSES};

/// The shop's mapping.
const MAPPING: &str = include_str!("../shop/tandem.toml");

/// Where parts of it begin.
const ATTRIBUTES: &str = "[attributes.";
const MYSQL: &str = "[participants.purchases.mysql]";
const STATEMENTS: &str = "[[participants.purchases.mysql.statements]]";
const REDIS: &str = "[participants.stock.redis]";

/// The shop's tables, and what its people added when they met tandem. Whoever ends branches by hand wants to know
/// which rows are a transaction's, so there is a column for that too.
const SHOP_DDL: [&str; 3] = [
    include_str!("../shop/schema.sql"),
    include_str!("../shop/with_ref.sql"),
    "ALTER TABLE orders ADD COLUMN tx VARCHAR(64) NULL",
];

/// A schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Schema {
    /// `purchases` and `purchase_items`, which tandem creates.
    #[default]
    Tandem,
    /// Those of a shop that was there before tandem (`tests/shop`), with its mapping; on servers at +09:00, with
    /// its stock in [`StockPlace::Warehouses`](crate::stores::StockPlace).
    Shop,
}

impl Schema {
    /// What makes it in an empty database, if tandem does not.
    pub(crate) fn ddl(self) -> &'static [&'static str] {
        match self {
            Schema::Tandem => &[],
            Schema::Shop => &SHOP_DDL,
        }
    }

    /// Sections of a configuration, the coordinator's as well as a sidecar's: what purchases carry.
    pub(crate) fn attributes(self) -> &'static str {
        match self {
            Schema::Tandem => "",
            Schema::Shop => between(ATTRIBUTES, Some(MYSQL)),
        }
    }

    /// Further settings of the participant at MySQL.
    pub(crate) fn mysql_settings(self) -> String {
        match self {
            Schema::Tandem => String::new(),
            Schema::Shop => without_url(between(MYSQL, Some(STATEMENTS))),
        }
    }

    /// The statements of that participant, whose table in its file is this one.
    pub(crate) fn statements(self, table: &str) -> String {
        match self {
            Schema::Tandem => String::new(),
            Schema::Shop => between(STATEMENTS, Some(REDIS))
                .replace(STATEMENTS, &format!("[[{table}.statements]]"))
                .replace(", ordered_at)", ", ordered_at, tx)")
                .replace(":purchase_time)", ":purchase_time, :transaction_id)"),
        }
    }

    /// Purchase, stock and units of what has stock, of the purchases whose ids begin with `prefix`.
    pub(crate) fn rows(self, prefix: &str) -> String {
        match self {
            Schema::Tandem => format!(
                "SELECT p.purchase_id, i.sku, CAST(i.quantity AS SIGNED) FROM purchases p \
                 LEFT JOIN purchase_items i ON i.purchase_id = p.purchase_id \
                 WHERE p.purchase_id LIKE '{prefix}%'"
            ),
            Schema::Shop => {
                let untracked = UNTRACKED.map(|(sku, _)| format!("'{sku}'")).join(", ");
                let first = WAREHOUSES[0];
                format!(
                    "SELECT o.ref, CONCAT(l.sku, '{{', COALESCE(l.warehouse, '{first}'), '}}') AS stock, \
                     CAST(SUM(l.quantity) AS SIGNED) FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id \
                     AND l.sku NOT IN ({untracked}) WHERE o.ref LIKE '{prefix}%' GROUP BY o.ref, stock"
                )
            }
        }
    }

    /// What an item is taken from, by the name that [`rows`](Schema::rows) gives; nothing of what has no stock.
    pub(crate) fn stock_of(self, item: &v1::Item) -> Option<String> {
        if item.tracked == Some(false) {
            return None;
        }
        Some(match (self, item.pool.as_str()) {
            (Schema::Tandem, _) => item.sku.clone(),
            (Schema::Shop, "") => format!("{}{{{}}}", item.sku, WAREHOUSES[0]),
            (Schema::Shop, pool) => format!("{}{{{pool}}}", item.sku),
        })
    }

    /// The ids of a transaction's purchases.
    pub(crate) fn ids_of_transaction(self) -> &'static str {
        match self {
            Schema::Tandem => "SELECT purchase_id FROM purchases WHERE transaction_id = ?",
            Schema::Shop => "SELECT ref FROM orders WHERE tx = ?",
        }
    }

    /// What takes a purchase away, in order.
    pub(crate) fn deletes(self) -> &'static [&'static str] {
        match self {
            Schema::Tandem => &[
                "DELETE FROM purchase_items WHERE purchase_id = ?",
                "DELETE FROM purchases WHERE purchase_id = ?",
            ],
            Schema::Shop => &[
                "UPDATE carts SET state = 'open' WHERE id = (SELECT cart_id FROM orders WHERE ref = ?)",
                "DELETE FROM payments WHERE order_id = (SELECT id FROM orders WHERE ref = ?)",
                "DELETE FROM order_audit WHERE order_id = (SELECT id FROM orders WHERE ref = ?)",
                "DELETE FROM order_lines WHERE order_id = (SELECT id FROM orders WHERE ref = ?)",
                "DELETE FROM orders WHERE ref = ?",
            ],
        }
    }

    /// Each row as one line of text, for whoever looks into a failure.
    pub(crate) fn dumps(self) -> &'static [&'static str] {
        match self {
            Schema::Tandem => &[
                "SELECT CONCAT_WS(' ', purchase_id, transaction_id, create_time) FROM purchases \
                 WHERE purchase_id LIKE 'PREFIX%' ORDER BY transaction_id, purchase_id",
                "SELECT CONCAT_WS(' ', purchase_id, sku, quantity) FROM purchase_items \
                 WHERE purchase_id LIKE 'PREFIX%' ORDER BY purchase_id, sku",
            ],
            Schema::Shop => &[
                "SELECT CONCAT_WS(' ', id, ref, tx, customer_id, cart_id, total, currency, ordered_at) \
                 FROM orders WHERE ref LIKE 'PREFIX%' ORDER BY id",
                "SELECT CONCAT_WS(' ', l.order_id, l.position, l.sku, l.warehouse, l.quantity, l.price) \
                 FROM order_lines l JOIN orders o ON o.id = l.order_id WHERE o.ref LIKE 'PREFIX%' ORDER BY l.id",
                "SELECT CONCAT_WS(' ', p.id, p.order_id, p.reference, p.amount, p.state) FROM payments p \
                 JOIN orders o ON o.id = p.order_id WHERE o.ref LIKE 'PREFIX%' ORDER BY p.id",
                "SELECT CONCAT_WS(' ', a.id, a.order_id, a.total, a.noted_at) FROM order_audit a \
                 JOIN orders o ON o.id = a.order_id WHERE o.ref LIKE 'PREFIX%' ORDER BY a.id",
                "SELECT CONCAT_WS(' ', id, customer_id) FROM carts WHERE state = 'ordered' ORDER BY id",
            ],
        }
    }
}

/// Settings of the participant at Redis where the stock is the shop's, but for where the server is.
pub(crate) fn shops_stock() -> String {
    without_url(between(REDIS, None))
}

/// The mapping from one of its headers to another one, or to its end.
fn between(from: &str, to: Option<&str>) -> &'static str {
    let begin = MAPPING.find(from).expect("the mapping has this header");
    let rest = &MAPPING[begin..];
    match to {
        Some(to) => &rest[..rest.find(to).expect("the mapping has this header")],
        None => rest,
    }
}

/// The lines of a section behind its header, but for the store's address, which each world has its own of.
fn without_url(section: &str) -> String {
    let lines = section.lines().skip(1);
    let others = lines.filter(|line| !line.starts_with("url = "));
    others.map(|line| format!("{line}\n")).collect()
}
