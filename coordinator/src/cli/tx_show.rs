//! `tandem tx show ID`: every fact with its source and the time at which it was read.

use std::fmt::Write;

use tandem_proto::v1::{
    BranchProgress, BranchState, Entry, GetTransactionRequest, GetTransactionResponse, Purchase,
    TransactionState, TransactionSummary,
};
use tandem_protocol::TransactionId;

use super::connection::Admin;
use super::content::{self, Shown};
use super::names::word;
use super::output::{self, Output, clean};
use super::table::{table, width};
use super::{VerbFailure, advice, json, time};
use crate::xid;

/// Arguments of `tandem tx show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The transaction: COORDINATOR.EPOCH.SEQUENCE; or a branch of it as XA RECOVER lists it, also in
    /// hexadecimal
    #[arg(value_name = "ID", value_parser = transaction)]
    transaction: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    admin: Admin,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let question = GetTransactionRequest {
            transaction_id: self.transaction.clone(),
        };
        let answer = self
            .admin
            .call(question, async |client, q| client.get_transaction(q).await)
            .await?;
        // A coordinator that is older than branches as a question does not repeat it.
        let id = match answer.transaction_id.as_str() {
            "" => self.transaction,
            id => clean(id),
        };
        match self.admin.common.output {
            Output::Json => output::json(&json::details(&answer, self.shown))?,
            Output::Table => output::data(&render(&id, &answer, self.shown, width()))?,
        }
        match answer.transaction {
            Some(_) => Ok(()),
            None => Err(VerbFailure::Negative(format!(
                "the coordinator does not know {id}"
            ))),
        }
    }
}

/// What the coordinator will look for.
fn transaction(text: &str) -> Result<String, String> {
    if xid::meanings(text).is_empty() {
        let error = text.parse::<TransactionId>().err();
        return Err(error.map(|error| error.to_string()).unwrap_or_default());
    }
    Ok(text.to_owned())
}

/// Ages are counted from the server's own clock, so that this machine's can't make them lie.
fn render(id: &str, answer: &GetTransactionResponse, shown: Shown, width: Option<u16>) -> String {
    let now = time::moment(answer.read_time.as_ref()).unwrap_or_else(jiff::Timestamp::now);
    let read = match &answer.read_time {
        Some(read) => format!("read {}", time::absolute(Some(read))),
        None => "read now".to_owned(),
    };
    let mut page = String::new();
    match &answer.transaction {
        Some(transaction) => {
            summary(&mut page, transaction, answer, &read, now, width);
        }
        None => section(
            &mut page,
            &format!("TRANSACTION {id} (coordinator memory and decision log, {read})"),
            "not known",
        ),
    }
    section(
        &mut page,
        "PARTICIPANTS' OWN TRUTH (each store, read when it says)",
        &truths(answer, now, width),
    );
    if !answer.timeline.is_empty() {
        let title = "TIMELINE (log = decision log, durable; memory = coordinator memory)";
        section(&mut page, title, &timeline(answer, now, width));
    }
    if !answer.entries.is_empty() {
        let title = format!("PURCHASES (coordinator, {read})");
        section(&mut page, &title, &entries(&answer.entries, shown, width));
    }
    if !answer.refused.is_empty() {
        let title = format!("REFUSED PURCHASES (decision log, {read})");
        section(&mut page, &title, &refused(&answer.refused, width));
    }
    let advice = advice::advise(id, answer, now);
    section(&mut page, "WHAT IT MEANS", &advice.join("\n"));
    page
}

fn section(page: &mut String, title: &str, body: &str) {
    if !page.is_empty() {
        page.push('\n');
    }
    let _ = writeln!(page, "{}", clean(title));
    for line in body.lines() {
        let _ = writeln!(page, "  {line}");
    }
}

