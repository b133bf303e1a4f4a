//! The named parameters of the app's statements.

/// A named parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Param {
    PurchaseId,
    CustomerId,
    Currency,
    TotalMinor,
    TransactionId,
    PurchaseTime,
    Sku,
    Quantity,
    UnitPriceMinor,
    ItemNumber,
}

impl Param {
    pub(crate) const ALL: [Param; 10] = [
        Param::PurchaseId,
        Param::CustomerId,
        Param::Currency,
        Param::TotalMinor,
        Param::TransactionId,
        Param::PurchaseTime,
        Param::Sku,
        Param::Quantity,
        Param::UnitPriceMinor,
        Param::ItemNumber,
    ];

    pub(crate) fn from_name(name: &str) -> Option<Param> {
        Param::ALL.into_iter().find(|param| param.name() == name)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Param::PurchaseId => "purchase_id",
            Param::CustomerId => "customer_id",
            Param::Currency => "currency",
            Param::TotalMinor => "total_minor",
            Param::TransactionId => "transaction_id",
            Param::PurchaseTime => "purchase_time",
            Param::Sku => "sku",
            Param::Quantity => "quantity",
            Param::UnitPriceMinor => "unit_price_minor",
            Param::ItemNumber => "item_number",
        }
    }

    pub(crate) fn is_of_an_item(self) -> bool {
        matches!(
            self,
            Param::Sku | Param::Quantity | Param::UnitPriceMinor | Param::ItemNumber
        )
    }
}
