//! A decided purchase against its row.

use tandem_participant::audit_question::{KeptItem, KeptPurchase};
use tandem_protocol::{Item, Purchase};

/// How a purchase's row differs from its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    /// It is not there.
    Missing,
    /// Each difference in words.
    Content(Vec<String>),
}

/// Compares a purchase with the rows that have its id, as far as the statements keep it.
pub(super) fn difference(purchase: &Purchase, rows: &[&KeptPurchase]) -> Option<Difference> {
    let Some(row) = rows.first() else {
        return Some(Difference::Missing);
    };
    let mut content = Vec::new();
    if rows.len() > 1 {
        content.push(format!("there are {} rows of it", rows.len()));
    }
    let mut unequal = |what: &str, kept: Option<String>, decided: String| {
        if let Some(kept) = kept
            && kept != decided
        {
            content.push(format!("{what} is {kept:?}, decided was {decided:?}"));
        }
    };
    let customer = purchase.customer_id.clone();
    unequal("customer_id", row.customer_id.clone(), customer);
    unequal("currency", row.currency.clone(), purchase.currency.clone());
    let total = row.total_minor.map(|total| total.to_string());
    unequal("total_minor", total, purchase.total_minor().to_string());
    if let Some(kept) = &row.items {
        content.extend(items(&purchase.items, kept));
    }
    (!content.is_empty()).then_some(Difference::Content(content))
}

/// What differs between items, in no order.
fn items(decided: &[Item], kept: &[KeptItem]) -> Vec<String> {
    // What the statements do not keep can't differ.
    let mask = kept.first();
    let keeps = |has: fn(&KeptItem) -> bool| mask.is_none_or(has);
    let mut decided: Vec<KeptItem> = decided
        .iter()
        .map(|item| KeptItem {
            sku: keeps(|k| k.sku.is_some()).then(|| item.sku.clone()),
            quantity: keeps(|k| k.quantity.is_some()).then(|| item.quantity.into()),
            unit_price_minor: keeps(|k| k.unit_price_minor.is_some())
                .then_some(item.unit_price_minor),
        })
        .collect();
    let mut kept = kept.to_vec();
    kept.retain(|item| {
        let same = decided.iter().position(|other| other == item);
        same.map(|at| decided.swap_remove(at)).is_none()
    });
    let missing = decided
        .iter()
        .map(|item| format!("item {} was decided and is not there", text(item)));
    let added = kept
        .iter()
        .map(|item| format!("item {} is there and was not decided", text(item)));
    missing.chain(added).collect()
}

fn text(item: &KeptItem) -> String {
    let mut parts = Vec::new();
    parts.extend(item.sku.clone());
    parts.extend(item.quantity.map(|quantity| format!("quantity {quantity}")));
    parts.extend(
        item.unit_price_minor
            .map(|price| format!("unit_price_minor {price}")),
    );
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purchase() -> Purchase {
        let item = |sku: &str, quantity| Item {
            sku: sku.into(),
            quantity,
            unit_price_minor: 5,
            ..Default::default()
        };
        Purchase {
            purchase_id: "p-1".into(),
            customer_id: "ann".into(),
            currency: "EUR".into(),
            items: vec![item("tea", 2), item("mug", 1)],
            ..Default::default()
        }
    }

    fn row() -> KeptPurchase {
        let item = |sku: &str, quantity| KeptItem {
            sku: Some(sku.into()),
            quantity: Some(quantity),
            unit_price_minor: Some(5),
        };
        KeptPurchase {
            purchase_id: "p-1".into(),
            customer_id: Some("ann".into()),
            currency: Some("EUR".into()),
            total_minor: Some(15),
            transaction_id: None,
            items: Some(vec![item("mug", 1), item("tea", 2)]),
        }
    }

    #[test]
    fn row_as_it_was_written_agrees_in_any_order_of_items() {
        assert_eq!(difference(&purchase(), &[&row()]), None);
        assert_eq!(difference(&purchase(), &[]), Some(Difference::Missing));
    }

    #[test]
    fn every_field_that_is_kept_is_compared() {
        let mut changed = row();
        changed.total_minor = Some(16);
        if let Some(items) = &mut changed.items {
            items[1].quantity = Some(3);
        }
        assert_eq!(
            difference(&purchase(), &[&changed]),
            Some(Difference::Content(vec![
                "total_minor is \"16\", decided was \"15\"".into(),
                "item tea quantity 2 unit_price_minor 5 was decided and is not there".into(),
                "item tea quantity 3 unit_price_minor 5 is there and was not decided".into(),
            ]))
        );
    }

    #[test]
    fn what_the_statements_do_not_keep_is_not_missed() {
        let bare = KeptPurchase {
            customer_id: None,
            currency: None,
            total_minor: None,
            items: Some(vec![
                KeptItem {
                    sku: Some("tea".into()),
                    quantity: None,
                    unit_price_minor: None,
                },
                KeptItem {
                    sku: Some("mug".into()),
                    quantity: None,
                    unit_price_minor: None,
                },
            ]),
            ..row()
        };
        assert_eq!(difference(&purchase(), &[&bare]), None);
        let without_items = KeptPurchase {
            items: Some(Vec::new()),
            ..bare
        };
        assert!(difference(&purchase(), &[&without_items]).is_some());
    }
}
