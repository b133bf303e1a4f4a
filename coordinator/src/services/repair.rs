//! Redoing what a participant has ended against the decision.

use std::collections::HashMap;

use tandem_proto::v1;
use tandem_protocol::{
    BranchProgress, Damage, Decision, ParticipantName, Position, Repair, RepairError, Repaired,
    TransactionId,
};
use tokio::time::timeout;
use tonic::Status;

use super::operated::{Operator, transaction_id, unknown};
use super::{status, validate};
use crate::access::Signature;
use crate::daemon::Link;
use crate::error_reason::ErrorReason;
use crate::plural::count;

/// Purchases that a preview names.
const NAMED_MAX: usize = 20;

/// Repairs what is asked for, or says what would be done.
pub(super) async fn answer(
    operator: &Operator,
    signature: &Signature,
    mut request: v1::RepairTransactionRequest,
) -> Result<Vec<v1::BranchRepair>, Status> {
    signature.name(&mut request.operator);
    let broken = validate::who_and_why(&request.reason, &request.operator);
    if !broken.is_empty() {
        return Err(status::invalid(broken));
    }
    let id = transaction_id(&request.transaction_id)?;
    let names = if request.participant.is_empty() {
        damaged(operator, &id).await?
    } else {
        vec![operator.link(&request.participant)?.name().clone()]
    };
    let mut repairs = Vec::new();
    for name in names {
        let Some(link) = operator.links.get(&name) else {
            continue;
        };
        let decision = needed(operator, &id, &name).await?;
        repairs.push(if request.preview {
            preview(operator, &id, link, decision).await?
        } else {
            let repair = Repair {
                transaction: id.clone(),
                participant: name,
                reason: request.reason.clone(),
                operator: signature.sign(&request.operator),
            };
            carry_out(operator, repair, link, decision).await?
        });
    }
    Ok(repairs)
}

/// The participants that have ended their branches against the decision.
async fn damaged(operator: &Operator, id: &TransactionId) -> Result<Vec<ParticipantName>, Status> {
    let view = operator.view(id).await?.ok_or_else(|| unknown(id))?;
    let is_damaged = |progress: &BranchProgress| matches!(progress, BranchProgress::Heuristic(_));
    let branches = view.branches.iter();
    let names: Vec<ParticipantName> = branches
        .filter(|branch| is_damaged(&branch.progress))
        .map(|branch| branch.participant.clone())
        .collect();
    if names.is_empty() {
        let message = format!(
            "no participant has ended its branch of {id} against the decision; where one has \
             acknowledged it and its store does not hold it all the same, name it"
        );
        return Err(status::error(
            ErrorReason::NotDamaged,
            message,
            HashMap::new(),
            None,
        ));
    }
    Ok(names)
}

/// Checks that a branch may be redone, and reads back from the log what memory does not have.
async fn needed(
    operator: &Operator,
    id: &TransactionId,
    name: &ParticipantName,
) -> Result<Option<Decision>, Status> {
    let damage = {
        let branch = id.at(name);
        operator.ask(move |core| core.damage(&branch)).await?
    };
    match damage.map_err(|error| refused(&error))? {
        Damage::Heuristic(_) | Damage::Said => Ok(None),
        Damage::Ended(position) => {
            let missing = || refused(&RepairError::DecisionMissing(id.clone()));
            let position: Position = position.ok_or_else(missing)?;
            let decision = operator.log.decision(position).await;
            let decision = decision.filter(|decision| decision.transaction == *id);
            decision.map(Some).ok_or_else(missing)
        }
    }
}

async fn preview(
    operator: &Operator,
    id: &TransactionId,
    link: &Link,
    decision: Option<Decision>,
) -> Result<v1::BranchRepair, Status> {
    let entries = match decision {
        Some(decision) => decision.entries,
        None => operator
            .view(id)
            .await?
            .map(|view| view.entries)
            .unwrap_or_default(),
    };
    let named: Vec<String> = entries
        .iter()
        .take(NAMED_MAX)
        .map(|entry| {
            let items = entry.purchase.items.iter();
            let items: Vec<String> = items
                .map(|i| format!("{} {}", i.stock(), i.quantity))
                .collect();
            format!("{} ({})", entry.purchase.purchase_id, items.join(", "))
        })
        .collect();
    let more = match entries.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let name = link.name();
    let effect = format!(
        "{} would be given to {name} again from the stored decision: {}{more}; what {name} has of \
         it already would be left as it is. The order would be a record in the log before {name} is \
         asked",
        count(entries.len(), "purchase"),
        named.join(", ")
    );
    Ok(v1::BranchRepair {
        participant: name.to_string(),
        state: v1::RepairState::Preview.into(),
        effect,
        present_purchase_ids: Vec::new(),
        truth: Some(operator.truth(link, id).await),
    })
}

