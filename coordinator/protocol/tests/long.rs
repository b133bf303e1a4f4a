//! What still holds after many thousand transactions.

#![allow(clippy::unwrap_used)]

mod notation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use notation::{id, name, settings};
use tandem_protocol::{
    Action, Coordinator, CoordinatorId, Decision, Ending, Entry, Epoch, Event, Item,
    ParticipantName, Purchase, Reason, Record, Recovered, Refusal, RefusedEntry, Settings,
    Timestamp, TransactionId, Vote, WaitFor,
};

/// Transactions that a store has acknowledged since what it lost.
const LATER: u64 = 20_000;

/// Transactions in one question, at most: the contract's bound.
const PAGE: usize = 1_000;

/// A coordinator whose log holds this many transactions, all committed and ended, in epoch 1.
fn remembering(transactions: u64) -> Coordinator {
    let shop: CoordinatorId = "shop".parse().unwrap();
    let decided = |sequence: u64| {
        let transaction = id(&format!("shop.1.{sequence}"));
        let decision = Record::Decided(Decision {
            transaction: transaction.clone(),
            begin_time: Timestamp(1),
            decide_time: Timestamp(1),
            participants: vec![name("mysql"), name("redis")],
            entries: vec![Entry {
                number: 0,
                purchase: purchase(sequence),
            }],
            refused: Vec::new(),
            counts: true,
        });
        [
            decision,
            Record::Ended {
                transaction,
                counted: true,
            },
        ]
    };
    let records: Vec<Vec<u8>> = (1..=transactions)
        .flat_map(decided)
        .map(|record| record.encode())
        .collect();
    let numbered = (1..).zip(records.iter().map(Vec::as_slice));
    let recovered = Recovered::replay(&shop, numbered).unwrap();
    let settings = Settings {
        retention_age: Duration::from_secs(86_400),
        retention_purchases_max: 1_000_000,
        closing_age: Duration::from_secs(60),
        ..settings()
    };
    let names = [name("mysql"), name("redis")];
    Coordinator::new(settings, shop, Epoch(2), names, recovered, Timestamp(1))
}

fn purchase(number: u64) -> Arc<Purchase> {
    Arc::new(Purchase {
        purchase_id: format!("p-{number}"),
        customer_id: "ann".into(),
        currency: "EUR".into(),
        items: vec![Item {
            sku: "tea".into(),
            quantity: 1,
            unit_price_minor: 100,
            ..Default::default()
        }],
        ..Default::default()
    })
}

/// Enlists a participant and answers whatever it is asked to recall: it has forgotten `lost`.
/// Gives the number of pages, and what the coordinator did beside asking.
fn enlist(
    core: &mut Coordinator,
    participant: &str,
    incarnation: &str,
    lost: &TransactionId,
) -> (usize, Vec<Action>) {
    let up = Event::ParticipantUp {
        participant: name(participant),
        incarnation: incarnation.into(),
        newest_committed: Vec::new(),
        refuses_singly: false,
    };
    let mut actions = core.handle(Timestamp(2), up);
    let (mut pages, mut others) = (0, Vec::new());
    while let Some(action) = actions.pop() {
        let Action::Recall {
            participant,
            page,
            transactions,
        } = action
        else {
            others.push(action);
            continue;
        };
        pages += 1;
        assert!(transactions.len() <= PAGE);
        let is_lost = |id: &&TransactionId| *id == lost;
        let forgotten = transactions.iter().filter(is_lost).cloned().collect();
        let answer = Event::Recalled {
            participant,
            page,
            forgotten,
            remembers_from: None,
        };
        actions.extend(core.handle(Timestamp(2), answer));
    }
    (pages, others)
}

fn reads(actions: &[Action]) -> Vec<&TransactionId> {
    let read = actions.iter().filter_map(|action| match action {
        Action::ReadDecision { transaction, .. } => Some(transaction),
        _ => None,
    });
    read.collect()
}

