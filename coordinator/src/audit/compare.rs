//! A decided purchase against its row.

use super::carried::{Carried, differing};
use tandem_participant::attributes::Attributes;
use tandem_participant::audit_question::{KeptItem, KeptPurchase, More, comparable};
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
    attributes: &Attributes,
    rows: &[&KeptPurchase],
) -> Option<Difference> {
    let carried = Carried {
        purchase,
        item: None,
        attributes,
    };
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
    for name in differing(carried, &row.more) {
        content.push(match carried.is_shown(name) {
            true => format!("{name} is {:?}, decided was another value", row.more[name]),
            false => format!("{name} is another value than was decided"),
        });
    }
    if let Some(kept) = &row.items {
        content.extend(items(carried, kept));
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
fn items(of: Carried<'_>, kept: &[KeptItem]) -> Vec<String> {
    let mut decided: Vec<(i64, &Item)> = (1..).zip(&of.purchase.items).collect();
    let mut added = Vec::new();
    for row in kept {
        let is_it = |(number, item): &(i64, &Item)| is_of(of, row, *number, item);
        match decided.iter().position(is_it) {
            Some(at) => {
                decided.swap_remove(at);
            }
            None => added.push(format!("item {} is there and was not decided", text(row))),
        }
    }
    // What the statements do not keep is not told.
    let mask = kept.first();
    let missing = decided.iter().map(|(number, item)| {
        let keeps = |has: fn(&KeptItem) -> bool| mask.is_none_or(has);
        let item = KeptItem {
            sku: keeps(|k| k.sku.is_some()).then(|| item.sku.clone()),
            quantity: keeps(|k| k.quantity.is_some()).then(|| item.quantity.into()),
            unit_price_minor: keeps(|k| k.unit_price_minor.is_some())
                .then_some(item.unit_price_minor),
            item_number: keeps(|k| k.item_number.is_some()).then_some(*number),
            more: line_id(item),
        };
        format!("item {} was decided and is not there", text(&item))
    });
    missing.chain(added).collect()
}

/// Whether a row is this item's. What the statements do not keep can't differ.
fn is_of(of: Carried<'_>, row: &KeptItem, number: i64, item: &Item) -> bool {
    let carried = Carried {
        item: Some(item),
        ..of
    };
    let sku = row.sku.as_deref().map(comparable);
    sku.is_none_or(|sku| sku == comparable(&item.sku))
        && row
            .quantity
            .is_none_or(|kept| kept == i64::from(item.quantity))
        && row
            .unit_price_minor
            .is_none_or(|kept| kept == item.unit_price_minor)
        && row.item_number.is_none_or(|kept| kept == number)
        && differing(carried, &row.more).next().is_none()
}

fn line_id(item: &Item) -> More {
    let line_id = Some(&item.line_id).filter(|line_id| !line_id.is_empty());
    let named = line_id.map(|line_id| ("line_id".to_owned(), Some(line_id.clone())));
    named.into_iter().collect()
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
    // Attributes may be personal; the others tell one row from another.
    let more = item
        .more
        .iter()
        .filter(|(name, _)| !name.starts_with("attr."));
    parts.extend(more.filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))));
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
        super::difference(&decision(), purchase, &Attributes::default(), rows)
    }

    fn row() -> KeptPurchase {
        let item = |sku: &str, quantity| KeptItem {
            sku: Some(sku.into()),
            quantity: Some(quantity),
            unit_price_minor: Some(5),
            item_number: None,
            more: More::new(),
        };
        KeptPurchase {
            purchase_id: "p-1".into(),
            customer_id: Some("ann".into()),
            currency: Some("EUR".into()),
            total_minor: Some(15),
            transaction_id: None,
            purchase_time: Some(Timestamp(5_900)),
            items: Some(vec![item("mug", 1), item("tea", 2)]),
            more: More::new(),
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
        assert_eq!(
            super::difference(&old, &purchase(), &Attributes::default(), &[&changed]),
            None
        );
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
                    more: More::new(),
                },
                KeptItem {
                    sku: Some("mug".into()),
                    quantity: None,
                    unit_price_minor: None,
                    item_number: None,
                    more: More::new(),
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
