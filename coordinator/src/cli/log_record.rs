//! A record of the decision log, for a person and as JSON.

use serde_json::{Value, json};
use tandem_participant::convert::entry_to_wire;
use tandem_protocol::{Ending, Entry, Record, RefusedPurchase, Repair, Settlement};

use super::content::Shown;
use super::json;

/// The record in one line.
pub(super) fn line(record: &Record, shown: Shown) -> String {
    match record {
        Record::EpochStarted {
            epoch, instance_id, ..
        } => format!("epoch {epoch} begun by process {instance_id}"),
        Record::Decided(decision) => {
            let entries: Vec<String> = decision
                .entries
                .iter()
                .map(|entry| purchase(entry, shown))
                .collect();
            let mut line = format!("decided {}: {}", decision.transaction, entries.join(", "));
            if !decision.refused.is_empty() {
                line.push_str(&format!("; refused {}", refusals(&decision.refused)));
            }
            line
        }
        Record::Refused {
            transaction,
            refused,
            ..
        } if refused.is_empty() => format!("aborted {transaction}: no decision was stored"),
        Record::Refused {
            transaction,
            refused,
            ..
        } => format!("refused {transaction}: {}", refusals(refused)),
        Record::Ended { transaction, .. } => {
            format!("ended {transaction}: every participant has acknowledged")
        }
        Record::Settled { settlement, .. } => {
            let Settlement {
                transaction,
                participant,
                reason,
                operator,
                ..
            } = settlement;
            let how = ending(settlement.ending);
            format!("settled {transaction} at {participant} as {how} by {operator}: {reason}")
        }
        Record::Heuristic {
            transaction,
            participant,
            detail,
            ..
        } => format!("heuristic {transaction} at {participant}: {detail}"),
        Record::RepairOrdered { repair, .. } => {
            let Repair {
                transaction,
                participant,
                reason,
                operator,
            } = repair;
            format!("repair of {transaction} at {participant} ordered by {operator}: {reason}")
        }
        Record::Forgotten { before, .. } => {
            format!("forgotten: what has ended before {before}")
        }
        Record::Totals(totals) => format!(
            "totals of {} skus at {}",
            totals.skus.len(),
            totals.participant
        ),
    }
}

/// The record's content, without its time.
pub(super) fn document(record: &Record, shown: Shown) -> Value {
    match record {
        Record::EpochStarted {
            epoch, instance_id, ..
        } => json!({
            "kind": "epoch_started",
            "epoch": epoch.0,
            "instance_id": instance_id,
        }),
        Record::Decided(decision) => json!({
            "kind": "decided",
            "transaction_id": decision.transaction.to_string(),
            "participants": decision.participants.iter().map(|name| name.as_str())
                .collect::<Vec<_>>(),
            "entries": decision.entries.iter().map(|entry| json::entry(&entry_to_wire(entry), shown))
                .collect::<Vec<_>>(),
            "refused": decision.refused.iter().map(refusal).collect::<Vec<_>>(),
        }),
        Record::Refused {
            transaction,
            refused,
            ..
        } => json!({
            "kind": if refused.is_empty() { "aborted" } else { "refused" },
            "transaction_id": transaction.to_string(),
            "refused": refused.iter().map(refusal).collect::<Vec<_>>(),
        }),
        Record::Ended { transaction, .. } => json!({
            "kind": "ended",
            "transaction_id": transaction.to_string(),
        }),
        Record::Settled { settlement, .. } => json!({
            "kind": "settled",
            "transaction_id": settlement.transaction.to_string(),
            "participant": settlement.participant.as_str(),
            "settled_as": ending(settlement.ending),
            "operator": settlement.operator,
            "reason": settlement.reason,
        }),
        Record::Heuristic {
            transaction,
            participant,
            kind,
            detail,
            ..
        } => json!({
            "kind": "heuristic",
            "transaction_id": transaction.to_string(),
            "participant": participant.as_str(),
            "heuristic": kind.as_ref(),
            "detail": detail,
        }),
        Record::RepairOrdered { repair, .. } => json!({
            "kind": "repair_ordered",
            "transaction_id": repair.transaction.to_string(),
            "participant": repair.participant.as_str(),
            "operator": repair.operator,
            "reason": repair.reason,
        }),
        Record::Forgotten { epoch, before } => json!({
            "kind": "forgotten",
            "epoch": epoch.0,
            "before": before.to_string(),
        }),
        Record::Totals(totals) => json!({
            "kind": "totals",
            "participant": totals.participant.as_str(),
            "skus": totals.skus.iter().map(|total| json!({
                "sku": total.sku,
                "deducted": total.deducted,
                "unsure": total.unsure,
            })).collect::<Vec<_>>(),
        }),
    }
}

fn purchase(entry: &Entry, shown: Shown) -> String {
    let items = entry.purchase.items.iter();
    let items: Vec<String> = items
        .map(|item| format!("{} {}", item.stock(), item.quantity))
        .collect();
    let mut held = items.join(", ");
    if !entry.purchase.attributes.is_empty() {
        held.push_str("; ");
        held.push_str(&shown.attributes(&entry.purchase.attributes));
    }
    format!("{} ({held})", entry.purchase.purchase_id)
}

