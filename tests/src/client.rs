//! gRPC clients of the coordinator.

use std::time::Duration;

use tandem_proto::v1;
use tandem_proto::v1::operator_service_client::OperatorServiceClient;
use tandem_proto::v1::purchase_service_client::PurchaseServiceClient;
use tandem_protocol::sku_and_pool;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);

/// Between two pings of a watchful client, and for the answer to one.
const PING: Duration = Duration::from_secs(1);

/// Longest wait for an operator's answer.
const OPERATOR_MAX: Duration = Duration::from_secs(15);

/// A client of `PurchaseService`. Clones share a connection.
#[derive(Debug, Clone)]
pub struct Client {
    service: PurchaseServiceClient<Channel>,
    health: HealthClient<Channel>,
    deadline: Duration,
}

/// A client of `OperatorService`.
#[derive(Debug, Clone)]
pub struct Operator(OperatorServiceClient<Channel>);

/// A purchase of some units, one minor unit of money each; a sku may have a pool behind it, `tea{paris}`.
pub fn purchase(purchase_id: &str, items: &[(&str, u32)]) -> v1::SubmitPurchaseRequest {
    v1::SubmitPurchaseRequest {
        purchase_id: purchase_id.to_owned(),
        customer_id: "ann@example.org".to_owned(),
        items: items
            .iter()
            .map(|(stock, quantity)| {
                let (sku, pool) = sku_and_pool(stock);
                v1::Item {
                    sku: sku.to_owned(),
                    pool: pool.to_owned(),
                    quantity: *quantity,
                    unit_price_minor: 1,
                    ..Default::default()
                }
            })
            .collect(),
        currency: "EUR".to_owned(),
        wait_for: v1::WaitFor::Applied.into(),
        ..Default::default()
    }
}

impl Client {
    /// A client of a connection, with so long for each call.
    pub fn over(channel: Channel, deadline: Duration) -> Client {
        Client {
            health: HealthClient::new(channel.clone()),
            service: PurchaseServiceClient::new(channel),
            deadline,
        }
    }

    /// A client that connects when it has something to ask.
    pub(crate) fn lazy(port: u16) -> Client {
        Client::over(lazy(port), Duration::from_secs(30))
    }

    /// The same, but it gives up a connection that is half open.
    pub(crate) fn watchful(port: u16) -> Client {
        let channel = endpoint(port)
            .http2_keep_alive_interval(PING)
            .keep_alive_timeout(PING)
            .keep_alive_while_idle(true)
            .connect_lazy();
        Client::over(channel, Duration::from_secs(30))
    }

    /// The same client with another deadline for each call.
    pub fn with_deadline(mut self, deadline: Duration) -> Client {
        self.deadline = deadline;
        self
    }

    /// Whether the coordinator says that it serves purchases (`grpc.health.v1`).
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    #[allow(clippy::result_large_err)]
    pub async fn is_serving(&self) -> Result<bool, Status> {
        let request = HealthCheckRequest {
            service: "tandem.v1.PurchaseService".to_owned(),
        };
        let answer = self.health.clone().check(request).await?.into_inner();
        Ok(answer.status() == ServingStatus::Serving)
    }

    /// Submits a purchase.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    // A status is as large as tonic made it; tests don't count bytes.
    #[allow(clippy::result_large_err)]
    pub async fn submit(
        &self,
        purchase: &v1::SubmitPurchaseRequest,
    ) -> Result<v1::Purchase, Status> {
        let mut request = Request::new(purchase.clone());
        request.set_timeout(self.deadline);
        let answer = self.service.clone().submit_purchase(request).await?;
        Ok(answer.into_inner().purchase.unwrap_or_default())
    }

    /// Asks what became of a purchase.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    #[allow(clippy::result_large_err)]
    pub async fn find(&self, purchase_id: &str) -> Result<v1::Purchase, Status> {
        self.view(purchase_id, v1::PurchaseView::Basic).await
    }

    /// Asks what became of a purchase, and what it holds.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    #[allow(clippy::result_large_err)]
    pub async fn read(&self, purchase_id: &str) -> Result<v1::Purchase, Status> {
        self.view(purchase_id, v1::PurchaseView::Full).await
    }

