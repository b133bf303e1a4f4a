//! The rules of a purchase's fields, as `purchase.proto` states them, in one place: the
//! coordinator checks what clients send, a sidecar checks what coordinators send.

use std::collections::{BTreeMap, HashSet};

use tandem_protocol::{Item, Purchase, sku_and_pool};

/// Longest purchase id, in bytes.
pub const PURCHASE_ID_BYTES_MAX: usize = 64;
/// Longest customer id, in bytes.
pub const CUSTOMER_ID_BYTES_MAX: usize = 64;
/// Longest sku, in bytes.
pub const SKU_BYTES_MAX: usize = 128;
/// Most items of one purchase.
pub const ITEMS_MAX: usize = 100;
/// Most units of one item.
pub const QUANTITY_MAX: u32 = 1_000_000;
/// Highest price of one unit, in the currency's minor unit; also the lowest, below 0, of what is not tracked.
pub const UNIT_PRICE_MINOR_MAX: i64 = 1_000_000_000_000;
/// Longest line id, in bytes.
pub const LINE_ID_BYTES_MAX: usize = 64;
/// Longest name of a pool, in bytes.
pub const POOL_BYTES_MAX: usize = 64;
/// Most attributes of a purchase that a configuration can allow.
pub const ATTRIBUTES_MAX: usize = 64;
/// Most bytes of their names and values together that a configuration can allow.
pub const ATTRIBUTE_BYTES_MAX: usize = 16 * 1024;
/// Longest name of an attribute, in bytes.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 32;
/// Highest sum of quantity times unit price over a purchase's items, in the minor unit; the lowest is 0.
///
/// Exact in a double, and far from overflow in MySQL's BIGINT.
pub const TOTAL_MINOR_MAX: i128 = 9_000_000_000_000_000;

/// A field that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field, as in `items[3].sku` or `attributes["cart"]`.
    pub field: String,
    /// The rule, for a person: `must be 1 to 1000000, is 0`.
    pub rule: String,
}

impl Violation {
    fn new(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            rule: rule.into(),
        }
    }

    /// Of one attribute: `attributes["cart"]`.
    pub(crate) fn of_attribute(name: &str, rule: String) -> Self {
        Self::new(format!("attributes[{name:?}]"), rule)
    }
}

/// Every rule that a purchase breaks. A currency is checked for its form alone; which codes
/// exist is for the coordinator to know.
pub fn violations(purchase: &Purchase) -> Vec<Violation> {
    let mut found = violations_but_of_attributes(purchase);
    let limits = (ATTRIBUTES_MAX, ATTRIBUTE_BYTES_MAX);
    attribute_violations(&purchase.attributes, limits, &mut found);
    found
}

/// The same for the coordinator, which knows more of the attributes: see
/// [`Attributes::violations`](crate::attributes::Attributes::violations).
pub fn violations_but_of_attributes(purchase: &Purchase) -> Vec<Violation> {
    let mut found = Vec::new();
    if !is_purchase_id(&purchase.purchase_id) {
        found.push(Violation::new("purchase_id", PURCHASE_ID_RULE));
    }
    if !is_customer_id(&purchase.customer_id) {
        found.push(Violation::new("customer_id", CUSTOMER_ID_RULE));
    }
    if purchase.currency.len() != 3 || !purchase.currency.bytes().all(|b| b.is_ascii_uppercase()) {
        found.push(Violation::new("currency", CURRENCY_RULE));
    }
    if !(1..=ITEMS_MAX).contains(&purchase.items.len()) {
        let count = purchase.items.len();
        let rule = format!("must hold 1 to {ITEMS_MAX} items, holds {count}");
        found.push(Violation::new("items", rule));
    }
    item_violations(&purchase.items, &mut found);
    found
}

