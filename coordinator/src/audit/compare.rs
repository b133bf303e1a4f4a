//! A decided purchase against its row.

use tandem_participant::audit_question::{KeptItem, KeptPurchase, comparable};
use tandem_protocol::{Decision, Item, Purchase, Timestamp};

/// How far a row's time may be from the decided one, in milliseconds: a column may keep whole seconds.
const TIME_MS_MAX: u64 = 999;

/// How a purchase's row differs from its decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Difference {
    /// It is not there.
    Missing,
    /// Each difference in words.
    Content(Vec<String>),
}

/// Compares a purchase with the rows that have its id, as far as the statements keep it.
pub(super) fn difference(
    decision: &Decision,
    purchase: &Purchase,
    rows: &[&KeptPurchase],
) -> Option<Difference> {
    let Some(row) = rows.first() else {
        return Some(Difference::Missing);
    };
    let mut content = Vec::new();
    if rows.len() > 1 {
        content.push(format!("there are {} rows of it", rows.len()));
    }
    let mut unequal = |what: &str, kept: Option<String>, decided: String| {
        if let Some(kept) = kept
            && comparable(&kept) != comparable(&decided)
        {
            content.push(format!("{what} is {kept:?}, decided was {decided:?}"));
        }
    };
    let customer = purchase.customer_id.clone();
    unequal("customer_id", row.customer_id.clone(), customer);
    unequal("currency", row.currency.clone(), purchase.currency.clone());
    let total = row.total_minor.map(|total| total.to_string());
    unequal("total_minor", total, purchase.total_minor().to_string());
    let transaction = decision.transaction.to_string();
    unequal("transaction_id", row.transaction_id.clone(), transaction);
    if let Some(kept) = row.purchase_time {
        content.extend(another_time(decision, kept));
    }
    if let Some(kept) = &row.items {
        content.extend(items(&purchase.items, kept));
    }
    (!content.is_empty()).then_some(Difference::Content(content))
}

/// That a row's time is not its transaction's, if the decision has kept that: of a version that kept none, it has
/// the time of the decision in its place.
fn another_time(decision: &Decision, kept: Timestamp) -> Option<String> {
    let decided = decision.begin_time;
    let is_kept = decided != decision.decide_time;
    (is_kept && decided.0.abs_diff(kept.0) > TIME_MS_MAX).then(|| {
        format!(
            "purchase_time is {} ms of Unix time, decided was {}",
            kept.0, decided.0
        )
    })
}

/// What differs between items, in no order.
fn items(decided: &[Item], kept: &[KeptItem]) -> Vec<String> {
    // What the statements do not keep can't differ.
    let mask = kept.first();
    let keeps = |has: fn(&KeptItem) -> bool| mask.is_none_or(has);
    let mut decided: Vec<KeptItem> = (1..)
        .zip(decided)
        .map(|(number, item)| KeptItem {
            sku: keeps(|k| k.sku.is_some()).then(|| comparable(&item.sku)),
            quantity: keeps(|k| k.quantity.is_some()).then(|| item.quantity.into()),
            unit_price_minor: keeps(|k| k.unit_price_minor.is_some())
                .then_some(item.unit_price_minor),
            item_number: keeps(|k| k.item_number.is_some()).then_some(number),
        })
        .collect();
    let mut kept = kept.to_vec();
    for item in &mut kept {
        item.sku = item.sku.as_deref().map(comparable);
    }
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
    parts.extend(
        item.item_number
            .map(|number| format!("item_number {number}")),
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

    fn decision() -> Decision {
        Decision {
            transaction: "shop.1.2".parse().expect("well formed"),
            begin_time: Timestamp(5_000),
            decide_time: Timestamp(5_007),
            participants: Vec::new(),
            entries: Vec::new(),
            refused: Vec::new(),
            counts: true,
        }
    }

    fn difference(purchase: &Purchase, rows: &[&KeptPurchase]) -> Option<Difference> {
        super::difference(&decision(), purchase, rows)
    }

    fn row() -> KeptPurchase {
        let item = |sku: &str, quantity| KeptItem {
            sku: Some(sku.into()),
            quantity: Some(quantity),
            unit_price_minor: Some(5),
            item_number: None,
        };
        KeptPurchase {
            purchase_id: "p-1".into(),
            customer_id: Some("ann".into()),
            currency: Some("EUR".into()),
            total_minor: Some(15),
            transaction_id: None,
            purchase_time: Some(Timestamp(5_900)),
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
    fn time_transaction_and_place_are_compared_and_numbers_by_their_value() {
        let mut changed = row();
        (changed.purchase_time, changed.transaction_id) =
            (Some(Timestamp(6_000)), Some("shop.1.3".into()));
        if let Some(items) = &mut changed.items {
            (items[0].item_number, items[1].item_number) = (Some(1), Some(2));
        }
        let Some(Difference::Content(content)) = difference(&purchase(), &[&changed]) else {
            panic!("it agrees");
        };
        assert_eq!(content.len(), 6, "{content:?}");
        // The time of a decision that kept none can't be told.
        let old = Decision {
            begin_time: Timestamp(5_007),
            ..decision()
        };
        changed.transaction_id = Some("shop.1.2".into());
        changed.items = None;
        assert_eq!(super::difference(&old, &purchase(), &[&changed]), None);
        let mut numbered = purchase();
        numbered.customer_id = "007".into();
        numbered.items[0].sku = "042".into();
        let mut as_numbers = row();
        as_numbers.customer_id = Some("7".into());
        if let Some(items) = &mut as_numbers.items {
            items[1].sku = Some("42".into());
        }
        assert_eq!(difference(&numbered, &[&as_numbers]), None);
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
                    item_number: None,
                },
                KeptItem {
                    sku: Some("mug".into()),
                    quantity: None,
                    unit_price_minor: None,
                    item_number: None,
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
