//! `tandem audit`: purchases, rows, deductions and holds compared while everything goes on.

use std::time::Duration;

use serde_json::{Value, json};
use tandem_proto::v1::audit_response::Part;
use tandem_proto::v1::{AuditRequest, AuditSummary, Disagreement};

use super::connection::Admin;
use super::output::{self, Output, clean};
use super::{VerbFailure, time};

pub(super) const ABOUT: &str = "\
Compare every purchase of a time with what the stores hold, live

Reads the decisions of the log, the purchases' rows, what each store remembers of the transactions, \
what is held and its sums, what was deducted in all, prepared branches and debts, a page at a time, \
without stopping anything. \
What differs is looked at again once what was under way has ended, and counts if it still differs. \
Each disagreement is printed with what it means and which verb mends it.

Without a time everything is compared that the log remembers.";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  everything agrees
  1  something disagrees; it is printed
  2  the command line is wrong
  3  the coordinator can't be reached
  4  no final answer: the audit was cut short
  5  nothing that was compared disagrees, but not everything could be compared, or nothing was there
     to be";

/// Disagreements that are kept to be printed as one document.
const DISAGREEMENTS_MAX: usize = 1_000;

/// Arguments of `tandem audit`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Purchases decided from this moment on: 2026-03-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<jiff::Timestamp>,
    /// Purchases decided until this moment [default: now]
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "since")]
    until: Option<jiff::Timestamp>,
    /// Purchases decided within this time until now: 1h
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration,
          conflicts_with_all = ["since", "until"])]
    last: Option<Duration>,
    #[command(flatten)]
    admin: Admin,
}

/// What was found.
#[derive(Debug, Default)]
struct Findings {
    disagreements: Vec<Disagreement>,
    unchecked: Vec<String>,
    notes: Vec<String>,
    summary: Option<AuditSummary>,
}

impl Args {
    pub(super) async fn run(self) -> Result<(), VerbFailure> {
        let request = self.request(jiff::Timestamp::now());
        let is_json = self.admin.common.output == Output::Json;
        let mut parts = self
            .admin
            .call(request, async |client, q| client.audit(q).await)
            .await?;
        let mut found = Findings::default();
        loop {
            let part = match parts.message().await {
                Ok(Some(answer)) => answer.part,
                Ok(None) => break,
                Err(status) => {
                    let why = clean(status.message());
                    return Err(VerbFailure::Unknown(format!(
                        "the audit was cut short: {why}"
                    )));
                }
            };
            let Some(part) = part else { continue };
            if !is_json && let Some(text) = render(&part) {
                output::data(&text)?;
            }
            found.take(part);
        }
        if is_json {
            output::json(&found.document())?;
        }
        found.verdict()
    }

    fn request(&self, now: jiff::Timestamp) -> AuditRequest {
        let since = match self.last {
            Some(last) => now.checked_sub(last).ok(),
            None => self.since,
        };
        AuditRequest {
            since: since.map(time::wire),
            until: self.until.map(time::wire),
        }
    }
}

impl Findings {
    fn take(&mut self, part: Part) {
        match part {
            Part::Disagreement(disagreement) if self.disagreements.len() < DISAGREEMENTS_MAX => {
                self.disagreements.push(disagreement);
            }
            Part::Disagreement(_) => {}
            Part::Unchecked(text) => self.unchecked.push(text),
            Part::Note(text) => self.notes.push(text),
            Part::Summary(summary) => self.summary = Some(summary),
        }
    }

