//! What stores owe at the moment that they are asked: units that were sold and could not be deducted.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use tandem_participant::audit_question::{AuditAnswer, AuditQuestion};
use tandem_proto::v1;
use tandem_protocol::{Entry, Item, ParticipantName};
use tokio::time::timeout;

use super::operated::Operator;

/// Skus that are asked about for one transaction, at most.
const SKUS_MAX: usize = 200;

/// What each store owes of the skus of these entries. A store that can't be asked is told as such
/// by its own truth.
pub(super) async fn of_entries(operator: &Operator, entries: &[Entry]) -> Vec<v1::OwedUnits> {
    let items = entries.iter().flat_map(|entry| entry.purchase.tracked());
    let skus: BTreeSet<Cow<'_, str>> = items.map(Item::stock).collect();
    let links = operator.links.values();
    let asked = links.map(|link| async {
        let mut owed = Vec::new();
        for sku in skus.iter().take(SKUS_MAX) {
            let call = link.participant().stock(sku);
            match timeout(link.call_timeout(), call).await {
                Ok(Ok(Some(stock))) if stock.debt > 0 => owed.push(v1::OwedUnits {
                    participant: link.name().to_string(),
                    sku: sku.to_string(),
                    units: stock.debt,
                    remedy: stock.debt_remedy,
                }),
                Ok(Ok(Some(_))) => {}
                // It keeps no stock, or does not answer.
                Ok(Ok(None) | Err(_)) | Err(_) => break,
            }
        }
        owed
    });
    join_all(asked).await.into_iter().flatten().collect()
}

/// What these participants' stores owe in all; one that can't be asked is not in it.
pub(super) async fn in_all(
    operator: &Operator,
    participants: &BTreeSet<&ParticipantName>,
) -> BTreeMap<ParticipantName, u64> {
    let links = operator.links.values();
    let asked = links
        .filter(|link| participants.contains(link.name()))
        .map(|link| async {
            let call = link.participant().audit(&AuditQuestion::Holdings);
            let Ok(Ok(AuditAnswer::Holdings(holdings))) = timeout(link.call_timeout(), call).await
            else {
                return None;
            };
            let debts = holdings.debts.iter();
            let units = debts.map(|debt| u64::try_from(debt.units).unwrap_or_default());
            Some((link.name().clone(), units.sum()))
        });
    join_all(asked).await.into_iter().flatten().collect()
}
