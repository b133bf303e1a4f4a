//! What the log says was deducted in all: kept when purchases are forgotten, and told to an audit.

use super::Coordinator;
use crate::id::{ParticipantName, Position};
use crate::record::Record;
use crate::tail::Storing;
use crate::totals::{Rewrite, SkuTotal};

/// Totals that one round writes again at most, so that no event waits for long: 0.5 MB of records
/// with skus of 20 bytes.
const REWRITE_ROUND_MAX: usize = 10_000;

/// Skus on one page.
const PAGE_MAX: usize = 1_000;

/// What a participant should have deducted of one sku in all, by the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkuDeductions {
    pub sku: String,
    /// Units of transactions that have ended: these it has deducted.
    pub at_least: u64,
    /// The same with the units that it may have deducted: those of decisions that are being carried
    /// out, and those of which only a person has said how they ended.
    pub at_most: u64,
}

/// Some of what a participant should have deducted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeductionsPage {
    /// In no order.
    pub skus: Vec<SkuDeductions>,
    /// Where the next page begins; `None` where there are no more.
    pub next: Option<u32>,
}

impl Coordinator {
    /// What a participant should have deducted since totals are kept, page by page; the first begins
    /// at 0.
    pub fn deductions(&self, participant: &ParticipantName, begin: u32) -> DeductionsPage {
        let (page, next) = self.totals.page(participant, begin, PAGE_MAX);
        DeductionsPage {
            skus: page.into_iter().map(deductions).collect(),
            next,
        }
    }

    /// The same of one sku.
    pub fn deductions_of(&self, participant: &ParticipantName, sku: &str) -> SkuDeductions {
        deductions(self.totals.of(participant, sku))
    }

    /// Writes totals again that a replay needs records before a position for, some at a time. Gives
    /// whether there were any.
    pub(super) fn rewrite_totals(&mut self, before: Position) -> bool {
        let rewrites = self.totals.rewrite(before, REWRITE_ROUND_MAX);
        let any = !rewrites.is_empty();
        for Rewrite { record, stocks } in rewrites {
            self.store(Record::Totals(record), false, Storing::Totals(stocks));
        }
        any
    }
}

fn deductions((total, under_way): (SkuTotal, u64)) -> SkuDeductions {
    SkuDeductions {
        sku: total.sku,
        at_least: total.deducted,
        at_most: total
            .deducted
            .saturating_add(total.unsure)
            .saturating_add(under_way),
    }
}
