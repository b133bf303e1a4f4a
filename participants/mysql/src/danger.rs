//! What is found of a server and its tables that people must know: each with its name, its severity and
//! its text. Adding one without them does not compile; its name is in the operator's manual besides.

use strum::{AsRefStr, EnumDiscriminants, VariantArray, VariantNames};
use tandem_participant::Finding;

use crate::rights::Right;
use crate::sql::tables;

/// Smallest `max_allowed_packet`, in bytes: one purchase of 100 items has to fit with room to spare.
pub(crate) const PACKET_BYTES_MIN: usize = 1 << 20;

/// One thing that was found. Its name, for `accept` and for people, is the variant's in capitals.
#[derive(Debug, Clone, PartialEq, Eq, AsRefStr, VariantNames, EnumDiscriminants)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
#[strum_discriminants(
    name(FindingName),
    vis(pub),
    doc = "Every finding of a MySQL participant. What each means is in the runbook.",
    allow(missing_docs),
    derive(AsRefStr, VariantArray),
    strum(serialize_all = "SCREAMING_SNAKE_CASE")
)]
pub(crate) enum Danger {
    FlushLogNotAtCommit {
        value: String,
    },
    BinlogNotSynced {
        value: String,
    },
    BinlogFormatStatement,
    DoublewriteOff {
        value: String,
    },
    ReadOnly,
    Replica,
    ReplicaStateUnknown {
        /// The statement that was refused.
        show: &'static str,
        refusal: String,
    },
    XaDetachOff,
    XaRecoverRefused,
    TableNotInnodb(Engine),
    PacketTooSmall {
        bytes: usize,
    },
    Galera {
        provider: String,
    },
    TablesOfOldLayout {
        /// What keeps the columns from being added.
        obstacle: String,
    },
    IdFoldsCase(FoldingColumn),
    TimeZoneDiffers {
        /// The server's, as a session can be given it.
        zone: String,
        /// What it is where that is `SYSTEM`.
        system: String,
        /// That of tandem's sessions.
        ours: String,
    },
    NoUniqueKey(Doubt),
    /// For a person, each column or key that takes different rows for the same.
    KeyTooNarrow(Vec<String>),
    /// For a person, each trigger and what it does that a branch should not.
    TriggerUnsound(Vec<String>),
    /// For a person, each column and what it does not hold.
    ColumnTooSmall(Vec<String>),
    /// For a person, each thing that an audit leaves out.
    NotAudited(Vec<String>),
    /// What the user may not do, and needs.
    RightMissing(Vec<Right>),
}

/// A column of purchases' ids that takes two ids for the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoldingColumn {
    /// Table and column as the statement writes them.
    pub(crate) table: String,
    pub(crate) column: String,
    pub(crate) column_type: String,
    pub(crate) character_set: String,
    pub(crate) collation: String,
    pub(crate) is_nullable: bool,
}

/// What is wrong, or not known, about the engine of a table that a branch writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Engine {
    Other {
        table: String,
        engine: String,
        /// The view or trigger that leads to it; `None` where a statement names it.
        by: Option<String>,
    },
    Unseen(Unseen),
}

/// What was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unseen {
    /// For a person.
    pub(crate) why: String,
    /// What would let it be seen, as GRANT takes it, before TO.
    pub(crate) grant: Option<String>,
}

/// What is in doubt about the keys of the tables that keep purchases' ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// None of them refuses a second row of the same id: for a person, what there is.
    Missing(String),
    /// Not all of them can be looked at: for a person, why.
    Unseen(String),
}

/// Whom it keeps from working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Severity {
    /// Decided purchases may be lost or blocked: every coordinator, until it is mended or accepted.
    Refused,
    /// Nobody.
    Told,
}

