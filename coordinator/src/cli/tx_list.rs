//! `tandem tx list`.

use tandem_proto::v1::{
    BranchProgress, BranchSummary, ListTransactionsRequest, ListTransactionsResponse,
    TransactionState, TransactionSummary,
};

use super::connection::Admin;
use super::names::word;
use super::output::{self, Output};
use super::table::{table, width};
use super::{VerbFailure, json, time};

/// Arguments of `tandem tx list`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those with a branch that is prepared or may be, and not ended
    #[arg(long)]
    in_doubt: bool,
    /// Only those with a branch that was ended against the decision
    #[arg(long)]
    heuristic: bool,
    /// Show at most this many, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1000))]
    max: u32,
    #[command(flatten)]
    admin: Admin,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let question = ListTransactionsRequest {
            in_doubt: self.in_doubt,
            heuristic: self.heuristic,
            page_size: self.max,
            ..ListTransactionsRequest::default()
        };
        let answer = self
            .admin
            .call(question, async |client, q| {
                client.list_transactions(q).await
            })
            .await?;
        match self.admin.common.output {
            Output::Json => output::json(&json::transactions(&answer))?,
            Output::Table if answer.transactions.is_empty() => {}
            Output::Table => output::data(&render(&answer, jiff::Timestamp::now(), width()))?,
        }
        output::note(&footer(&answer));
        Ok(())
    }
}

fn render(answer: &ListTransactionsResponse, now: jiff::Timestamp, width: Option<u16>) -> String {
    let header = [
        "TRANSACTION",
        "STATE",
        "PURCHASES",
        "BEGUN",
        "AGE",
        "BRANCHES",
    ];
    let rows = answer
        .transactions
        .iter()
        .map(|transaction| row(transaction, now));
    table(header, rows, width)
}

fn row(transaction: &TransactionSummary, now: jiff::Timestamp) -> [String; 6] {
    let begun = transaction.begin_time.as_ref();
    let branches: Vec<String> = transaction
        .branches
        .iter()
        .map(|b| branch(b, now))
        .collect();
    [
        transaction.transaction_id.clone(),
        word::<TransactionState>(transaction.state),
        purchases(transaction),
        time::absolute(begun),
        time::relative(begun, now),
        branches.join("; "),
    ]
}

/// How many purchases, where memory still has them.
fn purchases(transaction: &TransactionSummary) -> String {
    match transaction.purchases {
        0 => time::NONE.to_owned(),
        number => number.to_string(),
    }
}

fn branch(branch: &BranchSummary, now: jiff::Timestamp) -> String {
    let mut text = format!(
        "{} {}",
        branch.participant,
        word::<BranchProgress>(branch.progress)
    );
    if branch.attempts > 0 {
        text.push_str(&format!(", {} failed", branch.attempts));
    }
    if branch.retry_time.is_some() {
        text.push_str(&format!(
            ", next {}",
            time::next(branch.retry_time.as_ref(), now)
        ));
    }
    text
}

fn footer(answer: &ListTransactionsResponse) -> String {
    match (answer.transactions.len(), answer.total) {
        (0, _) => "no such transaction: nothing waits".to_owned(),
        (shown, total) => {
            format!("{shown} of {total}; `tandem tx show ID` tells what each participant says")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{NOW, after, committing, now};
    use super::*;

    #[test]
    fn transactions_are_one_line_each() {
        let answer = ListTransactionsResponse {
            transactions: vec![
                committing(),
                TransactionSummary {
                    transaction_id: "shop.3.1050".into(),
                    state: TransactionState::Preparing as i32,
                    purchases: 1,
                    begin_time: Some(NOW),
                    ..TransactionSummary::default()
                },
            ],
            total: 5,
        };
        assert_eq!(
            render(&answer, now(), None),
            "\
TRANSACTION  STATE       PURCHASES  BEGUN                     AGE         BRANCHES
shop.3.1042  committing  2          2026-03-01T11:56:48.000Z  3m 12s ago  purchases ended; stock ending, 7 failed, next in 4s
shop.3.1050  preparing   1          2026-03-01T12:00:00.000Z  0s ago"
        );
        assert_eq!(
            footer(&answer),
            "2 of 5; `tandem tx show ID` tells what each participant says"
        );
    }

    #[test]
    fn branch_whose_retry_time_has_passed_waits_for_its_participant() {
        let mut transaction = committing();
        transaction.branches[1].retry_time = Some(after(-1));
        let told = branch(&transaction.branches[1], now());
        assert_eq!(told, "stock ending, 7 failed, next when it is back");
    }

    #[test]
    fn hostile_detail_does_not_reach_the_terminal() {
        let mut transaction = committing();
        transaction.branches[0].participant = "a\u{1b}[31m".into();
        let answer = ListTransactionsResponse {
            transactions: vec![transaction],
            total: 1,
        };
        assert!(!render(&answer, now(), None).contains('\u{1b}'));
    }
}