    #[allow(clippy::result_large_err)]
    async fn view(
        &self,
        purchase_id: &str,
        view: v1::PurchaseView,
    ) -> Result<v1::Purchase, Status> {
        let mut request = Request::new(v1::GetPurchaseRequest {
            purchase_id: purchase_id.to_owned(),
            view: view.into(),
        });
        request.set_timeout(self.deadline);
        let answer = self.service.clone().get_purchase(request).await?;
        Ok(answer.into_inner().purchase.unwrap_or_default())
    }
}

#[allow(clippy::result_large_err)]
impl Operator {
    /// A client that connects when it has something to ask.
    pub(crate) fn lazy(port: u16) -> Operator {
        Operator(OperatorServiceClient::new(lazy(port)))
    }

    /// All participants.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn participants(&self) -> Result<v1::ListParticipantsResponse, Status> {
        let request = asked(v1::ListParticipantsRequest {});
        let answer = self.0.clone().list_participants(request).await?;
        Ok(answer.into_inner())
    }

    /// One participant.
    ///
    /// # Errors
    /// The coordinator's, or the transport's, or NOT_FOUND.
    pub async fn participant(&self, name: &str) -> Result<v1::ParticipantStatus, Status> {
        let all = self.participants().await?.participants;
        let found = all.into_iter().find(|one| one.name == name);
        found.ok_or_else(|| Status::not_found(name.to_owned()))
    }

    /// Transactions that have not ended.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn unfinished(&self) -> Result<Vec<v1::TransactionSummary>, Status> {
        self.list(v1::ListTransactionsRequest::default()).await
    }

    /// Transactions that match.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn list(
        &self,
        request: v1::ListTransactionsRequest,
    ) -> Result<Vec<v1::TransactionSummary>, Status> {
        let answer = self.0.clone().list_transactions(asked(request)).await?;
        Ok(answer.into_inner().transactions)
    }

    /// A page of purchases that were decided.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn purchases(
        &self,
        request: v1::ListPurchasesRequest,
    ) -> Result<v1::ListPurchasesResponse, Status> {
        let answer = self.0.clone().list_purchases(asked(request)).await?;
        Ok(answer.into_inner())
    }

    /// One transaction.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn show(&self, id: &str) -> Result<v1::GetTransactionResponse, Status> {
        let transaction_id = id.to_owned();
        let request = asked(v1::GetTransactionRequest { transaction_id });
        Ok(self.0.clone().get_transaction(request).await?.into_inner())
    }

    /// Tries now what waits.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn retry(&self, id: &str) -> Result<v1::RetryTransactionResponse, Status> {
        let transaction_id = id.to_owned();
        let request = asked(v1::RetryTransactionRequest { transaction_id });
        Ok(self
            .0
            .clone()
            .retry_transaction(request)
            .await?
            .into_inner())
    }

    /// Settles a branch.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn settle(
        &self,
        request: v1::SettleTransactionRequest,
    ) -> Result<v1::SettleTransactionResponse, Status> {
        let answer = self.0.clone().settle_transaction(asked(request)).await?;
        Ok(answer.into_inner())
    }

    /// Has what was ended against its decision redone.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn repair(
        &self,
        request: v1::RepairTransactionRequest,
    ) -> Result<v1::RepairTransactionResponse, Status> {
        let answer = self.0.clone().repair_transaction(asked(request)).await?;
        Ok(answer.into_inner())
    }

    /// Stock and holds of a sku.
    ///
    /// # Errors
    /// The coordinator's, or the transport's.
    pub async fn stock(&self, sku: &str) -> Result<v1::GetStockResponse, Status> {
        let sku = sku.to_owned();
        let request = asked(v1::GetStockRequest { sku });
        Ok(self.0.clone().get_stock(request).await?.into_inner())
    }
}

fn lazy(port: u16) -> Channel {
    endpoint(port).connect_lazy()
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint::from_shared(format!("http://127.0.0.1:{port}"))
        .expect("a port makes a valid address")
        .connect_timeout(CONNECT_MAX)
        .tcp_nodelay(true)
}

fn asked<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(OPERATOR_MAX);
    request
}