fn summary(
    page: &mut String,
    transaction: &TransactionSummary,
    answer: &GetTransactionResponse,
    read: &str,
    now: jiff::Timestamp,
    width: Option<u16>,
) {
    let facts = format!(
        "state      {}\nbegun      {}\ndecided    {}\npurchases  {}",
        word::<TransactionState>(transaction.state),
        time::both(transaction.begin_time.as_ref(), now),
        time::both(transaction.decide_time.as_ref(), now),
        purchases(transaction, answer),
    );
    let id = &transaction.transaction_id;
    section(
        page,
        &format!("TRANSACTION {id} (coordinator memory, {read})"),
        &facts,
    );
    if transaction.branches.is_empty() {
        return;
    }
    let rows = transaction.branches.iter().map(|branch| {
        [
            branch.participant.clone(),
            word::<BranchProgress>(branch.progress),
            branch.attempts.to_string(),
            time::next(branch.retry_time.as_ref(), now),
            time::or_none(branch.detail.clone()),
        ]
    });
    let header = [
        "PARTICIPANT",
        "PROGRESS",
        "FAILED",
        "NEXT TRY",
        "LAST FAILURE",
    ];
    section(
        page,
        &format!("BRANCHES (coordinator memory, {read})"),
        &table(header, rows, inner(width)),
    );
}

/// How many purchases there are, or why that is not known.
fn purchases(transaction: &TransactionSummary, answer: &GetTransactionResponse) -> String {
    let number = answer.entries.len().max(transaction.purchases as usize);
    let refused = match answer.refused.len() {
        0 => String::new(),
        refused => format!(", {refused} refused"),
    };
    match transaction.state() {
        TransactionState::Committed if number == 0 => {
            "the log did not give them back; while the coordinator is stopped, `tandem log inspect DIR \
             --records` has them"
                .to_owned()
        }
        TransactionState::Aborting if number == 0 && answer.refused.is_empty() => {
            "none is kept".to_owned()
        }
        _ => format!("{number}{refused}"),
    }
}

fn truths(answer: &GetTransactionResponse, now: jiff::Timestamp, width: Option<u16>) -> String {
    let rows = answer.truths.iter().map(|truth| match &truth.inspected {
        Some(inspected) => [
            truth.participant.clone(),
            word::<BranchState>(inspected.state),
            time::both(inspected.read_time.as_ref(), now),
            time::or_none(inspected.detail.clone()),
        ],
        None => [
            truth.participant.clone(),
            "not asked".to_owned(),
            time::NONE.to_owned(),
            time::or_none(truth.error.clone()),
        ],
    });
    table(
        ["PARTICIPANT", "STATE", "READ", "DETAIL"],
        rows,
        inner(width),
    )
}

fn timeline(answer: &GetTransactionResponse, now: jiff::Timestamp, width: Option<u16>) -> String {
    let rows = answer.timeline.iter().map(|event| {
        [
            time::absolute(event.time.as_ref()),
            time::relative(event.time.as_ref(), now),
            time::or_none(event.source.clone()),
            event.text.clone(),
        ]
    });
    table(["TIME", "AGE", "SOURCE", "EVENT"], rows, inner(width))
}

fn entries(entries: &[Entry], shown: Shown, width: Option<u16>) -> String {
    let rows = entries.iter().map(|entry| {
        [
            entry.number.to_string(),
            entry.purchase_id.clone(),
            entry.customer_id.clone(),
            entry.currency.clone(),
            content::items(&entry.items),
            time::or_none(shown.attributes(&entry.attributes)),
        ]
    });
    let header = [
        "NUMBER",
        "PURCHASE",
        "CUSTOMER",
        "CURRENCY",
        "ITEMS (PRICE IN MINOR UNITS)",
        "ATTRIBUTES",
    ];
    table(header, rows, inner(width))
}

