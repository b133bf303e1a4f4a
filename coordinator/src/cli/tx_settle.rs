//! `tandem tx settle ID`: a preview, a question, a record in the log.

use std::io::{self, BufRead, IsTerminal};

use serde_json::{Value, json};
use tandem_proto::v1::{SettleTransactionRequest, SettleTransactionResponse, Settlement};
use tandem_protocol::{ParticipantName, TransactionId};

use super::Failure;
use super::connection::Admin;
use super::names::full;
use super::output::{self, Output, clean};

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

const REASON_CHARS_MAX: usize = 1_000;
const OPERATOR_CHARS_MAX: usize = 100;

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
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Who; stored in the log, 1 to 100 characters [default: $SUDO_USER or $USER]
    #[arg(long, value_name = "NAME", value_parser = operator)]
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
        let operator = match &self.operator {
            Some(operator) => operator.clone(),
            None => default_operator(|name| std::env::var(name).ok())?,
        };
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
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Negative(
                "nothing was recorded: this was the preview. Without a terminal to ask on, add \
                 --yes to record it."
                    .to_owned(),
            ));
        }
        output::note("Record this? [y/N]");
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .map_err(anyhow::Error::from)?;
        if is_yes(&answer) {
            Ok(())
        } else {
            Err(Failure::Negative("nothing was recorded".to_owned()))
        }
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

fn default_operator(variable: impl Fn(&str) -> Option<String>) -> Result<String, Failure> {
    ["SUDO_USER", "USER"]
        .into_iter()
        .filter_map(variable)
        .find(|name| operator(name).is_ok())
        .ok_or_else(|| {
            Failure::Usage(
                "neither $SUDO_USER nor $USER says who you are; name yourself with --operator"
                    .to_owned(),
            )
        })
}

fn reason(text: &str) -> Result<String, String> {
    of_length(text, REASON_CHARS_MAX)
}

fn operator(text: &str) -> Result<String, String> {
    of_length(text, OPERATOR_CHARS_MAX)
}

fn of_length(text: &str, chars_max: usize) -> Result<String, String> {
    let text = text.trim();
    if (1..=chars_max).contains(&text.chars().count()) {
        Ok(text.to_owned())
    } else {
        Err(format!("must be 1 to {chars_max} characters"))
    }
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_a_yes() {
        for answer in ["y\n", "Y\n", "yes\n", " YES \n"] {
            assert!(is_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n\n", "yep\n", "no y\n"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }

    #[test]
    fn operator_is_the_person_behind_sudo() {
        let both = |name: &str| match name {
            "SUDO_USER" => Some("ada".to_owned()),
            _ => Some("root".to_owned()),
        };
        assert_eq!(default_operator(both).expect("known"), "ada");
        let user = |name: &str| (name == "USER").then(|| "bob".to_owned());
        assert_eq!(default_operator(user).expect("known"), "bob");
        let error = default_operator(|_| None).expect_err("nobody");
        assert!(error.to_string().contains("--operator"));
    }

    #[test]
    fn reason_is_bounded() {
        assert!(reason("  ").is_err());
        assert!(reason(&"x".repeat(1_001)).is_err());
        assert_eq!(
            reason(" dba rolled it back "),
            Ok("dba rolled it back".to_owned())
        );
    }
}
