//! What became of a purchase, as `purchase submit` and `purchase get` tell it.

use std::fmt::Write;

use tandem_proto::v1::{Purchase, PurchaseState};

use super::content::{self, Shown};
use super::names::word;
use super::output::{self, Output, clean};
use super::{VerbFailure, json, time};

/// Prints the purchase; its state decides the exit code.
pub(super) fn tell(
    purchase: Option<Purchase>,
    form: Output,
    shown: Shown,
) -> Result<(), VerbFailure> {
    let purchase = purchase.ok_or_else(|| {
        VerbFailure::Unknown("the server answered without a purchase; ask again".to_owned())
    })?;
    match form {
        Output::Json => output::json(&json::purchase(&purchase, shown))?,
        Output::Table => output::data(&render(&purchase, shown, jiff::Timestamp::now()))?,
    }
    match purchase.state() {
        PurchaseState::Committed => Ok(()),
        PurchaseState::Refused => Err(VerbFailure::Negative(String::new())),
        PurchaseState::Pending | PurchaseState::Unspecified => Err(VerbFailure::Unknown(
            "not decided yet; ask again with `tandem purchase get`".to_owned(),
        )),
    }
}

fn render(purchase: &Purchase, shown: Shown, now: jiff::Timestamp) -> String {
    let mut page = format!(
        "purchase     {}\nstate        {}",
        clean(&purchase.purchase_id),
        word::<PurchaseState>(purchase.state)
    );
    if !purchase.transaction_id.is_empty() {
        let _ = write!(page, "\ntransaction  {}", clean(&purchase.transaction_id));
    }
    if purchase.decide_time.is_some() {
        let decided = time::both(purchase.decide_time.as_ref(), now);
        let _ = write!(page, "\ndecided      {decided}");
    }
    if purchase.state() == PurchaseState::Committed {
        let applied = match (purchase.applied, purchase.needs_operator) {
            (true, _) => "everywhere".to_owned(),
            (false, false) => "not everywhere yet; it will be".to_owned(),
            (false, true) => format!(
                "not everywhere, and it will not be until an operator has mended what `tandem tx show {}` \
                 tells",
                clean(&purchase.transaction_id)
            ),
        };
        let _ = write!(page, "\napplied      {applied}");
    }
    if let Some(content) = &purchase.content {
        let _ = write!(
            page,
            "\ncustomer     {}\ncurrency     {}\nitems        {} (price in minor units)",
            clean(&content.customer_id),
            clean(&content.currency),
            clean(&content::items(&content.items))
        );
        if !content.attributes.is_empty() {
            let attributes = clean(&shown.attributes(&content.attributes));
            let _ = write!(page, "\nattributes   {attributes}");
        }
    }
    if let Some(refusal) = &purchase.refusal {
        let _ = write!(
            page,
            "\nrefused by   {}: {}: {}",
            clean(&refusal.participant),
            clean(&refusal.reason),
            clean(&refusal.detail)
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use tandem_proto::v1::{Item, PurchaseContent, Refusal};

    use super::super::samples::{after, now};
    use super::*;

    fn item(sku: &str, quantity: u32) -> Item {
        Item {
            sku: sku.into(),
            quantity,
            unit_price_minor: 1999,
            ..Default::default()
        }
    }

    #[test]
    fn committed_purchase_says_where_it_is_applied() {
        let purchase = Purchase {
            purchase_id: "o-1".into(),
            state: PurchaseState::Committed as i32,
            transaction_id: "shop.3.1042".into(),
            decide_time: Some(after(-2)),
            content: Some(PurchaseContent {
                customer_id: "c-1".into(),
                items: vec![item("lamp", 2), item("chair", 1)],
                currency: "EUR".into(),
                ..Default::default()
            }),
            ..Purchase::default()
        };
        assert_eq!(
            render(&purchase, Shown::default(), now()),
            "\
purchase     o-1
state        committed
transaction  shop.3.1042
decided      2026-03-01T11:59:58.000Z (2s ago)
applied      not everywhere yet; it will be
customer     c-1
currency     EUR
items        2 x lamp at 1999, 1 x chair at 1999 (price in minor units)"
        );
    }

    #[test]
    fn refused_purchase_says_who_and_why() {
        let purchase = Purchase {
            purchase_id: "o-1".into(),
            state: PurchaseState::Refused as i32,
            refusal: Some(Refusal {
                reason: "INSUFFICIENT_STOCK".into(),
                participant: "stock".into(),
                detail: "3 available, 5 wanted".into(),
            }),
            ..Purchase::default()
        };
        assert_eq!(
            render(&purchase, Shown::default(), now()),
            "\
purchase     o-1
state        refused
refused by   stock: INSUFFICIENT_STOCK: 3 available, 5 wanted"
        );
    }
}
