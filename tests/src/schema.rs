//! Which tables purchases are kept in: tandem's own, or a shop's.

/// A schema.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Schema {
    /// `purchases` and `purchase_items`, which tandem creates.
    #[default]
    Tandem,
    /// A shop's own: orders with numbers of their own that belong to known customers, written through a
    /// view, followed by a trigger; ids in the server's own collation, which takes upper and lower case for
    /// the same.
    Shop,
}

/// The shop's customers; nobody else may buy there.
pub(crate) const CUSTOMERS: [&str; 2] = ["ann@example.org", "bob@example.org"];

const SHOP_DDL: &str = "
CREATE TABLE customers (
  number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, email VARCHAR(64) NOT NULL UNIQUE) ENGINE=InnoDB;
INSERT INTO customers (email) VALUES ('ann@example.org'), ('bob@example.org');
CREATE TABLE orders (
  number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, id VARCHAR(64) NOT NULL UNIQUE,
  customer VARCHAR(64) NOT NULL, currency ENUM('EUR', 'USD') NOT NULL, total BIGINT NOT NULL,
  tx VARCHAR(64) NOT NULL, placed TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  FOREIGN KEY (customer) REFERENCES customers (email)) ENGINE=InnoDB;
CREATE TABLE order_lines (
  number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, order_id VARCHAR(64) NOT NULL,
  sku VARCHAR(128) NOT NULL, units INT NOT NULL, price BIGINT NOT NULL, UNIQUE (order_id, sku),
  FOREIGN KEY (order_id) REFERENCES orders (id)) ENGINE=InnoDB;
CREATE TABLE orders_seen (
  number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, order_id VARCHAR(64) NOT NULL,
  total BIGINT NOT NULL, KEY (order_id)) ENGINE=InnoDB;
CREATE TRIGGER orders_are_seen AFTER INSERT ON orders FOR EACH ROW
  INSERT INTO orders_seen (order_id, total) VALUES (NEW.id, NEW.total);
CREATE VIEW new_orders AS SELECT id, customer, currency, total, tx FROM orders";

const SHOP_STATEMENTS: &str = "
[[mysql.statements]]
per = \"purchase\"
sql = \"INSERT INTO new_orders (id, customer, currency, total, tx) \
VALUES (:purchase_id, :customer_id, :currency, :total_minor, :transaction_id)\"

[[mysql.statements]]
per = \"item\"
sql = \"INSERT INTO order_lines (order_id, sku, units, price) \
VALUES (:purchase_id, :sku, :quantity, :unit_price_minor)\"
";

impl Schema {
    /// What makes it in an empty database, if tandem does not.
    pub(crate) fn ddl(self) -> Option<&'static str> {
        (self == Schema::Shop).then_some(SHOP_DDL)
    }

    /// The last lines of the settings of the sidecar beside MySQL.
    pub(crate) fn statements(self) -> &'static str {
        match self {
            Schema::Tandem => "",
            Schema::Shop => SHOP_STATEMENTS,
        }
    }

    /// Purchase, sku and units of each item of the purchases whose ids begin with `prefix`.
    pub(crate) fn rows(self, prefix: &str) -> String {
        match self {
            Schema::Tandem => format!(
                "SELECT p.purchase_id, i.sku, CAST(i.quantity AS SIGNED) FROM purchases p \
                 LEFT JOIN purchase_items i ON i.purchase_id = p.purchase_id \
                 WHERE p.purchase_id LIKE '{prefix}%'"
            ),
            Schema::Shop => format!(
                "SELECT o.id, l.sku, CAST(l.units AS SIGNED) FROM orders o \
                 LEFT JOIN order_lines l ON l.order_id = o.id WHERE o.id LIKE '{prefix}%'"
            ),
        }
    }

    /// The ids of a transaction's purchases.
    pub(crate) fn ids_of_transaction(self) -> &'static str {
        match self {
            Schema::Tandem => "SELECT purchase_id FROM purchases WHERE transaction_id = ?",
            Schema::Shop => "SELECT id FROM orders WHERE tx = ?",
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
                "DELETE FROM orders_seen WHERE order_id = ?",
                "DELETE FROM order_lines WHERE order_id = ?",
                "DELETE FROM orders WHERE id = ?",
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
                "SELECT CONCAT_WS(' ', number, id, customer, currency, total, tx, placed) FROM orders \
                 WHERE id LIKE 'PREFIX%' ORDER BY number",
                "SELECT CONCAT_WS(' ', number, order_id, sku, units) FROM order_lines \
                 WHERE order_id LIKE 'PREFIX%' ORDER BY number",
                "SELECT CONCAT_WS(' ', number, order_id, total) FROM orders_seen \
                 WHERE order_id LIKE 'PREFIX%' ORDER BY number",
            ],
        }
    }
}
