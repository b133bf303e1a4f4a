//! What is held back: units, their sums, what is owed of them, and prepared branches.

use tandem_protocol::{ParticipantName, PreparedId, Standing, TransactionId};

use super::{differs, place};
use crate::audit::disagreement::{self, DisagreementKind};
use crate::audit::first_look::sums;
use crate::audit::run::{Ended, Run};
use crate::audit::subject::Look;

impl Run<'_> {
    pub(super) async fn look_at_hold(
        &mut self,
        participant: &ParticipantName,
        transaction: &str,
    ) -> Result<Look, Ended> {
        let id = transaction.parse::<TransactionId>().ok();
        let standing = match &id {
            Some(id) => Some(self.standing(participant, id).await?),
            None => None,
        };
        if standing == Some(Standing::UnderWay) {
            return Ok(Look::UnderWay);
        }
        let Some(holdings) = self.holdings(participant).await? else {
            return Ok(Look::Unknown);
        };
        let hold = holdings
            .holds
            .into_iter()
            .find(|hold| hold.transaction == transaction);
        let Some(hold) = hold else {
            return Ok(Look::Agrees);
        };
        let units: Vec<String> = hold
            .units
            .iter()
            .map(|units| format!("{} of {}", units.units, units.stock))
            .collect();
        Ok(differs(
            DisagreementKind::HoldLeft,
            place(participant, transaction, ""),
            format!(
                "{participant} holds {} for it; {}",
                units.join(", "),
                word(standing)
            ),
            disagreement::of_hold(id.as_ref(), standing, participant),
        ))
    }

    pub(super) async fn look_at_sum(
        &mut self,
        participant: &ParticipantName,
        stock: &str,
    ) -> Result<Look, Ended> {
        let Some(holdings) = self.holdings(participant).await? else {
            return Ok(Look::Unknown);
        };
        let wrong = sums(&holdings)
            .into_iter()
            .find(|(other, _, _)| other == stock);
        Ok(match wrong {
            None => Look::Agrees,
            Some((stock, kept, held)) => differs(
                DisagreementKind::HeldSumWrong,
                place(participant, "", ""),
                format!("{participant} keeps {kept} units of {stock} as held, and {held} are"),
                disagreement::of_sum(&stock, held),
            ),
        })
    }

    pub(super) async fn look_at_debt(
        &mut self,
        participant: &ParticipantName,
        stock: &str,
    ) -> Result<Look, Ended> {
        let Some(holdings) = self.holdings(participant).await? else {
            return Ok(Look::Unknown);
        };
        let owed = holdings
            .debts
            .into_iter()
            .find(|debt| debt.stock == stock && debt.units != 0);
        Ok(match owed {
            None => Look::Agrees,
            Some(debt) => differs(
                DisagreementKind::Debt,
                place(participant, "", ""),
                format!("{} units of {stock} were not deducted", debt.units),
                disagreement::of_debt(stock),
            ),
        })
    }

    pub(super) async fn look_at_branch(
        &mut self,
        participant: &ParticipantName,
        text: &str,
    ) -> Result<Look, Ended> {
        let standing = match text.parse::<TransactionId>() {
            Ok(id) => Some(self.standing(participant, &id).await?),
            Err(_) => None,
        };
        if standing == Some(Standing::UnderWay) {
            return Ok(Look::UnderWay);
        }
        let Some(link) = self.auditor.links.get(participant) else {
            return Ok(Look::Unknown);
        };
        let call = link.participant().list_prepared();
        let Some(branches) = self.answered(link, call).await? else {
            return Ok(Look::Unknown);
        };
        let is_there = branches.iter().any(|branch| match &branch.id {
            PreparedId::Transaction(id) => id.to_string() == text,
            PreparedId::Foreign(other) => other == text,
        });
        if !is_there {
            return Ok(Look::Agrees);
        }
        let whose = word(standing);
        Ok(differs(
            DisagreementKind::BranchLeft,
            place(participant, text, ""),
            format!("{participant} has a prepared branch {text}; {whose}"),
            disagreement::of_branch(standing),
        ))
    }
}

/// What the log says of a transaction that holds or has prepared something.
fn word(standing: Option<Standing>) -> &'static str {
    match standing {
        None => "it is not a transaction of tandem's",
        Some(Standing::NotOurs) => "it is another coordinator's",
        Some(Standing::NotBegun) => "the coordinator has not begun it",
        Some(Standing::UnderWay) => "it is under way",
        Some(Standing::Committed) => "the log has it committed and ended",
        Some(Standing::WithoutDecision) => "the log has no decision to commit it",
        Some(Standing::Forgotten) => "the log has forgotten it",
    }
}