/// What attributes break by their names, their number and their bytes together. Which there are, and of which
/// types, the configuration says: see [`Attributes`](crate::attributes::Attributes).
pub(crate) fn attribute_violations(
    attributes: &BTreeMap<String, String>,
    (number_max, bytes_max): (usize, usize),
    found: &mut Vec<Violation>,
) {
    if attributes.len() > number_max {
        let number = attributes.len();
        let rule = format!("must be at most {number_max}, are {number}");
        found.push(Violation::new("attributes", rule));
    }
    let bytes: usize = attributes
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if bytes > bytes_max {
        let rule =
            format!("must have at most {bytes_max} bytes together, names and values, have {bytes}");
        found.push(Violation::new("attributes", rule));
    }
    for name in attributes.keys() {
        if !is_attribute_name(name) {
            found.push(Violation::of_attribute(
                &shown(name),
                ATTRIBUTE_NAME_RULE.into(),
            ));
        }
    }
}

/// As much of a name as fits into a message.
fn shown(name: &str) -> String {
    name.chars().take(ATTRIBUTE_NAME_BYTES_MAX).collect()
}

/// Whether an attribute's name keeps its rule, [`ATTRIBUTE_NAME_RULE`].
pub fn is_attribute_name(name: &str) -> bool {
    name.len() <= ATTRIBUTE_NAME_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// What [`is_attribute_name`] demands, for a person.
pub const ATTRIBUTE_NAME_RULE: &str =
    "must be a name of 1 to 32 characters of a-z 0-9 _ that begins with a letter";

/// Whether a purchase id keeps its rule, [`PURCHASE_ID_RULE`].
pub fn is_purchase_id(id: &str) -> bool {
    is_id(id, PURCHASE_ID_BYTES_MAX, b"-_.:")
}

/// What [`is_purchase_id`] demands, for a person.
pub const PURCHASE_ID_RULE: &str = "must be 1 to 64 characters of A-Z a-z 0-9 - _ . :";

/// Whether a customer's id keeps its rule, [`CUSTOMER_ID_RULE`].
pub fn is_customer_id(id: &str) -> bool {
    is_id(id, CUSTOMER_ID_BYTES_MAX, b"-_.:@")
}

/// What [`is_customer_id`] demands, for a person.
pub const CUSTOMER_ID_RULE: &str = "must be 1 to 64 characters of A-Z a-z 0-9 - _ . : @";

/// What a currency must be, for a person.
pub const CURRENCY_RULE: &str = "must be an ISO 4217 code in capitals, as in EUR";

/// Whether a sku keeps its rule: 1 to 128 bytes of printable ASCII other than space, `{` and `}`
/// (a brace would move its keys to another slot of a Redis cluster).
pub fn is_sku(sku: &str) -> bool {
    (1..=SKU_BYTES_MAX).contains(&sku.len())
        && sku
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'{' && b != b'}')
}

/// What [`is_sku`] demands, for a person.
pub const SKU_RULE: &str = "must be 1 to 128 bytes of printable ASCII other than space, { and }";

/// Whether a pool's name keeps its rule, [`POOL_RULE`].
pub fn is_pool(pool: &str) -> bool {
    is_id(pool, POOL_BYTES_MAX, b"-_.")
}

/// What [`is_pool`] demands, for a person.
pub const POOL_RULE: &str = "must be 1 to 64 characters of A-Z a-z 0-9 - _ .";

/// Whether a text is the [name of a stock](tandem_protocol::stock_name), [`STOCK_RULE`].
pub fn is_stock(name: &str) -> bool {
    let (sku, pool) = sku_and_pool(name);
    is_sku(sku) && (pool.is_empty() || is_pool(pool))
}

/// What [`is_stock`] demands, for a person.
pub const STOCK_RULE: &str = "must be a sku, 1 to 128 bytes of printable ASCII other than space, { and }; behind it may be a pool, \
     as in tea{paris}";

