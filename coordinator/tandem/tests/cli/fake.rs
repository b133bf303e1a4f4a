//! A coordinator that answers from memory and remembers what it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost_types::Timestamp;
use tandem_proto::v1::operator_service_server::{OperatorService, OperatorServiceServer};
use tandem_proto::v1::purchase_service_server::{PurchaseService, PurchaseServiceServer};
use tandem_proto::v1::*;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The value of every purchase's attribute `email`.
pub(crate) const PERSONAL: &str = "Pers0nal.ann@example.org";

/// A running fake; stops when dropped.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) settled: Arc<Mutex<Vec<SettleTransactionRequest>>>,
    _runtime: tokio::runtime::Runtime,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let service = Service::default();
        let settled = service.settled.clone();
        let listener = runtime.block_on(async { TcpListener::from_std(listener()).unwrap() });
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(
            tonic::transport::Server::builder()
                .add_service(OperatorServiceServer::new(service.clone()))
                .add_service(PurchaseServiceServer::new(service))
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Self {
            url,
            settled,
            _runtime: runtime,
        }
    }
}

/// A loopback listener below the ephemeral ports, where an outgoing connection can't take its port.
pub(crate) fn listener() -> std::net::TcpListener {
    let listener = on_a_free_port(std::net::TcpListener::bind);
    listener.set_nonblocking(true).unwrap();
    listener
}

/// A port that refuses connections for as long as the socket lives: bound, so that no other test
/// gets it, and not listening.
pub(crate) fn refusing_port() -> tokio::net::TcpSocket {
    on_a_free_port(|address| {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(address).map(|()| socket)
    })
}

fn on_a_free_port<T>(bind: impl Fn(SocketAddr) -> std::io::Result<T>) -> T {
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    (start..32_000)
        .find_map(|port| bind(SocketAddr::from(([127, 0, 0, 1], port))).ok())
        .expect("a free port")
}

#[derive(Default, Clone)]
struct Service {
    settled: Arc<Mutex<Vec<SettleTransactionRequest>>>,
}

