//! The rules for what a client submits; `purchase.proto` states them for people.

use std::collections::BTreeSet;
use std::sync::Arc;

use iso_currency::Currency;
use tandem_proto::v1;
use tandem_protocol::{Item, Purchase};
use tonic_types::FieldViolation;

/// Longest purchase id and customer id, in bytes.
const ID_BYTES_MAX: usize = 64;
/// Most items of one purchase.
const ITEMS_MAX: usize = 100;
/// Longest sku, in bytes.
const SKU_BYTES_MAX: usize = 128;
/// Most units of one item.
const QUANTITY_MAX: u32 = 1_000_000;
/// Highest price of one unit, in minor units.
const UNIT_PRICE_MAX: i64 = 1_000_000_000_000;
/// Highest sum of quantity times price: exact in a double, and far from overflow in MySQL's BIGINT.
const TOTAL_MAX: i64 = 9_000_000_000_000_000;

/// Checks every field; a request that breaks rules gives all the violations, each with its field.
pub(super) fn purchase(
    request: v1::SubmitPurchaseRequest,
) -> Result<Arc<Purchase>, Vec<FieldViolation>> {
    let mut broken = Vec::new();
    purchase_id(&request.purchase_id, &mut broken);
    if !is_id(&request.customer_id, b"-_.:@") {
        let rule = "must be 1 to 64 characters of A-Z a-z 0-9 - _ . : @";
        broken.push(FieldViolation::new("customer_id", rule));
    }
    if request.currency.len() != 3 || Currency::from_code(&request.currency).is_none() {
        let rule = "must be an ISO 4217 code in capitals, as in EUR";
        broken.push(FieldViolation::new("currency", rule));
    }
    items(&request.items, &mut broken);
    if !broken.is_empty() {
        return Err(broken);
    }
    Ok(Arc::new(Purchase {
        purchase_id: request.purchase_id,
        customer_id: request.customer_id,
        currency: request.currency,
        items: request
            .items
            .into_iter()
            .map(|item| Item {
                sku: item.sku,
                quantity: item.quantity,
                unit_price_minor: item.unit_price_minor,
            })
            .collect(),
    }))
}

/// Checks a purchase id.
pub(super) fn purchase_id(id: &str, broken: &mut Vec<FieldViolation>) {
    if !is_id(id, b"-_.:") {
        let rule = "must be 1 to 64 characters of A-Z a-z 0-9 - _ . :";
        broken.push(FieldViolation::new("purchase_id", rule));
    }
}

/// Checks a sku.
pub(super) fn sku(field: &str, sku: &str, broken: &mut Vec<FieldViolation>) {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'{' && byte != b'}';
    if !(1..=SKU_BYTES_MAX).contains(&sku.len()) || !sku.bytes().all(allowed) {
        let rule = "must be 1 to 128 bytes of printable ASCII without space, '{' and '}'";
        broken.push(FieldViolation::new(field, rule));
    }
}

fn items(items: &[v1::Item], broken: &mut Vec<FieldViolation>) {
    if !(1..=ITEMS_MAX).contains(&items.len()) {
        let rule = format!("must hold 1 to 100 items, holds {}", items.len());
        broken.push(FieldViolation::new("items", rule));
        return;
    }
    let mut skus = BTreeSet::new();
    let mut total = Some(0_i64);
    for (index, item) in items.iter().enumerate() {
        let field = |name: &str| format!("items[{index}].{name}");
        sku(&field("sku"), &item.sku, broken);
        if !skus.insert(&item.sku) {
            let rule = "must not repeat the sku of an earlier item";
            broken.push(FieldViolation::new(field("sku"), rule));
        }
        if !(1..=QUANTITY_MAX).contains(&item.quantity) {
            let rule = format!("must be 1 to 1,000,000, is {}", item.quantity);
            broken.push(FieldViolation::new(field("quantity"), rule));
        }
        if !(0..=UNIT_PRICE_MAX).contains(&item.unit_price_minor) {
            let rule = format!(
                "must be 0 to 1,000,000,000,000, is {}",
                item.unit_price_minor
            );
            broken.push(FieldViolation::new(field("unit_price_minor"), rule));
        }
        let price = item.unit_price_minor.checked_mul(item.quantity.into());
        total = total
            .zip(price)
            .and_then(|(sum, price)| sum.checked_add(price));
    }
    if total.is_none_or(|total| total > TOTAL_MAX) {
        let rule =
            "the sum of quantity times unit_price_minor must not exceed 9,000,000,000,000,000";
        broken.push(FieldViolation::new("items", rule));
    }
}

fn is_id(text: &str, others: &[u8]) -> bool {
    (1..=ID_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte))
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
        }
    }

    fn item(sku: &str, quantity: u32, unit_price_minor: i64) -> v1::Item {
        v1::Item {
            sku: sku.into(),
            quantity,
            unit_price_minor,
        }
    }

    fn fields(change: impl FnOnce(&mut v1::SubmitPurchaseRequest)) -> Vec<String> {
        let mut request = good();
        change(&mut request);
        match purchase(request) {
            Ok(_) => Vec::new(),
            Err(broken) => broken
                .into_iter()
                .map(|violation| violation.field)
                .collect(),
        }
    }

    #[test]
    fn well_formed_purchase_passes() {
        assert_eq!(purchase(good()).unwrap().items[0].quantity, 2);
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
