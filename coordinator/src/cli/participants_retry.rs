//! `tandem participants retry NAME`.

use serde_json::json;
use tandem_proto::v1::RetryParticipantRequest;

use super::VerbFailure;
use super::connection::Admin;
use super::output::{self, Output, clean};

/// Arguments of `tandem participants retry`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The participant, as `tandem participants` names it
    #[arg(value_name = "NAME")]
    participant: String,
    #[command(flatten)]
    admin: Admin,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let question = RetryParticipantRequest {
            participant: self.participant.clone(),
        };
        let answer = self
            .admin
            .call(question, async |client, q| {
                client.retry_participant(q).await
            })
            .await?;
        match self.admin.common.output {
            Output::Json => output::json(&json!({ "failure": answer.failure }))?,
            Output::Table => output::data(&render(&self.participant, &answer.failure))?,
        }
        match answer.failure.is_empty() {
            true => Ok(()),
            false => Err(VerbFailure::Negative(String::new())),
        }
    }
}

fn render(name: &str, failure: &str) -> String {
    match failure {
        "" => format!("{name}: connected; `tandem participants` tells what came of it"),
        failure => format!("{name}: not connected: {}", clean(failure)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_said_is_told() {
        assert_eq!(
            render("stock", "WRONGPASS"),
            "stock: not connected: WRONGPASS"
        );
        assert!(render("stock", "").starts_with("stock: connected; "));
    }
}
