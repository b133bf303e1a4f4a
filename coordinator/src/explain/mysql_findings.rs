//! Findings of MySQL and MariaDB.

use strum::VariantArray;
use tandem_mysql::FindingName;

use super::{Entry, Group, Text};

pub(super) fn entries() -> Vec<Entry> {
    let names = FindingName::VARIANTS.iter();
    names
        .map(|name| Entry::new(Group::MysqlFinding, name.as_ref(), text(*name)))
        .collect()
}

fn text(name: FindingName) -> Text {
    match name {
        FindingName::FlushLogNotAtCommit => FLUSH_LOG_NOT_AT_COMMIT,
        FindingName::BinlogNotSynced => BINLOG_NOT_SYNCED,
        FindingName::BinlogFormatStatement => BINLOG_FORMAT_STATEMENT,
        FindingName::DoublewriteOff => DOUBLEWRITE_OFF,
        FindingName::ReadOnly => READ_ONLY,
        FindingName::Replica => REPLICA,
        FindingName::ReplicaStateUnknown => REPLICA_STATE_UNKNOWN,
        FindingName::XaDetachOff => XA_DETACH_OFF,
        FindingName::XaRecoverRefused => XA_RECOVER_REFUSED,
        FindingName::TableNotInnodb => TABLE_NOT_INNODB,
        FindingName::PacketTooSmall => PACKET_TOO_SMALL,
        FindingName::Galera => GALERA,
        FindingName::TablesOfOldLayout => TABLES_OF_OLD_LAYOUT,
        FindingName::IdFoldsCase => ID_FOLDS_CASE,
        FindingName::TimeZoneDiffers => TIME_ZONE_DIFFERS,
        FindingName::NoUniqueKey => NO_UNIQUE_KEY,
        FindingName::KeyTooNarrow => KEY_TOO_NARROW,
        FindingName::TriggerUnsound => TRIGGER_UNSOUND,
        FindingName::ColumnTooSmall => COLUMN_TOO_SMALL,
        FindingName::NotAudited => NOT_AUDITED,
        FindingName::RightMissing => RIGHT_MISSING,
    }
}

const RIGHT_MISSING: Text = Text {
    means: "tandem's user may not do all that it needs; what becomes of purchases without each right stands beside it",
    cause: "The account was never granted it, or it was revoked. `tandem doctor` has tried each right.",
    act: "Run the GRANT statements that `tandem doctor` prints; `tandem doctor --grants` prints all that is needed.",
};

const FLUSH_LOG_NOT_AT_COMMIT: Text = Text {
    means: "a crash loses prepared branches and committed purchases",
    cause: "innodb_flush_log_at_trx_commit is not 1.",
    act: "`SET GLOBAL innodb_flush_log_at_trx_commit = 1`, and the same in the server's file.",
};

const BINLOG_NOT_SYNCED: Text = Text {
    means: "a crash of the machine may lose prepared branches and make replicas differ",
    cause: "The binary log is on and sync_binlog is not 1.",
    act: "`SET GLOBAL sync_binlog = 1`, and the same in the server's file.",
};

const BINLOG_FORMAT_STATEMENT: Text = Text {
    means: "READ COMMITTED can't write (error 1665), so that nothing can be prepared",
    cause: "binlog_format is STATEMENT.",
    act: "`SET GLOBAL binlog_format = 'ROW'` (or MIXED), and the same in the server's file.",
};

const DOUBLEWRITE_OFF: Text = Text {
    means: "a page that is half written in a power cut is lost",
    cause: "innodb_doublewrite is off or DETECT_ONLY.",
    act: "Set innodb_doublewrite = ON in the server's file and restart it; accept it where the storage writes pages \
          atomically.",
};

const READ_ONLY: Text = Text {
    means: "the server is read-only: nothing can be prepared, and MariaDB refuses to commit what is prepared",
    cause: "Somebody set read_only, or a failover did.",
    act: "`SET GLOBAL read_only = OFF` if this is the primary; else let url name the primary.",
};

const REPLICA: Text = Text {
    means: "the server replicates from another: purchases belong on the primary",
    cause: "The url leads to a replica, or a failover has made it one.",
    act: "Let url name the primary; `SHOW REPLICA STATUS` tells which it is.",
};

