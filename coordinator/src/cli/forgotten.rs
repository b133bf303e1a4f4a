//! Branches that are prepared and so old that the log has forgotten what became of them: how a person finds
//! that out, and ends them.

use tandem_proto::v1::ParticipantStatus;
use tandem_protocol::TransactionId;

use crate::store_kind::StoreKind;

/// How the branch of a participant is compared with `all` others, and ended at its store.
pub(super) fn end_by_hand(
    status: &ParticipantStatus,
    all: &[ParticipantStatus],
    transaction: &TransactionId,
) -> String {
    let Ok(participant) = status.name.parse() else {
        return String::new();
    };
    let others = all.iter().filter(|other| other.name != status.name);
    let others = others.filter_map(|other| compare(other, transaction));
    let compared: Vec<String> = others.collect();
    let how = match kind(status) {
        Some(StoreKind::Mysql) => tandem_mysql::end_by_hand(transaction, &participant),
        Some(StoreKind::Redis) => tandem_redis::end_by_hand(transaction, &participant),
        Some(StoreKind::Other) | None => "Until then the store keeps for it what it holds".into(),
    };
    format!("{}{how}", compared.concat())
}

/// How another store tells whether it has the purchases.
fn compare(other: &ParticipantStatus, transaction: &TransactionId) -> Option<String> {
    let participant = other.name.parse().ok()?;
    Some(match kind(other)? {
        StoreKind::Mysql => format!(
            "{participant} has them if `SELECT purchase_id FROM purchases WHERE transaction_id = \
             '{transaction}'` gives rows (with statements of your own: in the tables that they write). "
        ),
        StoreKind::Redis => format!(
            "{participant} has them if more units of their skus were deducted than all rows that are \
             committed have sold: {}. ",
            tandem_redis::count_by_hand(&transaction.coordinator, &participant)
        ),
        StoreKind::Other => return None,
    })
}

fn kind(status: &ParticipantStatus) -> Option<StoreKind> {
    let description = status.description.as_ref()?;
    Some(StoreKind::of_name(&description.kind))
}
