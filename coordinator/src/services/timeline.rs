//! A transaction's story, from what memory holds. What memory holds because the log holds it is
//! said to be from the log.

use tandem_participant::convert::timestamp_to_wire as wire_time;
use tandem_proto::v1;
use tandem_protocol::{
    BranchProgress, BranchView, Ending, Settlement, Timestamp, TransactionState, TransactionView,
};

use crate::plural::count;

const LOG: &str = "log";
const MEMORY: &str = "memory";

/// What is known of a transaction, oldest first; what has no time comes last.
pub(super) fn of(view: &TransactionView) -> Vec<v1::TimelineEvent> {
    let mut events = Vec::new();
    if view.decide_time.is_none_or(|time| time != view.begin_time) {
        events.push(event(Some(view.begin_time), MEMORY, "began".into()));
    }
    if let Some(time) = view.decide_time {
        let text = match view.state {
            TransactionState::Refused => "refused as a whole; nothing was committed".into(),
            TransactionState::Committed => "decided to commit".into(),
            TransactionState::Preparing
            | TransactionState::Deciding
            | TransactionState::Committing
            | TransactionState::Aborting => {
                format!(
                    "decided to commit {}",
                    count(view.entries.len(), "purchase")
                )
            }
        };
        events.push(event(Some(time), LOG, text));
    }
    match view.state {
        TransactionState::Aborting => {
            events.push(event(
                None,
                MEMORY,
                "no decision is stored: it is rolled back".into(),
            ));
        }
        TransactionState::Committed => {
            let text = if view.branches.is_empty() {
                "ended: every participant has acknowledged"
            } else {
                "ended: every other participant has acknowledged"
            };
            events.push(event(None, LOG, text.into()));
        }
        TransactionState::Preparing
        | TransactionState::Deciding
        | TransactionState::Committing
        | TransactionState::Refused => {}
    }
    events.extend(view.branches.iter().flat_map(of_branch));
    events
}

/// What is known of one branch.
fn of_branch(branch: &BranchView) -> Vec<v1::TimelineEvent> {
    let name = &branch.participant;
    let mut events = Vec::new();
    if let Some(repair) = &branch.repair {
        let text = format!(
            "{name}: to be redone from the decision, ordered by {}: {}",
            repair.operator, repair.reason
        );
        events.push(event(None, LOG, text));
    }
    match &branch.progress {
        BranchProgress::Heuristic(_) => {
            events.push(event(None, LOG, format!("{name}: {}", branch.last_failure)));
        }
        BranchProgress::Settled(settlement) => {
            events.push(event(None, LOG, format!("{name}: {}", settled(settlement))));
        }
        BranchProgress::Ended => {
            events.push(event(None, MEMORY, format!("{name}: acknowledged")));
        }
        BranchProgress::Waiting(time) | BranchProgress::Stuck(time)
            if branch.failures > 0 =>
        {
            let text = format!(
                "{name}: to be asked again from this time on, after {}: {}",
                count(branch.failures as usize, "failed call"),
                branch.last_failure
            );
            events.push(event(Some(*time), MEMORY, text));
        }
        BranchProgress::NotAsked
        | BranchProgress::Preparing
        | BranchProgress::Prepared
        | BranchProgress::Empty
        | BranchProgress::Ending
        // Not asked yet since the start.
        | BranchProgress::Waiting(_)
        | BranchProgress::Stuck(_) => {}
    }
    events
}

/// An operator's word, for a person.
pub(super) fn settled(settlement: &Settlement) -> String {
    let how = match settlement.ending {
        Ending::Commit => "committed",
        Ending::RollBack => "rolled back",
    };
    format!(
        "settled as {how} by {}: {}",
        settlement.operator, settlement.reason
    )
}

fn event(time: Option<Timestamp>, source: &str, text: String) -> v1::TimelineEvent {
    v1::TimelineEvent {
        time: time.map(wire_time),
        source: source.into(),
        text,
    }
}
