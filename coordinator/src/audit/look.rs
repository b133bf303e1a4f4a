//! One thing that is suspected, looked at by itself.
//!
//! The order of reading rules out what is only under way: what the log says is read first where
//! the store must follow it, and the store first where the log must have gone before.

mod decided;
mod held;

use tandem_participant::audit_question::{AuditAnswer, AuditQuestion, Holdings, KeptPurchase};
use tandem_protocol::{ParticipantName, Standing, TransactionId};

use super::disagreement::{DisagreementKind, Place, disagreement};
use super::run::{Ended, Run};
use super::subject::{Look, Subject};
pub(super) use decided::is_stranger;

impl Run<'_> {
    pub(super) async fn look(&mut self, subject: &Subject) -> Result<Look, Ended> {
        match subject {
            Subject::Damage {
                participant,
                transaction,
            } => self.look_at_damage(participant, transaction).await,
            Subject::Purchase {
                participant,
                transaction,
                purchase_id,
            } => {
                self.look_at_purchase(participant, transaction, purchase_id)
                    .await
            }
            Subject::Memory {
                participant,
                transaction,
            } => self.look_at_memory(participant, transaction).await,
            Subject::Row {
                participant,
                purchase_id,
            } => self.look_at_row(participant, purchase_id).await,
            Subject::Hold {
                participant,
                transaction,
            } => self.look_at_hold(participant, transaction).await,
            Subject::Held { participant, stock } => self.look_at_sum(participant, stock).await,
            Subject::Debt { participant, stock } => self.look_at_debt(participant, stock).await,
            Subject::Deducted { participant, sku } => self.look_at_deducted(participant, sku).await,
            Subject::Branch { participant, id } => self.look_at_branch(participant, id).await,
        }
    }

    async fn standing(
        &self,
        participant: &ParticipantName,
        id: &TransactionId,
    ) -> Result<Standing, Ended> {
        let branch = id.at(participant);
        self.ask_core(move |core| core.standing(&branch)).await
    }

    async fn rows(
        &mut self,
        participant: &ParticipantName,
        purchase_id: &str,
    ) -> Result<Option<Vec<KeptPurchase>>, Ended> {
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(None);
        };
        let question = AuditQuestion::Purchases {
            purchase_ids: vec![purchase_id.to_owned()],
        };
        Ok(match self.ask(link, &question).await? {
            Some(AuditAnswer::Purchases(rows)) => Some(rows.purchases),
            Some(_) | None => None,
        })
    }

    async fn holdings(&mut self, participant: &ParticipantName) -> Result<Option<Holdings>, Ended> {
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(None);
        };
        Ok(match self.ask(link, &AuditQuestion::Holdings).await? {
            Some(AuditAnswer::Holdings(holdings)) => Some(holdings),
            Some(_) | None => None,
        })
    }
}

pub(super) fn place<'a>(
    participant: &'a ParticipantName,
    transaction: &'a str,
    purchase: &'a str,
) -> Place<'a> {
    Place {
        participant,
        transaction,
        purchase,
    }
}

pub(super) fn differs(
    kind: DisagreementKind,
    place: Place<'_>,
    detail: String,
    remedy: String,
) -> Look {
    Look::Differs(Box::new(disagreement(kind, place, detail, remedy)))
}
