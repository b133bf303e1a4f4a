//! `PurchaseService`: what clients call.

use std::time::Duration;

use tandem_participant::convert::timestamp_to_wire as wire_time;
use tandem_proto::v1;
use tandem_proto::v1::purchase_service_server::PurchaseService;
use tandem_protocol::{BranchProgress, PurchaseView, Reply, Timestamp, TransactionId, WaitFor};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::read_back::{self, READ_BACK_MAX};
use super::status;
use super::validate::{self, Carried};
use crate::daemon::{Clock, Handle, LogReader};

/// What is left of a client's deadline for the way back, so that the answer says what is known
/// instead of coming too late.
const WAY_BACK_MAX: Duration = Duration::from_millis(50);

/// The service.
#[derive(Debug)]
pub struct Purchases {
    driver: Handle,
    clock: Clock,
    log: LogReader,
    submit_timeout: Duration,
    carried: Carried,
}

impl Purchases {
    /// A service over a driver and its log. `submit_timeout` applies to clients that set no deadline.
    pub fn new(
        driver: Handle,
        clock: Clock,
        log: LogReader,
        submit_timeout: Duration,
        carried: Carried,
    ) -> Purchases {
        Purchases {
            driver,
            clock,
            log,
            submit_timeout,
            carried,
        }
    }

    fn deadline(&self, metadata: &MetadataMap) -> Timestamp {
        self.clock.now() + patience(metadata).unwrap_or(self.submit_timeout)
    }

    /// What is known of a purchase, with its content if that is wanted.
    async fn known(
        &self,
        purchase_id: &str,
        wanted: v1::PurchaseView,
        patience: Option<Duration>,
    ) -> Result<Option<read_back::WithContent>, Status> {
        match wanted {
            v1::PurchaseView::Unspecified | v1::PurchaseView::Basic => {
                let id = purchase_id.to_owned();
                let view = self.driver.query(move |core| core.purchase(&id)).await;
                let view = view.map_err(|_| status::stopped(purchase_id))?;
                Ok(view.map(|view| (view, None)))
            }
            v1::PurchaseView::Full => {
                let patience = patience.unwrap_or(READ_BACK_MAX).min(READ_BACK_MAX);
                let read = read_back::purchase(&self.driver, &self.log, purchase_id);
                let read = tokio::time::timeout(patience, read).await;
                read.map_err(|_| read_back::too_late(status::one("purchase_id", purchase_id)))?
            }
        }
    }

    /// That a purchase is not known, and how far back it would be.
    async fn unknown(&self, purchase_id: &str) -> Status {
        let memory = self
            .driver
            .query(|core| (core.has_forgotten(), core.remembers_since()))
            .await;
        let Ok((has_forgotten, since)) = memory else {
            return status::stopped(purchase_id);
        };
        status::purchase_not_found(purchase_id, has_forgotten, since)
    }

    /// Whether a decided transaction waits for a person somewhere. Who stops the process does not know.
    async fn needs_operator(&self, id: &TransactionId) -> bool {
        let id = id.clone();
        let view = self.driver.query(move |core| core.transaction(&id)).await;
        let view = view.ok().flatten();
        let mut branches = view.iter().flat_map(|view| &view.branches);
        branches.any(|branch| {
            matches!(
                branch.progress,
                BranchProgress::Heuristic(_) | BranchProgress::Stuck(_)
            )
        })
    }
}