/// The oldest commit is lost, and thousands have followed that are not: a replica was promoted, or a
/// backup restored and caught up with.
#[test]
fn loss_behind_many_thousand_later_commits_is_found() {
    let mut core = remembering(LATER + 1);
    let (nothing, lost) = (id("shop.1.999999"), id("shop.1.1"));
    let all = usize::try_from(LATER).unwrap() / PAGE + 1;
    for (participant, life) in [("mysql", ""), ("redis", "life-1")] {
        let (pages, others) = enlist(&mut core, participant, life, &nothing);
        assert_eq!((pages, reads(&others).len()), (all, 0), "{participant}");
    }
    // In the same life nothing can have been lost ...
    let (pages, _) = enlist(&mut core, "redis", "life-1", &lost);
    assert_eq!(pages, 0);
    // ... which a store that reports no lives can't say, and another life does not.
    for (participant, life) in [("mysql", ""), ("redis", "life-2")] {
        let mut core = core.clone();
        let (pages, others) = enlist(&mut core, participant, life, &lost);
        assert_eq!(pages, all, "{participant}");
        assert_eq!(reads(&others), [&lost], "{participant}");
        assert!(
            !core.is_quiet(),
            "new purchases wait for what {participant} lost"
        );
    }
}

/// How often a purchase is tried while nothing commits.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// How long that lasts.
const HOURS: u64 = 3;

/// Two stores that remember what they have rolled back until it is closed.
#[derive(Default)]
struct Remembering {
    rolled_back: BTreeMap<ParticipantName, BTreeSet<TransactionId>>,
    most: usize,
}

impl Remembering {
    /// Does what it is asked and gives what the coordinator hears of it: mysql refuses every entry by
    /// a constraint, redis promises what it is then asked to give back.
    fn answer(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Prepare {
                participant,
                transaction,
                entries,
                ..
            } => {
                let is_refused = participant == name("mysql");
                let refused = entries
                    .iter()
                    .filter(|_| is_refused)
                    .map(|entry| RefusedEntry {
                        number: entry.number,
                        refusal: Refusal {
                            reason: Reason::Locked,
                            detail: "somebody holds the row".into(),
                        },
                    });
                let vote = Vote::Yes {
                    refused: refused.collect(),
                    incarnation: "life-1".into(),
                };
                Some(Event::Voted {
                    transaction,
                    participant,
                    vote,
                })
            }
            Action::RollBack {
                participant,
                transaction,
            } => {
                let rolled_back = self.rolled_back.entry(participant.clone()).or_default();
                rolled_back.insert(transaction.clone());
                self.most = self.most.max(rolled_back.len());
                Some(Event::Acknowledged {
                    transaction,
                    participant,
                    ending: Ending::RollBack,
                    evidence: None,
                    debts: Vec::new(),
                })
            }
            Action::Forget {
                participant,
                closed: Some(closed),
                ..
            } => {
                let rolled_back = self.rolled_back.entry(participant).or_default();
                rolled_back.retain(|id| *id >= closed);
                None
            }
            _ => None,
        }
    }
}

/// Nothing commits and nothing is forgotten for hours: what stores remember of roll backs stays what a
/// few minutes leave.
#[test]
fn roll_backs_are_remembered_for_minutes_however_long_nothing_commits() {
    let mut core = remembering(1);
    let nothing = id("shop.1.999999");
    for participant in ["mysql", "redis"] {
        let found = Event::FoundPrepared {
            participant: name(participant),
            branches: Vec::new(),
        };
        core.handle(Timestamp(2), found);
        enlist(&mut core, participant, "life-1", &nothing);
    }
    let mut stores = Remembering::default();
    let mut now = Timestamp(10);
    let end = now + Duration::from_secs(HOURS * 3_600);
    let mut tries = 0;
    while now < end {
        tries += 1;
        let submitted = Event::Submitted {
            request: tries,
            purchase: purchase(1_000_000 + tries),
            wait_for: WaitFor::Applied,
            deadline: now + Duration::from_secs(5),
        };
        let mut actions = core.handle(now, submitted);
        while let Some(action) = actions.pop() {
            actions.extend(
                stores
                    .answer(action)
                    .map(|event| core.handle(now, event))
                    .into_iter()
                    .flatten(),
            );
        }
        now = now + TRY_EVERY;
    }
    assert!(stores.most > 100 && tries > 20_000, "{tries} tries");
    // The age, the pause until it is told, and a round of forgetting.
    let three_minutes = 180_000 / TRY_EVERY.as_millis();
    assert!(
        (stores.most as u128) < three_minutes,
        "{} at once",
        stores.most
    );
}