fn time(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

fn attributes() -> BTreeMap<String, String> {
    [("email".to_owned(), PERSONAL.to_owned())].into()
}

fn stuck() -> TransactionSummary {
    TransactionSummary {
        transaction_id: "shop.3.1042".into(),
        state: TransactionState::Committing as i32,
        purchases: 1,
        begin_time: time(1_772_366_400),
        decide_time: time(1_772_366_401),
        branches: vec![BranchSummary {
            participant: "stock".into(),
            progress: BranchProgress::Stuck as i32,
            detail: "the branch is gone".into(),
            attempts: 3,
            retry_time: None,
            heuristic: String::new(),
        }],
    }
}

#[tonic::async_trait]
impl OperatorService for Service {
    /// With `heuristic`, nothing; else so many that they don't fit a pipe's buffer.
    async fn list_transactions(
        &self,
        request: Request<ListTransactionsRequest>,
    ) -> Result<Response<ListTransactionsResponse>, Status> {
        let wanted = match request.into_inner() {
            question if question.heuristic => 0,
            question => question.page_size as usize,
        };
        Ok(Response::new(ListTransactionsResponse {
            transactions: vec![stuck(); wanted],
            total: 2_000,
        }))
    }

    async fn get_transaction(
        &self,
        request: Request<GetTransactionRequest>,
    ) -> Result<Response<GetTransactionResponse>, Status> {
        let known = request.into_inner().transaction_id == "shop.3.1042";
        Ok(Response::new(GetTransactionResponse {
            transaction: known.then(stuck),
            entries: vec![Entry {
                purchase_id: "o-1".into(),
                attributes: attributes(),
                ..Entry::default()
            }],
            truths: vec![ParticipantTruth {
                participant: "stock".into(),
                inspected: None,
                error: "connection refused".into(),
                kind: "redis".into(),
            }],
            read_time: time(1_772_366_460),
            ..GetTransactionResponse::default()
        }))
    }

    async fn retry_transaction(
        &self,
        request: Request<RetryTransactionRequest>,
    ) -> Result<Response<RetryTransactionResponse>, Status> {
        let id = request.into_inner().transaction_id;
        Err(Status::not_found(format!("no transaction {id}")))
    }

    /// Decided commit: a settlement as rolled back contradicts it.
    async fn settle_transaction(
        &self,
        request: Request<SettleTransactionRequest>,
    ) -> Result<Response<SettleTransactionResponse>, Status> {
        let request = request.into_inner();
        let answer = SettleTransactionResponse {
            effect: format!(
                "{} asks {} no more",
                request.transaction_id, request.participant
            ),
            contradicts_decision: request.settlement() == Settlement::RolledBack,
            truths: Vec::new(),
        };
        self.settled.lock().unwrap().push(request);
        Ok(Response::new(answer))
    }

    /// Does what it is asked at participant `purchases`.
    async fn repair_transaction(
        &self,
        request: Request<RepairTransactionRequest>,
    ) -> Result<Response<RepairTransactionResponse>, Status> {
        let request = request.into_inner();
        let state = if request.preview {
            RepairState::Preview
        } else {
            RepairState::Done
        };
        Ok(Response::new(RepairTransactionResponse {
            repairs: vec![BranchRepair {
                participant: "purchases".into(),
                state: state.into(),
                effect: format!("{} is given again", request.transaction_id),
                present_purchase_ids: Vec::new(),
                truth: None,
            }],
        }))
    }

    type AuditStream = tokio_stream::Iter<std::vec::IntoIter<Result<AuditResponse, Status>>>;

    /// Everything agrees; before 2000 there was no log, and before 1990 the stream breaks off.
    async fn audit(
        &self,
        request: Request<AuditRequest>,
    ) -> Result<Response<Self::AuditStream>, Status> {
        use audit_response::Part;
        let since = request
            .into_inner()
            .since
            .map_or(i64::MAX, |time| time.seconds);
        let part = |part| Ok(AuditResponse { part: Some(part) });
        let mut parts = Vec::new();
        if since < 946_684_800 {
            parts.push(part(Part::Unchecked("the log has forgotten".into())));
        }
        if since >= 631_152_000 {
            parts.push(part(Part::Summary(AuditSummary::default())));
        }
        Ok(Response::new(tokio_stream::iter(parts)))
    }

    /// Pages of one purchase each, of which there are three; every second page is empty.
    async fn list_purchases(
        &self,
        request: Request<ListPurchasesRequest>,
    ) -> Result<Response<ListPurchasesResponse>, Status> {
        let request = request.into_inner();
        let page: u32 = request.page_token.parse().unwrap_or_default();
        let purchase = Purchase {
            purchase_id: format!("o-{page}"),
            state: PurchaseState::Committed as i32,
            applied: true,
            content: Some(PurchaseContent {
                customer_id: request.customer_id,
                attributes: attributes(),
                ..PurchaseContent::default()
            }),
            ..Purchase::default()
        };
        Ok(Response::new(ListPurchasesResponse {
            purchases: Vec::from_iter(page.is_multiple_of(2).then_some(purchase)),
            next_page_token: if page < 4 {
                (page + 1).to_string()
            } else {
                String::new()
            },
            remembers_since: time(1_772_366_400),
        }))
    }

    /// Never answers in time.
    async fn list_participants(
        &self,
        _: Request<ListParticipantsRequest>,
    ) -> Result<Response<ListParticipantsResponse>, Status> {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Err(Status::internal("woken"))
    }

    /// It denies the access still.
    async fn retry_participant(
        &self,
        request: Request<RetryParticipantRequest>,
    ) -> Result<Response<RetryParticipantResponse>, Status> {
        let failure = format!("{} says WRONGPASS", request.into_inner().participant);
        Ok(Response::new(RetryParticipantResponse { failure }))
    }

    async fn get_stock(
        &self,
        request: Request<GetStockRequest>,
    ) -> Result<Response<GetStockResponse>, Status> {
        Ok(Response::new(GetStockResponse {
            sku: request.into_inner().sku,
            stock: Some(10),
            ..GetStockResponse::default()
        }))
    }
}

#[tonic::async_trait]
impl PurchaseService for Service {
    /// The id says what becomes of it.
    async fn submit_purchase(
        &self,
        request: Request<SubmitPurchaseRequest>,
    ) -> Result<Response<SubmitPurchaseResponse>, Status> {
        let request = request.into_inner();
        let status = |code, message: &str, reason: &str| {
            let facts = [("sku".to_owned(), request.items[0].sku.clone())];
            let facts: std::collections::HashMap<_, _> = facts.into();
            let details = ErrorDetails::with_error_info(reason, "tandem", facts);
            Status::with_error_details(code, message, details)
        };
        match request.purchase_id.as_str() {
            "refused" => Err(status(
                Code::FailedPrecondition,
                "3 available, 5 wanted",
                "INSUFFICIENT_STOCK",
            )),
            "open" => Err(status(
                Code::DeadlineExceeded,
                "not decided in time",
                "OUTCOME_UNKNOWN",
            )),
            id => Ok(Response::new(SubmitPurchaseResponse {
                purchase: Some(Purchase {
                    purchase_id: id.into(),
                    state: PurchaseState::Committed as i32,
                    transaction_id: "shop.3.1".into(),
                    decide_time: time(1_772_366_401),
                    applied: request.wait_for() == WaitFor::Applied,
                    ..Purchase::default()
                }),
            })),
        }
    }

    async fn get_purchase(
        &self,
        request: Request<GetPurchaseRequest>,
    ) -> Result<Response<GetPurchaseResponse>, Status> {
        let request = request.into_inner();
        let is_full = request.view() == PurchaseView::Full;
        let purchase = Purchase {
            purchase_id: request.purchase_id,
            state: PurchaseState::Pending as i32,
            content: is_full.then(|| PurchaseContent {
                customer_id: "c-1".into(),
                attributes: attributes(),
                ..PurchaseContent::default()
            }),
            ..Purchase::default()
        };
        Ok(Response::new(GetPurchaseResponse {
            purchase: Some(purchase),
        }))
    }
}
