//! The coordinator's edge: what clients submit, checked by the rules that every participant knows
//! too, and by what only the coordinator knows, which currencies there are.

use std::sync::Arc;

use iso_currency::Currency;
use tandem_participant::convert::{purchase_from_wire, timestamp_from_wire};
use tandem_participant::{attributes::Attributes, rules};
use tandem_proto::v1;
use tandem_protocol::{Purchase, Timestamp};
use tonic_types::FieldViolation;

/// Longest reason, in characters.
const REASON_CHARS_MAX: usize = 1_000;
/// Longest operator's name, in characters.
const OPERATOR_CHARS_MAX: usize = 100;

/// What purchases may carry besides, as the configuration says.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    /// The attributes that are declared.
    pub attributes: Attributes,
    /// Attributes of one purchase, at most.
    pub attributes_max: usize,
    /// Bytes of their names and values together, at most.
    pub attribute_bytes_max: usize,
}

/// Reads `SubmitPurchase`, checking every field; a request that breaks rules gives all the violations, each
/// with its field.
pub fn purchase(
    request: v1::SubmitPurchaseRequest,
    carried: &Carried,
) -> Result<Arc<Purchase>, Vec<FieldViolation>> {
    let purchase = purchase_from_wire(request);
    let limits = (carried.attributes_max, carried.attribute_bytes_max);
    let mut violations = rules::violations_but_of_attributes(&purchase);
    violations.extend(carried.attributes.violations(&purchase, limits));
    let mut broken: Vec<FieldViolation> = violations
        .into_iter()
        .map(|violation| FieldViolation::new(violation.field, violation.rule))
        .collect();
    let malformed = broken.iter().any(|violation| violation.field == "currency");
    if !malformed && Currency::from_code(&purchase.currency).is_none() {
        broken.push(FieldViolation::new("currency", rules::CURRENCY_RULE));
    }
    if broken.is_empty() {
        Ok(Arc::new(purchase))
    } else {
        Err(broken)
    }
}

/// Checks a purchase id; the error names the field and its rule.
pub fn purchase_id(id: &str) -> Result<(), Vec<FieldViolation>> {
    keeps(
        rules::is_purchase_id(id),
        "purchase_id",
        rules::PURCHASE_ID_RULE,
    )
}

/// Reads how much of a purchase is wanted; the error names the field and its rule.
pub(super) fn view(number: i32) -> Result<v1::PurchaseView, Vec<FieldViolation>> {
    v1::PurchaseView::try_from(number).map_err(|_| {
        let rule = format!("must be a known value, is {number}");
        vec![FieldViolation::new("view", rule)]
    })
}

/// Checks a sku, or the name of its stock in a pool; the error names the field and its rule.
pub fn sku(sku: &str) -> Result<(), Vec<FieldViolation>> {
    keeps(rules::is_stock(sku), "sku", rules::STOCK_RULE)
}

/// Checks what a person says when he changes something.
pub(super) fn who_and_why(reason: &str, operator: &str) -> Vec<FieldViolation> {
    [
        ("reason", reason, REASON_CHARS_MAX),
        ("operator", operator, OPERATOR_CHARS_MAX),
    ]
    .into_iter()
    .filter(|(_, text, max)| !(1..=*max).contains(&text.chars().count()))
    .map(|(field, _, max)| FieldViolation::new(field, format!("must be 1 to {max} characters")))
    .collect()
}

/// The first and the last moment of a time, where they are given.
pub(super) fn window(
    since: Option<prost_types::Timestamp>,
    until: Option<prost_types::Timestamp>,
) -> Result<(Option<Timestamp>, Option<Timestamp>), Vec<FieldViolation>> {
    let time = |field: &str, time: Option<prost_types::Timestamp>| {
        let read = time.map(|time| timestamp_from_wire(field, time));
        read.transpose()
            .map_err(|error| vec![FieldViolation::new(field, error.to_string())])
    };
    let (since, until) = (time("since", since)?, time("until", until)?);
    match (since, until) {
        (Some(since), Some(until)) if until < since => Err(vec![FieldViolation::new(
            "until",
            "must not be before since",
        )]),
        window => Ok(window),
    }
}

