//! `tandem tx retry ID`.

use serde_json::json;
use tandem_proto::v1::{RetryTransactionRequest, RetryTransactionResponse};
use tandem_protocol::TransactionId;

use super::VerbFailure;
use super::connection::Admin;
use super::output::{self, Output, clean};

/// Arguments of `tandem tx retry`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The transaction: COORDINATOR.EPOCH.SEQUENCE
    #[arg(value_name = "ID")]
    transaction: TransactionId,
    #[command(flatten)]
    admin: Admin,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let id = self.transaction.to_string();
        let question = RetryTransactionRequest {
            transaction_id: id.clone(),
        };
        let answer = self
            .admin
            .call(question, async |client, q| {
                client.retry_transaction(q).await
            })
            .await?;
        match self.admin.common.output {
            Output::Json => output::json(&json!({ "participants": answer.participants })),
            Output::Table => output::data(&render(&id, &answer)),
        }
    }
}

fn render(id: &str, answer: &RetryTransactionResponse) -> String {
    if answer.participants.is_empty() {
        return format!("{id}: no participant waits for a retry");
    }
    let asked: Vec<String> = answer.participants.iter().map(|name| clean(name)).collect();
    format!(
        "{id}: asked now: {}\n`tandem tx show {id}` tells what came of it",
        asked.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn participants_that_are_asked_are_named() {
        let asked = RetryTransactionResponse {
            participants: vec!["purchases".into(), "stock".into()],
        };
        assert_eq!(
            render("shop.3.1", &asked),
            "shop.3.1: asked now: purchases, stock\n`tandem tx show shop.3.1` tells what came of it"
        );
        let nobody = RetryTransactionResponse::default();
        assert_eq!(
            render("shop.3.1", &nobody),
            "shop.3.1: no participant waits for a retry"
        );
    }
}