const REPLICA_STATE_UNKNOWN: Text = Text {
    means: "whether this is a replica is not known",
    cause: "tandem's user may not ask.",
    act: "`GRANT REPLICATION CLIENT ON *.* TO USER` (MySQL), `GRANT REPLICA MONITOR ON *.* TO USER` (MariaDB).",
};

const XA_DETACH_OFF: Text = Text {
    means: "each branch in doubt keeps a session; one lost at the wrong moment needs the server's restart",
    cause: "xa_detach_on_prepare is OFF.",
    act: "`SET GLOBAL xa_detach_on_prepare = ON`, and the same in the server's file.",
};

const XA_RECOVER_REFUSED: Text = Text {
    means: "branches in doubt can't be listed",
    cause: "tandem's user lacks the privilege (error 1401).",
    act: "`GRANT XA_RECOVER_ADMIN ON *.* TO USER`.",
};

const TABLE_NOT_INNODB: Text = Text {
    means: "a table that purchases write does not roll back with a branch, or could not be looked at",
    cause: "Its engine is another than InnoDB, perhaps behind a view or a trigger.",
    act: "`ALTER TABLE … ENGINE=InnoDB`; where it could not be looked at, grant SHOW VIEW and TRIGGER.",
};

const PACKET_TOO_SMALL: Text = Text {
    means: "a purchase of many items may not fit into one packet",
    cause: "max_allowed_packet is less than 1 MiB.",
    act: "`SET GLOBAL max_allowed_packet = 16777216`, and the same in the server's file.",
};

const GALERA: Text = Text {
    means: "the server is a node of a Galera cluster, where XA is not supported",
    cause: "wsrep_on is ON with a provider.",
    act: "Put purchases on a server that replicates in another way.",
};

const TABLES_OF_OLD_LAYOUT: Text = Text {
    means: "tandem_branches has not got its newer columns yet; purchases go on",
    cause: "A branch of an older tandem is in doubt, or the right to ALTER is missing.",
    act: "End what `tandem tx list --in-doubt` shows, or run the ALTER TABLE that `tandem participants` prints.",
};

const ID_FOLDS_CASE: Text = Text {
    means: "the column of purchases' ids takes ids that differ in case for the same; the second is refused",
    cause: "Its collation folds case.",
    act: "Run the ALTER TABLE … COLLATE …_bin that `tandem participants` prints.",
};

const TIME_ZONE_DIFFERS: Text = Text {
    means: "NOW() and defaults are in another zone than in the app's own sessions",
    cause: "The server's time zone is another than that of tandem's sessions.",
    act: "Set time_zone in the participant's settings: to the server's to have them alike, to \"+00:00\" if UTC is meant.",
};

const NO_UNIQUE_KEY: Text = Text {
    means: "a purchase that comes again after tandem has forgotten it would be sold again, or that was not looked at",
    cause: "No unique key of the table is the purchase's id alone.",
    act: "`ALTER TABLE … ADD UNIQUE KEY (purchase_id)`; where the table can't have one, keep the ids in a table of their \
          own by one statement more.",
};

const KEY_TOO_NARROW: Text = Text {
    means: "a unique key takes different purchases, or items of one, for the same: what nobody has made is refused",
    cause: "The key lacks a column that tells them apart, or folds case.",
    act: "Make the key of all that tells them apart.",
};

const TRIGGER_UNSOUND: Text = Text {
    means: "a trigger does what a roll back does not undo, or what a branch may not do",
    cause: "It takes a lock, makes a temporary table, or sets the id.",
    act: "Take that out of the trigger that is named.",
};

const COLUMN_TOO_SMALL: Text = Text {
    means: "a purchase within tandem's limits may be refused as CONSTRAINT_VIOLATED; nothing is ever cut",
    cause: "A column holds less than a purchase may have.",
    act: "`ALTER TABLE … MODIFY` the column that is named, or see to it that none such come.",
};

const NOT_AUDITED: Text = Text {
    means: "the audit can't compare all that the statements write, and does not exit 0",
    cause: "A statement writes an expression, a further table, or a column whose type does not give back what was written.",
    act: "Nothing, if that is known: accept = [\"NOT_AUDITED\"] in the participant's settings makes it a note.",
};
