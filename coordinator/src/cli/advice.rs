//! What a transaction's state means, and which verbs may follow.

use tandem_proto::v1::{
    BranchProgress, BranchState, BranchSummary, GetTransactionResponse, OwedUnits,
    TransactionState, TransactionSummary,
};

use super::output::clean;
use super::time;
use crate::plural::count;
use crate::store_kind::StoreKind;

/// Sentences for the operator, the most general first.
pub(super) fn advise(
    id: &str,
    answer: &GetTransactionResponse,
    now: jiff::Timestamp,
) -> Vec<String> {
    let Some(transaction) = &answer.transaction else {
        return unknown(answer);
    };
    let mut advice = vec![state(transaction, &answer.owed)];
    advice.extend(answer.owed.iter().map(owed));
    let outcome = Outcome::of(transaction);
    for of in &transaction.branches {
        let mut truths = answer.truths.iter();
        let truth = truths.find(|truth| truth.participant == of.participant);
        let kind = truth.map_or(StoreKind::Other, |truth| StoreKind::of_name(&truth.kind));
        advice.extend(branch(id, of, kind, outcome, now));
    }
    for truth in &answer.truths {
        let mut branches = transaction.branches.iter();
        let believed = branches
            .find(|branch| branch.participant == truth.participant)
            .map(BranchSummary::progress);
        if let Some(inspected) = &truth.inspected {
            let name = clean(&truth.participant);
            advice.extend(contradiction(&name, inspected.state(), believed, outcome));
        }
    }
    advice
}

/// How the transaction was decided, as far as its state tells.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Commit,
    Abort,
    Open,
}

impl Outcome {
    fn of(transaction: &TransactionSummary) -> Self {
        match transaction.state() {
            TransactionState::Committing | TransactionState::Committed => Outcome::Commit,
            TransactionState::Aborting | TransactionState::Refused => Outcome::Abort,
            TransactionState::Unspecified
            | TransactionState::Preparing
            | TransactionState::Deciding => Outcome::Open,
        }
    }

    /// The word for `tx settle --as` that agrees with it.
    fn settlement(self) -> &'static str {
        match self {
            Outcome::Commit => "committed",
            Outcome::Abort => "rolled-back",
            Outcome::Open => "committed|rolled-back",
        }
    }
}

fn state(transaction: &TransactionSummary, owed: &[OwedUnits]) -> String {
    let text = match transaction.state() {
        TransactionState::Preparing => {
            "Not decided yet. It is aborted by itself if its votes are not in by the prepare \
             deadline; nothing is to be done."
        }
        TransactionState::Deciding => {
            "All votes are in and the decision is on its way to the disk. If this lasts for more \
             than seconds, the disk that holds the decision log does not answer: mend it. When it \
             answers, this goes on by itself; a coordinator that is ended meanwhile, however it is, \
             finds at its next start what the disk has of the decision, and keeps to that."
        }
        TransactionState::Committing => return committing(transaction),
        TransactionState::Aborting => {
            "Aborted: nothing of it will be kept. Participants still have to release what they \
             prepared."
        }
        TransactionState::Committed if owed.is_empty() => {
            "Committed everywhere; nothing is to be done."
        }
        TransactionState::Committed => "Committed everywhere.",
        TransactionState::Refused => {
            "Every purchase of it was refused; nothing was kept and nothing is to be done."
        }
        TransactionState::Unspecified => {
            "The server names a state that this version of tandem does not know; use the server's \
             version."
        }
    };
    text.to_owned()
}

/// Who carries a decision out by itself, and who does not.
fn committing(transaction: &TransactionSummary) -> String {
    let needs_a_person = |branch: &&BranchSummary| {
        matches!(
            branch.progress(),
            BranchProgress::Heuristic | BranchProgress::Stuck
        )
    };
    let branches = transaction.branches.iter().filter(needs_a_person);
    let names: Vec<String> = branches.map(|b| clean(&b.participant)).collect();
    let who = if names.is_empty() {
        "every participant will carry it out".to_owned()
    } else {
        let others = match names.len() < transaction.branches.len() {
            true => "; every other one will carry it out",
            false => "",
        };
        let names = names.join(", ");
        format!("{names} will not carry it out without a person (below){others}")
    };
    format!("Decided commit: the decision is in the log, and {who}.")
}

/// What a store owes of what the transaction bought.
fn owed(owed: &OwedUnits) -> String {
    let (name, sku, units) = (clean(&owed.participant), clean(&owed.sku), owed.units);
    let remedy = match owed.remedy.as_str() {
        "" => String::new(),
        remedy => format!(", then tell the store so: {}", clean(remedy)),
    };
    format!(
        "{name} owes {units} of {sku}: they were sold, to this transaction or others, and were not in \
         stock when they were to be deducted. Put the stock of {sku} right{remedy}."
    )
}

