//! What else an order carries, as the configuration declares it: the coordinator checks what clients send
//! by it, a participant knows by it how to write a value.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error};
use tandem_protocol::Purchase;

use crate::rules::{self, ATTRIBUTE_BYTES_MAX, Violation, is_attribute_name};

/// Digits of a decimal, and how many of them may stand behind the point: what the DECIMAL of MySQL and
/// MariaDB holds (their manuals, "Fixed-Point Types"; MariaDB allows more behind the point).
const DECIMAL_DIGITS_MAX: usize = 65;
const DECIMAL_SCALE_MAX: usize = 30;

/// The first second of 2038: TIMESTAMP columns and MariaDB's FROM_UNIXTIME end in its January.
const TIME_END_S: i64 = 2_145_916_800;

/// Attributes by their names: the tables `[attributes.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, Attribute>);

/// One attribute, as it is declared.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attribute {
    /// What a value is.
    #[serde(rename = "type")]
    pub kind: AttributeType,
    /// Longest value in characters, for `text` (255 where nothing is said) and `json` (no limit of its own).
    #[serde(default)]
    pub length: Option<usize>,
    /// Whether a purchase must have it.
    #[serde(default)]
    pub required: bool,
    /// Whether it is personal data: no log line, error or output of the CLI shows it unless a person asks.
    #[serde(default)]
    pub personal: bool,
}

/// What the text of a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AttributeType {
    /// Any text.
    Text,
    /// A whole number of 64 bits.
    Integer,
    /// At most 65 digits, 30 of them behind the point.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// RFC 3339, 1970 to 2037.
    Time,
    /// One JSON value.
    Json,
}

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let declared: BTreeMap<String, Attribute> = BTreeMap::deserialize(deserializer)?;
        for (name, attribute) in &declared {
            if !is_attribute_name(name) {
                let rule = rules::ATTRIBUTE_NAME_RULE;
                return Err(D::Error::custom(format!("attribute {name:?} {rule}")));
            }
            let has_length = matches!(attribute.kind, AttributeType::Text | AttributeType::Json);
            match attribute.length {
                None => {}
                Some(_) if !has_length => {
                    let what = "has a length, which is for text and json";
                    return Err(D::Error::custom(format!("attribute {name:?} {what}")));
                }
                Some(1..=ATTRIBUTE_BYTES_MAX) => {}
                Some(length) => {
                    let rule = format!("length must be 1 to {ATTRIBUTE_BYTES_MAX}, is {length}");
                    return Err(D::Error::custom(format!("attribute {name:?}: {rule}")));
                }
            }
        }
        Ok(Attributes(declared))
    }
}

impl FromIterator<(String, Attribute)> for Attributes {
    /// The names are not checked.
    fn from_iter<T: IntoIterator<Item = (String, Attribute)>>(attributes: T) -> Self {
        Attributes(attributes.into_iter().collect())
    }
}

impl Attributes {
    /// The attribute of this name.
    pub fn get(&self, name: &str) -> Option<&Attribute> {
        self.0.get(name)
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All that a purchase's attributes break: by their number and their bytes together, which the limits are
    /// given for, and by what is declared. No value is repeated.
    pub fn violations(&self, purchase: &Purchase, limits: (usize, usize)) -> Vec<Violation> {
        let mut found = Vec::new();
        rules::attribute_violations(&purchase.attributes, limits, &mut found);
        for (name, value) in &purchase.attributes {
            let broken = match self.get(name) {
                // What is no name has its violation already.
                None if !is_attribute_name(name) => None,
                None => Some(self.undeclared()),
                Some(attribute) => attribute.broken_by(value),
            };
            found.extend(broken.map(|rule| Violation::of_attribute(name, rule)));
        }
        for (name, attribute) in &self.0 {
            if attribute.required && !purchase.attributes.contains_key(name) {
                found.push(Violation::of_attribute(name, "must be given".into()));
            }
        }
        found
    }

    fn undeclared(&self) -> String {
        let names: Vec<&str> = self.names().collect();
        match names[..] {
            [] => "is not declared; the configuration declares none ([attributes.NAME])".into(),
            _ => format!(
                "is not declared; the configuration declares {}",
                names.join(", ")
            ),
        }
    }
}

/// Characters of a text of which nothing is said.
const TEXT_LENGTH: usize = 255;

impl Attribute {
    /// An attribute that is neither required nor personal.
    pub fn new(kind: AttributeType) -> Attribute {
        Attribute {
            kind,
            length: None,
            required: false,
            personal: false,
        }
    }

    /// Longest value in characters, where there is a limit of its own.
    pub fn characters_max(&self) -> Option<usize> {
        match self.kind {
            AttributeType::Text => Some(self.length.unwrap_or(TEXT_LENGTH)),
            _ => self.length,
        }
    }

