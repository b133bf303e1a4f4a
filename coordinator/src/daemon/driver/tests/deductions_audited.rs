//! The audit of what stores have counted as deducted.

use futures::StreamExt;
use tandem_participant::attributes::Attributes;
use tandem_proto::v1;
use tandem_proto::v1::audit_response::Part;

use super::*;
use crate::audit::Auditor;
use crate::daemon::{LogReader, READS_MAX};

/// What an audit said.
#[derive(Debug, Default)]
struct Said {
    disagreements: Vec<v1::Disagreement>,
    unchecked: Vec<String>,
    summary: v1::AuditSummary,
}

impl Stand {
    async fn audit(&self, since: Option<Timestamp>, until: Option<Timestamp>) -> Said {
        let auditor = Auditor {
            driver: self.handle.clone(),
            clock: self.clock,
            coordinator: coordinator(),
            links: self.links.clone(),
            log: LogReader::new(self.log.clone(), READS_MAX),
            attributes: Attributes::default(),
        };
        let mut said = Said::default();
        let mut answers = auditor.start(since, until);
        while let Some(answer) = answers.next().await {
            match answer.unwrap().part.unwrap() {
                Part::Disagreement(disagreement) => said.disagreements.push(disagreement),
                Part::Unchecked(text) => said.unchecked.push(text),
                Part::Note(_) => {}
                Part::Summary(summary) => said.summary = summary,
            }
        }
        said
    }

    async fn buy(&self, purchases: u32) {
        for number in 0..purchases {
            let reply = self.submit(&format!("p-{number}")).await.unwrap();
            assert!(matches!(reply, Reply::Committed { .. }), "{reply:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_finds_no_difference_where_the_stores_counted_what_was_decided() {
    let (stand, _driver) = Stand::up().await;
    stand.buy(5).await;
    let said = stand.audit(None, None).await;
    assert!(said.disagreements.is_empty(), "{said:?}");
    assert!(said.unchecked.is_empty(), "{said:?}");
    // One sku at each of both.
    assert_eq!((said.summary.transactions, said.summary.skus), (5, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_names_a_stock_of_which_more_was_deducted_than_was_decided() {
    let (stand, _driver) = Stand::up().await;
    stand.buy(5).await;
    stand.b.store.set_deducted(&coordinator(), SKU, 9);
    let said = stand.audit(None, None).await;
    let [found] = said.disagreements.as_slice() else {
        panic!("one difference was planted: {said:?}");
    };
    assert_eq!(
        (found.kind.as_str(), found.participant.as_str()),
        ("DEDUCTED_DIFFERS", "b")
    );
    assert_eq!(
        found.detail,
        "b has counted 9 units of lamp as deducted, and by the log they are 5; the stock is 95"
    );
    assert!(found.remedy.contains("raise it by 4"), "{}", found.remedy);
    assert!(
        found.remedy.contains("count of lamp to 5"),
        "{}",
        found.remedy
    );
    // Whoever does what it says is better off.
    stand.b.store.set_deducted(&coordinator(), SKU, 5);
    let said = stand.audit(None, None).await;
    assert!(said.disagreements.is_empty(), "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audit_of_a_time_that_ends_before_it_begins_says_that_nothing_was_compared() {
    let (stand, _driver) = Stand::up().await;
    stand.buy(1).await;
    let tomorrow = stand.clock.now() + Duration::from_secs(86_400);
    let said = stand.audit(Some(tomorrow), None).await;
    assert_eq!(said.summary.transactions, 0);
    let all = said.unchecked.join("\n");
    assert!(all.contains("ends before it"), "{all}");
    assert!(all.contains("no purchase was compared"), "{all}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_without_a_memory_is_named_once_and_suspected_of_nothing() {
    let (stand, _driver) = Stand::up().await;
    stand.buy(5).await;
    stand.b.is_forgetful.store(true, Ordering::SeqCst);
    let said = stand.audit(None, None).await;
    assert_eq!(
        said.unchecked,
        ["what b remembers: this store keeps no memory"]
    );
    assert!(said.disagreements.is_empty(), "{said:?}");
    // What is suspected is looked at again, and would settle here.
    assert_eq!(said.summary.settled_meanwhile, 0, "{said:?}");
}
