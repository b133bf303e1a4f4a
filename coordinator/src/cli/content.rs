//! What a purchase holds, for a person.

use tandem_proto::v1::Item;
use tandem_protocol::stock_name;

/// The lines of a purchase: `2 x lamp at 1999`, the price in minor units.
pub(super) fn items(items: &[Item]) -> String {
    let each = items.iter().map(|item| {
        let stock = stock_name(&item.sku, &item.pool);
        format!("{} x {stock} at {}", item.quantity, item.unit_price_minor)
    });
    each.collect::<Vec<_>>().join(", ")
}
