//! What an audit asks and is answered.

use std::collections::HashMap;

use tandem_proto::v1;
use v1::participant_audit_request::Question;
use v1::participant_audit_response::Answer;

use super::{invalid, required, timestamp_from_wire, timestamp_to_wire, transaction, within};
use crate::Error;
use crate::audit_question::{
    AuditAnswer, AuditQuestion, Holdings, KeptItem, KeptPurchase, MemoryPage, More, PurchaseRows,
    Remembered, RowsPage, SkuDeducted, StockUnits, TransactionHolding, Uncompared,
};
use crate::rules;

impl From<&AuditQuestion> for v1::ParticipantAuditRequest {
    fn from(question: &AuditQuestion) -> Self {
        let question = match question {
            AuditQuestion::Memory { coordinator, after } => Question::Memory(v1::AuditMemory {
                coordinator_id: coordinator.to_string(),
                after_transaction_id: after.as_ref().map(ToString::to_string).unwrap_or_default(),
            }),
            AuditQuestion::Purchases { purchase_ids } => Question::Purchases(v1::AuditPurchases {
                purchase_ids: purchase_ids.clone(),
            }),
            AuditQuestion::Rows {
                since,
                until,
                after,
            } => Question::Rows(v1::AuditRows {
                since: Some(timestamp_to_wire(*since)),
                until: Some(timestamp_to_wire(*until)),
                after_purchase_id: after.clone(),
            }),
            AuditQuestion::Holdings => Question::Holdings(v1::AuditHoldings {}),
            AuditQuestion::Deducted { coordinator, skus } => {
                Question::Deducted(v1::AuditDeducted {
                    coordinator_id: coordinator.to_string(),
                    skus: skus.clone(),
                })
            }
        };
        Self {
            question: Some(question),
        }
    }
}

impl TryFrom<v1::ParticipantAuditRequest> for AuditQuestion {
    type Error = Error;

    fn try_from(request: v1::ParticipantAuditRequest) -> Result<Self, Error> {
        Ok(match required("question", request.question)? {
            Question::Memory(memory) => AuditQuestion::Memory {
                coordinator: memory
                    .coordinator_id
                    .parse()
                    .map_err(|error| invalid("memory.coordinator_id", error))?,
                after: optional("memory.after_transaction_id", &memory.after_transaction_id)?,
            },
            Question::Purchases(purchases) => {
                if purchases.purchase_ids.len() > AuditQuestion::PURCHASES_MAX {
                    let rule = format!("must hold at most {}", AuditQuestion::PURCHASES_MAX);
                    return Err(invalid("purchases.purchase_ids", rule));
                }
                AuditQuestion::Purchases {
                    purchase_ids: purchases.purchase_ids,
                }
            }
            Question::Rows(rows) => {
                let time = |field: &str, time| timestamp_from_wire(field, required(field, time)?);
                AuditQuestion::Rows {
                    since: time("rows.since", rows.since)?,
                    until: time("rows.until", rows.until)?,
                    after: rows.after_purchase_id,
                }
            }
            Question::Holdings(v1::AuditHoldings {}) => AuditQuestion::Holdings,
            Question::Deducted(deducted) => {
                if deducted.skus.len() > AuditQuestion::SKUS_MAX {
                    let rule = format!("must hold at most {}", AuditQuestion::SKUS_MAX);
                    return Err(invalid("deducted.skus", rule));
                }
                if let Some(index) = deducted.skus.iter().position(|sku| !rules::is_stock(sku)) {
                    return Err(invalid(
                        format_args!("deducted.skus[{index}]"),
                        rules::STOCK_RULE,
                    ));
                }
                AuditQuestion::Deducted {
                    coordinator: deducted
                        .coordinator_id
                        .parse()
                        .map_err(|error| invalid("deducted.coordinator_id", error))?,
                    skus: deducted.skus,
                }
            }
        })
    }
}

