//! What is ordered: mostly what can be sold, and now and then what a shop must refuse.

use serde_json::{Value, json};
use tandem_proto::v1;

use crate::personal::PERSONAL;
use crate::random::Random;
use crate::shop::fixture::{CUSTOMERS, PRODUCTS, UNTRACKED, WAREHOUSES, cart, customer};

/// Of a hundred purchases so many are of each kind that has to be refused.
const BAD_PERCENT: u64 = 1;

/// Purchase `number` of a run; the others' carts and payments follow from their numbers. Some want what another one
/// has, if that is wanted.
pub(crate) fn order(
    number: u64,
    wants_anothers: bool,
    random: &mut Random,
) -> v1::SubmitPurchaseRequest {
    let mut order = v1::SubmitPurchaseRequest {
        purchase_id: format!("order-{number}"),
        customer_id: customer(number),
        currency: (*random.one_of(&["EUR", "EUR", "USD", "JPY"])).to_owned(),
        wait_for: v1::WaitFor::Applied.into(),
        items: items(random),
        attributes: [
            ("cart".to_owned(), cart(number).to_string()),
            (
                "email".to_owned(),
                format!("{PERSONAL}.{number}@example.org"),
            ),
            ("address".to_owned(), address(number)),
            ("payment".to_owned(), payment(number)),
        ]
        .into(),
    };
    if random.between(1, 3) == 1 {
        let coupon = format!("SAVE{}", number % 7);
        order.attributes.insert("coupon".to_owned(), coupon);
    }
    if random.between(1, 2) == 1 {
        order
            .attributes
            .insert("details".to_owned(), details(number, random).to_string());
    }
    spoil(
        &mut order,
        number,
        wants_anothers && number >= CUSTOMERS,
        random,
    );
    order
}

fn items(random: &mut Random) -> Vec<v1::Item> {
    let mut items = Vec::new();
    for line in 0..random.between(1, 4) {
        let (sku, _, price, _) = *random.one_of(&PRODUCTS[..PRODUCTS.len() - 1]);
        items.push(v1::Item {
            sku: sku.to_owned(),
            quantity: random.between(1, 3) as u32,
            // The same sku may be on two lines, at two prices.
            unit_price_minor: price - (line as i64) * 5,
            line_id: format!("line-{line}"),
            tracked: None,
            pool: (*random.one_of(&["", WAREHOUSES[0], WAREHOUSES[1]])).to_owned(),
        });
    }
    for (sku, price) in UNTRACKED {
        if random.between(1, 2) == 1 {
            items.push(v1::Item {
                sku: sku.to_owned(),
                quantity: 1,
                unit_price_minor: price,
                line_id: sku.to_owned(),
                tracked: Some(false),
                pool: String::new(),
            });
        }
    }
    items
}

fn address(number: u64) -> String {
    format!("{PERSONAL} {number}\tc/o O'Neill \"Hof\" \\ 2\nStraße {number}\n〒100-0001 \u{1f3e0}")
}

fn payment(number: u64) -> String {
    format!("{PERSONAL}-card-{number}")
}

fn details(number: u64, random: &mut Random) -> Value {
    json!({
        "gift": random.between(0, 1) == 1,
        "message": format!("Für dich, \"{number}\"\n\u{2764}"),
        "slots": [random.between(8, 12), random.between(13, 18)],
        "note": null,
    })
}

/// Each kind that must be refused; what makes it so is in the shop's tables and products, and nowhere else.
fn spoil(
    order: &mut v1::SubmitPurchaseRequest,
    number: u64,
    wants_anothers: bool,
    random: &mut Random,
) {
    let mut set = |name: &str, value: String| order.attributes.insert(name.to_owned(), value);
    match random.between(0, 100 / BAD_PERCENT - 1) {
        0 => "C-nobody".clone_into(&mut order.customer_id),
        1 => "GBP".clone_into(&mut order.currency),
        2 => "no-such-lamp".clone_into(&mut order.items[0].sku),
        // A stranger's cart, and one of the customer's own that is ordered already.
        3 => drop(set("cart", cart(number + 1).to_string())),
        4 if wants_anothers => drop(set("cart", cart(number - CUSTOMERS).to_string())),
        5 if wants_anothers => drop(set("payment", payment(number - CUSTOMERS))),
        6 | 7 => {
            let (sku, _, price, _) = PRODUCTS[PRODUCTS.len() - 1];
            order.items.truncate(1);
            sku.clone_into(&mut order.items[0].sku);
            order.items[0].unit_price_minor = price;
            order.items[0].quantity = 10;
        }
        _ => {}
    }
}

/// A purchase as the checker reads it.
pub(crate) fn as_json(order: &v1::SubmitPurchaseRequest) -> Value {
    let items: Vec<Value> = order
        .items
        .iter()
        .map(|item| {
            json!({
                "sku": item.sku, "quantity": item.quantity, "unit_price_minor": item.unit_price_minor,
                "tracked": item.tracked.unwrap_or(true), "pool": item.pool,
            })
        })
        .collect();
    json!({
        "purchase_id": order.purchase_id, "customer_id": order.customer_id, "currency": order.currency,
        "items": items, "attributes": order.attributes,
    })
}
