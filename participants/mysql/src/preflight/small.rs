//! Columns that can't hold all that a purchase may have.

use tandem_participant::attributes::Attributes;
use tandem_participant::rules;

use crate::preflight::columns::{Column, Columns};
use crate::sql::param::Param;
use crate::sql::templates::Templates;

/// Longest transaction id, in characters: a coordinator's id, and two numbers of 64 bits with points before
/// them.
const TRANSACTION_ID_MAX: usize = 20 + 2 * (1 + 20);

/// The most that a parameter may be.
enum Most {
    Characters(usize),
    Number(i128),
}

/// For a person, each column that is too small for what it is given as it is.
pub(crate) fn of(templates: &Templates, columns: &Columns) -> Vec<String> {
    let mut found = Vec::new();
    for kept in templates.each().filter_map(|one| one.kept.as_ref()) {
        for (param, name) in kept.plain() {
            if let Some(column) = columns.of(&kept.table, name)
                && let Some(lacks) = lacks(column, param, templates.attributes())
            {
                found.push(format!(
                    "{name} of {} is of type {}, and :{} may {lacks}",
                    kept.table,
                    column.column_type,
                    param.name()
                ));
            }
        }
    }
    found
}

/// What may come that the column does not hold.
fn lacks(column: &Column, param: &Param, attributes: &Attributes) -> Option<String> {
    match most(param, attributes)? {
        Most::Characters(most) => {
            (characters(column)? < most as u64).then(|| format!("have {most} characters"))
        }
        Most::Number(most) => {
            let holds = match characters(column) {
                Some(digits) => nines(u32::try_from(digits).unwrap_or(u32::MAX)),
                None => number(column)?,
            };
            (holds < most).then(|| format!("be {most}"))
        }
    }
}

fn most(param: &Param, attributes: &Attributes) -> Option<Most> {
    Some(match param {
        Param::PurchaseId => Most::Characters(rules::PURCHASE_ID_BYTES_MAX),
        Param::CustomerId => Most::Characters(rules::CUSTOMER_ID_BYTES_MAX),
        Param::Currency => Most::Characters("EUR".len()),
        Param::TransactionId => Most::Characters(TRANSACTION_ID_MAX),
        Param::Sku => Most::Characters(rules::SKU_BYTES_MAX),
        Param::TotalMinor => Most::Number(rules::TOTAL_MINOR_MAX),
        Param::UnitPriceMinor => Most::Number(rules::UNIT_PRICE_MINOR_MAX.into()),
        Param::Quantity => Most::Number(rules::QUANTITY_MAX.into()),
        Param::ItemNumber => Most::Number(rules::ITEMS_MAX as i128),
        Param::LineId => Most::Characters(rules::LINE_ID_BYTES_MAX),
        Param::Pool => Most::Characters(rules::POOL_BYTES_MAX),
        Param::LineTotalMinor => Most::Number(rules::TOTAL_MINOR_MAX),
        Param::Tracked => Most::Number(1),
        Param::Attribute(name) => Most::Characters(attributes.get(name)?.characters_max()?),
        Param::PurchaseTime
        | Param::Total
        | Param::UnitPrice
        | Param::LineTotal
        | Param::ItemsJson => return None,
    })
}

/// How many characters of ASCII it holds; `None` where it is of no text, or has labels.
fn characters(column: &Column) -> Option<u64> {
    let is_of_labels = ["enum", "set"].contains(&column.data_type.as_str());
    column.length.filter(|_| !is_of_labels)
}

/// The highest number that it holds exactly; `None` where it is of no such type.
fn number(column: &Column) -> Option<i128> {
    let bits = match column.data_type.as_str() {
        "tinyint" => 8,
        "smallint" => 16,
        "mediumint" => 24,
        "int" => 32,
        "bigint" => 64,
        "decimal" => {
            let (all, behind) = column.digits?;
            return Some(nines(all.saturating_sub(behind)));
        }
        _ => return None,
    };
    let is_unsigned = column.column_type.contains("unsigned");
    Some((1 << (bits - u32::from(!is_unsigned))) - 1)
}

/// The highest number of so many digits, as far as any limit goes.
fn nines(digits: u32) -> i128 {
    10_i128
        .checked_pow(digits)
        .map_or(i128::MAX, |power| power - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_limits_allow_must_fit() {
        let text = |column_type: &str, length| (column_type.to_owned(), Some(length), None);
        let number = |column_type: &str| (column_type.to_owned(), None, None);
        let decimal = |all, behind| ("decimal(x)".to_owned(), None, Some((all, behind)));
        for ((column_type, length, digits), param, fits) in [
            (text("varchar(20)", 20), Param::PurchaseId, false),
            (text("varchar(64)", 64), Param::PurchaseId, true),
            (text("char(2)", 2), Param::Currency, false),
            (text("enum('EUR')", 3), Param::Currency, true),
            (text("enum('a')", 1), Param::Sku, true),
            (text("varchar(61)", 61), Param::TransactionId, false),
            (text("varchar(62)", 62), Param::TransactionId, true),
            (text("varchar(6)", 6), Param::Quantity, false),
            (text("longtext", 4_294_967_295), Param::TotalMinor, true),
            (number("smallint(6)"), Param::Quantity, false),
            (number("mediumint(9)"), Param::Quantity, true),
            (number("tinyint(4)"), Param::ItemNumber, true),
            (number("int(10) unsigned"), Param::UnitPriceMinor, false),
            (number("bigint(20)"), Param::TotalMinor, true),
            (number("double"), Param::TotalMinor, true),
            (number("bigint(20)"), Param::PurchaseId, true),
            (decimal(16, 0), Param::TotalMinor, true),
            (decimal(17, 2), Param::TotalMinor, false),
            (text("datetime", 0), Param::PurchaseTime, true),
        ] {
            let name = column_type.split(['(', ' ']).next().unwrap_or_default();
            let column = Column {
                data_type: name.to_owned(),
                column_type: column_type.clone(),
                length,
                digits,
                character_set: String::new(),
                collation: String::new(),
                is_nullable: false,
                is_of_a_table: true,
                is_filtered: false,
                counts: false,
                is_generated: false,
            };
            assert_eq!(
                lacks(&column, &param, &Attributes::default()).is_none(),
                fits,
                "{column_type} {param:?}"
            );
        }
    }
}
