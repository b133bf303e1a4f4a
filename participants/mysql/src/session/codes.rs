//! The servers' error numbers, and what an error that the server has *answered* says.
//!
//! An answered error is never an outage: the server is there and its session lives. What it says is
//! decided by [`CLASSES`], and a number that is not in it speaks of the one entry whose statement it
//! answers: the servers have thousands of them, an app may raise any with SIGNAL, and an error that
//! is taken for one entry's too often harms one entry, while the opposite harms everybody.
//!
//! Sources: the MySQL 9.7 "Server Error Message Reference" and MariaDB's "Error Codes" page; M is
//! MariaDB, Y is MySQL.

use crate::session::server::Flavour;
use crate::sql::guard::Missed;

/// `ER_DUP_ENTRY`.
pub(crate) const DUPLICATE_ENTRY: u16 = 1062;
/// `ER_NO_SUCH_TABLE`.
pub(crate) const NO_SUCH_TABLE: u16 = 1146;
/// `ER_BAD_FIELD_ERROR`.
pub(crate) const NO_SUCH_COLUMN: u16 = 1054;
/// `ER_DUP_FIELDNAME`.
pub(crate) const DUPLICATE_COLUMN: u16 = 1060;
/// `ER_LOCK_WAIT_TIMEOUT`; on M also the answer to a locked row under NOWAIT.
pub(crate) const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// `ER_LOCK_DEADLOCK`.
pub(crate) const DEADLOCK: u16 = 1213;
/// `ER_DATA_OUT_OF_RANGE`: how the marker row's statement says that the epoch is fenced, and a guard that
/// another number of rows was met.
pub(crate) const OUT_OF_RANGE: u16 = 1690;
/// `ER_XAER_NOTA`: unknown xid, which is not an answer.
pub(crate) const XA_UNKNOWN: u16 = 1397;
/// `ER_XAER_RMERR`; on Y what `XA RECOVER` answers without `XA_RECOVER_ADMIN`.
pub(crate) const XA_RESOURCE_ERROR: u16 = 1401;
/// `ER_XAER_DUPID`: the xid is in use.
pub(crate) const XA_DUPLICATE: u16 = 1440;
/// Y: `ER_LOCK_NOWAIT`.
pub(crate) const LOCKED_NOWAIT: u16 = 3572;
/// `ER_NO_SUCH_THREAD`: the connection to kill has gone.
pub(crate) const NO_SUCH_CONNECTION: u16 = 1094;
/// `ER_QUERY_INTERRUPTED`: somebody has ended the statement.
pub(crate) const INTERRUPTED: u16 = 1317;

/// `ER_AUTOINC_READ_FAILED`. M locks the counter of an auto-increment key while a statement runs under
/// `innodb_autoinc_lock_mode = 0`, and under 1, its default, while one of many rows does. This is its answer
/// to a wait for the counter that was in vain, was interrupted or was a deadlock (10.11, measured); Y says
/// 1205, 1317 and 1213 there (9.7). A BIGINT UNSIGNED counter that is at its end is answered so by both, and
/// what it is on M is not told.
const AUTOINC_READ_FAILED: u16 = 1467;

/// What an error says that the server has answered to a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The entry can't be stored: it breaks a rule of the schema or the app.
    Entry,
    /// A unique key has a row of that value.
    Duplicate,
    /// Another session was in the way of the statement, or somebody interrupted it.
    Locked,
    /// The server gave the whole branch up to another one; it may be tried again.
    BranchLost,
    /// The statements, the tables or the user's rights are not as they must be; a person mends it.
    Configuration,
    /// The server has no room: for a session, in memory or on its disk.
    Room,
    /// The server is healthy and takes no writes now.
    NotNow,
    /// A statement met another number of rows than it must: a guard's answer, and no number's.
    Missed(Missed),
}