fn refused(purchases: &[Purchase], width: Option<u16>) -> String {
    let rows = purchases.iter().map(|purchase| {
        let refusal = purchase.refusal.clone().unwrap_or_default();
        [
            purchase.purchase_id.clone(),
            refusal.participant,
            refusal.reason,
            time::or_none(refusal.detail),
        ]
    });
    table(["PURCHASE", "BY", "REASON", "DETAIL"], rows, inner(width))
}

/// Room for a table in an indented section.
fn inner(width: Option<u16>) -> Option<u16> {
    width.map(|width| width.saturating_sub(2))
}

#[cfg(test)]
mod tests {
    use tandem_proto::v1::{InspectResponse, Item, ParticipantTruth, Refusal, TimelineEvent};

    use super::super::samples::{NOW, after, committing};
    use super::*;

    fn stuck() -> GetTransactionResponse {
        GetTransactionResponse {
            transaction: Some(committing()),
            timeline: vec![
                TimelineEvent {
                    time: Some(after(-191)),
                    source: "log".into(),
                    text: "decided commit of 2 purchases".into(),
                },
                TimelineEvent {
                    time: Some(after(-190)),
                    source: "memory".into(),
                    text: "purchases acknowledged".into(),
                },
            ],
            entries: vec![Entry {
                number: 0,
                purchase_id: "o-1".into(),
                customer_id: "c-1".into(),
                items: vec![Item {
                    sku: "lamp".into(),
                    quantity: 2,
                    unit_price_minor: 1999,
                    ..Default::default()
                }],
                currency: "EUR".into(),
                ..Default::default()
            }],
            truths: vec![
                ParticipantTruth {
                    participant: "purchases".into(),
                    inspected: Some(InspectResponse {
                        state: BranchState::Committed as i32,
                        detail: "marker row found".into(),
                        read_time: Some(NOW),
                    }),
                    error: String::new(),
                    kind: "mysql".into(),
                },
                ParticipantTruth {
                    participant: "stock".into(),
                    inspected: None,
                    error: "connection refused".into(),
                    kind: "redis".into(),
                },
            ],
            read_time: Some(NOW),
            ..GetTransactionResponse::default()
        }
    }

    #[test]
    fn every_fact_has_its_source_and_an_error_does_not_end_the_page() {
        assert_eq!(
            render("shop.3.1042", &stuck(), Shown::default(), None),
            "\
TRANSACTION shop.3.1042 (coordinator memory, read 2026-03-01T12:00:00.000Z)
  state      committing
  begun      2026-03-01T11:56:48.000Z (3m 12s ago)
  decided    2026-03-01T11:56:49.000Z (3m 11s ago)
  purchases  2

BRANCHES (coordinator memory, read 2026-03-01T12:00:00.000Z)
  PARTICIPANT  PROGRESS  FAILED  NEXT TRY  LAST FAILURE
  purchases    ended     0       -         -
  stock        ending    7       in 4s     connection refused

PARTICIPANTS' OWN TRUTH (each store, read when it says)
  PARTICIPANT  STATE      READ                               DETAIL
  purchases    committed  2026-03-01T12:00:00.000Z (0s ago)  marker row found
  stock        not asked  -                                  connection refused

TIMELINE (log = decision log, durable; memory = coordinator memory)
  TIME                      AGE         SOURCE  EVENT
  2026-03-01T11:56:49.000Z  3m 11s ago  log     decided commit of 2 purchases
  2026-03-01T11:56:50.000Z  3m 10s ago  memory  purchases acknowledged

PURCHASES (coordinator, read 2026-03-01T12:00:00.000Z)
  NUMBER  PURCHASE  CUSTOMER  CURRENCY  ITEMS (PRICE IN MINOR UNITS)  ATTRIBUTES
  0       o-1       c-1       EUR       2 x lamp at 1999              -

WHAT IT MEANS
  Decided commit: the decision is in the log, and every participant will carry it out.
  stock has not acknowledged after 7 failed calls; it is asked again by itself (next in 4s). `tandem tx retry shop.3.1042` asks now.
"
        );
    }

