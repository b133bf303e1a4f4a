//! What a purchase holds, for a person and as JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tandem_proto::v1::Item;
use tandem_protocol::stock_name;

/// Attributes, by their names.
type Attributes = BTreeMap<String, String>;

/// How much of a purchase's content is printed.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct Shown {
    /// Print the values of attributes too, which may be personal data; without this only their names
    #[arg(long = "show-attributes")]
    pub(super) attributes: bool,
}

impl Shown {
    /// Names of attributes, or with their values: `email = "ann@example.org", gift = "true"`; empty if there
    /// are none.
    pub(super) fn attributes(self, attributes: &Attributes) -> String {
        let each = attributes
            .iter()
            .map(|(name, value)| match self.attributes {
                true => format!("{name} = {value:?}"),
                false => name.clone(),
            });
        each.collect::<Vec<_>>().join(", ")
    }

    /// Attributes by their names; null stands for a value that is not shown.
    pub(super) fn attributes_json(self, attributes: &Attributes) -> Value {
        let each = attributes.iter().map(|(name, value)| {
            let value = self.attributes.then_some(value);
            (name.clone(), json!(value))
        });
        Value::Object(each.collect())
    }
}

/// The lines of a purchase: `2 x lamp at 1999 (line a)`, the price in minor units.
pub(super) fn items(items: &[Item]) -> String {
    items.iter().map(item).collect::<Vec<_>>().join(", ")
}

fn item(item: &Item) -> String {
    let mut more = Vec::new();
    if !item.line_id.is_empty() {
        more.push(format!("line {}", item.line_id));
    }
    if item.tracked == Some(false) {
        more.push("no stock".to_owned());
    }
    let more = match more.is_empty() {
        true => String::new(),
        false => format!(" ({})", more.join(", ")),
    };
    let stock = stock_name(&item.sku, &item.pool);
    format!(
        "{} x {stock} at {}{more}",
        item.quantity, item.unit_price_minor
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_attributes_are_shown_where_they_are_asked_for() {
        let attributes = [("email", "ann@example.org"), ("gift", "true")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let attributes = Attributes::from(attributes);
        let (names, all) = (Shown::default(), Shown { attributes: true });
        assert_eq!(names.attributes(&attributes), "email, gift");
        assert_eq!(
            all.attributes(&attributes),
            r#"email = "ann@example.org", gift = "true""#
        );
        let json = names.attributes_json(&attributes);
        assert_eq!(json, json!({"email": null, "gift": null}));
        assert_eq!(all.attributes_json(&attributes), json!(attributes));
    }

    #[test]
    fn lines_are_told_apart() {
        let lamp = Item {
            sku: "lamp".into(),
            quantity: 2,
            unit_price_minor: 1999,
            line_id: "a".into(),
            ..Item::default()
        };
        let shipping = Item {
            sku: "shipping".into(),
            quantity: 1,
            unit_price_minor: 490,
            tracked: Some(false),
            ..Item::default()
        };
        assert_eq!(
            items(&[lamp, shipping]),
            "2 x lamp at 1999 (line a), 1 x shipping at 490 (no stock)"
        );
    }
}