/// Numbers that are not about one entry, with their names.
const CLASSES: [(Class, &[(u16, &str)]); 6] = [
    (
        Class::Duplicate,
        &[
            (DUPLICATE_ENTRY, "ER_DUP_ENTRY"),
            (1586, "ER_DUP_ENTRY_WITH_KEY_NAME"),
            (1859, "ER_DUP_UNKNOWN_IN_INDEX"),
        ],
    ),
    (
        Class::Locked,
        &[
            (LOCK_WAIT_TIMEOUT, "ER_LOCK_WAIT_TIMEOUT"),
            (LOCKED_NOWAIT, "Y: ER_LOCK_NOWAIT"),
            (INTERRUPTED, "ER_QUERY_INTERRUPTED"),
            (AUTOINC_READ_FAILED, "ER_AUTOINC_READ_FAILED"),
            (1689, "ER_LOCK_ABORTED"),
            (1969, "M: ER_STATEMENT_TIMEOUT"),
            (3024, "Y: ER_QUERY_TIMEOUT"),
        ],
    ),
    (
        Class::BranchLost,
        &[
            (DEADLOCK, "ER_LOCK_DEADLOCK"),
            // Seen before a deadlock on M 11.8.
            (1020, "ER_CHECKREAD"),
            (1402, "ER_XA_RBROLLBACK"),
            (1412, "ER_TABLE_DEF_CHANGED"),
            (1613, "ER_XA_RBTIMEOUT"),
            (1614, "ER_XA_RBDEADLOCK"),
        ],
    ),
    (
        Class::Configuration,
        &[
            // A counter that is at the end of its type, unless that is BIGINT UNSIGNED.
            (167, "M: HA_ERR_AUTOINC_ERANGE"),
            (1016, "ER_CANT_OPEN_FILE"),
            (1017, "ER_FILE_NOT_FOUND"),
            (1033, "ER_NOT_FORM_FILE"),
            (1034, "ER_NOT_KEYFILE"),
            (1036, "ER_OPEN_AS_READONLY"),
            (1044, "ER_DBACCESS_DENIED_ERROR"),
            (1045, "ER_ACCESS_DENIED_ERROR"),
            (1046, "ER_NO_DB_ERROR"),
            (1049, "ER_BAD_DB_ERROR"),
            (1052, "ER_NON_UNIQ_ERROR"),
            (NO_SUCH_COLUMN, "ER_BAD_FIELD_ERROR"),
            (1058, "ER_WRONG_VALUE_COUNT"),
            (1064, "ER_PARSE_ERROR"),
            (1066, "ER_NONUNIQ_TABLE"),
            (1093, "ER_UPDATE_TABLE_USED"),
            (1109, "ER_UNKNOWN_TABLE"),
            (1110, "ER_FIELD_SPECIFIED_TWICE"),
            (1111, "ER_INVALID_GROUP_FUNC_USE"),
            (1136, "ER_WRONG_VALUE_COUNT_ON_ROW"),
            (1142, "ER_TABLEACCESS_DENIED_ERROR"),
            (1143, "ER_COLUMNACCESS_DENIED_ERROR"),
            (NO_SUCH_TABLE, "ER_NO_SUCH_TABLE"),
            (1149, "ER_SYNTAX_ERROR"),
            (1194, "ER_CRASHED_ON_USAGE"),
            (1195, "ER_CRASHED_ON_REPAIR"),
            (1227, "ER_SPECIFIC_ACCESS_DENIED_ERROR"),
            (1235, "ER_NOT_SUPPORTED_YET"),
            (1286, "ER_UNKNOWN_STORAGE_ENGINE"),
            (1288, "ER_NON_UPDATABLE_TABLE"),
            (1295, "ER_UNSUPPORTED_PS"),
            (1305, "ER_SP_DOES_NOT_EXIST"),
            (1318, "ER_SP_WRONG_NO_OF_ARGS"),
            (1348, "ER_NONUPDATEABLE_COLUMN"),
            (1356, "ER_VIEW_INVALID"),
            // It asks nothing of the values: no statement gives the column one.
            (1364, "ER_NO_DEFAULT_FOR_FIELD"),
            (1370, "ER_PROCACCESS_DENIED_ERROR"),
            (1393, "ER_VIEW_MULTIUPDATE"),
            (1394, "ER_VIEW_NO_INSERT_FIELD_LIST"),
            (1419, "ER_BINLOG_CREATE_ROUTINE_NEED_SUPER"),
            (1422, "ER_COMMIT_NOT_ALLOWED_IN_SF_OR_TRG"),
            (1423, "ER_NO_DEFAULT_FOR_VIEW_FIELD"),
            (1442, "ER_CANT_UPDATE_USED_TABLE_IN_SF_OR_TRG"),
            (1449, "ER_NO_SUCH_USER"),
            (1471, "ER_NON_INSERTABLE_TABLE"),
            (1630, "ER_FUNC_INEXISTENT_NAME_COLLISION"),
            (1661, "ER_BINLOG_ROW_ENGINE_AND_STMT_ENGINE"),
            (1662, "ER_BINLOG_ROW_MODE_AND_STMT_ENGINE"),
            (1663, "ER_BINLOG_UNSAFE_AND_STMT_ENGINE"),
            (1665, "ER_BINLOG_STMT_MODE_AND_ROW_ENGINE"),
            (1712, "ER_INDEX_CORRUPT"),
            (1785, "ER_GTID_UNSAFE_NON_TRANSACTIONAL_TABLE"),
            (1812, "ER_TABLESPACE_MISSING"),
            (1814, "ER_TABLESPACE_DISCARDED"),
            (1817, "ER_INNODB_INDEX_CORRUPT"),
            (1820, "ER_MUST_CHANGE_PASSWORD"),
            (1877, "M: ER_TABLE_CORRUPT"),
            (1932, "M: ER_NO_SUCH_TABLE_IN_ENGINE"),
            (3098, "Y: ER_BEFORE_DML_VALIDATION_ERROR"),
            (3750, "Y: ER_TABLE_WITHOUT_PK"),
        ],
    ),
    (
        Class::Room,
        &[
            (1021, "ER_DISK_FULL"),
            (1026, "ER_ERROR_ON_WRITE"),
            (1037, "ER_OUTOFMEMORY"),
            (1038, "ER_OUT_OF_SORTMEMORY"),
            (CONNECTIONS_FULL[0], "ER_CON_COUNT_ERROR"),
            (CONNECTIONS_FULL[1], "ER_OUT_OF_RESOURCES"),
            (1114, "ER_RECORD_FILE_FULL"),
            (CONNECTIONS_FULL[2], "ER_CANT_CREATE_THREAD"),
            (1197, "ER_TRANS_CACHE_FULL"),
            (CONNECTIONS_FULL[3], "ER_TOO_MANY_USER_CONNECTIONS"),
            (1206, "ER_LOCK_TABLE_FULL"),
            (CONNECTIONS_FULL[4], "ER_USER_LIMIT_REACHED"),
            (1637, "ER_TOO_MANY_CONCURRENT_TRXS"),
            (1705, "ER_STMT_CACHE_FULL"),
        ],
    ),
    (
        Class::NotNow,
        &[
            (1015, "ER_CANT_LOCK"),
            (1028, "ER_FILSORT_ABORT"),
            (1030, "ER_GET_ERRNO"),
            // M with Galera: the node is not ready.
            (1047, "ER_UNKNOWN_COM_ERROR"),
            (1053, "ER_SERVER_SHUTDOWN"),
            (1099, "ER_TABLE_NOT_LOCKED_FOR_WRITE"),
            (1223, "ER_CANT_UPDATE_WITH_READLOCK"),
            (1290, "ER_OPTION_PREVENTS_STATEMENT"),
            (1296, "ER_GET_ERRMSG"),
            (1297, "ER_GET_TEMPORARY_ERRMSG"),
            (1792, "ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION"),
            (1836, "ER_READ_ONLY_MODE"),
            (1874, "ER_INNODB_READ_ONLY"),
            (3032, "Y: ER_SERVER_OFFLINE_MODE"),
            (3100, "Y: ER_RUN_HOOK_ERROR"),
            (3168, "Y: ER_SERVER_ISNT_AVAILABLE"),
        ],
    ),
];