async fn carry_out(
    operator: &Operator,
    repair: Repair,
    link: &Link,
    decision: Option<Decision>,
) -> Result<v1::BranchRepair, Status> {
    let (id, name) = (repair.transaction.clone(), repair.participant.clone());
    // Memory forgets the entries when the transaction ends.
    let entries = match &decision {
        Some(decision) => decision.entries.clone(),
        None => operator
            .view(&id)
            .await?
            .map(|view| view.entries)
            .unwrap_or_default(),
    };
    let outcome = |state: v1::RepairState, effect: String, present: Vec<String>| v1::BranchRepair {
        participant: name.to_string(),
        state: state.into(),
        effect,
        present_purchase_ids: present,
        truth: None,
    };
    // Dropped at its deadline, the order goes on: it is the driver's by then.
    let ordered = timeout(
        link.call_timeout(),
        operator.driver.repair(repair, decision),
    )
    .await;
    match ordered {
        Ok(Ok(Ok(repaired))) => {
            let present: Vec<String> = entries
                .iter()
                .filter(|entry| repaired.present.contains(&entry.number))
                .map(|entry| entry.purchase.purchase_id.clone())
                .collect();
            let effect = done(&id, &name, entries.len(), &repaired, &present);
            Ok(outcome(v1::RepairState::Done, effect, present))
        }
        Ok(Ok(Err(error @ RepairError::Failed(..)))) => Ok(outcome(
            v1::RepairState::Failed,
            error.to_string(),
            Vec::new(),
        )),
        Ok(Ok(Err(error))) => Err(refused(&error)),
        Ok(Err(stopped)) => Err(Status::unavailable(stopped.to_string())),
        Err(_) => {
            let view = operator.view(&id).await?;
            let branches = view.into_iter().flat_map(|view| view.branches);
            let branch = branches
                .into_iter()
                .find(|branch| branch.participant == name && branch.repair.is_some());
            let Some(branch) = branch else {
                let message = "the order could not be stored in time; look at the disk that holds \
                               the decision log, and at `tandem tx show`";
                return Err(Status::deadline_exceeded(message));
            };
            let effect = format!(
                "the order is stored; {name} has not carried it out yet and is asked until it has: {}",
                branch.last_failure
            );
            Ok(outcome(v1::RepairState::Ordered, effect, Vec::new()))
        }
    }
}

fn done(
    id: &TransactionId,
    name: &ParticipantName,
    entries: usize,
    repaired: &Repaired,
    present: &[String],
) -> String {
    use tandem_protocol::CommitEvidence::{AlreadyApplied, Applied, Redone};
    let mut effect = match repaired.evidence {
        AlreadyApplied => format!("{name} had all of {id} already; nothing was changed"),
        Applied => format!("{name} still had the branch of {id} prepared and has committed it"),
        Redone => format!(
            "{name} was given {} of {id} again from the decision",
            count(entries.saturating_sub(present.len()), "purchase")
        ),
    };
    if !present.is_empty() {
        effect.push_str(&format!(
            "; already there and left as they are: {}",
            present.join(", ")
        ));
    }
    for debt in &repaired.debts {
        effect.push_str(&format!(
            "; {} of {} could not be deducted and are recorded as debt: {}",
            debt.quantity, debt.sku, debt.detail
        ));
    }
    effect
}

fn refused(error: &RepairError) -> Status {
    let reason = match error {
        RepairError::UnknownTransaction(_) => ErrorReason::TransactionNotFound,
        RepairError::UnknownBranch(..) => ErrorReason::BranchNotFound,
        RepairError::Undecided(_) => ErrorReason::Undecided,
        RepairError::NoDecision(..) => ErrorReason::NoDecision,
        RepairError::NotDamaged(..) => ErrorReason::NotDamaged,
        RepairError::UnderWay(..) => ErrorReason::UnderWay,
        RepairError::DecisionMissing(_) => ErrorReason::DecisionMissing,
        RepairError::Ended(..) => ErrorReason::AlreadyEnded,
        RepairError::Failed(..) => ErrorReason::RepairFailed,
    };
    status::error(reason, error.to_string(), HashMap::new(), None)
}
