//! A transaction as an operator has it before him: its id, or one of its branches as a store lists it.
//!
//! A branch's XA id is the transaction's (gtrid) and behind it the participant's name (bqual). `XA RECOVER`
//! shows both in one (MySQL manual, "XA Transaction SQL Statements"), as text or with `CONVERT XID` in
//! hexadecimal; MariaDB's `FORMAT='SQL'` and the statements that end a branch have them apart.

use tandem_protocol::{ParticipantName, TransactionId};

/// Longest text that names a branch: gtrid and bqual are 64 bytes at most, and in hexadecimal twice as long.
const TEXT_BYTES_MAX: usize = 320;

/// What a text may mean: transactions, each with the name of a participant if one is behind it. Where the
/// name begins is not always to be seen, since it may begin with digits; the longest transaction is first.
pub(crate) fn meanings(text: &str) -> Vec<(TransactionId, Option<ParticipantName>)> {
    let text = text.trim();
    let is_short = text.len() <= TEXT_BYTES_MAX;
    let Some(text) = is_short.then(|| joined(text)).flatten() else {
        return Vec::new();
    };
    if let Ok(id) = text.parse() {
        return vec![(id, None)];
    }
    let ends = (0..=text.len())
        .rev()
        .filter(|&end| text.is_char_boundary(end));
    let split = ends.filter_map(|end| {
        let (id, name) = text.split_at(end);
        let id = id.parse().ok()?;
        // Redis' keys have a slash between them.
        let name = name.strip_prefix('/').unwrap_or(name);
        Some((id, Some(name.parse().ok()?)))
    });
    split.collect()
}

/// The one of several meanings that is likeliest: the transaction itself; else that whose participant is
/// known here, and whose transaction; else the longest.
pub(crate) fn likeliest(
    meanings: Vec<(TransactionId, Option<ParticipantName>)>,
    is_participant: impl Fn(&ParticipantName) -> bool,
    is_known: impl Fn(&TransactionId) -> bool,
) -> Option<TransactionId> {
    let rank = |(id, name): &(TransactionId, Option<ParticipantName>)| match name {
        None => 0,
        Some(name) => 4 - 2 * u8::from(is_participant(name)) - u8::from(is_known(id)),
    };
    let likeliest = meanings.into_iter().min_by_key(rank)?;
    Some(likeliest.0)
}

/// Gtrid and bqual as one text, from any of their forms.
fn joined(text: &str) -> Option<String> {
    if let Some(digits) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        return unhexed(digits);
    }
    if !text.contains('\'') {
        return Some(text.to_owned());
    }
    // 'gtrid','bqual',format; the format says nothing more.
    let parts = text.split(',').map(str::trim).take(2);
    parts.map(literal).collect()
}

/// The text of an SQL literal: `'shop'` or `X'73686f70'`.
fn literal(text: &str) -> Option<String> {
    let quoted = |text: &str| {
        let text = text.strip_prefix('\'')?.strip_suffix('\'')?;
        Some(text.to_owned())
    };
    match text.strip_prefix(['X', 'x']) {
        Some(digits) => unhexed(&quoted(digits)?),
        None => quoted(text),
    }
}

fn unhexed(digits: &str) -> Option<String> {
    String::from_utf8(crate::hex::bytes(digits)?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn meant(text: &str) -> Vec<String> {
        let meanings = meanings(text).into_iter();
        let shown = meanings.map(|(id, name)| match name {
            Some(name) => format!("{id} at {name}"),
            None => id.to_string(),
        });
        shown.collect()
    }

    #[test]
    fn branch_is_read_as_each_store_lists_it() {
        assert_eq!(meant("shop.3.1042"), ["shop.3.1042"]);
        for listed in [
            "shop.3.1042purchases",
            // XA RECOVER CONVERT XID
            "0x73686F702E332E31303432707572636861736573",
            // XA COMMIT, and MariaDB's XA RECOVER FORMAT='SQL'
            "'shop.3.1042','purchases',1952542308",
            "X'73686f702e332e31303432', X'707572636861736573', 1952542308",
            // ZRANGE tandem:prepared
            "shop.3.1042/purchases",
        ] {
            assert_eq!(meant(listed)[0], "shop.3.1042 at purchases", "{listed}");
            let here = |name: &ParticipantName| name.as_str() == "purchases";
            let found = likeliest(meanings(listed), here, |_| true);
            assert_eq!(found.unwrap().to_string(), "shop.3.1042", "{listed}");
        }
    }

    #[test]
    fn what_names_no_transaction_means_nothing() {
        for bad in [
            "",
            "shop",
            "shop.3",
            "0x7",
            "0xzz",
            "'shop.3",
            "shop.3.1 x",
            "é.3.1",
        ] {
            assert_eq!(meant(bad), [""; 0], "{bad}");
        }
    }

    #[test]
    fn name_that_begins_with_digits_is_found_by_who_takes_part() {
        let text = "shop.3.10421st";
        assert_eq!(
            meant(text),
            [
                "shop.3.10421 at st",
                "shop.3.1042 at 1st",
                "shop.3.104 at 21st",
                "shop.3.10 at 421st",
                "shop.3.1 at 0421st"
            ]
        );
        let found = |is_participant: fn(&ParticipantName) -> bool,
                     is_known: fn(&TransactionId) -> bool| {
            likeliest(meanings(text), is_participant, is_known)
                .unwrap()
                .to_string()
        };
        assert_eq!(
            found(|name| name.as_str() == "1st", |_| false),
            "shop.3.1042"
        );
        assert_eq!(found(|_| true, |id| id.sequence == 104), "shop.3.104");
        assert_eq!(found(|_| false, |_| false), "shop.3.10421");
    }
}