/// Numbers that are about the configuration on Y alone, whatever they are on M.
const CONFIGURATION_MYSQL: [(u16, &str); 1] = [(AUTOINC_READ_FAILED, "ER_AUTOINC_READ_FAILED")];

/// With what a server refuses a connection because it has too many.
const CONNECTIONS_FULL: [u16; 5] = [1040, 1041, 1135, 1203, 1226];

/// With what a server denies a user the access, whoever tries again.
const DENIED: [(u16, &str); 13] = [
    (1044, "ER_DBACCESS_DENIED_ERROR"),
    (1045, "ER_ACCESS_DENIED_ERROR"),
    (1129, "ER_HOST_IS_BLOCKED"),
    (1130, "ER_HOST_NOT_PRIVILEGED"),
    (1251, "ER_NOT_SUPPORTED_AUTH_MODE"),
    (1698, "ER_ACCESS_DENIED_NO_PASSWORD_ERROR"),
    (1820, "ER_MUST_CHANGE_PASSWORD"),
    (1862, "ER_MUST_CHANGE_PASSWORD_LOGIN"),
    (3118, "Y: ER_ACCOUNT_HAS_BEEN_LOCKED"),
    (3159, "Y: ER_SECURE_TRANSPORT_REQUIRED"),
    (
        3955,
        "Y: ER_USER_ACCESS_DENIED_FOR_USER_ACCOUNT_BLOCKED_BY_PASSWORD_LOCK",
    ),
    (4150, "M: ER_USER_IS_BLOCKED"),
    (4151, "M: ER_ACCOUNT_HAS_BEEN_LOCKED"),
];

