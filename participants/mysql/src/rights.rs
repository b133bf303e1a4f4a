//! The least that tandem's user must be allowed at the server, of the settings alone.

use std::collections::BTreeMap;
use std::fmt;

use crate::session::server::Flavour;
use crate::settings::{Settings, SettingsError};
use crate::sql::encode;
use crate::sql::kept::Kept;
use crate::sql::kept_by_server::{self, Named};
use crate::sql::param::Param;
use crate::sql::tables;
use crate::sql::templates::Templates;

/// What is done with tandem's own tables.
const OWN: [&str; 4] = ["SELECT", "INSERT", "UPDATE", "DELETE"];

/// One privilege on one thing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Right {
    /// On what, as GRANT takes it: `*.*`, or names between backticks.
    pub(crate) on: String,
    /// As GRANT names it.
    pub(crate) privilege: &'static str,
    /// The only kind of server that has it; `None` where both do.
    pub(crate) only: Option<Flavour>,
    /// What becomes of purchases without it.
    pub(crate) without: Without,
}

/// What becomes of purchases where a right is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Without {
    /// None is made.
    NoPurchase,
    /// What the server holds of a purchase can't be listed or told apart, so that none is made.
    NoRecovery,
    /// One that finds a row locked delays the others.
    Delay,
    /// It is not told what else is written with it.
    Unseen,
    /// Nobody can compare it.
    NoAudit,
}

impl Without {
    fn what(self) -> &'static str {
        match self {
            Without::NoPurchase => "without it no purchase is made",
            Without::NoRecovery => "without it branches in doubt can't be looked after",
            Without::Delay => {
                "without it a row that somebody else holds delays purchases that don't need it"
            }
            Without::Unseen => "without it nobody sees what views and triggers write",
            Without::NoAudit => "without it an audit can't compare the rows",
        }
    }
}

impl Right {
    fn on_all(privilege: &'static str, only: Option<Flavour>, without: Without) -> Right {
        Right {
            on: "*.*".into(),
            privilege,
            only,
            without,
        }
    }

    /// Whether no purchase can be made without it.
    pub(crate) fn is_needed(&self) -> bool {
        matches!(self.without, Without::NoPurchase | Without::NoRecovery)
    }

    /// The statement that grants it to an account, quoted.
    pub(crate) fn grant(&self, account: &str) -> String {
        format!("GRANT {} ON {} TO {account}", self.privilege, self.on)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = self.without.what();
        write!(f, "{} on {} ({what})", self.privilege, self.on)
    }
}

/// Everything that is needed, each once, at servers of either kind.
pub(crate) fn needed(settings: &Settings, database: &str, templates: &Templates) -> Vec<Right> {
    let mut rights = of_server();
    let statements = settings.statements.clone();
    let of_default = statements.is_none();
    for table in tables::names(of_default) {
        let on = quoted(database, table);
        let is_own = table.starts_with(tables::PREFIX);
        let used = OWN.iter().filter(|_| is_own);
        let made = settings.create_tables.then_some("CREATE");
        rights.extend(used.copied().chain(made).map(|privilege| Right {
            on: on.clone(),
            privilege,
            only: None,
            without: Without::NoPurchase,
        }));
    }
    let statements = statements.unwrap_or_else(tables::default_statements);
    for statement in &statements {
        rights.extend(of_statement(&statement.sql, database));
    }
    // An audit finds rows by the purchase's id, or by the key of their order.
    let kept = templates.each().filter_map(|one| one.kept.as_ref());
    let found = |kept: &&Kept| kept.column(Param::PurchaseId).is_some() || kept.parent.is_some();
    for kept in kept.filter(found) {
        let named = kept_by_server::of_trigger(&format!("FROM {}", kept.table));
        rights.extend(named.into_iter().map(|table| Right {
            on: place(&table, database),
            privilege: "SELECT",
            only: None,
            without: Without::NoAudit,
        }));
    }
    rights.sort();
    // The weightier reason is first.
    rights.dedup_by(|next, first| (&next.on, next.privilege) == (&first.on, first.privilege));
    rights
}

fn of_server() -> Vec<Right> {
    let (mysql, mariadb) = (Some(Flavour::MySql), Some(Flavour::MariaDb));
    let waits = ["data_lock_waits", "threads"].map(|table| Right {
        on: quoted("performance_schema", table),
        privilege: "SELECT",
        only: mysql,
        without: Without::Delay,
    });
    let mut rights = vec![
        Right::on_all("PROCESS", None, Without::Delay),
        Right::on_all("REPLICA MONITOR", mariadb, Without::NoRecovery),
        Right::on_all("REPLICATION CLIENT", mysql, Without::NoRecovery),
        Right::on_all("XA_RECOVER_ADMIN", mysql, Without::NoRecovery),
    ];
    rights.extend(waits);
    rights
}