    #[test]
    fn ended_transaction_shows_what_is_known_and_no_empty_table() {
        let mut answer = stuck();
        let transaction = answer.transaction.as_mut().expect("is known");
        transaction.state = TransactionState::Committed as i32;
        transaction.purchases = 0;
        transaction.branches.clear();
        answer.refused.push(Purchase {
            purchase_id: "o-2".into(),
            refusal: Some(Refusal {
                reason: "INSUFFICIENT_STOCK".into(),
                participant: "stock".into(),
                detail: "1 available, 2 wanted".into(),
            }),
            ..Purchase::default()
        });
        answer.truths.truncate(1);
        let inspected = answer.truths[0].inspected.as_mut().expect("was read");
        // The participant's clock is a little ahead.
        inspected.read_time = Some(prost_types::Timestamp {
            nanos: 1_000_000,
            ..NOW
        });
        let page = render("shop.3.1042", &answer, Shown::default(), None);
        assert!(
            page.starts_with(
                "\
TRANSACTION shop.3.1042 (coordinator memory, read 2026-03-01T12:00:00.000Z)
  state      committed
  begun      2026-03-01T11:56:48.000Z (3m 12s ago)
  decided    2026-03-01T11:56:49.000Z (3m 11s ago)
  purchases  1, 1 refused

PARTICIPANTS' OWN TRUTH (each store, read when it says)
  PARTICIPANT  STATE      READ                               DETAIL
  purchases    committed  2026-03-01T12:00:00.001Z (0s ago)  marker row found
"
            ),
            "{page}"
        );
        let refused = "\
REFUSED PURCHASES (decision log, read 2026-03-01T12:00:00.000Z)
  PURCHASE  BY     REASON              DETAIL
  o-2       stock  INSUFFICIENT_STOCK  1 available, 2 wanted
";
        assert!(page.contains(refused), "{page}");
        answer.entries.clear();
        let page = render("shop.3.1042", &answer, Shown::default(), None);
        assert!(
            page.contains("purchases  the log did not give them back"),
            "{page}"
        );
    }

    #[test]
    fn unknown_transaction_still_shows_what_the_stores_say() {
        let mut answer = stuck();
        answer.transaction = None;
        answer.timeline.clear();
        answer.entries.clear();
        answer.truths[0] = ParticipantTruth {
            participant: "purchases".into(),
            inspected: Some(InspectResponse {
                state: BranchState::Prepared as i32,
                detail: String::new(),
                read_time: Some(NOW),
            }),
            error: String::new(),
            kind: "mysql".into(),
        };
        assert_eq!(
            render("shop.3.9", &answer, Shown::default(), None),
            "\
TRANSACTION shop.3.9 (coordinator memory and decision log, read 2026-03-01T12:00:00.000Z)
  not known

PARTICIPANTS' OWN TRUTH (each store, read when it says)
  PARTICIPANT  STATE      READ                               DETAIL
  purchases    prepared   2026-03-01T12:00:00.000Z (0s ago)  -
  stock        not asked  -                                  connection refused

WHAT IT MEANS
  The coordinator does not know it: it never was this coordinator's, it was aborted, or it ended so long ago that the log has forgotten it.
  purchases holds it prepared. If it is this coordinator's, the next sweep releases it, since no stored decision means abort; another coordinator's is never touched.
"
        );
    }

    #[test]
    fn long_cells_are_wrapped_to_the_terminal() {
        let mut answer = stuck();
        answer.timeline[0].text = "decided commit ".repeat(20);
        let page = render("shop.3.1042", &answer, Shown::default(), Some(80));
        let timeline = page.split("TIMELINE").nth(1).expect("has a timeline");
        let rows = timeline.lines().skip(1).take_while(|line| !line.is_empty());
        assert!(rows.clone().count() > 3);
        for row in rows {
            assert!(row.chars().count() <= 80, "{row:?}");
        }
    }
}
