//! Sentences about stock for people, from the words that `stock.lua` has for it.

use tandem_participant::Debt;
use tandem_protocol::{Reason, Refusal};

use crate::place::{Location, POOL, StockPlace};
use crate::reply::Row;

/// Longest text of [`Refusal::detail`], in bytes.
const DETAIL_BYTES_MAX: usize = 300;

/// Values from 2^53 on are not exact in a script.
const VALUE_LIMIT: u64 = 1 << 53;

/// Why a purchase of so many units of a sku is refused. `row` is entry, problem, stock, units
/// available.
pub(crate) fn refusal(place: &StockPlace, sku: &str, wanted: u64, row: &Row) -> Option<Refusal> {
    let [_, problem, stock, available] = row.as_slice() else {
        return None;
    };
    let (reason, why) = match problem.as_str() {
        "INSUFFICIENT" => (
            Reason::InsufficientStock,
            format!("{wanted} wanted, {available} available"),
        ),
        "MISSING" => (Reason::UnknownSku, problem_text(place, problem, stock)?),
        _ => (Reason::NotANumber, problem_text(place, problem, stock)?),
    };
    Some(Refusal {
        reason,
        detail: shortened(format!("sku {sku}: {why}")),
    })
}

/// A sku in a pool of which there can be no stock here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoStock {
    /// Its key or field would be this one, of tandem's own.
    Reserved(String),
    /// The pool is named, and the settings have no place for one.
    NoPools(String),
}

impl NoStock {
    /// As a refusal of a purchase of that sku.
    pub(crate) fn refusal(&self, sku: &str) -> Refusal {
        let (reason, why) = match self {
            NoStock::Reserved(key) => (
                Reason::UnknownSku,
                format!("key {key} is for tandem's own use"),
            ),
            NoStock::NoPools(pool) => (
                Reason::Misconfigured,
                format!(
                    "pool {pool} is named, and this participant knows no pools: neither stock_key nor \
                     stock_field has {POOL}"
                ),
            ),
        };
        Refusal {
            reason,
            detail: shortened(format!("sku {sku}: {why}")),
        }
    }
}

/// What could not be deducted. `row` is stock, units owed, problem, value found, and what is owed in all.
pub(crate) fn debt(place: &StockPlace, sku: &str, row: &Row) -> Option<Debt> {
    let [stock, units, problem, value, ..] = row.as_slice() else {
        return None;
    };
    let detail = match problem.as_str() {
        "SHORT" => format!(
            "sku {sku}: only {value} were there at the commit; something else than tandem lowered \
             the stock, or the store lost the hold"
        ),
        _ => format!("sku {sku}: {}", problem_text(place, problem, stock)?),
    };
    Some(Debt {
        sku: sku.to_owned(),
        quantity: units.parse().ok()?,
        detail,
    })
}

/// Why there is no stock value, in words.
pub(crate) fn problem_text(place: &StockPlace, problem: &str, stock: &str) -> Option<String> {
    let (name, container, kind) = match place.locate(stock) {
        Location::Key(key) => (format!("key {key}"), key, "string"),
        Location::Field { hash, field } => (format!("field {field} of {hash}"), hash, "hash"),
    };
    match problem {
        "MISSING" => Some(format!("{name} does not exist")),
        "WRONG_TYPE" => Some(format!("key {container} is not a {kind}")),
        "NOT_INTEGER" => Some(format!("{name} is not a plain decimal integer")),
        "TOO_LARGE" => Some(format!(
            "{name} is not within {VALUE_LIMIT} (2^53) of zero, beyond which a script can't count"
        )),
        _ => None,
    }
}

/// A stock's text: its value if it is an integer, and the problem that `stock.lua` would see in it
/// (`NOT_INTEGER`, `TOO_LARGE`).
pub fn read_value(text: &str) -> (Option<i64>, Option<&'static str>) {
    match text.parse::<i64>() {
        Ok(value) if value.to_string() != text => (None, Some("NOT_INTEGER")),
        Ok(value) if value.unsigned_abs() >= VALUE_LIMIT => (Some(value), Some("TOO_LARGE")),
        Ok(value) => (Some(value), None),
        Err(_) => (None, Some("NOT_INTEGER")),
    }
}

fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(DETAIL_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_form_of_an_integer_is_a_value() {
        assert_eq!(read_value("-7"), (Some(-7), None));
        for text in [
            "+7",
            "07",
            "-0",
            " 7",
            "7 ",
            "7.0",
            "",
            "9223372036854775808",
        ] {
            assert_eq!(read_value(text), (None, Some("NOT_INTEGER")), "{text:?}");
        }
        assert_eq!(read_value("9007199254740991").1, None);
        assert_eq!(read_value("9007199254740992").1, Some("TOO_LARGE"));
    }

    #[test]
    fn details_stay_within_their_bytes() {
        let refusal = NoStock::Reserved("tandem:held".into()).refusal(&"ä".repeat(200));
        assert!(refusal.detail.len() <= DETAIL_BYTES_MAX);
    }
}