fn item_violations(items: &[Item], found: &mut Vec<Violation>) {
    let mut lines = HashSet::new();
    let mut line_ids = HashSet::new();
    let mut total: i128 = 0;
    // A list that is too long is one violation already; its rest says nothing more.
    for (index, item) in items.iter().take(ITEMS_MAX).enumerate() {
        if !is_sku(&item.sku) {
            found.push(Violation::new(format!("items[{index}].sku"), SKU_RULE));
        }
        if !lines.insert((item.sku.as_str(), item.line_id.as_str())) {
            let rule =
                "must not repeat the sku of another item, unless each has a line_id of its own";
            found.push(Violation::new(format!("items[{index}].sku"), rule));
        } else if !item.line_id.is_empty() && !line_ids.insert(item.line_id.as_str()) {
            let rule = "must not repeat the line_id of another item";
            found.push(Violation::new(format!("items[{index}].line_id"), rule));
        }
        if !item.line_id.is_empty() && !is_id(&item.line_id, LINE_ID_BYTES_MAX, b"-_.:") {
            found.push(Violation::new(
                format!("items[{index}].line_id"),
                LINE_ID_RULE,
            ));
        }
        if !item.pool.is_empty() && !is_pool(&item.pool) {
            found.push(Violation::new(format!("items[{index}].pool"), POOL_RULE));
        }
        if !(1..=QUANTITY_MAX).contains(&item.quantity) {
            let rule = format!("must be 1 to {QUANTITY_MAX}, is {}", item.quantity);
            found.push(Violation::new(format!("items[{index}].quantity"), rule));
        }
        let price = item.unit_price_minor;
        let lowest = match item.untracked {
            true => -UNIT_PRICE_MINOR_MAX,
            false => 0,
        };
        if (lowest..=UNIT_PRICE_MINOR_MAX).contains(&price) {
            total += item.total_minor();
        } else {
            let field = format!("items[{index}].unit_price_minor");
            let rule = match item.untracked {
                false if price < 0 => format!(
                    "must be 0 to {UNIT_PRICE_MINOR_MAX}, is {price}; a discount is an item with tracked = false"
                ),
                _ => format!("must be {lowest} to {UNIT_PRICE_MINOR_MAX}, is {price}"),
            };
            found.push(Violation::new(field, rule));
            // It has its own violation and must not hide what the others cost.
            total += i128::from(item.quantity) * i128::from(price.max(0));
        }
    }
    if total > TOTAL_MINOR_MAX {
        let rule = format!("must not cost more than {TOTAL_MINOR_MAX} minor units in all");
        found.push(Violation::new("items", rule));
    }
    if total < 0 {
        let rule = format!("must not cost less than nothing in all, cost {total} minor units");
        found.push(Violation::new("items", rule));
    }
}

/// What a line id must be, for a person.
const LINE_ID_RULE: &str = "must be 1 to 64 characters of A-Z a-z 0-9 - _ . :";

