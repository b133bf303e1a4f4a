//! The servers' error numbers that this crate tells apart, and what they mean for one purchase.
//!
//! Sources: the MySQL 9.7 "Server Error Message Reference" and MariaDB's "Error Codes" page; M is
//! MariaDB, Y is MySQL.

use tandem_protocol::{Reason, Refusal};

/// `ER_DUP_ENTRY`.
pub(crate) const DUPLICATE_ENTRY: u16 = 1062;
/// `ER_NO_SUCH_TABLE`.
pub(crate) const NO_SUCH_TABLE: u16 = 1146;
/// `ER_BAD_FIELD_ERROR`.
pub(crate) const NO_SUCH_COLUMN: u16 = 1054;
/// `ER_LOCK_WAIT_TIMEOUT`; on M also the answer to a locked row under NOWAIT.
pub(crate) const LOCK_WAIT_TIMEOUT: u16 = 1205;
/// `ER_LOCK_DEADLOCK`.
pub(crate) const DEADLOCK: u16 = 1213;
/// M: `ER_CHECKREAD`, seen before a deadlock on 11.8.
pub(crate) const RECORD_CHANGED: u16 = 1020;
/// `ER_DATA_OUT_OF_RANGE`: how the marker row's statement says that the epoch is fenced.
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

/// `ER_OPTION_PREVENTS_STATEMENT` (read_only), `ER_CANT_UPDATE_WITH_READLOCK`,
/// `ER_READ_ONLY_MODE`, and a full disk, table or engine: healthy in principle, not able now.
const NOT_NOW: [u16; 8] = [1021, 1028, 1030, 1041, 1114, 1223, 1290, 1836];

/// `ER_ACCESS_DENIED_ERROR` and its kin, a missing table or column, a statement that does not
/// parse: the configuration is wrong and asking again does not help.
const MISCONFIGURED: [u16; 14] = [
    1044, 1045, 1046, 1049, 1054, 1064, 1109, 1142, 1143, 1146, 1149, 1227, 1295, 1665,
];

/// Refusals by rule of the schema that the servers file under the catch-all SQLSTATE HY000 or a
/// state of their own: 1364 no default, 1366 wrong value, 1526 no partition, 1748 row does not
/// match partition, 1761 and 1762 cascading duplicate, 3819 and 4025 CHECK, 1644 SIGNAL.
const SCHEMA_RULES: [u16; 9] = [1364, 1366, 1526, 1644, 1748, 1761, 1762, 3819, 4025];

/// Longest [`Refusal::detail`], in bytes.
const DETAIL_BYTES_MAX: usize = 300;

/// Whether the server is healthy but can't do it now.
pub(crate) fn is_not_now(number: u16) -> bool {
    NOT_NOW.contains(&number) || number == LOCK_WAIT_TIMEOUT
}

/// Whether a person must mend the configuration or the privileges.
pub(crate) fn is_misconfigured(number: u16) -> bool {
    MISCONFIGURED.contains(&number)
}

/// Whether the statement ran into another session's lock.
pub(crate) fn is_locked(number: u16) -> bool {
    matches!(number, LOCK_WAIT_TIMEOUT | LOCKED_NOWAIT)
}

/// Whether the whole branch was lost to a concurrent one and may be tried again.
pub(crate) fn is_deadlock(number: u16) -> bool {
    matches!(number, DEADLOCK | RECORD_CHANGED)
}

/// Whether the error of an app's statement condemns its purchase alone, and with what reason;
/// `None` for errors that would meet every purchase.
///
/// A duplicate key is [`Reason::DuplicatePurchase`] only if the duplicated value is the purchase's
/// own id, alone or as a part of a composite key (the servers print `'p-17'` or `'shop-p-17'`);
/// any other unique key of the app's, say a voucher's, is a constraint like others. The rows of
/// branches in doubt are locked, so a duplicate is always a committed row.
pub(crate) fn refusal(
    number: u16,
    state: &str,
    message: &str,
    purchase_id: &str,
) -> Option<Refusal> {
    let reason = if number == DUPLICATE_ENTRY && duplicates(message, purchase_id) {
        Reason::DuplicatePurchase
    } else if is_locked(number) || is_deadlock(number) {
        Reason::Locked
    } else if state.starts_with("22")
        || state.starts_with("23")
        || state.starts_with("45")
        || SCHEMA_RULES.contains(&number)
    {
        Reason::ConstraintViolated
    } else {
        return None;
    };
    Some(Refusal {
        reason,
        detail: shortened(format!("error {number}: {message}")),
    })
}

/// Cuts a text for a person at [`DETAIL_BYTES_MAX`].
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > DETAIL_BYTES_MAX {
        let mut end = DETAIL_BYTES_MAX - "…".len();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Whether `Duplicate entry 'VALUE' for key 'KEY'` names this purchase.
fn duplicates(message: &str, purchase_id: &str) -> bool {
    let Some(value) = message
        .split_once("Duplicate entry '")
        .and_then(|(_, rest)| rest.rsplit_once("' for key "))
        .map(|(value, _)| value)
    else {
        return false;
    };
    // Columns of a composite key are printed joined by '-', which ids may hold too.
    value == purchase_id
        || value
            .strip_prefix(purchase_id)
            .is_some_and(|rest| rest.starts_with('-'))
        || value
            .strip_suffix(purchase_id)
            .is_some_and(|rest| rest.ends_with('-'))
        || value.contains(&format!("-{purchase_id}-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(number: u16, state: &str, message: &str) -> Option<Reason> {
        refusal(number, state, message, "p-1").map(|refusal| refusal.reason)
    }

    #[test]
    fn duplicate_of_the_purchase_is_told_from_another_key() {
        let of = |value: &str| {
            reason(
                1062,
                "23000",
                &format!("Duplicate entry '{value}' for key 'purchases.PRIMARY'"),
            )
        };
        assert_eq!(of("p-1"), Some(Reason::DuplicatePurchase));
        assert_eq!(of("shop-p-1"), Some(Reason::DuplicatePurchase));
        assert_eq!(of("p-1-sku"), Some(Reason::DuplicatePurchase));
        assert_eq!(of("p-11"), Some(Reason::ConstraintViolated));
        assert_eq!(of("voucher"), Some(Reason::ConstraintViolated));
    }

    #[test]
    fn only_errors_of_one_purchase_refuse_it() {
        assert_eq!(reason(1205, "HY000", ""), Some(Reason::Locked));
        assert_eq!(reason(3819, "HY000", ""), Some(Reason::ConstraintViolated));
        assert_eq!(reason(1406, "22001", ""), Some(Reason::ConstraintViolated));
        assert_eq!(reason(1644, "45000", ""), Some(Reason::ConstraintViolated));
        assert_eq!(reason(1290, "HY000", ""), None);
        assert_eq!(reason(1146, "42S02", ""), None);
        assert_eq!(reason(1114, "HY000", ""), None);
    }

    #[test]
    fn long_detail_is_cut_between_characters() {
        let detail = shortened("ü".repeat(400));
        assert!(detail.len() <= DETAIL_BYTES_MAX && detail.ends_with('…'));
    }
}
