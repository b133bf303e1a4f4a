//! The identity of a branch: X/Open's XID.

use tandem_participant::PreparedId;
use tandem_protocol::{ParticipantName, TransactionId};

/// The formatID of tandem's branches: "tand" in ASCII. It is part of the identity on both servers.
pub const FORMAT_ID: i64 = 0x7461_6E64;

/// The XID as XA statements take it: gtrid is the transaction's id, bqual the participant's name.
/// Both are made of `a-z 0-9 - .` only, so the quotes are safe.
pub(crate) fn literal(transaction: &TransactionId, participant: &ParticipantName) -> String {
    format!("'{transaction}','{participant}',{FORMAT_ID}")
}

/// One row of `XA RECOVER` as the text protocol sends it, or what of it is not understood.
pub fn read(
    format_id: &str,
    gtrid_length: &str,
    data: &[u8],
    participant: &ParticipantName,
) -> Result<PreparedId, String> {
    let format_id = format_id
        .parse()
        .map_err(|_| format!("formatID {format_id:?}"))?;
    let gtrid_length: u64 = gtrid_length
        .parse()
        .map_err(|_| format!("gtrid_length {gtrid_length:?}"))?;
    let gtrid_length = usize::try_from(gtrid_length).unwrap_or(0);
    Ok(decode(format_id, gtrid_length, data, participant))
}

/// One row of `XA RECOVER`: whose branch it is. `data` is gtrid and bqual, one after the other.
pub(crate) fn decode(
    format_id: i64,
    gtrid_length: usize,
    data: &[u8],
    participant: &ParticipantName,
) -> PreparedId {
    let (gtrid, bqual) = data.split_at(gtrid_length.min(data.len()));
    if format_id == FORMAT_ID
        && bqual == participant.as_str().as_bytes()
        && let Some(transaction) = std::str::from_utf8(gtrid)
            .ok()
            .and_then(|text| text.parse().ok())
    {
        return PreparedId::Transaction(transaction);
    }
    PreparedId::Foreign(format!(
        "{format_id}:{}:{}",
        gtrid.escape_ascii(),
        bqual.escape_ascii()
    ))
}

/// A branch that bears this participant's name and is another's nevertheless.
pub(crate) fn foreign(transaction: &TransactionId, participant: &ParticipantName) -> PreparedId {
    PreparedId::Foreign(format!("{FORMAT_ID}:{transaction}:{participant}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_branches_are_told_from_others() {
        let own: ParticipantName = "mysql".parse().expect("well formed");
        let transaction: TransactionId = "shop.3.1042".parse().expect("well formed");
        assert_eq!(
            decode(FORMAT_ID, 11, b"shop.3.1042mysql", &own),
            PreparedId::Transaction(transaction.clone())
        );
        assert_eq!(
            literal(&transaction, &own),
            "'shop.3.1042','mysql',1952542308"
        );
        for (format_id, gtrid_length, data, shown) in [
            (1, 11, &b"shop.3.1042mysql"[..], "1:shop.3.1042:mysql"),
            (
                FORMAT_ID,
                11,
                b"shop.3.1042other",
                "1952542308:shop.3.1042:other",
            ),
            (FORMAT_ID, 4, b"shopmysql", "1952542308:shop:mysql"),
            (-1, 2, b"\xff'b", "-1:\\xff\\':b"),
            (1, 99, b"short", "1:short:"),
        ] {
            assert_eq!(
                decode(format_id, gtrid_length, data, &own),
                PreparedId::Foreign(shown.into())
            );
        }
    }
}
