//! What else a row has of what a purchase carries, against what was decided.

use serde_json::Value;
use tandem_participant::attributes::{AttributeType, Attributes, time_micros};
use tandem_participant::audit_question::comparable;
use tandem_participant::{items_json, money};
use tandem_protocol::{Item, Purchase};

/// How far a time in a row may be from the decided one, in microseconds: a column may keep whole seconds.
const TIME_MICROS_MAX: u64 = 999_999;

/// A purchase, or one of its items, with the attributes as they are declared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carried<'a> {
    pub(super) purchase: &'a Purchase,
    pub(super) item: Option<&'a Item>,
    pub(super) attributes: &'a Attributes,
}

/// What was decided of one parameter.
enum Decided {
    Null,
    Text(String),
    Decimal(String),
    Micros(i64),
    Json(Value),
}

impl Carried<'_> {
    /// Whether a row's value of the parameter, `None` where it is NULL, is what was decided. What is not known
    /// any more, as an attribute that is not declared, can't differ.
    pub(super) fn is_decided(&self, name: &str, kept: Option<&str>) -> bool {
        let Some(decided) = self.decided(name) else {
            return true;
        };
        let Some(kept) = kept else {
            return matches!(decided, Decided::Null);
        };
        match decided {
            Decided::Null => false,
            Decided::Text(text) => comparable(kept) == comparable(&text),
            Decided::Decimal(text) => is_same_number(kept, &text),
            Decided::Micros(micros) => kept
                .parse()
                .is_ok_and(|kept: i64| kept.abs_diff(micros) <= TIME_MICROS_MAX),
            Decided::Json(value) => {
                serde_json::from_str(kept).is_ok_and(|kept: Value| kept == value)
            }
        }
    }

    /// Whether a person may be shown its values.
    pub(super) fn is_shown(&self, name: &str) -> bool {
        let attribute = name.strip_prefix("attr.");
        attribute.is_none_or(|name| self.attributes.get(name).is_some_and(|a| !a.personal))
    }

    fn decided(&self, name: &str) -> Option<Decided> {
        let money = |minor: i128| {
            let digits = money::digits(&self.purchase.currency)?;
            Some(Decided::Decimal(money::decimal(minor, digits)))
        };
        match (name, self.item) {
            ("total", _) => money(self.purchase.total_minor()),
            ("items_json", _) => Some(Decided::Json(items_json(self.purchase))),
            ("line_id", Some(item)) => Some(text_or_null(&item.line_id)),
            ("pool", Some(item)) => Some(text_or_null(&item.pool)),
            ("unit_price", Some(item)) => money(item.unit_price_minor.into()),
            ("line_total", Some(item)) => money(item.total_minor()),
            ("line_total_minor", Some(item)) => Some(Decided::Text(item.total_minor().to_string())),
            ("tracked", Some(item)) => Some(Decided::Text(u8::from(!item.untracked).to_string())),
            _ => self.attribute(name.strip_prefix("attr.")?),
        }
    }

    fn attribute(&self, name: &str) -> Option<Decided> {
        let declared = self.attributes.get(name)?;
        let Some(value) = self.purchase.attributes.get(name) else {
            return Some(Decided::Null);
        };
        Some(match declared.kind {
            AttributeType::Text | AttributeType::Integer => Decided::Text(value.clone()),
            AttributeType::Boolean => Decided::Text(u8::from(value == "true").to_string()),
            AttributeType::Decimal => Decided::Decimal(value.clone()),
            AttributeType::Time => Decided::Micros(time_micros(value)?),
            AttributeType::Json => Decided::Json(serde_json::from_str(value).ok()?),
        })
    }
}

fn text_or_null(text: &str) -> Decided {
    match text {
        "" => Decided::Null,
        _ => Decided::Text(text.to_owned()),
    }
}

/// Whether a row's decimal is the decided one, rounded to the row's digits behind the point as the servers
/// round: half away from zero (their manuals, "Rounding Behavior").
fn is_same_number(kept: &str, decided: &str) -> bool {
    let scale = fraction(kept).len();
    let (kept, decided) = (digits(kept, scale), digits(decided, scale));
    kept.is_some() && kept == decided
}

fn fraction(number: &str) -> &str {
    number.split_once('.').map_or("", |(_, fraction)| fraction)
}

