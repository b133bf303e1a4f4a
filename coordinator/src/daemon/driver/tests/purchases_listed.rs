//! The list of purchases, page by page, while everything goes on.

use std::collections::BTreeSet;

use futures::future::join_all;
use tandem_participant::attributes::Attributes;
use tandem_proto::v1;
use tandem_proto::v1::operator_service_server::OperatorService;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::*;
use crate::daemon::{Identity, LogReader, READS_MAX};
use crate::services::Operator;

impl Stand {
    async fn list(
        &self,
        request: v1::ListPurchasesRequest,
    ) -> Result<v1::ListPurchasesResponse, Status> {
        let identity = Identity {
            coordinator: coordinator(),
            epoch: Epoch(1),
            log_id: "log-1".into(),
            findings: Vec::new(),
        };
        let operator = Operator::new(
            self.handle.clone(),
            self.clock,
            identity,
            self.links.clone(),
            LogReader::new(self.log.clone(), READS_MAX),
            Attributes::default(),
        );
        let answer = operator.list_purchases(Request::new(request)).await?;
        Ok(answer.into_inner())
    }

    /// The ids of a page, and the token of the next one.
    async fn page(&self, request: v1::ListPurchasesRequest) -> (Vec<String>, String) {
        let page = self.list(request).await.unwrap();
        (ids(&page.purchases), page.next_page_token)
    }

    /// The ids of all pages.
    async fn all(&self, mut request: v1::ListPurchasesRequest) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let (ids, token) = self.page(request.clone()).await;
            all.extend(ids);
            if token.is_empty() {
                return all;
            }
            request.page_token = token;
        }
    }

    async fn buy_as(&self, id: &str, customer: &str, sku: &str, quantity: u32) -> Reply {
        let wanted = Purchase {
            customer_id: customer.into(),
            items: vec![Item {
                sku: sku.into(),
                quantity,
                ..purchase(id).items[0].clone()
            }],
            ..(*purchase(id)).clone()
        };
        let deadline = self.clock.now() + DEADLINE;
        let submitted = self
            .handle
            .submit(Arc::new(wanted), WaitFor::Applied, deadline);
        submitted.await.unwrap()
    }
}

fn ids(purchases: &[v1::Purchase]) -> Vec<String> {
    let each = purchases.iter();
    each.map(|purchase| purchase.purchase_id.clone()).collect()
}

fn pages_of(page_size: u32) -> v1::ListPurchasesRequest {
    v1::ListPurchasesRequest {
        page_size,
        ..Default::default()
    }
}

#[tokio::test]
async fn pages_lead_through_all_once_while_more_is_bought() {
    let (stand, _driver) = Stand::up().await;
    for number in 1..=5 {
        assert_applied(stand.submit(&format!("p-{number}")).await);
    }
    let (first, token) = stand.page(pages_of(2)).await;
    assert_eq!(first, ["p-5", "p-4"]);
    assert_applied(stand.submit("p-6").await);
    let next = v1::ListPurchasesRequest {
        page_token: token,
        ..pages_of(1)
    };
    assert_eq!(stand.all(next).await, ["p-3", "p-2", "p-1"]);
    assert_eq!(stand.all(pages_of(0)).await.len(), 6);
}

/// Purchases of one transaction stay in their order wherever a page ends between them.
#[tokio::test]
async fn page_may_end_within_a_transaction() {
    let (stand, _driver) = Stand::up().await;
    // Two transactions are under way at once, so that the others wait and share some.
    let together = (0..12).map(|number| {
        let stand = &stand;
        async move { assert_applied(stand.submit(&format!("p-{number}")).await) }
    });
    join_all(together).await;
    let whole = stand.list(pages_of(0)).await.unwrap().purchases;
    let transactions: BTreeSet<&str> = whole.iter().map(|p| p.transaction_id.as_str()).collect();
    assert!(transactions.len() < whole.len(), "none share a transaction");
    for size in 1..=5 {
        assert_eq!(
            stand.all(pages_of(size)).await,
            ids(&whole),
            "pages of {size}"
        );
    }
}