impl From<AuditAnswer> for v1::ParticipantAuditResponse {
    fn from(answer: AuditAnswer) -> Self {
        let answer = match answer {
            AuditAnswer::NotKept(why) => Answer::NotKept(why),
            AuditAnswer::Memory(page) => Answer::Memory(v1::MemoryPage {
                transactions: page
                    .transactions
                    .into_iter()
                    .map(|remembered| v1::RememberedTransaction {
                        transaction_id: remembered.transaction.to_string(),
                        committed: remembered.committed,
                    })
                    .collect(),
                next_transaction_id: page.next.map(|id| id.to_string()).unwrap_or_default(),
            }),
            AuditAnswer::Purchases(rows) => Answer::Purchases(v1::PurchaseRows {
                purchases: rows.purchases.into_iter().map(purchase_to_wire).collect(),
                uncompared: Some(uncompared_to_wire(rows.uncompared)),
            }),
            AuditAnswer::Uncompared(uncompared) => {
                Answer::Uncompared(uncompared_to_wire(uncompared))
            }
            AuditAnswer::Rows(page) => Answer::Rows(v1::RowsPage {
                purchases: page.purchases.into_iter().map(purchase_to_wire).collect(),
                next_purchase_id: page.next.unwrap_or_default(),
            }),
            AuditAnswer::Holdings(holdings) => Answer::Holdings(v1::Holdings {
                holds: holdings
                    .holds
                    .into_iter()
                    .map(|holding| v1::TransactionHolding {
                        transaction_id: holding.transaction,
                        units: holding.units.into_iter().map(units_to_wire).collect(),
                    })
                    .collect(),
                held: holdings.held.into_iter().map(units_to_wire).collect(),
                debts: holdings.debts.into_iter().map(units_to_wire).collect(),
            }),
            AuditAnswer::Deducted(skus) => Answer::Deducted(v1::Deducted {
                skus: skus
                    .into_iter()
                    .map(|one| v1::SkuDeducted {
                        sku: one.sku,
                        stock: one.value,
                        deducted: one.deducted,
                        also: one.also.unwrap_or_default(),
                    })
                    .collect(),
            }),
        };
        Self {
            answer: Some(answer),
        }
    }
}

impl TryFrom<v1::ParticipantAuditResponse> for AuditAnswer {
    type Error = Error;

    fn try_from(answer: v1::ParticipantAuditResponse) -> Result<Self, Error> {
        Ok(match required("answer", answer.answer)? {
            Answer::NotKept(why) => AuditAnswer::NotKept(why),
            Answer::Memory(page) => {
                let remembered = page.transactions.into_iter().enumerate();
                AuditAnswer::Memory(MemoryPage {
                    transactions: remembered
                        .map(|(index, one)| {
                            let id = transaction("transaction_id", &one.transaction_id);
                            Ok(Remembered {
                                transaction: within(format_args!("transactions[{index}]"), id)?,
                                committed: one.committed,
                            })
                        })
                        .collect::<Result<_, Error>>()?,
                    next: optional("memory.next_transaction_id", &page.next_transaction_id)?,
                })
            }
            Answer::Purchases(rows) => AuditAnswer::Purchases(PurchaseRows {
                purchases: purchases_from_wire(rows.purchases)?,
                uncompared: rows
                    .uncompared
                    .map(uncompared_from_wire)
                    .unwrap_or_default(),
            }),
            Answer::Uncompared(uncompared) => {
                AuditAnswer::Uncompared(uncompared_from_wire(uncompared))
            }
            Answer::Rows(page) => AuditAnswer::Rows(RowsPage {
                purchases: purchases_from_wire(page.purchases)?,
                next: Some(page.next_purchase_id).filter(|next| !next.is_empty()),
            }),
            Answer::Holdings(holdings) => AuditAnswer::Holdings(Holdings {
                holds: holdings
                    .holds
                    .into_iter()
                    .map(|holding| TransactionHolding {
                        transaction: holding.transaction_id,
                        units: holding.units.into_iter().map(units_from_wire).collect(),
                    })
                    .collect(),
                held: holdings.held.into_iter().map(units_from_wire).collect(),
                debts: holdings.debts.into_iter().map(units_from_wire).collect(),
            }),
            Answer::Deducted(deducted) => AuditAnswer::Deducted(
                deducted
                    .skus
                    .into_iter()
                    .map(|one| SkuDeducted {
                        sku: one.sku,
                        value: one.stock,
                        deducted: one.deducted,
                        also: Some(one.also).filter(|also| !also.is_empty()),
                    })
                    .collect(),
            ),
        })
    }
}

