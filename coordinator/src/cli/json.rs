//! Answers as JSON: fields and enums have the proto's names, times are RFC 3339, what is absent is
//! null.

use prost_types::Timestamp;
use serde_json::{Value, json};
use tandem_proto::v1::{
    BranchProgress, BranchState, BranchSummary, DescribeResponse, Entry, Finding, GetStockResponse,
    GetTransactionResponse, InspectResponse, Item, LinkState, ListParticipantsResponse,
    ListTransactionsResponse, Loss, ParticipantStatus, ParticipantTruth, PreparedBranch, Purchase,
    PurchaseContent, PurchaseState, Refusal, TransactionState, TransactionSummary,
};

use super::content::Shown;
use super::names::full;
use super::time::moment;

pub(super) fn transactions(answer: &ListTransactionsResponse) -> Value {
    json!({
        "transactions": list(&answer.transactions, transaction),
        "total": answer.total,
    })
}

pub(super) fn details(answer: &GetTransactionResponse, shown: Shown) -> Value {
    json!({
        "transaction": answer.transaction.as_ref().map(transaction),
        "timeline": list(&answer.timeline, |event| json!({
            "time": time(event.time.as_ref()),
            "source": event.source,
            "text": event.text,
        })),
        "transaction_id": answer.transaction_id,
        "entries": list(&answer.entries, |one| entry(one, shown)),
        "refused": list(&answer.refused, |one| purchase(one, shown)),
        "truths": list(&answer.truths, truth),
        "read_time": time(answer.read_time.as_ref()),
        "owed": list(&answer.owed, |owed| json!({
            "participant": owed.participant,
            "sku": owed.sku,
            "units": owed.units,
            "remedy": owed.remedy,
        })),
    })
}

pub(super) fn participants(answer: &ListParticipantsResponse) -> Value {
    json!({
        "participants": list(&answer.participants, participant),
        "coordinator_id": answer.coordinator_id,
        "epoch": answer.epoch,
        "log_id": answer.log_id,
        "queue": answer.queue.as_ref().map(|queue| json!({
            "purchases": queue.purchases,
            "purchases_apart": queue.purchases_apart,
        })),
        "findings": list(&answer.findings, finding),
    })
}

pub(super) fn stock(answer: &GetStockResponse) -> Value {
    json!({
        "sku": answer.sku,
        "stock": answer.stock,
        "holds": list(&answer.holds, |hold| json!({
            "transaction_id": hold.transaction_id,
            "quantity": hold.quantity,
            "hold_time": time(hold.hold_time.as_ref()),
        })),
        "detail": answer.detail,
        "debt": answer.debt,
        "debt_remedy": answer.debt_remedy,
    })
}

pub(super) fn purchase(purchase: &Purchase, shown: Shown) -> Value {
    json!({
        "purchase_id": purchase.purchase_id,
        "state": full::<PurchaseState>(purchase.state),
        "transaction_id": purchase.transaction_id,
        "decide_time": time(purchase.decide_time.as_ref()),
        "applied": purchase.applied,
        "needs_operator": purchase.needs_operator,
        "refusal": purchase.refusal.as_ref().map(refusal),
        "content": purchase.content.as_ref().map(|held| content(held, shown)),
    })
}

fn content(content: &PurchaseContent, shown: Shown) -> Value {
    json!({
        "customer_id": content.customer_id,
        "items": list(&content.items, item),
        "currency": content.currency,
        "attributes": shown.attributes_json(&content.attributes),
    })
}

fn transaction(transaction: &TransactionSummary) -> Value {
    json!({
        "transaction_id": transaction.transaction_id,
        "state": full::<TransactionState>(transaction.state),
        "purchases": transaction.purchases,
        "begin_time": time(transaction.begin_time.as_ref()),
        "decide_time": time(transaction.decide_time.as_ref()),
        "branches": list(&transaction.branches, branch),
    })
}

fn branch(branch: &BranchSummary) -> Value {
    json!({
        "participant": branch.participant,
        "progress": full::<BranchProgress>(branch.progress),
        "detail": branch.detail,
        "attempts": branch.attempts,
        "retry_time": time(branch.retry_time.as_ref()),
    })
}

pub(super) fn entry(entry: &Entry, shown: Shown) -> Value {
    json!({
        "number": entry.number,
        "purchase_id": entry.purchase_id,
        "customer_id": entry.customer_id,
        "items": list(&entry.items, item),
        "currency": entry.currency,
        "attributes": shown.attributes_json(&entry.attributes),
    })
}

fn item(item: &Item) -> Value {
    json!({
        "sku": item.sku,
        "pool": item.pool,
        "quantity": item.quantity,
        "unit_price_minor": item.unit_price_minor,
        "line_id": item.line_id,
        "tracked": item.tracked.unwrap_or(true),
    })
}

fn refusal(refusal: &Refusal) -> Value {
    json!({
        "reason": refusal.reason,
        "participant": refusal.participant,
        "detail": refusal.detail,
    })
}

fn truth(truth: &ParticipantTruth) -> Value {
    json!({
        "participant": truth.participant,
        "inspected": truth.inspected.as_ref().map(inspected),
        "error": truth.error,
    })
}

fn inspected(answer: &InspectResponse) -> Value {
    json!({
        "state": full::<BranchState>(answer.state),
        "detail": answer.detail,
        "read_time": time(answer.read_time.as_ref()),
    })
}

fn participant(status: &ParticipantStatus) -> Value {
    json!({
        "name": status.name,
        "state": full::<LinkState>(status.state),
        "detail": status.detail,
        "since": time(status.since.as_ref()),
        "description": status.description.as_ref().map(description),
        "foreign_branches": list(&status.foreign_branches, prepared),
        "waiting": status.waiting,
        "recalling": status.recalling,
        "to_redo": status.to_redo,
        "loss": status.loss.as_ref().map(loss),
    })
}

fn loss(loss: &Loss) -> Value {
    json!({
        "find_time": time(loss.find_time.as_ref()),
        "transactions": loss.transactions,
        "redone": loss.redone,
        "still_there": loss.still_there,
        "debt": loss.debt,
        "end_time": time(loss.end_time.as_ref()),
        "unchecked_from_transaction_id": loss.unchecked_from_transaction_id,
        "unchecked_before_transaction_id": loss.unchecked_before_transaction_id,
    })
}

fn description(answer: &DescribeResponse) -> Value {
    json!({
        "kind": answer.kind,
        "server": answer.server,
        "address": answer.address,
        "incarnation": answer.incarnation,
        "findings": list(&answer.findings, finding),
    })
}

pub(super) fn finding(finding: &Finding) -> Value {
    json!({
        "name": finding.name,
        "detail": finding.detail,
        "accepted": finding.accepted,
        "told": finding.told,
    })
}

fn prepared(branch: &PreparedBranch) -> Value {
    json!({
        "id": branch.id,
        "tandem": branch.tandem,
        "prepare_time": time(branch.prepare_time.as_ref()),
    })
}

fn list<T>(values: &[T], value: impl Fn(&T) -> Value) -> Vec<Value> {
    values.iter().map(value).collect()
}

pub(super) fn time(time: Option<&Timestamp>) -> Option<String> {
    moment(time).map(|moment| moment.to_string())
}
