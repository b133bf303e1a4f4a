//! Which purchases a list is to have.

use tandem_participant::rules;
use tandem_proto::v1;
use tandem_protocol::{OutcomesOf, OutcomesWanted, Timestamp};
use tonic_types::FieldViolation;

use super::validate;

/// A request's filter, checked.
#[derive(Debug)]
pub(super) struct Filter {
    /// What the core can tell.
    pub(super) outcomes: OutcomesWanted,
    /// Whether the content is wanted, too.
    pub(super) is_full: bool,
    state: Option<v1::PurchaseState>,
    customer_id: String,
    sku: String,
}

impl Filter {
    /// Reads a request; one that breaks rules gives all the violations, each with its field.
    pub(super) fn read(request: &v1::ListPurchasesRequest) -> Result<Filter, Vec<FieldViolation>> {
        let mut broken = Vec::new();
        let mut expect = |holds: bool, field: &str, rule: &str| {
            if !holds {
                broken.push(FieldViolation::new(field, rule));
            }
        };
        let (customer_id, sku) = (&request.customer_id, &request.sku);
        expect(
            customer_id.is_empty() || rules::is_customer_id(customer_id),
            "customer_id",
            rules::CUSTOMER_ID_RULE,
        );
        expect(sku.is_empty() || rules::is_sku(sku), "sku", rules::SKU_RULE);
        let state = match v1::PurchaseState::try_from(request.state) {
            Ok(v1::PurchaseState::Unspecified) => None,
            Ok(state @ (v1::PurchaseState::Committed | v1::PurchaseState::Refused)) => Some(state),
            Ok(v1::PurchaseState::Pending) | Err(_) => {
                let rule = "must be COMMITTED or REFUSED; what is pending has no decision yet";
                expect(false, "state", rule);
                None
            }
        };
        if state == Some(v1::PurchaseState::Refused) {
            let rule =
                "can't be asked for with REFUSED: the log keeps no content of what was refused";
            expect(customer_id.is_empty(), "customer_id", rule);
            expect(sku.is_empty(), "sku", rule);
            let rule = "can't be asked for with REFUSED: what was refused needs nobody";
            expect(!request.needs_operator, "needs_operator", rule);
        }
        let view = validate::view(request.view);
        let window = validate::window(request.since, request.until);
        let (view, (since, until)) = match (view, window) {
            (Ok(view), Ok(window)) if broken.is_empty() => (view, window),
            (view, window) => {
                broken.extend(view.err().into_iter().flatten());
                broken.extend(window.err().into_iter().flatten());
                return Err(broken);
            }
        };
        let is_of_content = !customer_id.is_empty() || !sku.is_empty();
        Ok(Filter {
            outcomes: OutcomesWanted {
                since: since.unwrap_or_default(),
                until: until.unwrap_or(Timestamp(u64::MAX)),
                of: if request.needs_operator {
                    OutcomesOf::NeedingOperator
                } else if is_of_content || state == Some(v1::PurchaseState::Committed) {
                    OutcomesOf::Committed
                } else {
                    OutcomesOf::All
                },
            },
            is_full: view == v1::PurchaseView::Full,
            // Of those that share a transaction with one that waits, the refused ones need nobody.
            state: state.or(request
                .needs_operator
                .then_some(v1::PurchaseState::Committed)),
            customer_id: customer_id.clone(),
            sku: sku.clone(),
        })
    }

    /// Whether a purchase, with its content, is to be listed.
    pub(super) fn matches(&self, purchase: &v1::Purchase) -> bool {
        let holds = |wanted: &str, is_held: &dyn Fn(&v1::PurchaseContent) -> bool| {
            wanted.is_empty() || purchase.content.as_ref().is_some_and(is_held)
        };
        self.state.is_none_or(|state| state == purchase.state())
            && holds(&self.customer_id, &|content| {
                content.customer_id == self.customer_id
            })
            && holds(&self.sku, &|content| {
                content.items.iter().any(|item| item.sku == self.sku)
            })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request() -> v1::ListPurchasesRequest {
        v1::ListPurchasesRequest::default()
    }

    fn fields(request: v1::ListPurchasesRequest) -> Vec<String> {
        let broken = Filter::read(&request).err().unwrap_or_default();
        broken
            .into_iter()
            .map(|violation| violation.field)
            .collect()
    }

    #[test]
    fn each_broken_rule_names_its_field() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        assert!(fields(request()).is_empty());
        let bad = v1::ListPurchasesRequest {
            customer_id: "a b".into(),
            sku: "a b".into(),
            state: v1::PurchaseState::Pending.into(),
            since: at(2),
            until: at(1),
            view: 9,
            ..request()
        };
        assert_eq!(
            fields(bad),
            ["customer_id", "sku", "state", "view", "until"]
        );
    }

    #[test]
    fn nothing_is_asked_of_what_was_refused_that_the_log_does_not_keep() {
        let refused = v1::ListPurchasesRequest {
            state: v1::PurchaseState::Refused.into(),
            ..request()
        };
        assert!(fields(refused.clone()).is_empty());
        let more = v1::ListPurchasesRequest {
            customer_id: "ann".into(),
            sku: "tea".into(),
            needs_operator: true,
            ..refused
        };
        assert_eq!(fields(more), ["customer_id", "sku", "needs_operator"]);
    }

    #[test]
    fn purchase_is_matched_by_what_it_holds() {
        let filter = Filter::read(&v1::ListPurchasesRequest {
            customer_id: "ann".into(),
            sku: "tea".into(),
            ..request()
        });
        let filter = filter.unwrap();
        assert_eq!(filter.outcomes.of, OutcomesOf::Committed);
        let item = |sku: &str| v1::Item {
            sku: sku.into(),
            ..Default::default()
        };
        let purchase = |customer: &str, skus: &[&str]| v1::Purchase {
            content: Some(v1::PurchaseContent {
                customer_id: customer.into(),
                items: skus.iter().map(|sku| item(sku)).collect(),
                ..Default::default()
            }),
            ..Default::default()
        };
        assert!(filter.matches(&purchase("ann", &["cups", "tea"])));
        assert!(!filter.matches(&purchase("bob", &["tea"])));
        assert!(!filter.matches(&purchase("ann", &["cups"])));
        assert!(!filter.matches(&v1::Purchase::default()));
    }
}