/// What a statement needs: its verb on the table that it writes, which it reads too unless it inserts, and
/// SELECT on each other one that it names.
fn of_statement(sql: &str, database: &str) -> Vec<Right> {
    let verb = sql.trim_start().get(..6).unwrap_or_default();
    let privilege = match verb.to_ascii_uppercase().as_str() {
        "UPDATE" => "UPDATE",
        "DELETE" => "DELETE",
        _ => "INSERT",
    };
    let named = kept_by_server::of_trigger(sql);
    let Some(written) = named.first() else {
        return Vec::new();
    };
    // INSERT and INTO both lead to it.
    let mut others: Vec<&Named> = named.iter().skip_while(|one| *one == written).collect();
    if privilege != "INSERT" {
        others.push(written);
    }
    let right = |table: &Named, privilege| Right {
        on: place(table, database),
        privilege,
        only: None,
        without: Without::NoPurchase,
    };
    let reads = others.into_iter().map(|table| right(table, "SELECT"));
    let mut rights: Vec<Right> = reads.collect();
    let schema = written.schema.as_deref().unwrap_or(database);
    rights.push(right(written, privilege));
    rights.push(Right {
        on: format!("{}.*", pattern(schema)),
        privilege: "TRIGGER",
        only: None,
        without: Without::Unseen,
    });
    rights
}

fn place(table: &Named, database: &str) -> String {
    let schema = table.schema.as_deref().unwrap_or(database);
    quoted(schema, &table.table)
}

fn quoted(schema: &str, table: &str) -> String {
    format!(
        "{}.{}",
        encode::identifier(schema),
        encode::identifier(table)
    )
}

/// A schema in a GRANT on all of it, where `_` and `%` stand for others (MySQL manual, "GRANT Statement").
fn pattern(schema: &str) -> String {
    encode::identifier(&schema.replace('_', "\\_").replace('%', "\\%"))
}

/// An account as statements write it.
pub(crate) fn account(user: &str, host: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"));
    format!("{}@{}", quoted(user), quoted(host))
}

/// The statements that grant it all, as a script for either server's client: what stands in `/*M! … */` is read
/// by MariaDB alone, and in `/*!80000 … */` by MySQL alone.
pub(crate) fn script(rights: &[Right], account: &str) -> Vec<String> {
    let mut grouped: BTreeMap<(&str, Option<Flavour>), Vec<&str>> = BTreeMap::new();
    for right in rights {
        let group = grouped.entry((&right.on, right.only)).or_default();
        group.push(right.privilege);
    }
    let statements = grouped.into_iter().map(|((on, only), privileges)| {
        let grant = format!("GRANT {} ON {on} TO {account}", privileges.join(", "));
        match only {
            None => format!("{grant};"),
            Some(Flavour::MariaDb) => format!("/*M! {grant} */;"),
            Some(Flavour::MySql) => format!("/*!80000 {grant} */;"),
        }
    });
    statements.collect()
}

impl Settings {
    /// The least that the url's user must be allowed, as GRANT statements that both servers' clients take as
    /// they are.
    ///
    /// # Errors
    /// Where the settings can't work.
    pub fn grants(&self) -> Result<Vec<String>, SettingsError> {
        let checked = self.clone().checked()?;
        let account = account(checked.options.get_username(), "%");
        Ok(script(&checked.rights, &account))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::statement::{Per, Statement};

    fn grants(statements: &[(Per, &str)]) -> Vec<String> {
        let mut settings = Settings::new("mysql://it's@h/my_shop".to_owned().into());
        let of = |(per, sql): &(Per, &str)| Statement::new(*per, *sql);
        settings.statements = Some(statements.iter().map(of).collect());
        settings.grants().expect("valid")
    }

    #[test]
    fn statements_need_what_they_write_and_what_they_read() {
        let granted = grants(&[
            (
                Per::Purchase,
                "INSERT INTO orders (ref, who) SELECT :purchase_id, c.id FROM crm.customers c",
            ),
            (
                Per::Item,
                "INSERT INTO order_lines (o, sku) VALUES ((SELECT id FROM orders WHERE ref = :purchase_id), :sku)",
            ),
            (
                Per::Item,
                "update `best sellers` set n = n + 1 where sku = :sku",
            ),
        ]);
        for line in [
            "GRANT INSERT, SELECT ON `my_shop`.`orders` TO 'it''s'@'%';",
            "GRANT SELECT ON `crm`.`customers` TO 'it''s'@'%';",
            "GRANT INSERT, SELECT ON `my_shop`.`order_lines` TO 'it''s'@'%';",
            "GRANT SELECT, UPDATE ON `my_shop`.`best sellers` TO 'it''s'@'%';",
            "GRANT TRIGGER ON `my\\_shop`.* TO 'it''s'@'%';",
            "GRANT CREATE, DELETE, INSERT, SELECT, UPDATE ON `my_shop`.`tandem_branches` TO 'it''s'@'%';",
            "GRANT PROCESS ON *.* TO 'it''s'@'%';",
            "/*!80000 GRANT REPLICATION CLIENT, XA_RECOVER_ADMIN ON *.* TO 'it''s'@'%' */;",
            "/*M! GRANT REPLICA MONITOR ON *.* TO 'it''s'@'%' */;",
        ] {
            assert!(
                granted.iter().any(|one| one == line),
                "{line}: {granted:#?}"
            );
        }
        assert!(!granted.iter().any(|line| line.contains("purchase_items")));
    }
}
