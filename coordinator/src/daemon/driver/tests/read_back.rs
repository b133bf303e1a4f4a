//! What purchases hold, read back while everything goes on.

use tandem_proto::v1;
use tandem_proto::v1::purchase_service_server::PurchaseService;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::*;
use crate::daemon::{LogReader, READS_MAX};
use crate::services::Purchases;
use crate::services::validate::Carried;

impl Stand {
    /// The clients' service, which reads so many records of the log at once.
    fn purchases(&self, reads_max: usize) -> Purchases {
        let log = LogReader::new(self.log.clone(), reads_max);
        Purchases::new(
            self.handle.clone(),
            self.clock,
            log,
            DEADLINE,
            Carried::default(),
        )
    }

    async fn find(
        &self,
        id: &str,
        view: v1::PurchaseView,
        reads_max: usize,
    ) -> Result<v1::Purchase, Status> {
        let mut request = Request::new(v1::GetPurchaseRequest {
            purchase_id: id.into(),
            view: view.into(),
        });
        request.set_timeout(Duration::from_millis(300));
        let answer = self.purchases(reads_max).get_purchase(request).await?;
        Ok(answer.into_inner().purchase.unwrap())
    }
}

#[tokio::test]
async fn content_is_read_back_where_it_is_asked_for() {
    let (stand, _driver) = Stand::up().await;
    assert_applied(stand.submit("p-1").await);
    let basic = stand.find("p-1", v1::PurchaseView::Basic, 0).await.unwrap();
    assert_eq!(basic.content, None);
    let full = stand.find("p-1", v1::PurchaseView::Full, READS_MAX).await;
    let content = full.unwrap().content.unwrap();
    assert_eq!(content.customer_id, "c-1");
    assert_eq!(content.items[0].sku, SKU);
    let unknown = stand.find("p-2", v1::PurchaseView::Full, READS_MAX).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn content_that_is_not_read_in_time_is_told_as_such() {
    let (stand, _driver) = Stand::up().await;
    assert_applied(stand.submit("p-1").await);
    let late = stand.find("p-1", v1::PurchaseView::Full, 0).await;
    let status = late.unwrap_err();
    let info = status.get_details_error_info().unwrap();
    assert_eq!(
        (status.code(), info.reason.as_str()),
        (Code::Unavailable, "LOG_NOT_READ")
    );
    assert!(status.get_details_retry_info().is_some());
}

#[tokio::test]
async fn content_of_what_is_in_flight_is_in_memory() {
    let (stand, _driver) = Stand::up().await;
    stand.b.dies_at_commit.store(true, Ordering::SeqCst);
    let deadline = stand.clock.now() + DEADLINE;
    let submitted = stand
        .handle
        .submit(purchase("p-1"), WaitFor::Decided, deadline);
    let reply = submitted.await;
    assert!(matches!(reply, Ok(Reply::Committed { .. })), "{reply:?}");
    stand.reach("b", LinkState::Down).await;
    let found = stand.find("p-1", v1::PurchaseView::Full, 0).await.unwrap();
    assert_eq!(
        (found.state(), found.applied),
        (v1::PurchaseState::Committed, false)
    );
    assert_eq!(found.content.unwrap().customer_id, "c-1");
}
