//! `tandem tx repair ID`, or `--all`: a preview, a question, an order in the log, and what came of it.

use serde_json::{Value, json};
use tandem_proto::v1::{
    BranchRepair, RepairState, RepairTransactionRequest, RepairTransactionResponse,
};
use tandem_protocol::{ParticipantName, TransactionId};

use super::VerbFailure;
use super::connection::Admin;
use super::names::{full, word};
use super::output::{self, Output, clean};
use super::person;
use super::tx_repair_all::{self, Filter, Order};

pub(super) const ABOUT: &str = "\
Redo from the decision what a store has ended against it, after a preview

For a branch that `tandem tx show` calls heuristic and whose decision is to commit, and for a row or \
a deduction of a transaction that has ended which its store does not hold any more, as `tandem \
audit` finds it (name the participant then). The order is stored in the decision log, with who \
said so, when and why, before the store is asked; it is carried out also after a restart.

  at MySQL   the rows are inserted again, with tandem's marker row, in a transaction of their own;
             a purchase whose row is there already is left as it is, and named
  at Redis   the units are deducted once, by the store's memory of the transaction; what is not in
             stock any more is recorded as debt

Repeating it changes nothing more. A transaction that was aborted has no decision to redo: take \
back by hand what was committed of it, then `tandem tx settle --as rolled-back`.

With --all every branch that a store has ended against a decision to commit is redone so, as far as \
--participant, --kind, --since and --until pick it: one preview, one question and one reason, and a \
record in the log for each. What was previewed is repaired and nothing else; what is not simply done is \
said by itself, and the last line counts all.

The coordinator is always asked for a preview first, which is printed. On a terminal it is then \
confirmed with y; elsewhere --yes is needed.";

/// Arguments of `tandem tx repair`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The transaction: COORDINATOR.EPOCH.SEQUENCE
    #[arg(
        value_name = "ID",
        required_unless_present = "all",
        conflicts_with = "all"
    )]
    transaction: Option<TransactionId>,
    /// Every transaction with a branch that a store has ended against a decision to commit
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// The participant whose branch it is [default: every one that ended it against the decision]
    #[arg(long, value_name = "NAME")]
    participant: Option<ParticipantName>,
    /// Why; stored in the log, 1 to 1,000 characters
    #[arg(long, value_name = "TEXT", value_parser = person::reason)]
    reason: String,
    /// Who; stored in the log, 1 to 100 characters [default: $SUDO_USER or $USER]
    #[arg(long, value_name = "NAME", value_parser = person::operator)]
    operator: Option<String>,
    /// Don't ask for a confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    admin: Admin,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let operator = self.admin.person(self.operator.as_deref())?;
        let Some(id) = &self.transaction else {
            let order = Order {
                participant: self.participant.as_ref(),
                reason: &self.reason,
                operator: &operator,
                yes: self.yes,
            };
            return tx_repair_all::run(&self.filter, &order, &self.admin).await;
        };
        let is_json = self.admin.common.output == Output::Json;
        let preview = self.ask(id, &operator, true).await?;
        if !is_json {
            output::data(&render(&preview.repairs))?;
        }
        if let Err(failure) = person::confirm(self.yes, "repaired", "Repair this?") {
            if is_json {
                output::json(&document(id, &preview))?;
            }
            return Err(failure);
        }
        let answer = self.ask(id, &operator, false).await?;
        if is_json {
            output::json(&document(id, &answer))?;
        } else {
            output::data(&render(&answer.repairs))?;
        }
        verdict(&answer.repairs)
    }

    async fn ask(
        &self,
        id: &TransactionId,
        operator: &str,
        preview: bool,
    ) -> Result<RepairTransactionResponse, VerbFailure> {
        let question = RepairTransactionRequest {
            transaction_id: id.to_string(),
            participant: self
                .participant
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            reason: self.reason.clone(),
            operator: operator.to_owned(),
            preview,
        };
        self.admin
            .call(question, async |client, q| {
                client.repair_transaction(q).await
            })
            .await
    }
}

fn document(id: &TransactionId, answer: &RepairTransactionResponse) -> Value {
    let repairs = answer.repairs.iter().map(|repair| {
        json!({
            "participant": repair.participant,
            "state": full::<RepairState>(repair.state),
            "effect": repair.effect,
            "present_purchase_ids": repair.present_purchase_ids,
        })
    });
    json!({
        "transaction_id": id.to_string(),
        "repairs": repairs.collect::<Vec<_>>(),
    })
}

fn render(repairs: &[BranchRepair]) -> String {
    let lines = repairs.iter().map(|repair| {
        let mut line = match repair.state() {
            RepairState::Preview => "preview, nothing is ordered yet".to_owned(),
            _ => word::<RepairState>(repair.state),
        };
        line.push_str(&format!(
            ": {}: {}",
            clean(&repair.participant),
            clean(&repair.effect)
        ));
        if let Some(truth) = &repair.truth {
            let said = match &truth.inspected {
                Some(inspected) => clean(&inspected.detail),
                None => format!("it could not be asked: {}", clean(&truth.error)),
            };
            line.push_str(&format!(
                "\n  {} itself says now: {said}",
                clean(&truth.participant)
            ));
        }
        line
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether everything was done.
fn verdict(repairs: &[BranchRepair]) -> Result<(), VerbFailure> {
    let has = |state| repairs.iter().any(|repair| repair.state() == state);
    if has(RepairState::Failed) {
        Err(VerbFailure::Negative(
            "a store could not do it: look at what it says, and order the repair again".to_owned(),
        ))
    } else if has(RepairState::Ordered) {
        Err(VerbFailure::Unknown(
            "it is ordered and will be done; `tandem tx show` tells when".to_owned(),
        ))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tandem_proto::v1::{InspectResponse, ParticipantTruth};

    use super::*;

    fn repair(state: RepairState) -> BranchRepair {
        BranchRepair {
            participant: "purchases".into(),
            state: state.into(),
            effect: "1 purchase\u{1b}".into(),
            ..BranchRepair::default()
        }
    }

    #[test]
    fn preview_shows_the_stores_own_word() {
        let mut preview = repair(RepairState::Preview);
        preview.truth = Some(ParticipantTruth {
            participant: "purchases".into(),
            inspected: Some(InspectResponse {
                detail: "no marker row".into(),
                ..InspectResponse::default()
            }),
            error: String::new(),
            kind: String::new(),
        });
        assert_eq!(
            render(&[preview]),
            "preview, nothing is ordered yet: purchases: 1 purchase\\u{1b}\n  purchases itself says \
             now: no marker row"
        );
    }

    #[test]
    fn exit_code_says_whether_it_is_done() {
        assert!(verdict(&[repair(RepairState::Done)]).is_ok());
        let code =
            |state| verdict(&[repair(RepairState::Done), repair(state)]).map_err(|f| f.to_string());
        assert!(code(RepairState::Ordered).is_err_and(|text| text.contains("will be done")));
        assert!(code(RepairState::Failed).is_err_and(|text| text.contains("could not")));
    }
}