    /// The rule that a value breaks, for a person; the value is not in it.
    pub fn broken_by(&self, value: &str) -> Option<String> {
        let is_kept = match self.kind {
            AttributeType::Text => true,
            AttributeType::Integer => value.parse::<i64>().is_ok(),
            AttributeType::Decimal => is_decimal(value),
            AttributeType::Boolean => matches!(value, "true" | "false"),
            AttributeType::Time => time_micros(value).is_some(),
            AttributeType::Json => serde_json::from_str::<serde::de::IgnoredAny>(value).is_ok(),
        };
        if !is_kept {
            return Some(self.kind.rule().to_owned());
        }
        let is_longer = |length: &usize| value.chars().count() > *length;
        self.characters_max()
            .filter(is_longer)
            .map(|length| format!("must have at most {length} characters"))
    }
}

impl AttributeType {
    fn rule(self) -> &'static str {
        match self {
            AttributeType::Text => "must be text",
            AttributeType::Integer => {
                "must be a whole number, -9223372036854775808 to 9223372036854775807, as in \"42\""
            }
            AttributeType::Decimal => {
                "must be a decimal of at most 65 digits, 30 of them behind the point, as in \"-12.50\""
            }
            AttributeType::Boolean => "must be \"true\" or \"false\"",
            AttributeType::Time => {
                "must be a time in RFC 3339, 1970 to 2037, as in \"2026-03-01T12:00:00.25Z\""
            }
            AttributeType::Json => "must be one JSON value",
        }
    }
}

/// `-12.50`: digits, and at most one point between them.
fn is_decimal(value: &str) -> bool {
    let digits = value.strip_prefix('-').unwrap_or(value);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    are_digits(whole)
        && are_digits(fraction)
        && fraction.len() <= DECIMAL_SCALE_MAX
        && whole.len() + fraction.len() <= DECIMAL_DIGITS_MAX
}

/// Microseconds since 1970 of a time in RFC 3339, 1970 to 2037; finer parts are left out.
pub fn time_micros(value: &str) -> Option<i64> {
    let micros = value.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    (0..TIME_END_S * 1_000_000)
        .contains(&micros)
        .then_some(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(kind: AttributeType, value: &str) -> Option<String> {
        Attribute::new(kind).broken_by(value)
    }

    #[test]
    fn a_value_is_of_its_type() {
        use AttributeType::{Boolean, Decimal, Integer, Json, Text, Time};
        let digits = |whole: usize, fraction: usize| {
            format!("{}.{}", "9".repeat(whole), "9".repeat(fraction))
        };
        for (kind, good) in [
            (Text, ""),
            (Text, "O'Neil \u{1F600}; DROP TABLE orders --"),
            (Integer, "-9223372036854775808"),
            (Decimal, "0"),
            (Decimal, "-12.50"),
            (Decimal, &digits(35, 30)),
            (Boolean, "true"),
            (Time, "1970-01-01T00:00:00Z"),
            (Time, "2037-12-31T23:59:59.999999Z"),
            (Time, "2026-03-01T12:00:00+09:00"),
            (Json, "[1, {\"a\": null}]"),
        ] {
            assert_eq!(broken(kind, good), None, "{kind:?} {good:?}");
        }
        for (kind, bad) in [
            (Integer, "9223372036854775808"),
            (Integer, "1.0"),
            (Integer, ""),
            (Decimal, "1e5"),
            (Decimal, ".5"),
            (Decimal, "5."),
            (Decimal, "+5"),
            (Decimal, "--5"),
            (Decimal, "1.2.3"),
            (Decimal, &digits(36, 30)),
            (Decimal, &digits(1, 31)),
            (Boolean, "1"),
            (Time, "2026-03-01"),
            (Time, "1969-12-31T23:59:59Z"),
            (Time, "2038-01-01T00:00:00Z"),
            (Json, "{'a': 1}"),
            (Json, "1 2"),
        ] {
            let rule = broken(kind, bad).unwrap_or_else(|| panic!("{kind:?} {bad:?}"));
            assert!(rule.starts_with("must be"), "{rule}");
        }
    }

    #[test]
    fn length_counts_characters() {
        let mut note = Attribute::new(AttributeType::Text);
        assert_eq!(note.broken_by(&"ü".repeat(255)), None);
        assert!(note.broken_by(&"ü".repeat(256)).is_some());
        note.length = Some(3);
        assert_eq!(note.broken_by("üüü"), None);
        assert!(note.broken_by("abcd").is_some());
    }

    #[test]
    fn what_is_not_declared_or_is_missing_is_named() {
        let mut cart = Attribute::new(AttributeType::Integer);
        cart.required = true;
        let declared = Attributes(BTreeMap::from([("cart".into(), cart)]));
        let fields = |attributes: &[(&str, &str)]| -> Vec<String> {
            let pair = |(name, value): &(&str, &str)| ((*name).into(), (*value).into());
            let purchase = Purchase {
                attributes: attributes.iter().map(pair).collect(),
                ..Purchase::default()
            };
            let found = declared.violations(&purchase, (2, 40));
            found.into_iter().map(|violation| violation.field).collect()
        };
        assert!(fields(&[("cart", "7")]).is_empty());
        assert_eq!(fields(&[]), ["attributes[\"cart\"]"]);
        assert_eq!(fields(&[("cart", "x")]), ["attributes[\"cart\"]"]);
        let both = fields(&[("cart", "7"), ("note", "x")]);
        assert_eq!(both, ["attributes[\"note\"]"]);
        let many = fields(&[("cart", "7"), ("a", ""), ("b", "")]);
        assert_eq!(many[0], "attributes");
        let long = fields(&[("cart", &"1".repeat(37))]);
        assert_eq!(long[0], "attributes");
    }
}