#[tokio::test]
async fn purchases_are_found_by_what_they_hold_and_what_became_of_them() {
    let (stand, _driver) = Stand::up().await;
    stand.buy_as("p-1", "ann", SKU, 1).await;
    stand.buy_as("p-2", "bob", SKU, 2).await;
    let refused = stand.buy_as("p-3", "ann", SKU, 1_000).await;
    assert!(matches!(refused, Reply::Refused { .. }), "{refused:?}");
    let filter = |change: fn(&mut v1::ListPurchasesRequest)| {
        let mut request = v1::ListPurchasesRequest::default();
        change(&mut request);
        stand.all(request)
    };
    assert_eq!(filter(|_| {}).await, ["p-3", "p-2", "p-1"]);
    assert_eq!(filter(|r| r.customer_id = "ann".into()).await, ["p-1"]);
    assert_eq!(filter(|r| r.sku = SKU.into()).await, ["p-2", "p-1"]);
    assert!(filter(|r| r.sku = "other".into()).await.is_empty());
    assert!(filter(|r| r.needs_operator = true).await.is_empty());
    let committed =
        |r: &mut v1::ListPurchasesRequest| r.state = v1::PurchaseState::Committed.into();
    assert_eq!(filter(committed).await, ["p-2", "p-1"]);
    let refused = |r: &mut v1::ListPurchasesRequest| r.state = v1::PurchaseState::Refused.into();
    assert_eq!(filter(refused).await, ["p-3"]);

    let full = v1::ListPurchasesRequest {
        view: v1::PurchaseView::Full.into(),
        ..Default::default()
    };
    let listed = stand.list(full).await.unwrap();
    let [third, second, _] = listed.purchases.as_slice() else {
        panic!("{listed:?}");
    };
    assert_eq!(third.refusal.as_ref().unwrap().reason, "INSUFFICIENT_STOCK");
    assert_eq!(second.content.as_ref().unwrap().customer_id, "bob");
    assert!(second.applied && listed.remembers_since.is_none());
    let since = v1::ListPurchasesRequest {
        since: second.decide_time,
        until: second.decide_time,
        ..Default::default()
    };
    assert!(stand.all(since).await.contains(&"p-2".to_owned()));
}

#[tokio::test]
async fn token_of_another_filter_is_refused() {
    let (stand, _driver) = Stand::up().await;
    for number in 1..=2 {
        assert_applied(stand.submit(&format!("p-{number}")).await);
    }
    let (_, token) = stand.page(pages_of(1)).await;
    let other = v1::ListPurchasesRequest {
        sku: SKU.into(),
        page_token: token,
        ..Default::default()
    };
    let status = stand.list(other).await.unwrap_err();
    let broken = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(broken[0].field, "page_token");
}

/// One call reads so many records and no more, whatever it finds.
#[tokio::test]
async fn filter_that_nothing_matches_is_answered_in_several_calls() {
    let (stand, _driver) = Stand::up().await;
    stand.buy_as("p-0", "ann", SKU, 1).await;
    for number in 1..=600 {
        stand
            .buy_as(&format!("p-{number}"), "bob", SKU, 1_000)
            .await;
    }
    let of = |customer: &str| v1::ListPurchasesRequest {
        customer_id: customer.into(),
        state: v1::PurchaseState::Unspecified.into(),
        ..Default::default()
    };
    // What was refused is not read for a customer's list.
    let (found, token) = stand.page(of("ann")).await;
    assert_eq!((found.len(), token.as_str()), (1, ""));
    let all = pages_of(1_000);
    let (found, token) = stand.page(all.clone()).await;
    assert!(found.len() < 601 && !token.is_empty(), "{}", found.len());
    assert_eq!(stand.all(all).await.len(), 601);
}