impl Danger {
    /// All names, in the order of the list.
    pub(crate) const NAMES: &'static [&'static str] = Danger::VARIANTS;

    /// It for people, where these names are accepted.
    pub(crate) fn into_finding(self, accept: &[String]) -> Finding {
        let is_named = self.is_among(accept);
        let is_told = self.severity() == Severity::Told;
        Finding {
            accepted: is_named || is_told,
            told: is_told && !is_named,
            name: self.as_ref().into(),
            detail: self.detail(),
        }
    }

    /// Whether its name is one of these.
    pub(crate) fn is_among(&self, names: &[String]) -> bool {
        names.iter().any(|name| name == self.as_ref())
    }

    fn severity(&self) -> Severity {
        match self {
            Danger::FlushLogNotAtCommit { .. }
            | Danger::BinlogNotSynced { .. }
            | Danger::BinlogFormatStatement
            | Danger::DoublewriteOff { .. }
            | Danger::ReadOnly
            | Danger::Replica
            | Danger::ReplicaStateUnknown { .. }
            | Danger::XaDetachOff
            | Danger::XaRecoverRefused
            | Danger::TableNotInnodb(Engine::Other { .. })
            | Danger::PacketTooSmall { .. }
            | Danger::Galera { .. }
            | Danger::NoUniqueKey(Doubt::Missing(_)) => Severity::Refused,
            Danger::RightMissing(rights) if rights.iter().any(|right| right.is_needed()) => Severity::Refused,
            // Without it others are delayed, or less is told.
            Danger::RightMissing(_)
            // They lack what only a recovery from the stores alone would need.
            | Danger::TablesOfOldLayout { .. }
            // They refuse purchases that nobody has made and lose none.
            | Danger::IdFoldsCase(_)
            | Danger::KeyTooNarrow(_)
            // It is read loosely, so that it may be mistaken.
            | Danger::TriggerUnsound(_)
            // What it writes is well defined; whether it is meant only a person knows.
            | Danger::TimeZoneDiffers { .. }
            | Danger::TableNotInnodb(Engine::Unseen(_))
            | Danger::NoUniqueKey(Doubt::Unseen(_))
            // The session is strict, so that it refuses purchases and cuts nothing off.
            | Danger::ColumnTooSmall(_)
            // The audit says it each time, and does not exit 0.
            | Danger::NotAudited(_) => Severity::Told,
        }
    }

    /// What it can do, and what mends it.
    fn detail(&self) -> String {
        match self {
            Danger::FlushLogNotAtCommit { value } => format!(
                "innodb_flush_log_at_trx_commit is {value}: a crash loses prepared branches and \
                 committed purchases; set it to 1"
            ),
            Danger::BinlogNotSynced { value } => format!(
                "the binary log is on and sync_binlog is {value}: a crash of the machine may \
                 lose prepared branches and make replicas differ; set it to 1"
            ),
            Danger::BinlogFormatStatement => {
                "binlog_format is STATEMENT, under which READ COMMITTED can't write (error 1665); \
                 set it to MIXED or ROW"
                    .into()
            }
            Danger::DoublewriteOff { value } => format!(
                "innodb_doublewrite is {value}: a page that is half written in a power cut \
                 is lost, unless the storage writes pages atomically; set it to ON"
            ),
            Danger::ReadOnly => {
                "the server is read-only: nothing can be prepared, and MariaDB refuses to commit what \
                 is prepared (error 1290)"
                    .into()
            }
            Danger::Replica => {
                "the server replicates from another: purchases belong on the primary".into()
            }
            Danger::ReplicaStateUnknown { show, refusal } => format!(
                "{show} was refused ({refusal}), so whether this is a replica is not known; grant \
                 REPLICATION CLIENT (MySQL) or REPLICA MONITOR (MariaDB) to tandem's user"
            ),
            Danger::XaDetachOff => {
                "xa_detach_on_prepare is off: each branch in doubt keeps a session, and a session \
                 lost at the wrong moment leaves a branch that only a restart of the server brings \
                 back; set it to ON"
                    .into()
            }
            Danger::XaRecoverRefused => {
                "XA RECOVER answers 1401, as MySQL does without the privilege: GRANT \
                 XA_RECOVER_ADMIN ON *.* to tandem's user, else branches in doubt can't be listed"
                    .into()
            }
            Danger::TableNotInnodb(engine) => engine.detail(),
            Danger::PacketTooSmall { bytes } => {
                format!("max_allowed_packet is {bytes} bytes; set it to {PACKET_BYTES_MIN} or more")
            }
            Danger::Galera { provider } => format!(
                "the server is a node of a Galera cluster (wsrep_provider is {provider}), where XA \
                 is not supported: each prepare fails with error 1235; purchases belong on a server \
                 that replicates in another way"
            ),
            Danger::TablesOfOldLayout { obstacle } => format!(
                "tandem_branches has not got its new columns yet ({obstacle}); tandem tries again at \
                 each sweep, and this does the same: {}",
                tables::ALTER_BRANCHES
            ),
            Danger::IdFoldsCase(column) => column.detail(),
            Danger::TimeZoneDiffers { zone, system, ours } => time_zone_differs(zone, system, ours),
            Danger::NoUniqueKey(doubt) => doubt.detail(),
            Danger::KeyTooNarrow(keys) => format!(
                "purchases are refused that nobody has made: {}; make the key of all that tells them apart",
                keys.join("; ")
            ),
            Danger::TriggerUnsound(triggers) => format!(
                "triggers do what a roll back does not undo, or a branch may not do: {}; take it out of them",
                triggers.join("; ")
            ),
            Danger::ColumnTooSmall(columns) => format!(
                "purchases within tandem's limits would be refused as CONSTRAINT_VIOLATED: {}; ALTER TABLE … \
                 MODIFY, or see to it that none such come",
                columns.join("; ")
            ),
            Danger::NotAudited(left_out) => format!(
                "the audit does not compare all that the statements write, and says so each time unless this \
                 is accepted: {}",
                left_out.join("; ")
            ),
            Danger::RightMissing(rights) => {
                let named: Vec<String> = rights.iter().map(Right::to_string).collect();
                format!("tandem's user may not do what it needs: {}", named.join("; "))
            }
        }
    }
}

