//! What a purchase holds, for a person.

use tandem_proto::v1::Item;

/// The lines of a purchase: `2 x lamp at 1999`, the price in minor units.
pub(super) fn items(items: &[Item]) -> String {
    let each = items.iter().map(|item| {
        format!(
            "{} x {} at {}",
            item.quantity, item.sku, item.unit_price_minor
        )
    });
    each.collect::<Vec<_>>().join(", ")
}
