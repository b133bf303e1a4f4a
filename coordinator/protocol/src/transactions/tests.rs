use super::*;
use crate::branch::Vote;
use crate::purchase::{Reason, Refusal};

const NOW: Timestamp = Timestamp(7);

fn id(text: &str) -> TransactionId {
    text.parse().expect("well formed")
}

fn stock() -> ParticipantName {
    "stock".parse().expect("well formed")
}

fn none() -> Transactions {
    let coordinator = "shop".parse().expect("well formed");
    Transactions::new(coordinator, Epoch(2), History::default(), None)
}

/// Begins a transaction of no purchases that all have promised.
fn promised(transactions: &mut Transactions) -> TransactionId {
    let id = transactions.take_id();
    let mut preparing = Preparing::new(Vec::new(), NOW, false, [stock()]);
    preparing.vote(&stock(), yes()).expect("nothing is wrong");
    transactions.begin(NOW, &id, Lane::Open, preparing);
    id
}

fn yes() -> Vote {
    Vote::Yes {
        refused: Vec::new(),
        incarnation: String::new(),
    }
}

fn decision(id: &TransactionId) -> Decision {
    Decision {
        transaction: id.clone(),
        begin_time: NOW,
        decide_time: NOW,
        participants: vec![stock()],
        entries: Vec::new(),
        refused: vec![RefusedPurchase {
            purchase_id: id.to_string(),
            fingerprint: Fingerprint::default(),
            participant: stock(),
            refusal: Refusal {
                reason: Reason::InsufficientStock,
                detail: String::new(),
            },
        }],
        counts: true,
    }
}

/// One that is committed and has ended.
fn committed(transactions: &mut Transactions, position: Position) -> TransactionId {
    let id = promised(transactions);
    transactions.decide(decision(&id));
    let stored = transactions.commit(&id, position, |_| Fingerprint::default());
    assert_eq!(stored, Some(decision(&id)));
    let branch = transactions.branch_mut(&id.at(&stock())).expect("asked");
    branch.progress = Progress::Done;
    let (_, is_in_log) = transactions.end(&id).expect("under way");
    assert!(is_in_log);
    id
}

#[test]
fn transaction_is_known_from_its_number_to_its_forgetting() {
    let mut all = none();
    let next = all.next_id();
    assert!(matches!(all.known(&next), Knowledge::NotBegun));
    assert!(matches!(all.known(&id("other.1.1")), Knowledge::NotOurs));
    // Of an earlier epoch, and the log says nothing about it.
    let earlier = id("shop.1.9");
    assert!(matches!(all.known(&earlier), Knowledge::PresumedAborted));
    assert_eq!(promised(&mut all), next);
    assert!(matches!(all.known(&next), Knowledge::UnderWay(_)));
    let (entries, held) = all.abort(&next).expect("it has no decision");
    assert!(entries.is_empty() && held.is_empty());
    assert_eq!(all.end(&next).map(|(_, is_in_log)| is_in_log), Some(false));
    assert!(matches!(all.known(&next), Knowledge::PresumedAborted));
    let second = committed(&mut all, 1);
    assert!(matches!(all.known(&second), Knowledge::Ended(kept) if kept.fate.is_committed()));
    assert!(all.raise_floor(second.clone()).is_empty());
    for old in [&earlier, &next, &second] {
        assert!(matches!(all.known(old), Knowledge::Forgotten), "{old}");
        assert!(all.known(old).is_explained(), "{old}");
    }
}

#[test]
fn what_is_decided_is_not_given_up() {
    let mut all = none();
    let id = promised(&mut all);
    all.decide(decision(&id));
    assert_eq!(all.abort(&id), None);
    assert!(all.preparing_mut(&id).is_none() && all.branch(&id.at(&stock())).is_none());
    assert!(all.commit(&id, 1, |_| Fingerprint::default()).is_some());
    assert_eq!(all.abort(&id), None);
    // It is stored once.
    assert_eq!(all.commit(&id, 2, |_| Fingerprint::default()), None);
}

#[test]
fn branch_is_found_by_the_ending_that_is_under_way() {
    let mut all = none();
    let branch = id("shop.1.1").at(&stock());
    let branches = all.aborting(NOW, &branch.transaction).expect("begun");
    branches.insert(stock(), Branch::new(Progress::Asked));
    assert!(all.branch_of(&branch, Ending::Commit).is_none());
    assert!(all.branch_of(&branch, Ending::RollBack).is_some());
    assert!(!all.is_acknowledged(&branch));
}

#[test]
fn acknowledged_is_what_the_store_may_not_have_forgotten() {
    let mut all = none();
    let branch = committed(&mut all, 1).at(&stock());
    assert!(all.is_acknowledged(&branch));
    let ledger = "ledger".parse().expect("well formed");
    assert!(!all.is_acknowledged(&branch.transaction.at(&ledger)));
    all.raise_floor(branch.transaction.clone());
    assert!(!all.is_acknowledged(&branch));
}

#[test]
fn nothing_is_forgotten_past_what_may_still_be_decided() {
    let mut all = none();
    let first = promised(&mut all);
    let second = committed(&mut all, 1);
    let hour = Duration::from_secs(3_600);
    let later = NOW + 2 * hour;
    let retire = |all: &mut Transactions| all.retire(later, hour, hour, 0);
    assert_eq!(retire(&mut all), Retire::Keep);
    all.decide(decision(&first));
    assert_eq!(retire(&mut all), Retire::Keep);
    all.free_slot(&first);
    assert_eq!(retire(&mut all), Retire::Forgot(second));
}

#[test]
fn floor_only_rises_and_names_what_the_log_must_keep() {
    let mut all = none();
    let aborting = id("shop.1.3");
    all.aborting(NOW, &aborting);
    assert_eq!(
        all.raise_floor(id("shop.1.4")),
        std::slice::from_ref(&aborting)
    );
    assert_eq!(*all.floor(), id("shop.1.5"));
    all.keep_abort(NOW, &aborting);
    assert!(all.raise_floor(id("shop.1.2")).is_empty());
    assert_eq!(*all.floor(), id("shop.1.5"));
}
