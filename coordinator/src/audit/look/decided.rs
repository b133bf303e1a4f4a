//! What was decided: its rows, what its stores remember of it, and how its branches ended.

use tandem_participant::BranchState;
use tandem_participant::audit_question::KeptPurchase;
use tandem_protocol::{
    BranchProgress, Coordinator, ParticipantName, PurchaseView, Standing, TransactionId,
};

use super::{differs, place};
use crate::audit::compare::{Difference, difference};
use crate::audit::disagreement::{self, DisagreementKind};
use crate::audit::run::{Ended, Run};
use crate::audit::subject::Look;

/// Whether a row is of a purchase that the log does not know to be committed.
pub(in crate::audit) fn is_stranger(
    core: &Coordinator,
    participant: &ParticipantName,
    row: &KeptPurchase,
) -> bool {
    if let Some(PurchaseView::Committed { .. }) = core.purchase(&row.purchase_id) {
        return false;
    }
    let id = row.transaction_id.as_deref().unwrap_or_default();
    match id.parse::<TransactionId>() {
        Ok(id) => !matches!(
            core.standing(&id.at(participant)),
            Standing::NotOurs | Standing::Forgotten
        ),
        Err(_) => true,
    }
}

impl Run<'_> {
    pub(super) async fn look_at_damage(
        &mut self,
        participant: &ParticipantName,
        id: &TransactionId,
    ) -> Result<Look, Ended> {
        let view = {
            let id = id.clone();
            self.ask_core(move |core| core.transaction(&id)).await?
        };
        let branches = view.into_iter().flat_map(|view| view.branches);
        let branch = branches
            .into_iter()
            .find(|branch| branch.participant == *participant);
        let Some(branch) = branch else {
            return Ok(Look::Agrees);
        };
        let (kind, detail, remedy) = match branch.progress {
            BranchProgress::Heuristic(kind) => (
                DisagreementKind::Heuristic,
                branch.last_failure,
                disagreement::of_heuristic(kind, id, participant),
            ),
            BranchProgress::Stuck(_) => (
                DisagreementKind::Stuck,
                branch.last_failure,
                format!("`tandem tx show {id}` says what is to be done"),
            ),
            _ => return Ok(Look::Agrees),
        };
        let transaction = id.to_string();
        Ok(differs(
            kind,
            place(participant, &transaction, ""),
            detail,
            remedy,
        ))
    }

    pub(super) async fn look_at_purchase(
        &mut self,
        participant: &ParticipantName,
        id: &TransactionId,
        purchase_id: &str,
    ) -> Result<Look, Ended> {
        let kept = {
            let id = id.clone();
            self.ask_core(move |core| core.decision(&id)).await?
        };
        let Some(kept) = kept else {
            return Ok(Look::Agrees);
        };
        if !kept.has_ended {
            return Ok(Look::UnderWay);
        }
        let decision = match kept.position {
            Some(position) => self.auditor.log.decision(position).await,
            None => None,
        };
        let Some(decision) = decision else {
            return Ok(Look::Unknown);
        };
        let mut entries = decision.entries.iter();
        let Some(entry) = entries.find(|entry| entry.purchase.purchase_id == purchase_id) else {
            return Ok(Look::Unknown);
        };
        let Some(rows) = self.rows(participant, purchase_id).await? else {
            return Ok(Look::Unknown);
        };
        let rows: Vec<&KeptPurchase> = rows.iter().collect();
        let transaction = id.to_string();
        let place = place(participant, &transaction, purchase_id);
        Ok(match difference(&decision, &entry.purchase, &self.auditor.attributes, &rows) {
            None => Look::Agrees,
            Some(Difference::Missing) => {
                let items = entry.purchase.items.iter();
                let items: Vec<String> = items
                    .map(|i| format!("{} {}", i.stock(), i.quantity))
                    .collect();
                differs(
                    DisagreementKind::RowMissing,
                    place,
                    format!(
                        "the log has it decided for {} ({}), and {participant} has no row of it",
                        entry.purchase.customer_id,
                        items.join(", ")
                    ),
                    disagreement::of_row(id, participant),
                )
            }
            Some(Difference::Content(content)) => differs(
                DisagreementKind::RowDiffers,
                place,
                content.join("; "),
                "no verb: put right by hand whichever is wrong; the units deducted are those that \
                 were decided"
                    .into(),
            ),
        })
    }

    pub(super) async fn look_at_memory(
        &mut self,
        participant: &ParticipantName,
        id: &TransactionId,
    ) -> Result<Look, Ended> {
        let standing = self.standing(participant, id).await?;
        let (is_settled, is_in_log) = {
            let (id, participant) = (id.clone(), participant.clone());
            self.ask_core(move |core| {
                let decision = core.decision(&id);
                let is_settled =
                    decision.is_some_and(|decision| decision.settled.contains(&participant));
                (is_settled, core.is_in_log(&id))
            })
            .await?
        };
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(Look::Unknown);
        };
        let call = link.participant().inspect(id);
        let Some(truth) = self.answered(link, call).await? else {
            return Ok(Look::Unknown);
        };
        let transaction = id.to_string();
        let place = place(participant, &transaction, "");
        let said = format!("{participant} says: {}", truth.detail);
        Ok(match (standing, truth.state) {
            (Standing::UnderWay, _) | (_, BranchState::Unclear) => Look::UnderWay,
            (Standing::Committed, _) if is_settled => Look::Agrees,
            (Standing::Committed, BranchState::Absent) => differs(
                DisagreementKind::CommitNotRemembered,
                place,
                format!("the log has it committed and acknowledged; {said}"),
                disagreement::of_memory(id, participant, self.keeps_rows(participant)),
            ),
            (Standing::Committed, BranchState::RolledBack) => differs(
                DisagreementKind::RollBackRemembered,
                place,
                format!("the log has it committed and acknowledged; {said}"),
                format!(
                    "{} redoes it from the decision",
                    disagreement::repair(id, participant)
                ),
            ),
            (Standing::WithoutDecision | Standing::NotBegun, BranchState::Committed) => differs(
                match is_in_log {
                    true => DisagreementKind::CommitByHand,
                    false => DisagreementKind::CommitWithoutDecision,
                },
                place,
                format!("the log has no decision to commit it; {said}"),
                disagreement::of_stranger(id, participant),
            ),
            // A prepared branch is looked at as such.
            (
                Standing::Committed
                | Standing::WithoutDecision
                | Standing::NotBegun
                | Standing::Forgotten
                | Standing::NotOurs,
                _,
            ) => Look::Agrees,
        })
    }

    pub(super) async fn look_at_row(
        &mut self,
        participant: &ParticipantName,
        purchase_id: &str,
    ) -> Result<Look, Ended> {
        let Some(rows) = self.rows(participant, purchase_id).await? else {
            return Ok(Look::Unknown);
        };
        let Some(row) = rows.into_iter().next() else {
            return Ok(Look::Agrees);
        };
        let transaction = row.transaction_id.clone().unwrap_or_default();
        let (is_stranger, is_under_way) = {
            let participant = participant.clone();
            self.ask_core(move |core| {
                let pending = matches!(
                    core.purchase(&row.purchase_id),
                    Some(PurchaseView::Pending(_))
                );
                (is_stranger(core, &participant, &row), pending)
            })
            .await?
        };
        Ok(if !is_stranger {
            Look::Agrees
        } else if is_under_way {
            Look::UnderWay
        } else {
            differs(
                DisagreementKind::RowWithoutDecision,
                place(participant, &transaction, purchase_id),
                format!(
                    "{participant} has its row, written by {transaction:?}, and the log has not \
                     decided it"
                ),
                "no verb: delete the row, or deduct its units by hand".into(),
            )
        })
    }

    fn keeps_rows(&self, participant: &ParticipantName) -> bool {
        self.rows_at.contains(participant)
    }
}