fn refusals(refused: &[RefusedPurchase]) -> String {
    let refused: Vec<String> = refused
        .iter()
        .map(|refused| format!("{} {}", refused.purchase_id, refused.refusal.reason))
        .collect();
    refused.join(", ")
}

fn refusal(refused: &RefusedPurchase) -> Value {
    json!({
        "purchase_id": refused.purchase_id,
        "participant": refused.participant.as_str(),
        "reason": refused.refusal.reason.as_ref(),
        "detail": refused.refusal.detail,
    })
}

fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Commit => "committed",
        Ending::RollBack => "rolled back",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tandem_protocol::Timestamp;

    use tandem_protocol::{Epoch, HeuristicKind, ParticipantTotals, SkuTotal};

    use super::super::samples::{decision, refused};
    use super::*;

    fn every_kind() -> [Record; 10] {
        let transaction = decision().transaction;
        let time = Timestamp(0);
        [
            Record::EpochStarted {
                epoch: Epoch(3),
                instance_id: "one".into(),
                time,
            },
            Record::Decided(decision()),
            Record::Refused {
                transaction: transaction.clone(),
                time,
                refused: vec![refused()],
            },
            Record::Refused {
                transaction: transaction.clone(),
                time,
                refused: Vec::new(),
            },
            Record::Ended {
                transaction: transaction.clone(),
                counted: true,
            },
            Record::Settled {
                settlement: Settlement {
                    transaction: transaction.clone(),
                    participant: "stock".parse().unwrap(),
                    ending: Ending::RollBack,
                    reason: "restored from backup".into(),
                    operator: "ada".into(),
                },
                time,
            },
            Record::Heuristic {
                transaction: transaction.clone(),
                participant: "stock".parse().unwrap(),
                kind: HeuristicKind::RolledBack,
                detail: "HEURISTIC_ROLLBACK: no marker row".into(),
                time,
            },
            Record::RepairOrdered {
                repair: Repair {
                    transaction: transaction.clone(),
                    participant: "purchases".parse().unwrap(),
                    reason: "rolled back by mistake".into(),
                    operator: "ada".into(),
                },
                time,
            },
            Record::Forgotten {
                epoch: Epoch(3),
                before: transaction,
            },
            Record::Totals(ParticipantTotals {
                participant: "stock".parse().unwrap(),
                skus: vec![SkuTotal {
                    sku: "lamp".into(),
                    deducted: 2,
                    unsure: 0,
                }],
            }),
        ]
    }

    #[test]
    fn every_kind_of_record_has_its_line() {
        assert_eq!(
            every_kind().map(|record| line(&record, Shown::default())),
            [
                "epoch 3 begun by process one",
                "decided shop.1.3: p-7 (lamp 2), p-8 (chair 1); refused p-9 INSUFFICIENT_STOCK",
                "refused shop.1.3: p-9 INSUFFICIENT_STOCK",
                "aborted shop.1.3: no decision was stored",
                "ended shop.1.3: every participant has acknowledged",
                "settled shop.1.3 at stock as rolled back by ada: restored from backup",
                "heuristic shop.1.3 at stock: HEURISTIC_ROLLBACK: no marker row",
                "repair of shop.1.3 at purchases ordered by ada: rolled back by mistake",
                "forgotten: what has ended before shop.1.3",
                "totals of 1 skus at stock",
            ]
        );
    }

    #[test]
    fn values_of_attributes_are_shown_where_they_are_asked_for() {
        let mut decision = decision();
        let purchase = std::sync::Arc::make_mut(&mut decision.entries[0].purchase);
        let email = ("email".to_owned(), "ann@example.org".to_owned());
        purchase.attributes.insert(email.0, email.1);
        let record = Record::Decided(decision);
        let hidden = line(&record, Shown::default());
        assert!(hidden.contains("p-7 (lamp 2; email), p-8"), "{hidden}");
        let document = document(&record, Shown::default()).to_string();
        assert!(
            !document.contains("ann@") && document.contains("email"),
            "{document}"
        );
        let all = line(&record, Shown { attributes: true });
        assert!(all.contains(r#"email = "ann@example.org""#), "{all}");
    }

    #[test]
    fn every_kind_of_record_has_its_name_in_json() {
        assert_eq!(
            every_kind().map(|record| document(&record, Shown::default())["kind"].clone()),
            [
                "epoch_started",
                "decided",
                "refused",
                "aborted",
                "ended",
                "settled",
                "heuristic",
                "repair_ordered",
                "forgotten",
                "totals"
            ]
        );
        let decided = document(&every_kind()[1], Shown::default());
        assert_eq!(decided["entries"][0]["purchase_id"], "p-7");
        assert_eq!(decided["entries"][0]["items"][0]["quantity"], 2);
        assert_eq!(decided["refused"][0]["reason"], "INSUFFICIENT_STOCK");
    }
}
