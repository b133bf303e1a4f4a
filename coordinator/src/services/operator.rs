//! `OperatorService`: what the operator's verbs call.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use tandem_participant::Error;
use tandem_participant::convert::{branch_to_wire, entry_to_wire, timestamp_to_wire as wire_time};
use tandem_proto::v1;
use tandem_proto::v1::operator_service_server::OperatorService;
use tandem_protocol::{
    BranchProgress, BranchView, Coordinator, Loss, ParticipantName, PreparedBranch, RecallView,
    Timestamp, TransactionState, TransactionView,
};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use super::operated::{Content, Operator, transaction_id, unknown};
use super::{owed, purchase_list, repair, settle, status, stock, timeline, validate};
use crate::access::Signature;
use crate::audit;
use crate::daemon::LinkState;

/// Most transactions of one list.
const LIST_MAX: usize = 1_000;

/// What the coordinator knows of each participant: prepared branches of others there, how many
/// transactions wait for it, how far its memory can be trusted.
type Members = BTreeMap<ParticipantName, (Vec<PreparedBranch>, usize, Option<RecallView>)>;

#[tonic::async_trait]
impl OperatorService for Operator {
    type AuditStream = audit::Answers;

    async fn list_transactions(
        &self,
        request: Request<v1::ListTransactionsRequest>,
    ) -> Result<Response<v1::ListTransactionsResponse>, Status> {
        let request = request.into_inner();
        let page = match usize::try_from(request.page_size).unwrap_or(LIST_MAX) {
            0 => LIST_MAX,
            size => size.min(LIST_MAX),
        };
        let after = match request.after_transaction_id.as_str() {
            "" => None,
            text => Some(transaction_id(text)?),
        };
        let (transactions, total) = self
            .ask(move |core| {
                let mut total = 0_u64;
                let mut transactions = Vec::new();
                for view in core.unfinished().filter(|view| wanted(view, &request)) {
                    total += 1;
                    if transactions.len() < page && after.as_ref().is_none_or(|id| view.id > *id) {
                        transactions.push(summary(&view));
                    }
                }
                (transactions, total)
            })
            .await?;
        Ok(Response::new(v1::ListTransactionsResponse {
            transactions,
            total,
        }))
    }

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> Result<Response<v1::GetTransactionResponse>, Status> {
        let id = self.meant(&request.into_inner().transaction_id).await?;
        let view = self.view(&id).await?;
        let read_time = wire_time(self.clock.now());
        let events = view.as_ref().map(timeline::of).unwrap_or_default();
        let Content { entries, refused } = match &view {
            Some(view) => self.content(view).await?,
            None => Content::default(),
        };
        let (truths, owed) = tokio::join!(self.truths(&id), owed::of_entries(self, &entries));
        Ok(Response::new(v1::GetTransactionResponse {
            transaction: view.as_ref().map(summary),
            timeline: events,
            entries: entries.iter().map(entry_to_wire).collect(),
            truths,
            read_time: Some(read_time),
            owed,
            refused,
            transaction_id: id.to_string(),
        }))
    }

    async fn retry_transaction(
        &self,
        request: Request<v1::RetryTransactionRequest>,
    ) -> Result<Response<v1::RetryTransactionResponse>, Status> {
        let id = transaction_id(&request.into_inner().transaction_id)?;
        let view = self.view(&id).await?.ok_or_else(|| unknown(&id))?;
        let participants = view
            .branches
            .iter()
            .filter(|branch| {
                matches!(
                    branch.progress,
                    BranchProgress::Waiting(_) | BranchProgress::Stuck(_)
                )
            })
            .map(|branch| branch.participant.to_string())
            .collect();
        self.driver
            .retry(id)
            .await
            .map_err(|stopped| Status::unavailable(stopped.to_string()))?;
        Ok(Response::new(v1::RetryTransactionResponse { participants }))
    }