/// What an answered error says at a server of this family.
pub fn class(number: u16, flavour: Flavour) -> Class {
    let is_it = |(known, _): &(u16, &str)| *known == number;
    if flavour == Flavour::MySql && CONFIGURATION_MYSQL.iter().any(is_it) {
        return Class::Configuration;
    }
    CLASSES
        .iter()
        .find(|(_, rows)| rows.iter().any(is_it))
        .map_or(Class::Entry, |(class, _)| *class)
}

impl Class {
    /// Whether the server can't do it now and may later: nothing is wrong with what was asked.
    pub(crate) fn is_not_now(self) -> bool {
        matches!(self, Class::Locked | Class::Room | Class::NotNow)
    }
}

/// Whether the statement ran into another session's lock.
pub(crate) fn is_locked(number: u16) -> bool {
    matches!(number, LOCK_WAIT_TIMEOUT | LOCKED_NOWAIT)
}

/// Whether a server refuses a connection with it because it has too many.
pub(crate) fn is_connections_full(number: u16) -> bool {
    CONNECTIONS_FULL.contains(&number)
}

/// Whether a server denies the access with it, which only a person can end.
pub(crate) fn is_denied(number: u16) -> bool {
    DENIED.iter().any(|(denied, _)| *denied == number)
}

/// Whether the server may close the connection behind this answer: too large a packet, out of
/// order, read or write errors on the socket, shutdown, killed, or any of SQLSTATE 08. Whether it
/// has is to be asked, since an app's SIGNAL may carry the number too.
pub fn may_end_the_session(number: u16, state: &str) -> bool {
    state.starts_with("08")
        || matches!(
            number,
            1053 | 1152
                ..=1161 | 1184 | 1189 | 1190 | INTERRUPTED | 1927 | 2006 | 2013 | 3169 | 4031
        )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_number_has_one_class() {
        let mut seen = BTreeSet::new();
        for (_, rows) in &CLASSES {
            for (number, name) in *rows {
                assert!(seen.insert(number), "{number} {name} stands twice");
            }
        }
    }

    #[test]
    fn what_nobody_knows_is_about_the_entry() {
        let class = |number| class(number, Flavour::MariaDb);
        for number in [
            1048, 1172, 1242, 1264, 1265, 1292, 1452, 1644, 3819, 4025, 31_001,
        ] {
            assert_eq!(class(number), Class::Entry, "{number}");
        }
        assert_eq!(class(1062), Class::Duplicate);
        assert_eq!(class(1205), Class::Locked);
        assert_eq!(class(1213), Class::BranchLost);
        assert_eq!(class(1146), Class::Configuration);
        assert_eq!(class(1114), Class::Room);
        assert_eq!(class(1290), Class::NotNow);
    }

    #[test]
    fn a_counter_that_can_not_be_read_is_locked_on_mariadb_alone() {
        assert_eq!(class(1467, Flavour::MariaDb), Class::Locked);
        assert_eq!(class(1467, Flavour::MySql), Class::Configuration);
    }
}