impl FoldingColumn {
    fn detail(&self) -> String {
        let FoldingColumn {
            table,
            column,
            collation,
            ..
        } = self;
        format!(
            "column {column} of {table} is of collation {collation}, which takes ids that differ in case \
             for the same: the second is refused as CONSTRAINT_VIOLATED though it was never made; {}, with \
             the column's default and comment if it has them; foreign keys on it are to be dropped before \
             and made again",
            self.unfolded()
        )
    }
}

impl Engine {
    fn detail(&self) -> String {
        match self {
            Engine::Other { table, engine, by } => {
                let by = by.as_ref().map(|by| format!(", written by {by},"));
                format!(
                    "table {table}{} is of engine {engine}, which does not roll back with a branch; ALTER TABLE \
                     … ENGINE=InnoDB",
                    by.unwrap_or_default()
                )
            }
            Engine::Unseen(unseen) => unseen.why.clone(),
        }
    }
}

impl Doubt {
    fn detail(&self) -> String {
        match self {
            Doubt::Missing(keys) => format!(
                "a purchase that comes again after tandem has forgotten it would be sold again: {keys}; or, \
                 where the table can't have one, as a partitioned one, keep the ids in a table of their own \
                 by one statement more: INSERT INTO sold (id) VALUES (:purchase_id)"
            ),
            Doubt::Unseen(why) => format!(
                "whether a unique key refuses a purchase that comes again after tandem has forgotten it was \
                 not looked at: {why}; see to it that one does"
            ),
        }
    }
}

fn time_zone_differs(zone: &str, system: &str, ours: &str) -> String {
    let is = if zone == "SYSTEM" { system } else { zone };
    let (ours, meant) = match ours {
        "SYSTEM" => (
            format!("in the machine's, {system}, as time_zone = \"SYSTEM\" says"),
            "the offset or the name of the machine's if that is meant",
        ),
        _ => (
            "in UTC".to_owned(),
            "time_zone = \"+00:00\" if UTC is meant",
        ),
    };
    format!(
        "the server's time zone is {is} and tandem's sessions are {ours}: NOW(), CURRENT_TIMESTAMP, columns that \
         have it for default, and :purchase_time in a DATETIME column are not as in sessions of the app; set \
         time_zone = \"{zone}\" to have them so, or {meant}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_lists_these_and_no_others() {
        let manual = include_str!("../../../coordinator/docs/operator.md");
        let (_, list) = manual.split_once("(Redis);").expect("MySQL's come after");
        let (list, _) = list.split_once("are shown and").expect("at the end");
        let mut listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        let mut names = Danger::NAMES.to_vec();
        listed.sort_unstable();
        names.sort_unstable();
        assert_eq!(listed, names);
    }

    #[test]
    fn what_loses_purchases_is_accepted_by_its_name_alone() {
        let accept = ["READ_ONLY".to_owned()];
        let accepted = |danger: Danger| danger.into_finding(&accept).accepted;
        assert!(accepted(Danger::ReadOnly));
        assert!(!accepted(Danger::Replica));
        let doubt = String::from("keys");
        assert!(!accepted(Danger::NoUniqueKey(Doubt::Missing(
            doubt.clone()
        ))));
        assert!(accepted(Danger::NoUniqueKey(Doubt::Unseen(doubt))));
    }
}