#[tonic::async_trait]
impl PurchaseService for Purchases {
    async fn submit_purchase(
        &self,
        request: Request<v1::SubmitPurchaseRequest>,
    ) -> Result<Response<v1::SubmitPurchaseResponse>, Status> {
        let deadline = self.deadline(request.metadata());
        let request = request.into_inner();
        let wait_for = match v1::WaitFor::try_from(request.wait_for) {
            Ok(v1::WaitFor::Unspecified | v1::WaitFor::Applied) => WaitFor::Applied,
            Ok(v1::WaitFor::Decided) => WaitFor::Decided,
            Err(_) => {
                let rule = format!("must be a known value, is {}", request.wait_for);
                let violation = tonic_types::FieldViolation::new("wait_for", rule);
                return Err(status::invalid(vec![violation]));
            }
        };
        let purchase = validate::purchase(request, &self.carried).map_err(status::invalid)?;
        let purchase_id = purchase.purchase_id.clone();
        let reply = self
            .driver
            .submit(purchase, wait_for, deadline)
            .await
            .map_err(|_| status::stopped(&purchase_id))?;
        match reply {
            Reply::Committed {
                transaction,
                decide_time,
                applied,
            } => {
                let needs_operator = !applied && self.needs_operator(&transaction).await;
                let purchase = v1::Purchase {
                    purchase_id,
                    state: v1::PurchaseState::Committed.into(),
                    transaction_id: transaction.to_string(),
                    decide_time: Some(wire_time(decide_time)),
                    applied,
                    needs_operator,
                    ..Default::default()
                };
                Ok(Response::new(v1::SubmitPurchaseResponse {
                    purchase: Some(purchase),
                }))
            }
            Reply::OutcomeCommitted { transaction, .. }
                if self.needs_operator(&transaction).await =>
            {
                Err(status::needs_operator(&purchase_id, &transaction))
            }
            other => Err(status::reply(&purchase_id, other)),
        }
    }

    async fn get_purchase(
        &self,
        request: Request<v1::GetPurchaseRequest>,
    ) -> Result<Response<v1::GetPurchaseResponse>, Status> {
        let patience = patience(request.metadata());
        let request = request.into_inner();
        validate::purchase_id(&request.purchase_id).map_err(status::invalid)?;
        let wanted = validate::view(request.view).map_err(status::invalid)?;
        let purchase_id = request.purchase_id;
        let known = self.known(&purchase_id, wanted, patience).await?;
        let Some((view, content)) = known else {
            return Err(self.unknown(&purchase_id).await);
        };
        let mut purchase = wire(purchase_id, &view);
        purchase.content = content;
        if let PurchaseView::Committed {
            transaction,
            applied: false,
            ..
        } = &view
        {
            purchase.needs_operator = self.needs_operator(transaction).await;
        }
        Ok(Response::new(v1::GetPurchaseResponse {
            purchase: Some(purchase),
        }))
    }
}

pub(super) fn wire(purchase_id: String, view: &PurchaseView) -> v1::Purchase {
    let purchase = v1::Purchase {
        purchase_id,
        ..Default::default()
    };
    match view {
        PurchaseView::Pending(transaction) => v1::Purchase {
            state: v1::PurchaseState::Pending.into(),
            transaction_id: transaction
                .as_ref()
                .map(|id| id.to_string())
                .unwrap_or_default(),
            ..purchase
        },
        PurchaseView::Committed {
            transaction,
            decide_time,
            applied,
        } => v1::Purchase {
            state: v1::PurchaseState::Committed.into(),
            transaction_id: transaction.to_string(),
            decide_time: Some(wire_time(*decide_time)),
            applied: *applied,
            ..purchase
        },
        PurchaseView::Refused {
            transaction,
            decide_time,
            participant,
            refusal,
        } => v1::Purchase {
            state: v1::PurchaseState::Refused.into(),
            transaction_id: transaction.to_string(),
            decide_time: Some(wire_time(*decide_time)),
            refusal: Some(v1::Refusal {
                reason: refusal.reason.to_string(),
                participant: participant.to_string(),
                detail: refusal.detail.clone(),
            }),
            ..purchase
        },
    }
}

/// How long a client waits for an answer, less the way back; `None` if it does not say.
fn patience(metadata: &MetadataMap) -> Option<Duration> {
    let asked = metadata.get("grpc-timeout")?.to_str().ok()?;
    let asked = grpc_timeout(asked)?;
    Some(asked.saturating_sub(WAY_BACK_MAX.min(asked / 10)))
}

/// The value of a `grpc-timeout` header: at most 8 digits and a unit ("gRPC over HTTP2", Requests).
pub fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(amount * 3_600),
        "M" => Duration::from_secs(amount * 60),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_timeout_is_read_in_every_unit() {
        assert_eq!(grpc_timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(grpc_timeout("1500m"), Some(Duration::from_millis(1_500)));
        assert_eq!(
            grpc_timeout("99999999H"),
            Some(Duration::from_secs(359_999_996_400))
        );
        for bad in ["", "S", "1", "-1S", "123456789S", "1é"] {
            assert_eq!(grpc_timeout(bad), None, "{bad}");
        }
    }
}
