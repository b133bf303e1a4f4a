//! The items of a purchase as one JSON value, as statements write them (`:items_json`) and an audit expects them.

use serde_json::{Value, json};
use tandem_protocol::Purchase;

/// `[{"line_id":null,"sku":"lamp","quantity":2,"unit_price_minor":1999,"tracked":true,"pool":null},…]`, in the
/// order of the items; null is what the client did not say.
pub fn items_json(purchase: &Purchase) -> Value {
    let said = |text: &String| (!text.is_empty()).then(|| text.clone());
    let items = purchase.items.iter().map(|item| {
        json!({
            "line_id": said(&item.line_id),
            "sku": item.sku,
            "quantity": item.quantity,
            "unit_price_minor": item.unit_price_minor,
            "tracked": !item.untracked,
            "pool": said(&item.pool),
        })
    });
    items.collect()
}