    async fn settle_transaction(
        &self,
        request: Request<v1::SettleTransactionRequest>,
    ) -> Result<Response<v1::SettleTransactionResponse>, Status> {
        let answer = settle::answer(self, &Signature::of(&request), request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn repair_transaction(
        &self,
        request: Request<v1::RepairTransactionRequest>,
    ) -> Result<Response<v1::RepairTransactionResponse>, Status> {
        let repairs = repair::answer(self, &Signature::of(&request), request.into_inner()).await?;
        Ok(Response::new(v1::RepairTransactionResponse { repairs }))
    }

    async fn audit(
        &self,
        request: Request<v1::AuditRequest>,
    ) -> Result<Response<audit::Answers>, Status> {
        let v1::AuditRequest { since, until } = request.into_inner();
        let (since, until) = validate::window(since, until).map_err(status::invalid)?;
        let auditor = audit::Auditor {
            driver: self.driver.clone(),
            clock: self.clock,
            coordinator: self.identity.coordinator.clone(),
            links: self.links.clone(),
            log: self.log.clone(),
            attributes: self.attributes.clone(),
        };
        Ok(Response::new(auditor.start(since, until)))
    }

    async fn list_purchases(
        &self,
        request: Request<v1::ListPurchasesRequest>,
    ) -> Result<Response<v1::ListPurchasesResponse>, Status> {
        let answer = purchase_list::answer(self, &request.into_inner()).await?;
        Ok(Response::new(answer))
    }

    async fn list_participants(
        &self,
        _request: Request<v1::ListParticipantsRequest>,
    ) -> Result<Response<v1::ListParticipantsResponse>, Status> {
        let names: Vec<ParticipantName> = self.links.keys().cloned().collect();
        let (queue, seen) = self
            .ask(move |core| {
                let seen = names.into_iter().filter_map(|name| {
                    let (foreign, waiting) = core.participant(&name)?;
                    let memory = core.recall(&name);
                    Some((name, (foreign.to_vec(), waiting, memory)))
                });
                (queue(core), seen.collect::<Members>())
            })
            .await?;
        let owing: BTreeSet<&ParticipantName> = seen
            .iter()
            .filter(|(_, (_, _, memory))| {
                let loss = memory.as_ref().and_then(|memory| memory.loss.as_ref());
                loss.is_some_and(|loss| loss.debt > 0)
            })
            .map(|(name, _)| name)
            .collect();
        let owed = owed::in_all(self, &owing).await;
        let participants = self
            .links
            .values()
            .map(|link| {
                let status = link.status();
                let (foreign, waiting, memory) = seen.get(link.name()).cloned().unwrap_or_default();
                let owed = owed.get(link.name()).copied();
                v1::ParticipantStatus {
                    name: link.name().to_string(),
                    state: match status.state {
                        LinkState::Connecting => v1::LinkState::Connecting,
                        LinkState::Up => v1::LinkState::Up,
                        LinkState::Down => v1::LinkState::Down,
                    }
                    .into(),
                    detail: status.detail,
                    since: Some(wire_time(status.since)),
                    description: status.description.map(Into::into),
                    foreign_branches: foreign.into_iter().map(branch_to_wire).collect(),
                    waiting: waiting as u64,
                    recalling: status.state == LinkState::Up
                        && memory.as_ref().is_some_and(|memory| memory.is_asked),
                    to_redo: memory.as_ref().map_or(0, |memory| memory.to_redo as u64),
                    loss: memory
                        .and_then(|memory| memory.loss)
                        .map(|found| loss(found, owed)),
                }
            })
            .collect();
        Ok(Response::new(v1::ListParticipantsResponse {
            participants,
            coordinator_id: self.identity.coordinator.to_string(),
            epoch: self.identity.epoch.0,
            log_id: self.identity.log_id.clone(),
            queue: Some(queue),
            findings: self
                .identity
                .findings
                .iter()
                .cloned()
                .map(Into::into)
                .collect(),
        }))
    }

    async fn retry_participant(
        &self,
        request: Request<v1::RetryParticipantRequest>,
    ) -> Result<Response<v1::RetryParticipantResponse>, Status> {
        let link = self.link(&request.into_inner().participant)?;
        let failure = match link.retry().await {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        Ok(Response::new(v1::RetryParticipantResponse { failure }))
    }

    async fn get_stock(
        &self,
        request: Request<v1::GetStockRequest>,
    ) -> Result<Response<v1::GetStockResponse>, Status> {
        let sku = request.into_inner().sku;
        validate::sku(&sku).map_err(status::invalid)?;
        let asked = self.links.values().map(|link| async {
            let call = link.participant().stock(&sku);
            let said = timeout(link.call_timeout(), call).await;
            let said = said.unwrap_or_else(|_| {
                let detail = format!("no answer within {:?}", link.call_timeout());
                Err(Error::Unavailable { detail })
            });
            (link.name().clone(), said)
        });
        stock::answer(&sku, join_all(asked).await).map(Response::new)
    }
}

fn queue(core: &Coordinator) -> v1::PurchaseQueue {
    v1::PurchaseQueue {
        purchases: core.queued() as u64,
        purchases_apart: core.queued_apart().len() as u64,
    }
}

fn loss(loss: Loss, owed: Option<u64>) -> v1::Loss {
    let (from, before) = match loss.unchecked {
        Some((from, before)) => (from.map(|id| id.to_string()), Some(before.to_string())),
        None => (None, None),
    };
    v1::Loss {
        find_time: Some(wire_time(loss.time)),
        transactions: loss.transactions,
        redone: loss.redone,
        still_there: loss.still_there,
        debt: loss.debt,
        end_time: loss.end_time.map(wire_time),
        unchecked_from_transaction_id: from.unwrap_or_default(),
        unchecked_before_transaction_id: before.unwrap_or_default(),
        owed,
    }
}

fn wanted(view: &TransactionView, request: &v1::ListTransactionsRequest) -> bool {
    let heuristic = |branch: &BranchView| matches!(branch.progress, BranchProgress::Heuristic(_));
    // In doubt: prepared, or possibly so, and not ended.
    let in_doubt = |branch: &BranchView| {
        matches!(
            branch.progress,
            BranchProgress::Prepared
                | BranchProgress::Ending
                | BranchProgress::Waiting(_)
                | BranchProgress::Stuck(_)
        )
    };
    (!request.heuristic || view.branches.iter().any(heuristic))
        && (!request.in_doubt || view.branches.iter().any(in_doubt))
}

fn summary(view: &TransactionView) -> v1::TransactionSummary {
    let state = match view.state {
        TransactionState::Preparing => v1::TransactionState::Preparing,
        TransactionState::Deciding => v1::TransactionState::Deciding,
        TransactionState::Committing => v1::TransactionState::Committing,
        TransactionState::Aborting => v1::TransactionState::Aborting,
        TransactionState::Committed => v1::TransactionState::Committed,
        TransactionState::Refused => v1::TransactionState::Refused,
    };
    v1::TransactionSummary {
        transaction_id: view.id.to_string(),
        state: state.into(),
        purchases: u32::try_from(view.entries.len()).unwrap_or(u32::MAX),
        begin_time: Some(wire_time(view.begin_time)),
        decide_time: view.decide_time.map(wire_time),
        branches: view.branches.iter().map(branch).collect(),
    }
}

fn branch(branch: &BranchView) -> v1::BranchSummary {
    let (progress, retry_time, word) = match &branch.progress {
        BranchProgress::NotAsked | BranchProgress::Empty => {
            (v1::BranchProgress::NotAsked, None, None)
        }
        BranchProgress::Preparing => (v1::BranchProgress::Preparing, None, None),
        BranchProgress::Prepared => (v1::BranchProgress::Prepared, None, None),
        BranchProgress::Ending => (v1::BranchProgress::Ending, None, None),
        BranchProgress::Waiting(time) => (v1::BranchProgress::Ending, known(*time), None),
        BranchProgress::Stuck(time) => (v1::BranchProgress::Stuck, known(*time), None),
        BranchProgress::Ended => (v1::BranchProgress::Ended, None, None),
        BranchProgress::Heuristic(_) => (v1::BranchProgress::Heuristic, None, None),
        BranchProgress::Settled(settlement) => {
            let word = timeline::settled(settlement);
            (v1::BranchProgress::Settled, None, Some(word))
        }
    };
    v1::BranchSummary {
        participant: branch.participant.to_string(),
        progress: progress.into(),
        detail: word.unwrap_or_else(|| branch.last_failure.clone()),
        attempts: branch.failures,
        retry_time: retry_time.map(wire_time),
        heuristic: match branch.progress {
            BranchProgress::Heuristic(kind) => kind.to_string(),
            _ => String::new(),
        },
    }
}

/// What waits for nothing but its store, since a start, has no time.
fn known(retry_time: Timestamp) -> Option<Timestamp> {
    (retry_time > Timestamp::default()).then_some(retry_time)
}
