//! Recording how a branch has ended, as a person says.

use std::collections::HashMap;

use tandem_proto::v1;
use tandem_protocol::{BranchProgress, Ending, ParticipantName, SettleError, Settlement};
use tonic::Status;
use tonic_types::FieldViolation;

use super::operated::{Operator, transaction_id};
use super::{status, validate};
use crate::access::Signature;
use crate::error_reason::ErrorReason;

/// Records what a person says, or says what would be recorded and what each store says.
pub(super) async fn answer(
    operator: &Operator,
    signature: &Signature,
    mut request: v1::SettleTransactionRequest,
) -> Result<v1::SettleTransactionResponse, Status> {
    signature.name(&mut request.operator);
    let mut settlement = settlement(&request)?;
    settlement.operator = signature.sign(&settlement.operator);
    let link = operator.link(&request.participant)?;
    let (id, name) = (&settlement.transaction, &settlement.participant);
    let contradicts_decision = {
        let (branch, ending) = (id.at(name), settlement.ending);
        operator
            .ask(move |core| core.settlement(&branch, ending))
            .await?
            .map_err(|error| refused(&error))?
    };
    let effect = effect(&settlement, contradicts_decision, request.preview);
    if request.preview {
        return Ok(v1::SettleTransactionResponse {
            effect,
            contradicts_decision,
            truths: operator.truths(id).await,
        });
    }
    if !request.force && is_asked(operator, &settlement).await? {
        let truth = operator.truth(link, id).await;
        let state = truth.inspected.map(|inspected| inspected.state());
        if state == Some(v1::BranchState::Prepared) {
            return Err(still_prepared(&settlement));
        }
    }
    operator
        .driver
        .settle(settlement, request.force)
        .await
        .map_err(|stopped| Status::unavailable(stopped.to_string()))?
        .map_err(|error| refused(&error))?;
    Ok(v1::SettleTransactionResponse {
        effect,
        contradicts_decision,
        truths: Vec::new(),
    })
}

fn effect(settlement: &Settlement, contradicts_decision: bool, preview: bool) -> String {
    let Settlement {
        transaction: id,
        participant: name,
        ..
    } = settlement;
    let how = match settlement.ending {
        Ending::Commit => "committed",
        Ending::RollBack => "rolled back",
    };
    // Without a decision to commit there is nothing to commit it by.
    let if_prepared = match (settlement.ending, contradicts_decision) {
        (Ending::Commit, false) => "commits",
        (Ending::Commit, true) | (Ending::RollBack, _) => "rolls back",
    };
    format!(
        "the branch of {id} at {name} {} recorded in the decision log as {how}; tandem asks {name} no \
         more about it and changes nothing there, unless a sweep finds the branch prepared all the \
         same: then tandem {if_prepared} it",
        if preview { "would be" } else { "is" }
    )
}

/// Reads what an operator says of a branch; the error names the fields and the rules that they break.
pub fn settlement(request: &v1::SettleTransactionRequest) -> Result<Settlement, Status> {
    let mut broken = validate::who_and_why(&request.reason, &request.operator);
    let ending = match v1::Settlement::try_from(request.settlement) {
        Ok(v1::Settlement::Committed) => Some(Ending::Commit),
        Ok(v1::Settlement::RolledBack) => Some(Ending::RollBack),
        Ok(v1::Settlement::Unspecified) | Err(_) => {
            let rule = "must be SETTLEMENT_COMMITTED or SETTLEMENT_ROLLED_BACK";
            broken.push(FieldViolation::new("settlement", rule));
            None
        }
    };
    let participant = request.participant.parse::<ParticipantName>();
    if let Err(error) = &participant {
        broken.push(FieldViolation::new("participant", error.to_string()));
    }
    let transaction = transaction_id(&request.transaction_id)?;
    match (ending, participant) {
        (Some(ending), Ok(participant)) if broken.is_empty() => Ok(Settlement {
            transaction,
            participant,
            ending,
            reason: request.reason.clone(),
            operator: request.operator.clone(),
        }),
        _ => Err(status::invalid(broken)),
    }
}

/// Whether the coordinator goes on asking the participant to end the branch.
async fn is_asked(operator: &Operator, settlement: &Settlement) -> Result<bool, Status> {
    let view = operator.view(&settlement.transaction).await?;
    let mut branches = view.into_iter().flat_map(|view| view.branches);
    let branch = branches.find(|branch| branch.participant == settlement.participant);
    Ok(branch.is_some_and(|branch| !matches!(branch.progress, BranchProgress::Heuristic(_))))
}

/// What is prepared, and asked to end, has not ended.
fn still_prepared(settlement: &Settlement) -> Status {
    let (id, name) = (&settlement.transaction, &settlement.participant);
    status::error(
        ErrorReason::StillPrepared,
        format!(
            "nothing was recorded: {name} says that its branch of {id} is prepared, so it has not \
             ended. tandem ends it by itself, as decided; `tandem tx retry {id}` asks now"
        ),
        status::one("transaction_id", &id.to_string()),
        None,
    )
}

fn refused(error: &SettleError) -> Status {
    let reason = match error {
        SettleError::UnknownTransaction(_) => ErrorReason::TransactionNotFound,
        SettleError::UnknownBranch(..) => ErrorReason::BranchNotFound,
        SettleError::Undecided(_) => ErrorReason::Undecided,
        SettleError::Ended(..) => ErrorReason::AlreadyEnded,
        SettleError::Contradicts(..) => ErrorReason::ContradictsDecision,
    };
    status::error(reason, error.to_string(), HashMap::new(), None)
}