/// Whether it is negative, and its digits with so many behind the point, without leading zeros.
fn digits(number: &str, scale: usize) -> Option<(bool, Vec<u8>)> {
    let (is_negative, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let all = whole.bytes().chain(fraction.bytes());
    let mut all: Vec<u8> = all
        .map(|byte| byte.is_ascii_digit().then(|| byte - b'0'))
        .collect::<Option<_>>()?;
    let wanted = whole.len() + scale;
    let is_up = all.get(wanted).is_some_and(|next| *next >= 5);
    all.resize(wanted, 0);
    if is_up {
        all.insert(0, 0);
        for digit in all.iter_mut().rev() {
            *digit = (*digit + 1) % 10;
            if *digit != 0 {
                break;
            }
        }
    }
    let zeros = all.iter().take_while(|digit| **digit == 0).count();
    all.drain(..zeros);
    Some((is_negative && !all.is_empty(), all))
}

/// The names of those of a row's values that are not what was decided.
pub(super) fn differing<'a>(
    carried: Carried<'a>,
    more: &'a tandem_participant::audit_question::More,
) -> impl Iterator<Item = &'a str> {
    more.iter()
        .filter(move |(name, kept)| !carried.is_decided(name, kept.as_deref()))
        .map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use std::iter::zip;

    use tandem_participant::attributes::Attribute;

    use super::*;

    #[test]
    fn decimals_are_compared_at_the_digits_that_the_column_has() {
        for (kept, decided) in [
            ("12.50", "12.5"),
            ("12.5000", "12.50"),
            ("13", "12.5"),
            ("-13", "-12.5"),
            ("12.51", "12.505"),
            ("10.00", "9.999"),
            ("0.00", "-0.001"),
            ("7", "007.0"),
        ] {
            assert!(is_same_number(kept, decided), "{kept} {decided}");
        }
        for (kept, decided) in [
            ("12.50", "12.51"),
            ("12", "-12"),
            ("12.5", "12.55"),
            ("ten", "10"),
            ("", "0.5"),
        ] {
            assert!(!is_same_number(kept, decided), "{kept} {decided}");
        }
    }

    #[test]
    fn each_value_is_compared_as_its_type_is() {
        use AttributeType::{Boolean, Decimal, Integer, Json, Text, Time};
        let kinds = [Text, Integer, Decimal, Boolean, Time, Json];
        let names = ["text", "integer", "decimal", "boolean", "time", "json"];
        let attributes: Attributes = zip(names, kinds)
            .map(|(name, kind)| (name.to_owned(), Attribute::new(kind)))
            .collect();
        let values = [
            "a ",
            "7",
            "1.5",
            "true",
            "1970-01-01T00:00:02Z",
            "{\"b\": 1, \"a\": []}",
        ];
        let purchase = Purchase {
            currency: "EUR".into(),
            items: vec![Item {
                sku: "tea".into(),
                quantity: 2,
                unit_price_minor: 150,
                ..Item::default()
            }],
            attributes: zip(names, values)
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..Purchase::default()
        };
        let carried = Carried {
            purchase: &purchase,
            item: purchase.items.first(),
            attributes: &attributes,
        };
        for (name, kept, other) in [
            ("attr.text", "a ", "a"),
            ("attr.integer", "7", "8"),
            ("attr.decimal", "1.50", "1.51"),
            ("attr.boolean", "1", "0"),
            ("attr.time", "2000000", "3000000"),
            ("attr.json", "{\"a\":[],\"b\":1}", "{\"a\":[],\"b\":2}"),
            ("total", "3.00", "3.01"),
            ("unit_price", "1.5000", "1.6000"),
            ("line_total", "3.00", "1.50"),
            ("line_total_minor", "300", "150"),
            ("tracked", "1", "0"),
        ] {
            assert!(carried.is_decided(name, Some(kept)), "{name}");
            assert!(!carried.is_decided(name, Some(other)), "{name}");
            assert!(!carried.is_decided(name, None), "{name}");
        }
        for name in ["line_id", "pool"] {
            assert!(carried.is_decided(name, None), "{name}");
        }
        assert!(!carried.is_decided("line_id", Some("")));
        assert!(carried.is_decided("attr.gone", Some("whatever")));
    }
}
