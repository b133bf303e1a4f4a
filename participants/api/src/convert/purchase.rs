//! Purchases and entries.

use std::sync::Arc;

use tandem_proto::v1;
use tandem_protocol::{Entry, Item, Purchase};

use super::{invalid, within};
use crate::{Error, rules};

/// An entry as the wire has it.
pub fn entry_to_wire(entry: &Entry) -> v1::Entry {
    let purchase = &entry.purchase;
    v1::Entry {
        number: entry.number,
        purchase_id: purchase.purchase_id.clone(),
        customer_id: purchase.customer_id.clone(),
        items: purchase.items.iter().map(item_to_wire).collect(),
        currency: purchase.currency.clone(),
    }
}

/// An entry from the wire.
///
/// # Errors
/// [`Error::Invalid`] with the first field that breaks a rule of [`rules`].
pub fn entry_from_wire(entry: v1::Entry) -> Result<Entry, Error> {
    let purchase = purchase_from_wire(
        entry.purchase_id,
        entry.customer_id,
        entry.currency,
        entry.items,
    );
    match rules::violations(&purchase).into_iter().next() {
        Some(violation) => Err(invalid(violation.field, violation.rule)),
        None => Ok(Entry {
            number: entry.number,
            purchase: Arc::new(purchase),
        }),
    }
}

/// A purchase from the wire's parts, not yet checked: see [`rules::violations`].
pub fn purchase_from_wire(
    purchase_id: String,
    customer_id: String,
    currency: String,
    items: Vec<v1::Item>,
) -> Purchase {
    Purchase {
        purchase_id,
        customer_id,
        currency,
        items: items.into_iter().map(item_from_wire).collect(),
    }
}

/// A request's entries: at least one, in the order of their numbers, none twice.
pub(super) fn entries_from_wire(entries: Vec<v1::Entry>) -> Result<Vec<Entry>, Error> {
    if entries.is_empty() {
        return Err(invalid("entries", "must hold at least one entry"));
    }
    let mut read: Vec<Entry> = Vec::with_capacity(entries.len());
    for (index, entry) in entries.into_iter().enumerate() {
        let path = format!("entries[{index}]");
        let entry = within(&path, entry_from_wire(entry))?;
        if read.last().is_some_and(|last| last.number >= entry.number) {
            let rule = "must be higher than the number of the entry before";
            return Err(invalid(format!("{path}.number"), rule));
        }
        read.push(entry);
    }
    Ok(read)
}

fn item_to_wire(item: &Item) -> v1::Item {
    v1::Item {
        sku: item.sku.clone(),
        quantity: item.quantity,
        unit_price_minor: item.unit_price_minor,
    }
}

fn item_from_wire(item: v1::Item) -> Item {
    Item {
        sku: item.sku,
        quantity: item.quantity,
        unit_price_minor: item.unit_price_minor,
    }
}