fn keeps(kept: bool, field: &str, rule: &str) -> Result<(), Vec<FieldViolation>> {
    if kept {
        Ok(())
    } else {
        Err(vec![FieldViolation::new(field, rule)])
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn good() -> v1::SubmitPurchaseRequest {
        v1::SubmitPurchaseRequest {
            purchase_id: "p-1".into(),
            customer_id: "ann@example".into(),
            items: vec![item("sku-1", 2, 999)],
            currency: "EUR".into(),
            wait_for: 0,
            ..Default::default()
        }
    }

    fn item(sku: &str, quantity: u32, unit_price_minor: i64) -> v1::Item {
        v1::Item {
            sku: sku.into(),
            quantity,
            unit_price_minor,
            ..Default::default()
        }
    }

    fn fields(change: impl FnOnce(&mut v1::SubmitPurchaseRequest)) -> Vec<String> {
        let mut request = good();
        change(&mut request);
        match purchase(request, &Carried::default()) {
            Ok(_) => Vec::new(),
            Err(broken) => broken
                .into_iter()
                .map(|violation| violation.field)
                .collect(),
        }
    }

    #[test]
    fn well_formed_purchase_passes() {
        assert_eq!(
            purchase(good(), &Carried::default()).unwrap().items[0].quantity,
            2
        );
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        assert_eq!(fields(|r| r.purchase_id.clear()), ["purchase_id"]);
        assert_eq!(fields(|r| r.purchase_id = "a".repeat(65)), ["purchase_id"]);
        assert_eq!(fields(|r| r.purchase_id = "a b".into()), ["purchase_id"]);
        assert_eq!(fields(|r| r.customer_id = "é".into()), ["customer_id"]);
        assert_eq!(fields(|r| r.currency = "eur".into()), ["currency"]);
        assert_eq!(fields(|r| r.currency = "ABC".into()), ["currency"]);
        assert_eq!(fields(|r| r.items.clear()), ["items"]);
        assert_eq!(
            fields(|r| r.items = (0..101).map(|n| item(&format!("s{n}"), 1, 1)).collect()),
            ["items"]
        );
        for sku in ["", "a{b", "a}b", "a b", "a\nb", "ü", &"s".repeat(129)] {
            assert_eq!(
                fields(|r| r.items = vec![item(sku, 1, 1)]),
                ["items[0].sku"]
            );
        }
        assert_eq!(
            fields(|r| r.items.push(item("sku-1", 1, 1))),
            ["items[1].sku"]
        );
        for quantity in [0, 1_000_001] {
            assert_eq!(
                fields(|r| r.items = vec![item("s", quantity, 1)]),
                ["items[0].quantity"]
            );
        }
        for price in [-1, 1_000_000_000_001] {
            assert_eq!(
                fields(|r| r.items = vec![item("s", 1, price)]),
                ["items[0].unit_price_minor"]
            );
        }
    }

    #[test]
    fn total_that_overflows_is_refused() {
        let dear = || item("a", 1_000_000, 1_000_000_000_000);
        assert_eq!(fields(|r| r.items = vec![dear()]), ["items"]);
        let worst = |r: &mut v1::SubmitPurchaseRequest| {
            r.items = vec![item("a", u32::MAX, i64::MAX), item("b", u32::MAX, i64::MIN)];
        };
        assert!(fields(worst).contains(&"items".to_owned()));
    }

    #[test]
    fn all_broken_rules_are_told_at_once() {
        let all = fields(|r| {
            r.purchase_id.clear();
            r.currency.clear();
            r.items[0].quantity = 0;
        });
        assert_eq!(all, ["purchase_id", "currency", "items[0].quantity"]);
    }
}
