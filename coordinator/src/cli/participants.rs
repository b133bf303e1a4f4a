//! `tandem participants`.

use std::fmt::Write;

use tandem_proto::v1::{
    Finding, LinkState, ListParticipantsRequest, ListParticipantsResponse, Loss, ParticipantStatus,
    PurchaseQueue,
};
use tandem_protocol::TransactionId;

use super::connection::Admin;
use super::names::word;
use super::output::{self, Output, clean};
use super::table::{table, width};
use super::{VerbFailure, forgotten, json, participants_retry, time};

/// Arguments of `tandem participants`.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    admin: Admin,
}

/// `tandem participants …`
#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Try a store now, also one that has denied the access and would be tried rarely
    #[command(after_help = super::exit_codes())]
    Retry(participants_retry::Args),
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        if let Some(Verb::Retry(args)) = self.verb {
            return args.run().await;
        }
        let answer = self
            .admin
            .call(ListParticipantsRequest {}, async |client, q| {
                client.list_participants(q).await
            })
            .await?;
        match self.admin.common.output {
            Output::Json => output::json(&json::participants(&answer)),
            Output::Table => output::data(&render(&answer, jiff::Timestamp::now(), width())),
        }
    }
}

fn render(answer: &ListParticipantsResponse, now: jiff::Timestamp, width: Option<u16>) -> String {
    let mut page = format!(
        "coordinator {}, epoch {}, log {}\n",
        clean(&answer.coordinator_id),
        answer.epoch,
        clean(&answer.log_id)
    );
    page.extend(answer.queue.as_ref().map(queued));
    page.push('\n');
    let rows = answer.participants.iter().map(|status| row(status, now));
    let header = [
        "NAME", "STATE", "SINCE", "WAITING", "KIND", "SERVER", "ADDRESS",
    ];
    page.push_str(&table(header, rows, width));
    page.push('\n');
    let coordinator = clean(&answer.coordinator_id);
    remark_findings(
        &mut page,
        &format!("coordinator {coordinator}"),
        &answer.findings,
    );
    for status in &answer.participants {
        remarks(&mut page, answer, status, now);
    }
    page
}

fn queued(queue: &PurchaseQueue) -> String {
    let apart = match queue.purchases_apart {
        0 => String::new(),
        apart => format!(", {apart} of them apart: what they touch was locked a moment ago"),
    };
    format!(
        "purchases that wait for a transaction: {}{apart}\n",
        queue.purchases
    )
}

fn row(status: &ParticipantStatus, now: jiff::Timestamp) -> [String; 7] {
    let described = |text: fn(&tandem_proto::v1::DescribeResponse) -> &String| {
        let text = status.description.as_ref().map(text);
        text.filter(|text| !text.is_empty())
            .map_or_else(|| time::NONE.to_owned(), String::clone)
    };
    [
        status.name.clone(),
        word::<LinkState>(status.state),
        time::relative(status.since.as_ref(), now),
        status.waiting.to_string(),
        described(|description| &description.kind),
        described(|description| &description.server),
        described(|description| &description.address),
    ]
}

/// What a table has no room for: why it is not up, what is unsafe, what is not ours.
fn remarks(
    page: &mut String,
    answer: &ListParticipantsResponse,
    status: &ParticipantStatus,
    now: jiff::Timestamp,
) {
    let name = clean(&status.name);
    if !status.detail.is_empty() {
        let _ = write!(page, "\n{name}: {}", clean(&status.detail));
    }
    if status.recalling {
        let _ = write!(
            page,
            "\n{name}: being asked what it remembers; new purchases wait"
        );
    }
    if status.to_redo > 0 {
        let _ = write!(
            page,
            "\n{name}: {} transactions to be carried out (again) first; new purchases wait",
            status.to_redo
        );
    }
    if let Some(loss) = &status.loss {
        remark_loss(page, &name, loss, now);
    }
    if let Some(description) = &status.description {
        remark_findings(page, &name, &description.findings);
    }
    for branch in &status.foreign_branches {
        let since = time::both(branch.prepare_time.as_ref(), now);
        let id = clean(&branch.id);
        let whose = match branch.id.parse::<TransactionId>() {
            Ok(transaction) if transaction.coordinator.as_str() == answer.coordinator_id => {
                let how = forgotten::end_by_hand(status, &answer.participants, &transaction);
                let _ = write!(
                    page,
                    "\n{name}: prepared, this coordinator's own, and so old that the log has forgotten \
                     what became of it, never touched: {id} (since {since}). Compare its purchases \
                     with the other stores: where they have them, commit it, else release it. {how}"
                );
                continue;
            }
            _ if branch.tandem => "another coordinator's",
            _ => "not tandem's",
        };
        let _ = write!(
            page,
            "\n{name}: prepared and {whose}, never touched: {id} (since {since})"
        );
    }
}

fn remark_findings(page: &mut String, of: &str, findings: &[Finding]) {
    for finding in findings {
        let verdict = verdict(finding);
        let _ = write!(
            page,
            "\n{of}: {verdict}: {}: {}",
            clean(&finding.name),
            clean(&finding.detail)
        );
    }
}

/// Whether a finding keeps a coordinator from working.
pub(super) fn verdict(finding: &Finding) -> &'static str {
    match (finding.accepted, finding.told) {
        (false, _) => "UNSAFE, refused",
        (true, false) => "unsafe, accepted by the configuration",
        (true, true) => "to be known",
    }
}

