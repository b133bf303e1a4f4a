//! The named parameters of the app's statements.

use std::borrow::Cow;

/// A named parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Param {
    PurchaseId,
    CustomerId,
    Currency,
    TotalMinor,
    Total,
    TransactionId,
    PurchaseTime,
    ItemsJson,
    /// An attribute of the purchase by its name: `:attr.NAME`.
    Attribute(String),
    Sku,
    LineId,
    Quantity,
    UnitPriceMinor,
    UnitPrice,
    LineTotalMinor,
    LineTotal,
    Tracked,
    Pool,
    ItemNumber,
}

/// What stands before the name of an attribute.
const ATTRIBUTE: &str = "attr.";

impl Param {
    /// All but the attributes, which the configuration names.
    pub(crate) const NAMED: [(&'static str, Param); 18] = [
        ("purchase_id", Param::PurchaseId),
        ("customer_id", Param::CustomerId),
        ("currency", Param::Currency),
        ("total_minor", Param::TotalMinor),
        ("total", Param::Total),
        ("transaction_id", Param::TransactionId),
        ("purchase_time", Param::PurchaseTime),
        ("items_json", Param::ItemsJson),
        ("sku", Param::Sku),
        ("line_id", Param::LineId),
        ("quantity", Param::Quantity),
        ("unit_price_minor", Param::UnitPriceMinor),
        ("unit_price", Param::UnitPrice),
        ("line_total_minor", Param::LineTotalMinor),
        ("line_total", Param::LineTotal),
        ("tracked", Param::Tracked),
        ("pool", Param::Pool),
        ("item_number", Param::ItemNumber),
    ];

    /// The parameter of this name: `sku`, `attr.cart`.
    pub(crate) fn from_name(name: &str) -> Option<Param> {
        if let Some(attribute) = name.strip_prefix(ATTRIBUTE) {
            return (!attribute.is_empty()).then(|| Param::Attribute(attribute.to_owned()));
        }
        let named = Param::NAMED.iter().find(|(known, _)| *known == name);
        named.map(|(_, param)| param.clone())
    }

    pub(crate) fn name(&self) -> Cow<'static, str> {
        match self {
            Param::Attribute(name) => Cow::Owned(format!("{ATTRIBUTE}{name}")),
            param => {
                let mut named = Param::NAMED.iter();
                let named = named.find(|(_, known)| known == param);
                Cow::Borrowed(named.expect("all but attributes are named").0)
            }
        }
    }

    pub(crate) fn is_of_an_item(&self) -> bool {
        match self {
            Param::Sku
            | Param::LineId
            | Param::Quantity
            | Param::UnitPriceMinor
            | Param::UnitPrice
            | Param::LineTotalMinor
            | Param::LineTotal
            | Param::Tracked
            | Param::Pool
            | Param::ItemNumber => true,
            Param::PurchaseId
            | Param::CustomerId
            | Param::Currency
            | Param::TotalMinor
            | Param::Total
            | Param::TransactionId
            | Param::PurchaseTime
            | Param::ItemsJson
            | Param::Attribute(_) => false,
        }
    }

    /// Whether it is money with a point, so that it needs the currency's digits.
    pub(crate) fn is_decimal_money(&self) -> bool {
        matches!(self, Param::Total | Param::UnitPrice | Param::LineTotal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_its_parameters() {
        for (name, param) in Param::NAMED {
            assert_eq!(Param::from_name(name), Some(param.clone()));
            assert_eq!(param.name(), name);
        }
        let cart = Param::Attribute("cart".into());
        assert_eq!(Param::from_name("attr.cart"), Some(cart.clone()));
        assert_eq!(cart.name(), "attr.cart");
        assert_eq!(Param::from_name("attr."), None);
        assert_eq!(Param::from_name("attr"), None);
    }
}
