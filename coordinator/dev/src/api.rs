//! The coordinator's services, as a client and as an operator.

use std::time::Duration;

use tandem_proto::v1::operator_service_client::OperatorServiceClient;
use tandem_proto::v1::purchase_service_client::PurchaseServiceClient;
use tandem_proto::v1::{
    GetPurchaseRequest, LinkState, ListParticipantsRequest, ListTransactionsRequest, Purchase,
    SubmitPurchaseRequest, TransactionSummary,
};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::ports::Ports;

const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Longer than a store stays away in the story.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Connects anew whenever the coordinator has gone and come back.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    clients: PurchaseServiceClient<Channel>,
    operators: OperatorServiceClient<Channel>,
}

impl Api {
    /// Must be called within a runtime.
    pub(crate) fn new(ports: &Ports) -> anyhow::Result<Self> {
        let channel = |port| -> anyhow::Result<Channel> {
            let endpoint = Endpoint::from_shared(url(port))?;
            Ok(endpoint.connect_timeout(CONNECT_MAX).connect_lazy())
        };
        Ok(Self {
            clients: PurchaseServiceClient::new(channel(ports.clients)?),
            operators: OperatorServiceClient::new(channel(ports.operators)?),
        })
    }

    pub(crate) async fn submit(&self, order: SubmitPurchaseRequest) -> Result<Purchase, Status> {
        let answer = self.clients.clone().submit_purchase(bounded(order)).await?;
        let purchase = answer.into_inner().purchase;
        purchase.ok_or_else(|| Status::internal("the answer holds no purchase"))
    }

    pub(crate) async fn purchase(&self, id: &str) -> Result<Purchase, Status> {
        let question = GetPurchaseRequest {
            purchase_id: id.to_owned(),
            ..GetPurchaseRequest::default()
        };
        let answer = self.clients.clone().get_purchase(bounded(question)).await?;
        let purchase = answer.into_inner().purchase;
        purchase.ok_or_else(|| Status::internal("the answer holds no purchase"))
    }

    /// Transactions in doubt.
    pub(crate) async fn in_doubt(&self) -> Result<Vec<TransactionSummary>, Status> {
        self.transactions(true).await
    }

    /// Transactions that have not ended, in doubt or not.
    pub(crate) async fn unfinished(&self) -> Result<Vec<TransactionSummary>, Status> {
        self.transactions(false).await
    }

    /// What keeps the coordinator from serving, one line for each participant that is not up.
    pub(crate) async fn troubles(&self) -> Result<Vec<String>, Status> {
        let answer = self
            .operators
            .clone()
            .list_participants(bounded(ListParticipantsRequest {}))
            .await?;
        let participants = answer.into_inner().participants.into_iter();
        Ok(participants
            .filter(|participant| participant.state() != LinkState::Up)
            .map(|participant| format!("{}: {}", participant.name, participant.detail))
            .collect())
    }

    async fn transactions(&self, in_doubt: bool) -> Result<Vec<TransactionSummary>, Status> {
        let question = ListTransactionsRequest {
            in_doubt,
            ..ListTransactionsRequest::default()
        };
        let answer = self
            .operators
            .clone()
            .list_transactions(bounded(question))
            .await?;
        Ok(answer.into_inner().transactions)
    }
}

/// An endpoint of this machine's.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

fn bounded<Q>(question: Q) -> Request<Q> {
    let mut request = Request::new(question);
    request.set_timeout(ANSWER_MAX);
    request
}
