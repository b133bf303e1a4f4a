//! What mends each finding, as a person is to write it: one without an answer here does not compile.

use tandem_participant::Remedy;

use crate::danger::{Danger, Doubt, Engine, FoldingColumn, PACKET_BYTES_MIN};
use crate::session::server::Flavour;
use crate::sql::tables;

/// Remedies at one server, for one account.
pub(crate) struct Remedies<'a> {
    /// As GRANT takes it.
    pub(crate) account: &'a str,
    pub(crate) flavour: Flavour,
}

impl Remedies<'_> {
    /// What mends a finding, in this order; nothing where only a person knows.
    pub(crate) fn of(&self, danger: &Danger) -> Vec<Remedy> {
        match danger {
            Danger::FlushLogNotAtCommit { .. } => set("innodb_flush_log_at_trx_commit = 1"),
            Danger::BinlogNotSynced { .. } => set("sync_binlog = 1"),
            Danger::BinlogFormatStatement => set("binlog_format = 'ROW'"),
            Danger::DoublewriteOff { .. } => set("innodb_doublewrite = 'ON'"),
            Danger::ReadOnly => set("read_only = OFF"),
            Danger::XaDetachOff => set("xa_detach_on_prepare = ON"),
            Danger::PacketTooSmall { .. } => {
                set(&format!("max_allowed_packet = {PACKET_BYTES_MIN}"))
            }
            Danger::ReplicaStateUnknown { .. } => match self.flavour {
                Flavour::MariaDb => self.grant("REPLICA MONITOR ON *.*"),
                Flavour::MySql => self.grant("REPLICATION CLIENT ON *.*"),
            },
            Danger::XaRecoverRefused => self.grant("XA_RECOVER_ADMIN ON *.*"),
            Danger::RightMissing(rights) => {
                let grants = rights.iter().map(|right| right.grant(self.account));
                grants.map(Remedy::Statement).collect()
            }
            Danger::TableNotInnodb(Engine::Other { table, .. }) => {
                let table: Vec<&str> = table.splitn(2, '.').collect();
                statement(format!("ALTER TABLE `{}` ENGINE=InnoDB", table.join("`.`")))
            }
            Danger::TableNotInnodb(Engine::Unseen(unseen)) => match &unseen.grant {
                Some(grant) => self.grant(grant),
                None => Vec::new(),
            },
            Danger::TablesOfOldLayout { .. } => statement(tables::ALTER_BRANCHES.to_owned()),
            Danger::IdFoldsCase(column) => statement(column.unfolded()),
            Danger::TimeZoneDiffers { zone, .. } => {
                vec![Remedy::Setting(format!("time_zone = \"{zone}\""))]
            }
            Danger::NoUniqueKey(Doubt::Missing(told)) => {
                let statements = told.match_indices("ALTER TABLE ").map(|(at, _)| {
                    let end = told[at..].find("; ").map_or(told.len(), |end| at + end);
                    Remedy::Statement(told[at..end].to_owned())
                });
                statements.collect()
            }
            Danger::Replica | Danger::Galera { .. } => vec![Remedy::Setting(
                "url = \"mysql://USER:PASSWORD@PRIMARY/DATABASE\"".into(),
            )],
            Danger::NotAudited(_) => vec![Remedy::Setting("accept = [\"NOT_AUDITED\"]".into())],
            // What the columns, keys and triggers are to be, only the shop knows.
            Danger::NoUniqueKey(Doubt::Unseen(_))
            | Danger::KeyTooNarrow(_)
            | Danger::TriggerUnsound(_)
            | Danger::ColumnTooSmall(_) => Vec::new(),
        }
    }

    fn grant(&self, what: &str) -> Vec<Remedy> {
        statement(format!("GRANT {what} TO {}", self.account))
    }
}

impl FoldingColumn {
    /// The statement that gives it a collation of its own for each id.
    pub(crate) fn unfolded(&self) -> String {
        let not_null = if self.is_nullable { "" } else { " NOT NULL" };
        format!(
            "ALTER TABLE {} MODIFY {} {} CHARACTER SET {} COLLATE {}_bin{not_null}",
            self.table, self.column, self.column_type, self.character_set, self.character_set
        )
    }
}

fn set(what: &str) -> Vec<Remedy> {
    statement(format!("SET GLOBAL {what}"))
}

fn statement(text: String) -> Vec<Remedy> {
    vec![Remedy::Statement(text)]
}
