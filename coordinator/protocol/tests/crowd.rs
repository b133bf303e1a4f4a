//! The same purchase from many connections at once.

#![allow(clippy::unwrap_used)]

mod notation;

use std::collections::BTreeMap;
use std::sync::Arc;

use notation::{name, settings};
use tandem_protocol::{
    Action, Coordinator, CoordinatorId, Ending, Epoch, Event, Item, Purchase, Recovered, Reply,
    RequestId, Settings, Timestamp, Vote, WaitFor,
};

/// A coordinator whose queue has room for one purchase, and whose stores are up.
fn coordinator() -> Coordinator {
    let shop: CoordinatorId = "shop".parse().unwrap();
    let settings = Settings {
        queue_purchases_max: 1,
        pipeline_transactions_max: 1,
        ..settings()
    };
    let recovered = Recovered::replay(&shop, []).unwrap();
    let names = [name("mysql"), name("redis")];
    let mut core = Coordinator::new(settings, shop, Epoch(1), names, recovered, Timestamp(0));
    for participant in ["mysql", "redis"] {
        core.handle(
            Timestamp(0),
            Event::ParticipantUp {
                participant: name(participant),
                incarnation: String::new(),
                newest_committed: Vec::new(),
                refuses_singly: participant == "redis",
            },
        );
    }
    core
}

fn submitted(request: RequestId, purchase_id: &str, wait_for: WaitFor) -> Event {
    Event::Submitted {
        request,
        purchase: Arc::new(Purchase {
            purchase_id: purchase_id.into(),
            customer_id: "ann".into(),
            currency: "EUR".into(),
            items: vec![Item {
                sku: "tea".into(),
                quantity: 1,
                unit_price_minor: 100,
                ..Default::default()
            }],
            ..Default::default()
        }),
        wait_for,
        deadline: Timestamp(60_000),
    }
}

/// Does what the coordinator asks for until nothing is left; gives the replies.
fn play(core: &mut Coordinator, mut actions: Vec<Action>) -> BTreeMap<RequestId, Reply> {
    let mut replies = BTreeMap::new();
    let mut position = 0;
    while let Some(action) = actions.pop() {
        let event = match action {
            Action::Prepare {
                participant,
                transaction,
                ..
            } => Event::Voted {
                transaction,
                participant,
                vote: Vote::Yes {
                    refused: Vec::new(),
                    incarnation: String::new(),
                },
            },
            Action::Commit {
                participant,
                transaction,
                ..
            } => Event::Acknowledged {
                transaction,
                participant,
                ending: Ending::Commit,
                evidence: None,
                debts: Vec::new(),
            },
            Action::Store { ticket, .. } => {
                position += 1;
                Event::Stored { ticket, position }
            }
            Action::Reply { request, reply } => {
                let before = replies.insert(request, reply);
                assert_eq!(before, None, "call {request} is answered twice");
                continue;
            }
            _ => continue,
        };
        actions.extend(core.handle(Timestamp(1), event));
    }
    replies
}

/// While another purchase is under way and this one takes the queue's only place.
#[test]
fn calls_for_one_purchase_take_one_place_and_hear_its_outcome_or_that_it_is_not_known() {
    for calls in [50, 500] {
        let mut core = coordinator();
        let mut actions = core.handle(Timestamp(0), submitted(0, "before", WaitFor::Applied));
        let same = (1..=calls).map(|call| submitted(call, "same", WaitFor::Applied));
        let answers = core.handle_all(Timestamp(0), same);
        assert_eq!(core.queued(), 1);
        let is_crowded = |action: &&Action| {
            matches!(
                action,
                Action::Reply {
                    reply: Reply::Crowded { .. },
                    ..
                }
            )
        };
        let crowded = answers.iter().filter(is_crowded).count();
        assert_eq!(crowded, answers.len(), "{answers:?}");
        assert_eq!(crowded as u64, calls.saturating_sub(64));
        // It is another purchase that finds no room.
        let other = core.handle(Timestamp(0), submitted(1_000, "other", WaitFor::Applied));
        assert!(
            matches!(
                &other[..],
                [Action::Reply {
                    reply: Reply::QueueFull { .. },
                    ..
                }]
            ),
            "{other:?}"
        );
        actions.extend(answers);
        let replies = play(&mut core, actions);
        assert_eq!(replies.len() as u64, calls + 1);
        let committed = |reply: &&Reply| matches!(reply, Reply::Committed { applied: true, .. });
        let committed = replies.values().filter(committed).count();
        assert_eq!(committed, replies.len() - crowded);
    }
}

/// What is decided is not unknown to those who find no place to wait.
#[test]
fn crowd_keeps_nobody_from_hearing_the_decision() {
    let mut core = coordinator();
    let first = core.handle(Timestamp(0), submitted(1, "same", WaitFor::Applied));
    let crowd = (2..=100).map(|call| submitted(call, "same", WaitFor::Applied));
    core.handle_all(Timestamp(0), crowd);
    let prepares = first.into_iter();
    let votes = prepares.filter_map(|action| match action {
        Action::Prepare {
            participant,
            transaction,
            ..
        } => Some(Event::Voted {
            transaction,
            participant,
            vote: Vote::Yes {
                refused: Vec::new(),
                incarnation: String::new(),
            },
        }),
        _ => None,
    });
    let stores = core.handle_all(Timestamp(1), votes);
    let [Action::Store { ticket, .. }] = stores[..] else {
        panic!("{stores:?}");
    };
    let position = 1;
    core.handle(Timestamp(2), Event::Stored { ticket, position });
    let late = [(101, WaitFor::Decided), (102, WaitFor::Applied)];
    let late = late.map(|(call, wait_for)| submitted(call, "same", wait_for));
    let answers = core.handle_all(Timestamp(3), late);
    assert!(
        matches!(
            answers[..],
            [
                Action::Reply {
                    request: 101,
                    reply: Reply::Committed { applied: false, .. }
                },
                Action::Reply {
                    request: 102,
                    reply: Reply::OutcomeCommitted { .. }
                }
            ]
        ),
        "{answers:?}"
    );
}
