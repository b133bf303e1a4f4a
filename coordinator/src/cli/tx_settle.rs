//! `tandem tx settle ID`: a preview, a question, a record in the log.

use serde_json::{Value, json};
use tandem_proto::v1::{SettleTransactionRequest, SettleTransactionResponse, Settlement};
use tandem_protocol::{ParticipantName, TransactionId};

use super::Failure;
use super::connection::Admin;
use super::names::full;
use super::output::{self, Output, clean};
use super::person;

pub(super) const ABOUT: &str = "\
Record by hand how a branch ended, after a preview

Settling is the last resort, for a branch that `tandem tx show` calls stuck or heuristic. It stores \
who said so, when and why in the decision log, and the coordinator then asks that participant no \
more about the transaction. It changes nothing at the store: end the branch there first.

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
    pub(super) async fn run(self) -> Result<(), Failure> {
        let operator = person::or_default(self.operator.as_deref())?;
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
    ) -> Result<SettleTransactionResponse, Failure> {
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

    fn confirm(&self, preview: &SettleTransactionResponse) -> Result<(), Failure> {
        if preview.contradicts_decision && !self.force {
            return Err(Failure::Negative(
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
    if preview.contradicts_decision {
        let force = if args.force { ", forced" } else { "" };
        text.push_str(&format!("\nit CONTRADICTS the stored decision{force}"));
    }
    text
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
