//! tandem's own tables, and the default schema.

use crate::settings::{Per, Statement};

/// What the names of tandem's own tables begin with.
pub(crate) const PREFIX: &str = "tandem_";

/// A marker row for each branch: `state` 1 is inserted first in the branch and so is committed if
/// and only if the branch is; `state` 2 is inserted by a roll back, so that no prepare of the
/// transaction can come after it. `connection_id` and `server_start` (seconds since the Unix
/// epoch) name the session that prepared. 76 bytes a row (200,000 rows on MariaDB 10.11).
const BRANCHES: &str = "CREATE TABLE IF NOT EXISTS tandem_branches (
  participant VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  coordinator VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  `sequence` BIGINT UNSIGNED NOT NULL,
  state TINYINT UNSIGNED NOT NULL COMMENT '1 committed with its branch, 2 rolled back',
  connection_id BIGINT UNSIGNED NOT NULL,
  server_start BIGINT UNSIGNED NOT NULL,
  prepare_time_ms BIGINT UNSIGNED NOT NULL,
  PRIMARY KEY (participant, coordinator, epoch, `sequence`)
) ENGINE=InnoDB";

/// What is known of each coordinator: its log, its newest epoch and who began it, and how far its
/// transactions are forgotten.
const COORDINATORS: &str = "CREATE TABLE IF NOT EXISTS tandem_coordinators (
  participant VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  coordinator VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  log_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  instance_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  forgotten_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  forgotten_sequence BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (participant, coordinator)
) ENGINE=InnoDB";

const PURCHASES: &str = "CREATE TABLE IF NOT EXISTS purchases (
  purchase_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  customer_id VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  currency CHAR(3) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  total_minor BIGINT NOT NULL,
  transaction_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  create_time DATETIME(3) NOT NULL,
  PRIMARY KEY (purchase_id)
) ENGINE=InnoDB";

const PURCHASE_ITEMS: &str = "CREATE TABLE IF NOT EXISTS purchase_items (
  purchase_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  sku VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  quantity INT UNSIGNED NOT NULL,
  unit_price_minor BIGINT NOT NULL,
  PRIMARY KEY (purchase_id, sku)
) ENGINE=InnoDB";

/// Names of the tables that tandem needs besides the app's.
pub(crate) fn names(default_schema: bool) -> &'static [&'static str] {
    const ALL: [&str; 4] = [
        "tandem_branches",
        "tandem_coordinators",
        "purchases",
        "purchase_items",
    ];
    if default_schema { &ALL } else { &ALL[..2] }
}

/// The statements that create them.
pub(crate) fn ddl(default_schema: bool) -> &'static [&'static str] {
    const ALL: [&str; 4] = [BRANCHES, COORDINATORS, PURCHASES, PURCHASE_ITEMS];
    if default_schema { &ALL } else { &ALL[..2] }
}

/// The statements that create tandem's own tables, for a person.
pub(crate) fn ddl_own() -> String {
    ddl(false).join("; ")
}

/// The statements that record a purchase where the user configures none.
pub(crate) fn default_statements() -> Vec<Statement> {
    vec![
        Statement {
            per: Per::Purchase,
            sql: "INSERT INTO purchases (purchase_id, customer_id, currency, total_minor, \
                  transaction_id, create_time) VALUES (:purchase_id, :customer_id, :currency, \
                  :total_minor, :transaction_id, :purchase_time)"
                .into(),
        },
        Statement {
            per: Per::Item,
            sql: "INSERT INTO purchase_items (purchase_id, sku, quantity, unit_price_minor) \
                  VALUES (:purchase_id, :sku, :quantity, :unit_price_minor)"
                .into(),
        },
    ]
}