fn remark_loss(page: &mut String, name: &str, loss: &Loss, now: jiff::Timestamp) {
    let _ = write!(
        page,
        "\n{name}: had lost {} commits that it had acknowledged, found {}: {} carried out again \
         from the log, {} were still there",
        loss.transactions,
        time::both(loss.find_time.as_ref(), now),
        loss.redone,
        loss.still_there
    );
    if loss.debt > 0 {
        let owed = match loss.owed {
            Some(0) => "nothing is owed any more".to_owned(),
            Some(owed) => format!("{owed} are owed now, as `tandem stock SKU` tells"),
            None => "whether they are owed still is not known now".to_owned(),
        };
        let _ = write!(page, ", {} units could not be deducted ({owed})", loss.debt);
    }
    if loss.end_time.is_some() {
        let _ = write!(
            page,
            "; done {}",
            time::relative(loss.end_time.as_ref(), now)
        );
    }
    if !loss.unchecked_before_transaction_id.is_empty() {
        let from = match loss.unchecked_from_transaction_id.as_str() {
            "" => "all",
            from => &format!("those from {}", clean(from)),
        };
        let _ = write!(
            page,
            "\n{name}: may have lost more: {from} before {} are past the log's memory; compare them \
             by hand",
            clean(&loss.unchecked_before_transaction_id)
        );
    }
}

#[cfg(test)]
mod tests {
    use tandem_proto::v1::{DescribeResponse, PreparedBranch};

    use super::super::samples::{after, now};
    use super::*;

    /// One that is up, and has something of everything.
    fn up() -> ParticipantStatus {
        ParticipantStatus {
            name: "purchases".into(),
            state: LinkState::Up as i32,
            since: Some(after(-7_500)),
            description: Some(DescribeResponse {
                kind: "mysql".into(),
                server: "MariaDB 10.11.14".into(),
                address: "127.0.0.1:3306".into(),
                incarnation: String::new(),
                findings: vec![Finding {
                    name: "SYNC_BINLOG".into(),
                    detail: "sync_binlog is 0".into(),
                    accepted: true,
                    told: false,
                }],
            }),
            loss: Some(Loss {
                owed: Some(2),
                find_time: Some(after(-60)),
                transactions: 500,
                redone: 498,
                still_there: 2,
                debt: 3,
                end_time: Some(after(-59)),
                unchecked_from_transaction_id: "shop.1.7".into(),
                unchecked_before_transaction_id: "shop.2.9".into(),
            }),
            foreign_branches: ["bank.1.7", "shop.1.2"]
                .map(|id| PreparedBranch {
                    id: id.into(),
                    tandem: true,
                    prepare_time: None,
                })
                .into(),
            ..ParticipantStatus::default()
        }
    }

    #[test]
    fn participants_are_shown_with_what_is_wrong() {
        let down = ParticipantStatus {
            name: "stock".into(),
            state: LinkState::Down as i32,
            detail: "connection refused by 127.0.0.1:6379".into(),
            since: Some(after(-20)),
            waiting: 4,
            to_redo: 2,
            ..ParticipantStatus::default()
        };
        let answer = ListParticipantsResponse {
            participants: vec![up(), down],
            coordinator_id: "shop".into(),
            epoch: 3,
            log_id: "0198c".into(),
            queue: Some(PurchaseQueue {
                purchases: 12,
                purchases_apart: 3,
            }),
            findings: vec![Finding {
                name: "PLAINTEXT".into(),
                detail: "listen = 10.0.0.5:7650 is plain text".into(),
                accepted: true,
                told: false,
            }],
        };
        assert_eq!(
            render(&answer, now(), None),
            "\
coordinator shop, epoch 3, log 0198c
purchases that wait for a transaction: 12, 3 of them apart: what they touch was locked a moment ago

NAME       STATE  SINCE      WAITING  KIND   SERVER            ADDRESS
purchases  up     2h 5m ago  0        mysql  MariaDB 10.11.14  127.0.0.1:3306
stock      down   20s ago    4        -      -                 -

coordinator shop: unsafe, accepted by the configuration: PLAINTEXT: listen = 10.0.0.5:7650 is plain text
purchases: had lost 500 commits that it had acknowledged, found 2026-03-01T11:59:00.000Z (1m ago): \
498 carried out again from the log, 2 were still there, 3 units could not be deducted (2 are owed now, as `tandem stock SKU` tells); done 59s ago
purchases: may have lost more: those from shop.1.7 before shop.2.9 are past the log's memory; compare \
them by hand
purchases: unsafe, accepted by the configuration: SYNC_BINLOG: sync_binlog is 0
purchases: prepared and another coordinator's, never touched: bank.1.7 (since -)
purchases: prepared, this coordinator's own, and so old that the log has forgotten what became of it, \
never touched: shop.1.2 (since -). Compare its purchases with the other stores: where they have them, \
commit it, else release it. Its purchases are those that `SET SESSION TRANSACTION ISOLATION LEVEL READ \
UNCOMMITTED` and `SELECT purchase_id, sku, quantity FROM purchases JOIN purchase_items USING (purchase_id) \
WHERE transaction_id = 'shop.1.2'` show; all that was sold of a sku besides, `SELECT SUM(quantity) FROM purchases \
JOIN purchase_items USING (purchase_id) WHERE sku = 'SKU' AND transaction_id LIKE 'shop.%'` at the usual level (with statements of your own: in the tables that they \
write). To commit it: `XA COMMIT 'shop.1.2','purchases',1952542308`. To release it: `XA ROLLBACK \
'shop.1.2','purchases',1952542308`
stock: connection refused by 127.0.0.1:6379
stock: 2 transactions to be carried out (again) first; new purchases wait"
        );
    }
}
