//! What the store in memory answers to an audit.

use std::ops::Bound;

use tandem_participant::audit_question::{
    AuditAnswer, AuditQuestion, Holdings, MemoryPage, Remembered, SkuDeducted, StockUnits,
    TransactionHolding,
};

use crate::store::{State, Verdict};

/// Transactions of one page: few, so that a test reads several.
const PAGE_MAX: usize = 2;

impl State {
    pub(crate) fn audit(&self, question: &AuditQuestion) -> AuditAnswer {
        match question {
            AuditQuestion::Memory { coordinator, after } => {
                let begin = match after {
                    Some(after) => Bound::Excluded(after.clone()),
                    None => Bound::Unbounded,
                };
                let ours = self
                    .verdicts
                    .range((begin, Bound::Unbounded))
                    .filter(|(id, _)| id.coordinator == *coordinator);
                let transactions: Vec<Remembered> = ours
                    .map(|(id, verdict)| Remembered {
                        transaction: id.clone(),
                        committed: matches!(verdict, Verdict::Committed),
                    })
                    .take(PAGE_MAX)
                    .collect();
                let last = transactions.get(PAGE_MAX - 1);
                let next = last.map(|last| last.transaction.clone());
                AuditAnswer::Memory(MemoryPage { transactions, next })
            }
            AuditQuestion::Purchases { .. } | AuditQuestion::Rows { .. } => {
                AuditAnswer::NotKept("this store keeps no rows".into())
            }
            AuditQuestion::Deducted { coordinator, skus } => {
                let counted = skus.iter().map(|sku| SkuDeducted {
                    sku: sku.clone(),
                    value: self.stock.get(sku).copied(),
                    deducted: self
                        .deducted
                        .get(&(coordinator.clone(), sku.clone()))
                        .copied()
                        .unwrap_or_default(),
                    also: None,
                });
                AuditAnswer::Deducted(counted.collect())
            }
            AuditQuestion::Holdings => AuditAnswer::Holdings(Holdings {
                holds: self
                    .prepared
                    .iter()
                    .map(|(id, branch)| TransactionHolding {
                        transaction: id.to_string(),
                        units: branch
                            .entries
                            .iter()
                            .flat_map(|entry| entry.purchase.tracked())
                            .map(|item| StockUnits {
                                stock: item.sku.clone(),
                                units: item.quantity.into(),
                            })
                            .collect(),
                    })
                    .collect(),
                held: self
                    .held
                    .iter()
                    .filter(|(_, units)| **units != 0)
                    .map(|(stock, units)| StockUnits {
                        stock: stock.clone(),
                        units: *units,
                    })
                    .collect(),
                debts: self
                    .debts
                    .iter()
                    .map(|(stock, units)| StockUnits {
                        stock: stock.clone(),
                        units: i64::try_from(*units).unwrap_or(i64::MAX),
                    })
                    .collect(),
            }),
        }
    }
}
