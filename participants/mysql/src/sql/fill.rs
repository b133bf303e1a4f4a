//! The values that a statement's parameters stand for, written into it.

use tandem_participant::attributes::{AttributeType, Attributes, time_micros};
use tandem_participant::{items_json, money};
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
    pub(crate) begun: Begun<'a>,
    /// As they are declared.
    pub(crate) attributes: &'a Attributes,
    /// Whether personal attributes are left as their parameters, for a person's eyes.
    pub(crate) are_personal_hidden: bool,
}

/// What a statement is filled in for.
#[derive(Clone, Copy)]
pub(crate) struct Of<'a> {
    purchase: &'a Purchase,
    item: Option<(usize, &'a Item)>,
}

/// Calls once for each purchase, or for each item of each.
pub(crate) fn for_each<'a>(per: Per, entries: &[&'a Entry], mut each: impl FnMut(Of<'a>)) {
    for entry in entries {
        let purchase = &*entry.purchase;
        match per {
            Per::Purchase => each(Of {
                purchase,
                item: None,
            }),
            Per::Item => {
                for (index, item) in purchase.items.iter().enumerate() {
                    let item = Some((index + 1, item));
                    each(Of { purchase, item });
                }
            }
        }
    }
}

/// Appends the pieces, with the values where their parameters are. A parameter that has no value, as one of a
/// currency of unknown digits, stays as it is written, which no server takes: [`why_unfit`] says so before.
pub(crate) fn fill(sql: &mut String, pieces: &[Piece], values: &Values<'_>, of: Of<'_>) {
    for piece in pieces {
        match piece {
            Piece::Text(text) => sql.push_str(text),
            Piece::Param(param) => {
                if value(sql, param, values, of).is_none() {
                    sql.push(':');
                    sql.push_str(&param.name());
                }
            }
        }
    }
}

fn value(sql: &mut String, param: &Param, values: &Values<'_>, of: Of<'_>) -> Option<()> {
    let purchase = of.purchase;
    let item = || {
        of.item
            .expect("item parameters stand in statements per item only")
    };
    match param {
        Param::PurchaseId => encode::text(sql, &purchase.purchase_id),
        Param::CustomerId => encode::text(sql, &purchase.customer_id),
        Param::Currency => encode::text(sql, &purchase.currency),
        Param::TotalMinor => encode::integer(sql, purchase.total_minor()),
        Param::Total => sql.push_str(&decimal(purchase, purchase.total_minor())?),
        Param::TransactionId => encode::text(sql, &values.begun.transaction.to_string()),
        Param::PurchaseTime => encode::time(sql, values.begun.time),
        Param::ItemsJson => encode::text(sql, &items_json(purchase).to_string()),
        Param::Attribute(name) => return attribute(sql, name, values, purchase),
        Param::Sku => encode::text(sql, &item().1.sku),
        Param::LineId => text_or_null(sql, &item().1.line_id),
        Param::Pool => text_or_null(sql, &item().1.pool),
        Param::Quantity => encode::integer(sql, item().1.quantity),
        Param::UnitPriceMinor => encode::integer(sql, item().1.unit_price_minor),
        Param::UnitPrice => {
            sql.push_str(&decimal(purchase, item().1.unit_price_minor.into())?);
        }
        Param::LineTotalMinor => encode::integer(sql, item().1.total_minor()),
        Param::LineTotal => sql.push_str(&decimal(purchase, item().1.total_minor())?),
        Param::Tracked => sql.push(if item().1.untracked { '0' } else { '1' }),
        Param::ItemNumber => {
            encode::integer(sql, i64::try_from(item().0).expect("at most 100 items"));
        }
    }
    Some(())
}

fn text_or_null(sql: &mut String, text: &str) {
    match text {
        "" => sql.push_str("NULL"),
        _ => encode::text(sql, text),
    }
}

fn decimal(of: &Purchase, minor: i128) -> Option<String> {
    let digits = money::digits(&of.currency)?;
    Some(money::decimal(minor, digits))
}

/// NULL where the purchase does not have it.
fn attribute(sql: &mut String, name: &str, values: &Values<'_>, of: &Purchase) -> Option<()> {
    let declared = values.attributes.get(name)?;
    if declared.personal && values.are_personal_hidden {
        return None;
    }
    let Some(value) = of.attributes.get(name) else {
        sql.push_str("NULL");
        return Some(());
    };
    if declared.broken_by(value).is_some() {
        return None;
    }
    match declared.kind {
        AttributeType::Text | AttributeType::Json => encode::text(sql, value),
        // Digits, a sign, a point: they are the literals themselves.
        AttributeType::Integer | AttributeType::Decimal => sql.push_str(value),
        AttributeType::Boolean => sql.push(if value == "true" { '1' } else { '0' }),
        AttributeType::Time => encode::micros(sql, time_micros(value)?),
    }
    Some(())
}

/// Why a purchase's statements can't be filled in here, if so: the declarations here are other than the
/// coordinator's, or its currency has no known digits.
pub(crate) fn why_unfit<'a>(
    params: impl Iterator<Item = &'a Param>,
    attributes: &Attributes,
    purchase: &Purchase,
) -> Option<String> {
    let mut params = params;
    params.find_map(|param| match param {
        Param::Attribute(name) => {
            let rule = attributes
                .get(name)?
                .broken_by(purchase.attributes.get(name)?)?;
            Some(format!(
                "attribute {name} {rule}: it is declared otherwise here than at the coordinator"
            ))
        }
        param if param.is_decimal_money() && money::digits(&purchase.currency).is_none() => {
            Some(format!(
                "it is not known how many digits {} has behind the point, for :{}: write :{}_minor",
                purchase.currency,
                param.name(),
                param.name()
            ))
        }
        _ => None,
    })
}
