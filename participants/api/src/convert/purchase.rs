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
        attributes: purchase.attributes.clone(),
    }
}

/// What a purchase holds, as the wire has it for whoever reads it back.
pub fn content_to_wire(purchase: &Arc<Purchase>) -> v1::PurchaseContent {
    let entry = entry_to_wire(&Entry {
        number: 0,
        purchase: Arc::clone(purchase),
    });
    // Each field by name, so that none that comes to be is left out.
    let v1::Entry {
        number: _,
        purchase_id: _,
        customer_id,
        items,
        currency,
        attributes,
    } = entry;
    v1::PurchaseContent {
        customer_id,
        items,
        currency,
        attributes,
    }
}

/// An entry from the wire.
///
/// # Errors
/// [`Error::Invalid`] with the first field that breaks a rule of [`rules`].
pub fn entry_from_wire(entry: v1::Entry) -> Result<Entry, Error> {
    let number = entry.number;
    let purchase = Purchase {
        purchase_id: entry.purchase_id,
        customer_id: entry.customer_id,
        currency: entry.currency,
        items: items_from_wire(entry.items),
        attributes: entry.attributes,
    };
    match rules::violations(&purchase).into_iter().next() {
        Some(violation) => Err(invalid(violation.field, violation.rule)),
        None => Ok(Entry {
            number,
            purchase: Arc::new(purchase),
        }),
    }
}

/// A purchase from a client's request, not yet checked: see [`rules::violations`].
pub fn purchase_from_wire(request: v1::SubmitPurchaseRequest) -> Purchase {
    Purchase {
        purchase_id: request.purchase_id,
        customer_id: request.customer_id,
        currency: request.currency,
        items: items_from_wire(request.items),
        attributes: request.attributes,
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
        line_id: item.line_id.clone(),
        tracked: item.untracked.then_some(false),
        pool: item.pool.clone(),
    }
}

fn items_from_wire(items: Vec<v1::Item>) -> Vec<Item> {
    let item = |item: v1::Item| Item {
        sku: item.sku,
        quantity: item.quantity,
        unit_price_minor: item.unit_price_minor,
        line_id: item.line_id,
        untracked: item.tracked == Some(false),
        pool: item.pool,
    };
    items.into_iter().map(item).collect()
}
