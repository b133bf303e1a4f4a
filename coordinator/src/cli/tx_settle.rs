//! `tandem tx settle ID`: a preview, a question, a record in the log.

use serde_json::{Value, json};
use tandem_proto::v1::{
    BranchState, ParticipantTruth, SettleTransactionRequest, SettleTransactionResponse, Settlement,
};
use tandem_protocol::{ParticipantName, TransactionId};

use super::VerbFailure;
use super::connection::Admin;
use super::names::{full, word};
use super::output::{self, Output, clean};
use super::person;

pub(super) const ABOUT: &str = "\
Record by hand how a branch ended, after a preview

Settling is the last resort, for a branch that `tandem tx show` calls stuck or heuristic. It stores \
who said so, when and why in the decision log, and the coordinator then asks that participant no \
more about the transaction. It changes nothing at the store: end the branch there first. Where \
the store says that the branch is prepared it has not ended, and nothing is recorded without --force; \
what is prepared all the same once a store can be asked again is ended as recorded, so don't do by \
hand what is still prepared.

  --as committed    the branch's purchases are in the store
  --as rolled-back  nothing of the branch is in the store

The coordinator is always asked for a preview first, which is printed. On a terminal it is then \
confirmed with y; elsewhere --yes is needed. What contradicts the stored decision is refused \
without --force: with it the stores disagree, and stay so until a person repairs them.";

/// Arguments of `tandem tx settle`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The transaction: COORDINATOR.EPOCH.SEQUENCE
    #[arg(value_name = "ID")]
    transaction: TransactionId,
    /// The participant whose branch it is
    #[arg(long, value_name = "NAME")]
    participant: ParticipantName,
    /// How the branch ended
    #[arg(long = "as", value_enum)]
    ended: Ended,
    /// Why; stored in the log, 1 to 1,000 characters
    #[arg(long, value_name = "TEXT", value_parser = person::reason)]
    reason: String,
    /// Who; stored in the log, 1 to 100 characters [default: $SUDO_USER or $USER]
    #[arg(long, value_name = "NAME", value_parser = person::operator)]
    operator: Option<String>,
    /// Record it even though it contradicts the stored decision
    #[arg(long)]
    force: bool,
    /// Don't ask for a confirmation
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    admin: Admin,
}

/// How a branch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Ended {
    /// Its purchases are in the store
    Committed,
    /// Nothing of it is in the store
    RolledBack,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let operator = self.admin.person(self.operator.as_deref())?;
        let preview = self.ask(&operator, true).await?;
        if self.admin.common.output == Output::Table {
            output::data(&render_preview(&self, &preview))?;
        }
        if let Err(failure) = self.confirm(&preview) {
            if self.admin.common.output == Output::Json {
                output::json(&document(&self, &preview, false))?;
            }
            return Err(failure);
        }
        let settled = self.ask(&operator, false).await?;
        match self.admin.common.output {
            Output::Json => output::json(&document(&self, &settled, true)),
            Output::Table => output::data(&format!("recorded: {}", clean(&settled.effect))),
        }
    }

    async fn ask(
        &self,
        operator: &str,
        preview: bool,
    ) -> Result<SettleTransactionResponse, VerbFailure> {
        let question = SettleTransactionRequest {
            transaction_id: self.transaction.to_string(),
            participant: self.participant.to_string(),
            settlement: self.settlement() as i32,
            reason: self.reason.clone(),
            operator: operator.to_owned(),
            preview,
            force: self.force,
        };
        self.admin
            .call(question, async |client, q| {
                client.settle_transaction(q).await
            })
            .await
    }

    fn confirm(&self, preview: &SettleTransactionResponse) -> Result<(), VerbFailure> {
        if preview.contradicts_decision && !self.force {
            return Err(VerbFailure::Negative(
                "nothing was recorded: it contradicts the stored decision. Settle it the other \
                 way, or add --force if the store can't be brought in line with the decision."
                    .to_owned(),
            ));
        }
        person::confirm(self.yes, "recorded", "Record this?")
    }

    fn settlement(&self) -> Settlement {
        match self.ended {
            Ended::Committed => Settlement::Committed,
            Ended::RolledBack => Settlement::RolledBack,
        }
    }
}

fn render_preview(args: &Args, preview: &SettleTransactionResponse) -> String {
    let mut text = format!(
        "preview, nothing is recorded yet: {}",
        clean(&preview.effect)
    );
    let force = if args.force { ", forced" } else { "" };
    if preview.contradicts_decision {
        text.push_str(&format!("\nit CONTRADICTS the stored decision{force}"));
    }
    let name = args.participant.as_str();
    match truth(args, preview).and_then(|truth| truth.inspected.as_ref()) {
        Some(inspected) if inspected.state() == BranchState::Prepared => text.push_str(&format!(
            "\nWARNING: {name} says that the branch is prepared: it has not ended{force}"
        )),
        Some(_) => {}
        None => text.push_str(&format!(
            "\nWARNING: {name} can't be asked now: nobody knows whether the branch has ended"
        )),
    }
    for truth in &preview.truths {
        text.push_str(&format!("\n  {}", said(truth)));
    }
    text
}

/// What the participant itself says whose branch it is.
fn truth<'a>(args: &Args, preview: &'a SettleTransactionResponse) -> Option<&'a ParticipantTruth> {
    let mut truths = preview.truths.iter();
    truths.find(|truth| truth.participant == args.participant.as_str())
}

/// A participant's own word.
fn said(truth: &ParticipantTruth) -> String {
    let name = clean(&truth.participant);
    match &truth.inspected {
        Some(inspected) => format!(
            "{name} itself says now: {}: {}",
            word::<BranchState>(inspected.state),
            clean(&inspected.detail)
        ),
        None => format!("{name} could not be asked: {}", clean(&truth.error)),
    }
}

fn document(args: &Args, answer: &SettleTransactionResponse, recorded: bool) -> Value {
    json!({
        "transaction_id": args.transaction.to_string(),
        "participant": args.participant.as_str(),
        "settlement": full::<Settlement>(args.settlement() as i32),
        "recorded": recorded,
        "effect": answer.effect,
        "contradicts_decision": answer.contradicts_decision,
    })
}
