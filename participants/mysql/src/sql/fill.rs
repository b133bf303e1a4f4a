//! The values that a statement's parameters stand for, written into it.

use tandem_protocol::{Entry, Item, Purchase, Timestamp, TransactionId};

use crate::sql::encode;
use crate::sql::param::Param;
use crate::sql::statement::Per;
use crate::sql::template::Piece;

/// The transaction that statements are part of.
#[derive(Debug, Clone, Copy)]
pub struct Begun<'a> {
    /// Which.
    pub transaction: &'a TransactionId,
    /// When the coordinator began it: `:purchase_time` of all its purchases, also when they are repaired.
    pub time: Timestamp,
}

/// What the parameters stand for.
pub(crate) struct Values<'a> {
    begun: Begun<'a>,
    purchase: &'a Purchase,
    item: Option<(usize, &'a Item)>,
}

/// Calls once for each purchase, or for each item of each.
pub(crate) fn for_each(
    per: Per,
    begun: Begun<'_>,
    entries: &[&Entry],
    mut each: impl FnMut(&Values<'_>),
) {
    for entry in entries {
        let purchase = &*entry.purchase;
        let mut values = Values {
            begun,
            purchase,
            item: None,
        };
        match per {
            Per::Purchase => each(&values),
            Per::Item => {
                for (index, item) in purchase.items.iter().enumerate() {
                    values.item = Some((index + 1, item));
                    each(&values);
                }
            }
        }
    }
}

/// Appends the pieces, with the values where their parameters are.
pub(crate) fn fill(sql: &mut String, pieces: &[Piece], values: &Values<'_>) {
    for piece in pieces {
        let param = match piece {
            Piece::Text(text) => {
                sql.push_str(text);
                continue;
            }
            Piece::Param(param) => *param,
        };
        let item = || {
            values
                .item
                .expect("item parameters stand in statements per item only")
        };
        match param {
            Param::PurchaseId => encode::text(sql, &values.purchase.purchase_id),
            Param::CustomerId => encode::text(sql, &values.purchase.customer_id),
            Param::Currency => encode::text(sql, &values.purchase.currency),
            Param::TotalMinor => encode::integer(sql, total_minor(values.purchase)),
            Param::TransactionId => encode::text(sql, &values.begun.transaction.to_string()),
            Param::PurchaseTime => encode::time(sql, values.begun.time),
            Param::Sku => encode::text(sql, &item().1.sku),
            Param::Quantity => encode::integer(sql, item().1.quantity),
            Param::UnitPriceMinor => encode::integer(sql, item().1.unit_price_minor),
            Param::ItemNumber => {
                encode::integer(sql, i64::try_from(item().0).expect("at most 100 items"));
            }
        }
    }
}

/// 128 bits hold the product and sum of any item list that memory holds.
fn total_minor(purchase: &Purchase) -> i128 {
    purchase
        .items
        .iter()
        .map(|item| i128::from(item.quantity) * i128::from(item.unit_price_minor))
        .sum()
}