fn optional(field: &str, text: &str) -> Result<Option<tandem_protocol::TransactionId>, Error> {
    if text.is_empty() {
        Ok(None)
    } else {
        transaction(field, text).map(Some)
    }
}

fn purchase_to_wire(purchase: KeptPurchase) -> v1::KeptPurchase {
    let item = |item: KeptItem| v1::KeptItem {
        sku: item.sku,
        quantity: item.quantity,
        unit_price_minor: item.unit_price_minor,
        item_number: item.item_number,
        more: more_to_wire(item.more),
    };
    v1::KeptPurchase {
        purchase_id: purchase.purchase_id,
        customer_id: purchase.customer_id,
        currency: purchase.currency,
        total_minor: purchase.total_minor,
        transaction_id: purchase.transaction_id,
        items: purchase.items.map(|items| v1::KeptItems {
            items: items.into_iter().map(item).collect(),
        }),
        purchase_time: purchase.purchase_time.map(timestamp_to_wire),
        more: more_to_wire(purchase.more),
    }
}

fn more_to_wire(more: More) -> HashMap<String, v1::KeptValue> {
    let value = |(name, text)| (name, v1::KeptValue { text });
    more.into_iter().map(value).collect()
}

fn more_from_wire(more: HashMap<String, v1::KeptValue>) -> More {
    let text = |(name, value): (String, v1::KeptValue)| (name, value.text);
    more.into_iter().map(text).collect()
}

fn purchases_from_wire(purchases: Vec<v1::KeptPurchase>) -> Result<Vec<KeptPurchase>, Error> {
    purchases.into_iter().map(purchase_from_wire).collect()
}

fn purchase_from_wire(purchase: v1::KeptPurchase) -> Result<KeptPurchase, Error> {
    let item = |item: v1::KeptItem| KeptItem {
        sku: item.sku,
        quantity: item.quantity,
        unit_price_minor: item.unit_price_minor,
        item_number: item.item_number,
        more: more_from_wire(item.more),
    };
    let time = purchase.purchase_time;
    Ok(KeptPurchase {
        purchase_id: purchase.purchase_id,
        customer_id: purchase.customer_id,
        currency: purchase.currency,
        total_minor: purchase.total_minor,
        transaction_id: purchase.transaction_id,
        items: purchase
            .items
            .map(|items| items.items.into_iter().map(item).collect()),
        purchase_time: time
            .map(|time| timestamp_from_wire("purchase_time", time))
            .transpose()?,
        more: more_from_wire(purchase.more),
    })
}

fn uncompared_to_wire(uncompared: Uncompared) -> v1::Uncompared {
    v1::Uncompared {
        what: uncompared.what,
        accepted: uncompared.accepted,
    }
}

fn uncompared_from_wire(uncompared: v1::Uncompared) -> Uncompared {
    Uncompared {
        what: uncompared.what,
        accepted: uncompared.accepted,
    }
}

fn units_to_wire(units: StockUnits) -> v1::StockUnits {
    v1::StockUnits {
        stock: units.stock,
        units: units.units,
    }
}

fn units_from_wire(units: v1::StockUnits) -> StockUnits {
    StockUnits {
        stock: units.stock,
        units: units.units,
    }
}