fn branch(
    id: &str,
    branch: &BranchSummary,
    kind: StoreKind,
    outcome: Outcome,
    now: jiff::Timestamp,
) -> Option<String> {
    let name = clean(&branch.participant);
    let agreed = outcome.settlement();
    let settle =
        format!("`tandem tx settle {id} --participant {name} --as {agreed} --reason TEXT`");
    match branch.progress() {
        BranchProgress::Stuck => Some(format!(
            "{name} is stuck: only a person can end this branch. Do at the store what its last \
             failure says; then `tandem tx retry {id}` asks it again, or {settle} records that \
             it ended so, after which it is not asked any more. Settling changes nothing at the \
             store."
        )),
        BranchProgress::Heuristic => Some(format!(
            "{name} ended its branch against the decision (heuristic): its store and the others \
             disagree until a person mends it. {}",
            match outcome {
                Outcome::Commit | Outcome::Open => format!(
                    "`tandem tx repair {id} --participant {name} --reason TEXT` redoes it from the \
                     decision; PURCHASES says what. Done by hand instead, {settle} records it."
                ),
                Outcome::Abort => format!(
                    "No decision is stored to redo: take back at the store what was committed there: \
                     {}. Then {settle} records it.",
                    take_back(id, &name, kind)
                ),
            }
        )),
        BranchProgress::Settled => Some(format!(
            "{name} was ended by a person's word; the timeline says whose and why. It is not \
             asked any more. Should a sweep find the branch prepared all the same, it is ended."
        )),
        BranchProgress::Ending if branch.attempts > 0 => Some(format!(
            "{name} has not acknowledged after {}; it is asked again by itself (next {}). \
             `tandem tx retry {id}` asks now.",
            count(branch.attempts as usize, "failed call"),
            time::next(branch.retry_time.as_ref(), now),
        )),
        BranchProgress::Ending
        | BranchProgress::NotAsked
        | BranchProgress::Preparing
        | BranchProgress::Prepared
        | BranchProgress::Ended
        | BranchProgress::Unspecified => None,
    }
}

/// How a person takes back what a store of a kind has committed against an abort.
fn take_back(id: &str, participant: &str, kind: StoreKind) -> String {
    let (Ok(transaction), Ok(participant)) = (id.parse(), participant.parse()) else {
        return "by hand".to_owned();
    };
    let mysql = tandem_mysql::take_back_by_hand(&transaction, &participant);
    let redis = tandem_redis::take_back_by_hand(&transaction, &participant);
    match kind {
        StoreKind::Mysql => mysql,
        StoreKind::Redis => redis,
        StoreKind::Other => format!("at MySQL: {mysql}; at Redis: {redis}"),
    }
}

/// A store that says something else than the coordinator believes.
fn contradiction(
    name: &str,
    truth: BranchState,
    believed: Option<BranchProgress>,
    outcome: Outcome,
) -> Option<String> {
    match (truth, outcome, believed) {
        (BranchState::RolledBack, Outcome::Commit, _) => Some(format!(
            "CONTRADICTION: {name} says rolled back, the decision is commit. The purchases above \
             are missing there."
        )),
        (BranchState::Committed, Outcome::Abort, _) => Some(format!(
            "CONTRADICTION: {name} says committed, the transaction was aborted. What it has written \
             there should not be there."
        )),
        (BranchState::Committed, Outcome::Open, Some(_)) => Some(format!(
            "{name} says committed, and the coordinator knew no decision when it was read. It may \
             have moved between the two reads: look again. If it stays so, somebody else \
             committed it at the store."
        )),
        (BranchState::Prepared, _, Some(BranchProgress::Ended)) => Some(format!(
            "{name} holds it prepared, the coordinator believes that it ended there. It may have \
             moved between the two reads: look again. If it stays so, the sweeps find it and have it \
             ended again."
        )),
        (BranchState::Unclear, _, _) => Some(format!(
            "{name} can't tell now (its detail says why); look again."
        )),
        _ => None,
    }
}

fn unknown(answer: &GetTransactionResponse) -> Vec<String> {
    let mut advice = vec![
        "The coordinator does not know it: it never was this coordinator's, it was aborted, or it \
         ended so long ago that the log has forgotten it."
            .to_owned(),
    ];
    for truth in &answer.truths {
        let state = truth.inspected.as_ref().map(|inspected| inspected.state());
        if state == Some(BranchState::Prepared) {
            advice.push(format!(
                "{} holds it prepared. If it is this coordinator's, the next sweep releases it, \
                 since no stored decision means abort; another coordinator's is never touched.",
                clean(&truth.participant)
            ));
        }
    }
    advice
}

#[cfg(test)]
mod tests {
    use tandem_proto::v1::{InspectResponse, ParticipantTruth};

    use super::super::samples::{committing, now};
    use super::*;

    fn with_stock(progress: BranchProgress, truth: BranchState) -> Vec<String> {
        let mut transaction = committing();
        transaction.branches[1].progress = progress as i32;
        let truth = ParticipantTruth {
            participant: "stock".into(),
            inspected: Some(InspectResponse {
                state: truth as i32,
                ..InspectResponse::default()
            }),
            error: String::new(),
            kind: "redis".into(),
        };
        let answer = GetTransactionResponse {
            transaction: Some(transaction),
            truths: vec![truth],
            ..GetTransactionResponse::default()
        };
        advise("shop.3.1042", &answer, now())
    }

    #[test]
    fn stuck_branch_names_both_ways_out() {
        let advice = with_stock(BranchProgress::Stuck, BranchState::Absent);
        assert_eq!(advice.len(), 2);
        assert!(advice[1].contains("`tandem tx retry shop.3.1042`"));
        assert!(advice[1].contains(
            "`tandem tx settle shop.3.1042 --participant stock --as committed --reason TEXT`"
        ));
        assert!(advice[1].contains("changes nothing at the store"));
    }

    #[test]
    fn heuristic_branch_is_told_apart_from_a_stuck_one() {
        let advice = with_stock(BranchProgress::Heuristic, BranchState::RolledBack);
        assert!(advice[1].contains("against the decision (heuristic)"));
        assert!(advice[2].starts_with("CONTRADICTION: stock says rolled back"));
    }

    #[test]
    fn ended_branch_that_is_still_prepared_is_told() {
        let advice = with_stock(BranchProgress::Ended, BranchState::Prepared);
        assert!(advice[1].starts_with("stock holds it prepared, the coordinator"));
        assert_eq!(
            with_stock(BranchProgress::Ended, BranchState::Committed).len(),
            1
        );
    }
}