    fn document(&self) -> Value {
        let disagreements: Vec<Value> = self
            .disagreements
            .iter()
            .map(|one| {
                json!({
                    "kind": one.kind,
                    "participant": one.participant,
                    "transaction_id": one.transaction_id,
                    "purchase_id": one.purchase_id,
                    "detail": one.detail,
                    "meaning": one.meaning,
                    "remedy": one.remedy,
                })
            })
            .collect();
        let summary = self.summary.as_ref().map(|summary| {
            json!({
                "since": time::absolute(summary.since.as_ref()),
                "until": time::absolute(summary.until.as_ref()),
                "transactions": summary.transactions,
                "purchases": summary.purchases,
                "rows": summary.rows,
                "remembered": summary.remembered,
                "skus": summary.skus,
                "in_flight": summary.in_flight,
                "disagreements": summary.disagreements,
                "settled_meanwhile": summary.settled_meanwhile,
            })
        });
        json!({
            "disagreements": disagreements,
            "unchecked": self.unchecked,
            "notes": self.notes,
            "summary": summary,
        })
    }

    fn verdict(&self) -> Result<(), VerbFailure> {
        let Some(summary) = &self.summary else {
            return Err(VerbFailure::Unknown("the audit was cut short".to_owned()));
        };
        if summary.disagreements > 0 {
            Err(VerbFailure::Disagreement)
        } else if !self.unchecked.is_empty() {
            Err(VerbFailure::Incomplete(
                "not everything could be compared; see above".to_owned(),
            ))
        } else {
            Ok(())
        }
    }
}

fn render(part: &Part) -> Option<String> {
    Some(match part {
        Part::Disagreement(one) => {
            let mut head = format!("{} at {}", clean(&one.kind), clean(&one.participant));
            for (what, id) in [
                ("purchase", &one.purchase_id),
                ("transaction", &one.transaction_id),
            ] {
                if !id.is_empty() {
                    head.push_str(&format!(", {what} {}", clean(id)));
                }
            }
            format!(
                "{head}\n  found  {}\n  means  {}\n  mend   {}",
                clean(&one.detail),
                clean(&one.meaning),
                clean(&one.remedy)
            )
        }
        Part::Unchecked(text) => format!("NOT COMPARED: {}", clean(text)),
        Part::Note(text) => format!("note: {}", clean(text)),
        Part::Summary(summary) => format!(
            "{} purchases in {} transactions, {} rows, {} remembered, {} skus, from {} to {}: {} \
             disagreements; {} in flight, {} differed only at the first look",
            summary.purchases,
            summary.transactions,
            summary.rows,
            summary.remembered,
            summary.skus,
            time::absolute(summary.since.as_ref()),
            time::absolute(summary.until.as_ref()),
            summary.disagreements,
            summary.in_flight,
            summary.settled_meanwhile,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(disagreements: u64, unchecked: &[&str]) -> Findings {
        Findings {
            unchecked: unchecked.iter().map(|text| (*text).to_owned()).collect(),
            summary: Some(AuditSummary {
                disagreements,
                ..AuditSummary::default()
            }),
            ..Findings::default()
        }
    }

    #[test]
    fn verdict_tells_agreement_disagreement_and_what_was_not_compared_apart() {
        assert!(found(0, &[]).verdict().is_ok());
        assert!(matches!(
            found(1, &["stock: down"]).verdict(),
            Err(VerbFailure::Disagreement)
        ));
        assert!(matches!(
            found(0, &["stock: down"]).verdict(),
            Err(VerbFailure::Incomplete(_))
        ));
        assert!(matches!(
            Findings::default().verdict(),
            Err(VerbFailure::Unknown(_))
        ));
    }

    #[test]
    fn disagreement_says_what_it_means_and_what_mends_it() {
        let part = Part::Disagreement(Disagreement {
            kind: "ROW_MISSING".into(),
            participant: "purchases".into(),
            transaction_id: "shop.1.3".into(),
            purchase_id: "p-7".into(),
            detail: "no row".into(),
            meaning: "it was removed".into(),
            remedy: "`tandem tx repair`".into(),
        });
        assert_eq!(
            render(&part).unwrap_or_default(),
            "ROW_MISSING at purchases, purchase p-7, transaction shop.1.3\n  found  no row\n  means  \
             it was removed\n  mend   `tandem tx repair`"
        );
    }
}
