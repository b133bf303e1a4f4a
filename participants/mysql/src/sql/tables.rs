//! tandem's own tables, and the default schema.

use crate::sql::statement::{Per, Statement};

/// What the names of tandem's own tables begin with.
pub(crate) const PREFIX: &str = "tandem_";

/// A marker row for each branch: `state` 1 is inserted first in the branch and so is committed if
/// and only if the branch is; `state` 2 is inserted by a roll back, so that no prepare of the
/// transaction can come after it. `connection_id` and `server_start` (seconds since the Unix
/// epoch) name the session that prepared. `entries` (`0-4,7`) and `participants` are for a recovery
/// that has nothing but the stores; NULL in rows that a tandem wrote which did not know them. 108
/// bytes a row (200,000 rows with `0-255` and `purchases,stock` on MariaDB 10.11; 87 without the two).
const BRANCHES: &str = "CREATE TABLE IF NOT EXISTS tandem_branches (
  participant VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  coordinator VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  `sequence` BIGINT UNSIGNED NOT NULL,
  state TINYINT UNSIGNED NOT NULL COMMENT '1 committed with its branch, 2 rolled back',
  connection_id BIGINT UNSIGNED NOT NULL,
  server_start BIGINT UNSIGNED NOT NULL,
  prepare_time_ms BIGINT UNSIGNED NOT NULL,
  entries VARCHAR(4096) CHARACTER SET ascii COLLATE ascii_bin NULL,
  participants VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NULL,
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

/// In which life of the server each coordinator is enlisted, the connection that enlisted it, and
/// how far its transactions are closed. A table of its own, since rows of `tandem_coordinators` are
/// read in every branch: branches in doubt keep that table from being altered.
const LIVES: &str = "CREATE TABLE IF NOT EXISTS tandem_lives (
  participant VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  coordinator VARCHAR(20) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  incarnation VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  connection_id BIGINT UNSIGNED NOT NULL,
  closed_epoch BIGINT UNSIGNED NOT NULL DEFAULT 0,
  closed_sequence BIGINT UNSIGNED NOT NULL DEFAULT 0,
  PRIMARY KEY (participant, coordinator)
) ENGINE=InnoDB COMMENT='tandem layout 2'";

/// The layout of tandem's tables that this tandem knows, and what the comment of `tandem_lives`
/// begins with before its number. Layout 1 had no such table.
pub(crate) const LAYOUT: u32 = 2;
pub(crate) const LAYOUT_COMMENT: &str = "tandem layout ";

/// Brings `tandem_branches` of layout 1 to layout 2. A tandem of layout 1 names the columns that it
/// writes, so it works on with the table.
pub(crate) const ALTER_BRANCHES: &str = "ALTER TABLE tandem_branches
  ADD COLUMN entries VARCHAR(4096) CHARACTER SET ascii COLLATE ascii_bin NULL,
  ADD COLUMN participants VARCHAR(2048) CHARACTER SET ascii COLLATE ascii_bin NULL";

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
    const ALL: [&str; 5] = [
        "tandem_branches",
        "tandem_coordinators",
        "tandem_lives",
        "purchases",
        "purchase_items",
    ];
    if default_schema { &ALL } else { &ALL[..3] }
}

/// The statements that create them.
pub(crate) fn ddl(default_schema: bool) -> &'static [&'static str] {
    const ALL: [&str; 5] = [BRANCHES, COORDINATORS, LIVES, PURCHASES, PURCHASE_ITEMS];
    if default_schema { &ALL } else { &ALL[..3] }
}

/// The statements that create tandem's own tables, for a person.
pub(crate) fn ddl_own() -> String {
    ddl(false).join("; ")
}

/// The statements that record a purchase where the user configures none.
pub(crate) fn default_statements() -> Vec<Statement> {
    vec![
        Statement::new(
            Per::Purchase,
            "INSERT INTO purchases (purchase_id, customer_id, currency, total_minor, \
                  transaction_id, create_time) VALUES (:purchase_id, :customer_id, :currency, \
                  :total_minor, :transaction_id, :purchase_time)",
        ),
        Statement::new(
            Per::Item,
            "INSERT INTO purchase_items (purchase_id, sku, quantity, unit_price_minor) \
                  VALUES (:purchase_id, :sku, :quantity, :unit_price_minor)",
        ),
    ]
}