fn is_id(text: &str, bytes_max: usize, marks: &[u8]) -> bool {
    (1..=bytes_max).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || marks.contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn purchase() -> Purchase {
        Purchase {
            purchase_id: "p-1".into(),
            customer_id: "ann@example".into(),
            currency: "EUR".into(),
            items: vec![item("a"), item("b")],
            ..Default::default()
        }
    }

    fn item(sku: &str) -> Item {
        Item {
            sku: sku.into(),
            quantity: 1,
            unit_price_minor: 250,
            ..Default::default()
        }
    }

    /// The fields that break a rule once a good purchase was changed.
    fn broken(change: impl FnOnce(&mut Purchase)) -> Vec<String> {
        let mut purchase = purchase();
        change(&mut purchase);
        let found = violations(&purchase);
        found.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn a_good_purchase_breaks_no_rule() {
        assert!(broken(|_| {}).is_empty());
        assert!(broken(|p| p.items[0].unit_price_minor = 0).is_empty());
        assert!(broken(|p| p.items[0].quantity = QUANTITY_MAX).is_empty());
    }

    #[test]
    fn each_broken_field_is_named() {
        assert_eq!(broken(|p| p.purchase_id.clear()), ["purchase_id"]);
        assert_eq!(broken(|p| p.purchase_id = "a b".into()), ["purchase_id"]);
        assert_eq!(broken(|p| p.customer_id = "x".repeat(65)), ["customer_id"]);
        assert_eq!(broken(|p| p.currency = "eur".into()), ["currency"]);
        assert_eq!(broken(|p| p.items.clear()), ["items"]);
        let many = (0..=ITEMS_MAX).map(|n| item(&n.to_string())).collect();
        assert_eq!(broken(|p| p.items = many), ["items"]);
        for sku in ["", "a{b", "a}b", "a b", "a\nb", "é", &"x".repeat(129)] {
            assert_eq!(broken(|p| p.items[1].sku = sku.into()), ["items[1].sku"]);
        }
        assert_eq!(broken(|p| p.items[1].sku = "a".into()), ["items[1].sku"]);
        for line_id in ["a b", "é", &"x".repeat(65)] {
            let fields = broken(|p| p.items[0].line_id = line_id.into());
            assert_eq!(fields, ["items[0].line_id"]);
        }
        for quantity in [0, QUANTITY_MAX + 1, u32::MAX] {
            let fields = broken(|p| p.items[0].quantity = quantity);
            assert_eq!(fields, ["items[0].quantity"]);
        }
        for price in [-1, i64::MIN, UNIT_PRICE_MINOR_MAX + 1] {
            let fields = broken(|p| p.items[0].unit_price_minor = price);
            assert_eq!(fields, ["items[0].unit_price_minor"]);
        }
    }

    #[test]
    fn a_sku_may_be_repeated_where_line_ids_tell_the_items_from_each_other() {
        let named = |first: &str, second: &str, sku: &str| {
            broken(|p| {
                p.items[0].line_id = first.into();
                p.items[1].line_id = second.into();
                p.items[1].sku = sku.into();
            })
        };
        assert!(named("1", "2", "a").is_empty());
        assert!(named("", "2", "a").is_empty());
        assert_eq!(named("1", "1", "a"), ["items[1].sku"]);
        assert_eq!(named("1", "1", "b"), ["items[1].line_id"]);
    }

    #[test]
    fn only_what_is_not_tracked_may_take_from_the_total() {
        let of = |price, untracked| {
            broken(|p| {
                p.items[1].unit_price_minor = price;
                p.items[1].untracked = untracked;
            })
        };
        assert!(of(-250, true).is_empty());
        assert_eq!(of(-251, true), ["items"]);
        assert_eq!(of(-1, false), ["items[1].unit_price_minor"]);
        let too_low = of(-UNIT_PRICE_MINOR_MAX - 1, true);
        assert_eq!(too_low, ["items[1].unit_price_minor"]);
    }

    #[test]
    fn attributes_are_bounded_by_name_by_number_and_together() {
        let of = |attributes: &[(&str, usize)]| {
            broken(|p| {
                let pair = |(name, bytes): &(&str, usize)| ((*name).into(), "x".repeat(*bytes));
                p.attributes = attributes.iter().map(pair).collect();
            })
        };
        assert!(of(&[("note", ATTRIBUTE_BYTES_MAX - 4)]).is_empty());
        assert_eq!(of(&[("note", ATTRIBUTE_BYTES_MAX - 3)]), ["attributes"]);
        for name in ["", "Note", "1st", "a-b", "a.b", "é", &"x".repeat(33)] {
            assert_eq!(of(&[(name, 1)]).len(), 1, "{name}");
        }
        let names: Vec<String> = (0..=ATTRIBUTES_MAX).map(|n| format!("a{n}")).collect();
        let many: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        assert_eq!(of(&many), ["attributes"]);
    }

    #[test]
    fn a_total_beyond_its_limit_is_named_without_overflow() {
        let fields = broken(|p| {
            p.items[0].quantity = QUANTITY_MAX;
            p.items[0].unit_price_minor = UNIT_PRICE_MINOR_MAX;
        });
        assert_eq!(fields, ["items"]);
        let fields = broken(|p| {
            (p.items[0].quantity, p.items[0].unit_price_minor) = (u32::MAX, i64::MAX);
            (p.items[1].quantity, p.items[1].unit_price_minor) = (u32::MAX, i64::MIN);
        });
        assert!(fields.contains(&"items".to_owned()), "{fields:?}");
    }
}
