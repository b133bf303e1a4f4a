//! Properties over random events, records, bytes and texts.

#![allow(clippy::unwrap_used)]

mod notation;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use notation::{action_text, event_text, name, settings};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use strum::VariantArray;
use tandem_protocol::{
    Action, BranchProgress, Call, CallFailure, CallFailureKind, CommitEvidence, Coordinator,
    CoordinatorId, Debt, Decision, Ending, Entry, Epoch, Event, HeuristicKind, Item,
    ParticipantName, ParticipantTotals, PreparedBranch, PreparedId, Purchase, Reason, Record,
    Recovered, Refusal, RefusedEntry, RefusedPurchase, Repair, Repaired, ReplayError, Reply,
    Settlement, SkuTotal, Ticket, Timestamp, TransactionId, Vote, WaitFor, entry_bytes,
    fingerprint,
};

/// The coordinator's own participants, and one that it has never heard of.
const PARTICIPANTS: [&str; 3] = ["mysql", "redis", "stranger"];

/// Its own transactions of this epoch and of earlier ones, and others'.
const TRANSACTIONS: [&str; 8] = [
    "shop.2.1",
    "shop.2.2",
    "shop.2.3",
    "shop.1.1",
    "shop.1.2",
    "shop.1.3",
    "shop.1.4",
    "other.2.1",
];

/// What an outside that obeys no rule may do.
#[derive(Debug, Clone)]
enum Step {
    Happens(Box<Event>),
    /// Some of what was to be stored is.
    Stored(usize),
    TimePasses(u64),
    /// Something that the coordinator has asked for is answered; possibly again.
    Answered(prop::sample::Index, Answer),
}

#[derive(Debug, Clone, Copy)]
enum Answer {
    Well,
    RefusingTheFirst(Reason),
    Failing(CallFailureKind),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// Repeated, late, foreign and invented events: nothing panics, nothing is committed without
    /// its decision stored, nothing is given up after it, nobody is answered twice.
    #[test]
    fn random_events_keep_the_order_of_things(steps in vec(step(), 1..80)) {
        Checked::start(&[])?.play(steps)?;
    }

    /// The same after a log of any records that make sense one by one.
    #[test]
    fn any_log_can_be_recovered(records in vec(record(), 0..25), steps in vec(step(), 0..40)) {
        match Checked::start(&records) {
            Ok(mut checked) => checked.play(steps)?,
            Err(error) => {
                let is_contradiction = matches!(error, ReplayError::Contradiction { .. });
                prop_assert!(is_contradiction, "{error}");
            }
        }
    }

    #[test]
    fn records_are_read_as_they_were_written(record in record()) {
        prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in vec(any::<u8>(), 0..200)) {
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn a_damaged_record_is_a_record_or_an_error(
        record in record(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = record.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Record::decode(&bytes);
        let _ = Record::decode(&bytes[..at]);
    }

    /// The bound by which transactions are filled holds for a decision's real size.
    #[test]
    fn an_entry_takes_no_more_than_it_is_said_to(
        purchases in vec(purchase(), 1..20),
        refusals in vec((reason(), ".{0,40}"), 1..20),
    ) {
        let decision = |entries, refused| Record::Decided(Decision {
            transaction: "shop.1.1".parse().unwrap(),
            begin_time: Timestamp(0),
            decide_time: Timestamp(0),
            participants: Vec::new(),
            entries,
            refused,
            counts: true,
        });
        let empty = decision(Vec::new(), Vec::new()).encode().len();
        let bound: usize = purchases.iter().map(|purchase| entry_bytes(purchase)).sum();
        let entries = (0..).zip(&purchases);
        let entries = entries.map(|(number, purchase)| Entry {
            number,
            purchase: purchase.clone(),
        });
        let surviving = decision(entries.collect(), Vec::new()).encode().len();
        prop_assert!(surviving <= empty + bound + 4, "{surviving} > {empty} + {bound}");
        let refused = purchases.iter().zip(refusals).map(|(purchase, (reason, detail))| {
            RefusedPurchase {
                purchase_id: purchase.purchase_id.clone(),
                fingerprint: fingerprint(purchase),
                participant: "p".repeat(32).parse().unwrap(),
                refusal: Refusal { reason, detail },
            }
        });
        let refused = decision(Vec::new(), refused.collect()).encode().len();
        prop_assert!(refused <= empty + bound + 4, "{refused} > {empty} + {bound}");
    }

    #[test]
    fn an_id_has_one_text(text in "[a-z0-9.+ -]{0,40}") {
        if let Ok(id) = text.parse::<TransactionId>() {
            prop_assert_eq!(id.to_string(), text.as_str());
            prop_assert!(text.len() <= 64);
        }
        if let Ok(id) = text.parse::<CoordinatorId>() {
            prop_assert_eq!(id.to_string(), text.as_str());
        }
        if let Ok(id) = text.parse::<ParticipantName>() {
            prop_assert_eq!(id.to_string(), text);
        }
    }

    #[test]
    fn an_id_is_read_as_it_was_written(
        coordinator in "[a-z0-9-]{1,20}",
        epoch in any::<u64>(),
        sequence in any::<u64>(),
    ) {
        let id = TransactionId {
            coordinator: coordinator.parse().unwrap(),
            epoch: Epoch(epoch),
            sequence,
        };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn any_text_is_an_id_or_an_error(text in any::<String>()) {
        let _ = text.parse::<TransactionId>();
        let _ = text.parse::<CoordinatorId>();
        let _ = text.parse::<ParticipantName>();
    }

    #[test]
    fn another_content_has_another_fingerprint(one in purchase(), other in purchase()) {
        let sorted = |purchase: &Purchase| {
            let mut sorted = purchase.clone();
            sorted.items.sort_by(|a, b| a.sku.cmp(&b.sku));
            sorted
        };
        let is_same = fingerprint(&one) == fingerprint(&other);
        prop_assert_eq!(is_same, sorted(&one) == sorted(&other));
    }
}

/// A coordinator, and what its actions so far allow.
struct Checked {
    core: Coordinator,
    now: Timestamp,
    storing: Vec<(Ticket, Record)>,
    next_position: u64,
    decided: BTreeMap<TransactionId, Vec<Entry>>,
    /// The decisions in the log, by their position.
    decisions: BTreeMap<u64, Decision>,
    given_up: BTreeSet<TransactionId>,
    waiting: BTreeSet<u64>,
    next_request: u64,
    asked: Vec<Action>,
}

impl Checked {
    fn start(records: &[Record]) -> Result<Checked, ReplayError> {
        let id: CoordinatorId = "shop".parse().unwrap();
        let is_of_epoch_1 = |record: &&Record| match record {
            Record::EpochStarted { epoch, .. } => *epoch == Epoch(1),
            other => other
                .transaction()
                .is_some_and(|t| t.coordinator == id && t.epoch == Epoch(1)),
        };
        let records: Vec<&Record> = records.iter().filter(is_of_epoch_1).collect();
        let decisions = (1..)
            .zip(&records)
            .filter_map(|(position, record)| match record {
                Record::Decided(decision) => Some((position, decision.clone())),
                _ => None,
            })
            .collect();
        let log: Vec<Vec<u8>> = records.iter().map(|record| record.encode()).collect();
        let next_position = log.len() as u64 + 1;
        let log = (1..).zip(log.iter().map(Vec::as_slice));
        let recovered = Recovered::replay(&id, log)?;
        let participants = [name("mysql"), name("redis")];
        let core = Coordinator::new(
            tandem_protocol::Settings {
                retention_purchases_max: 2,
                queue_purchases_max: 4,
                unfinished_transactions_max: 6,
                ..settings()
            },
            id,
            Epoch(2),
            participants,
            recovered,
            Timestamp(0),
        );
        let mut decided = BTreeMap::new();
        for view in core.unfinished() {
            decided.insert(view.id, view.entries);
        }
        Ok(Checked {
            core,
            now: Timestamp(0),
            storing: Vec::new(),
            next_position,
            decided,
            decisions,
            given_up: BTreeSet::new(),
            waiting: BTreeSet::new(),
            next_request: 0,
            asked: Vec::new(),
        })
    }

    fn play(&mut self, steps: Vec<Step>) -> Result<(), TestCaseError> {
        for step in steps {
            match step {
                Step::TimePasses(pause) => {
                    self.now.0 += pause;
                    self.handle(Event::Tick)?;
                }
                Step::Stored(most) => {
                    let stored = self.storing.len().min(most);
                    let stored: Vec<_> = self.storing.drain(..stored).collect();
                    for (ticket, record) in stored {
                        if let Record::Decided(decision) = record {
                            let id = decision.transaction.clone();
                            prop_assert!(!self.given_up.contains(&id), "{id} has two outcomes");
                            self.decided.insert(id, decision.entries.clone());
                            self.decisions.insert(self.next_position, decision);
                        }
                        let position = self.next_position;
                        self.next_position += 1;
                        self.handle(Event::Stored { ticket, position })?;
                    }
                }
                Step::Answered(which, answer) => {
                    if !self.asked.is_empty() {
                        let asked = which.get(&self.asked);
                        self.handle(answered(asked, answer))?;
                    }
                }
                Step::Happens(event) => self.handle(self.numbered(*event))?,
            }
        }
        Ok(())
    }

    /// Requests are numbered by the shell; all else is as random as it came.
    fn numbered(&self, event: Event) -> Event {
        let request = self.next_request;
        match event {
            Event::Submitted {
                purchase,
                wait_for,
                deadline,
                ..
            } => Event::Submitted {
                request,
                purchase,
                wait_for,
                deadline: Timestamp(self.now.0 + deadline.0),
            },
            Event::Settled {
                settlement, force, ..
            } => Event::Settled {
                request,
                settlement,
                force,
            },
            Event::RepairOrdered {
                repair, decision, ..
            } => Event::RepairOrdered {
                request,
                repair,
                decision,
            },
            other => other,
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), TestCaseError> {
        let text = event_text(&event);
        if let Event::Submitted { request, .. }
        | Event::Settled { request, .. }
        | Event::RepairOrdered { request, .. } = &event
        {
            self.waiting.insert(*request);
            self.next_request += 1;
        }
        let actions = self.core.handle(self.now, event);
        let mut answers = Vec::new();
        prop_assert!(self.core.next_deadline() > self.now, "{text}");
        for action in actions {
            let context = format!("{text} -> {}", action_text(&action));
            if matches!(
                action,
                Action::Prepare { .. }
                    | Action::Commit { .. }
                    | Action::Repair { .. }
                    | Action::RollBack { .. }
            ) {
                self.asked.push(action.clone());
            }
            match action {
                Action::Store { ticket, record, .. } => self.storing.push((ticket, record)),
                Action::Commit {
                    transaction,
                    entries,
                    ..
                }
                | Action::Repair {
                    transaction,
                    entries,
                    ..
                } => prop_assert_eq!(
                    self.decided.get(&transaction),
                    Some(&entries),
                    "{}",
                    context
                ),
                // A person's word alone stands against a decision, for his branch.
                Action::RollBack {
                    transaction,
                    participant,
                } => {
                    let is_decided = self
                        .decided
                        .get(&transaction)
                        .is_some_and(|e| !e.is_empty());
                    if !is_decided || !self.is_settled_against(&transaction, &participant) {
                        prop_assert!(!is_decided, "{context}");
                        self.given_up.insert(transaction);
                    }
                }
                Action::Reply { request, reply } => {
                    prop_assert!(self.waiting.remove(&request), "{context}");
                    if let Reply::Committed { transaction, .. } = reply {
                        // What the log remembers as ended is not among the unfinished.
                        let known = self.decided.contains_key(&transaction)
                            || self.core.transaction(&transaction).is_some();
                        prop_assert!(known, "{context}");
                    }
                }
                Action::ReplySettled { request, .. } | Action::ReplyRepaired { request, .. } => {
                    prop_assert!(self.waiting.remove(&request), "{context}");
                }
                Action::Prepare { participant, .. }
                | Action::Forget { participant, .. }
                | Action::Enlist { participant } => {
                    prop_assert!(participant != name("stranger"), "{context}");
                }
                Action::Release { before } => {
                    prop_assert!(before <= self.next_position, "{context}");
                }
                Action::Recall {
                    participant,
                    page,
                    transactions,
                } => answers.push(Event::Recalled {
                    participant,
                    page,
                    // Every third is forgotten.
                    forgotten: transactions.into_iter().step_by(3).collect(),
                    remembers_from: None,
                }),
                Action::ReadDecision {
                    transaction,
                    position,
                } => {
                    let decision = self.decisions.get(&position).cloned();
                    if let Some(decision) = &decision {
                        let entries = decision.entries.clone();
                        self.decided.insert(transaction.clone(), entries);
                    }
                    answers.push(Event::DecisionRead {
                        transaction,
                        decision,
                    });
                }
                Action::Halt { .. } | Action::Note(_) => {}
            }
        }
        for answer in answers {
            self.handle(answer)?;
        }
        Ok(())
    }

    /// Whether a person has said of a branch that it was rolled back.
    fn is_settled_against(&self, id: &TransactionId, participant: &ParticipantName) -> bool {
        let view = self.core.transaction(id);
        let mut branches = view.into_iter().flat_map(|view| view.branches);
        branches.any(|branch| match branch.progress {
            BranchProgress::Settled(word) => {
                branch.participant == *participant && word.ending == Ending::RollBack
            }
            _ => false,
        })
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => event().prop_map(|event| Step::Happens(Box::new(event))),
        4 => (0..4_usize).prop_map(Step::Stored),
        12 => (any::<prop::sample::Index>(), answer()).prop_map(|(i, a)| Step::Answered(i, a)),
        1 => (0..4_000_u64).prop_map(Step::TimePasses),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        9 => Just(Answer::Well),
        2 => reason().prop_map(Answer::RefusingTheFirst),
        2 => failure().prop_map(Answer::Failing),
    ]
}

fn answered(asked: &Action, answer: Answer) -> Event {
    let (participant, transaction, call) = match asked {
        Action::Prepare {
            participant,
            transaction,
            ..
        } => (participant, transaction, Call::Prepare),
        Action::Commit {
            participant,
            transaction,
            ..
        } => (participant, transaction, Call::End(Ending::Commit)),
        Action::Repair {
            participant,
            transaction,
            ..
        } => (participant, transaction, Call::Repair),
        Action::RollBack {
            participant,
            transaction,
        } => (participant, transaction, Call::End(Ending::RollBack)),
        other => panic!("{other:?} is no question"),
    };
    let (participant, transaction) = (participant.clone(), transaction.clone());
    match (answer, asked) {
        (Answer::Failing(kind), _) => Event::CallFailed {
            transaction,
            participant,
            call,
            failure: CallFailure {
                kind,
                detail: "because".into(),
            },
        },
        (Answer::Well | Answer::RefusingTheFirst(_), Action::Prepare { entries, .. }) => {
            let refused = match answer {
                Answer::RefusingTheFirst(reason) => vec![RefusedEntry {
                    number: entries[0].number,
                    refusal: Refusal {
                        reason,
                        detail: String::new(),
                    },
                }],
                Answer::Well | Answer::Failing(_) => Vec::new(),
            };
            Event::Voted {
                transaction,
                participant,
                vote: Vote::Yes {
                    refused,
                    incarnation: String::new(),
                },
            }
        }
        (Answer::Well | Answer::RefusingTheFirst(_), Action::Repair { .. }) => Event::Repaired {
            transaction,
            participant,
            repaired: Repaired {
                evidence: CommitEvidence::Redone,
                present: Vec::new(),
                debts: Vec::new(),
            },
        },
        (Answer::Well | Answer::RefusingTheFirst(_), _) => {
            let ending = if call == Call::End(Ending::Commit) {
                Ending::Commit
            } else {
                Ending::RollBack
            };
            Event::Acknowledged {
                transaction,
                participant,
                ending,
                evidence: (ending == Ending::Commit).then_some(CommitEvidence::Applied),
                debts: Vec::new(),
            }
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    let submitted =
        (purchase(), any::<bool>(), 0..9_000_u64).prop_map(|(purchase, decided, time)| {
            Event::Submitted {
                request: 0,
                purchase,
                wait_for: if decided {
                    WaitFor::Decided
                } else {
                    WaitFor::Applied
                },
                deadline: Timestamp(time),
            }
        });
    let voted =
        (transaction(), participant(), vote()).prop_map(|(transaction, participant, vote)| {
            Event::Voted {
                transaction,
                participant,
                vote,
            }
        });
    let stored = (0..30_u64, any::<u64>()).prop_map(|(ticket, position)| Event::Stored {
        // Tickets that were never given out.
        ticket: ticket + 1_000_000,
        position: position / 2,
    });
    let acknowledged = (transaction(), participant(), ending(), any::<bool>()).prop_map(
        |(transaction, participant, ending, redone)| Event::Acknowledged {
            transaction,
            participant,
            ending,
            evidence: redone.then_some(CommitEvidence::Redone),
            debts: Vec::from_iter(redone.then(|| Debt {
                sku: "tea".into(),
                quantity: 1,
                detail: String::new(),
            })),
        },
    );
    let call_failed = (transaction(), participant(), call(), failure()).prop_map(
        |(transaction, participant, call, kind)| Event::CallFailed {
            transaction,
            participant,
            call,
            failure: CallFailure {
                kind,
                detail: "because".into(),
            },
        },
    );
    let incarnation = select(vec!["", "life-1", "life-2"]);
    let up = (
        participant(),
        incarnation,
        vec(transaction(), 0..2),
        any::<bool>(),
    )
        .prop_map(
            |(participant, incarnation, newest_committed, refuses_singly)| Event::ParticipantUp {
                participant,
                incarnation: incarnation.into(),
                newest_committed,
                refuses_singly,
            },
        );
    let both_up = select(vec!["mysql", "redis"]).prop_map(|text| Event::ParticipantUp {
        participant: name(text),
        incarnation: String::new(),
        newest_committed: Vec::new(),
        refuses_singly: text == "redis",
    });
    let down = participant().prop_map(|participant| Event::ParticipantDown {
        participant,
        detail: "gone".into(),
    });
    let found = (participant(), vec(transaction(), 0..4)).prop_map(|(participant, found)| {
        Event::FoundPrepared {
            participant,
            branches: found
                .into_iter()
                .map(PreparedId::Transaction)
                .chain([PreparedId::Foreign("x".into())])
                .map(|id| PreparedBranch {
                    id,
                    prepare_time: None,
                })
                .collect(),
        }
    });
    let settled = (settlement(), any::<bool>()).prop_map(|(settlement, force)| Event::Settled {
        request: 0,
        settlement,
        force,
    });
    prop_oneof![
        6 => submitted,
        4 => voted,
        1 => stored,
        2 => acknowledged,
        2 => call_failed,
        1 => up,
        6 => both_up,
        1 => down,
        2 => found,
        1 => transaction().prop_map(|transaction| Event::RetryNow { transaction }),
        2 => settled,
        2 => repair().prop_map(|repair| Event::RepairOrdered {
            request: 0,
            repair,
            decision: None,
        }),
        1 => prop_oneof![9 => Just(Event::Tick), 1 => Just(Event::Drain)],
    ]
}

fn vote() -> impl Strategy<Value = Vote> {
    let refused = (0..3_u32, reason()).prop_map(|(number, reason)| RefusedEntry {
        number,
        refusal: Refusal {
            reason,
            detail: "a long story ".repeat(20),
        },
    });
    let refused = prop_oneof![3 => Just(Vec::new()), 2 => vec(refused, 1..3)];
    let yes =
        (refused, select(vec!["", "", "life-1"])).prop_map(|(refused, incarnation)| Vote::Yes {
            refused,
            incarnation: incarnation.into(),
        });
    let no = Just(Vote::No {
        detail: "no".into(),
    });
    prop_oneof![8 => yes, 1 => no]
}

fn record() -> impl Strategy<Value = Record> {
    let time = (0..100_000_u64).prop_map(Timestamp).boxed();
    let decided = (
        transaction(),
        time.clone(),
        vec(purchase(), 1..4),
        refusals(),
        any::<bool>(),
    )
        .prop_map(|(transaction, decide_time, purchases, refused, counts)| {
            Record::Decided(Decision {
                transaction,
                begin_time: decide_time,
                decide_time,
                participants: vec![name("mysql"), name("redis")],
                entries: (0..)
                    .zip(purchases)
                    .map(|(number, purchase)| Entry { number, purchase })
                    .collect(),
                refused,
                counts,
            })
        });
    prop_oneof![
        (1..3_u64, time.clone(), "[a-z]{0,9}").prop_map(|(epoch, time, instance_id)| {
            Record::EpochStarted {
                epoch: Epoch(epoch),
                instance_id,
                time,
            }
        }),
        decided,
        (transaction(), time.clone(), refusals()).prop_map(|(transaction, time, refused)| {
            Record::Refused {
                transaction,
                time,
                refused,
            }
        }),
        (transaction(), any::<bool>()).prop_map(|(transaction, counted)| Record::Ended {
            transaction,
            counted,
        }),
        (settlement(), time.clone())
            .prop_map(|(settlement, time)| Record::Settled { settlement, time }),
        (repair(), time.clone()).prop_map(|(repair, time)| Record::RepairOrdered { repair, time }),
        (transaction(), participant(), heuristic(), ".{0,20}", time).prop_map(
            |(transaction, participant, kind, detail, time)| Record::Heuristic {
                transaction,
                participant,
                kind,
                detail,
                time,
            }
        ),
        transaction().prop_map(|before| Record::Forgotten {
            epoch: Epoch(1),
            before,
        }),
        (participant(), vec(sku_total(), 0..4)).prop_map(|(participant, skus)| {
            Record::Totals(ParticipantTotals { participant, skus })
        }),
    ]
}

fn sku_total() -> impl Strategy<Value = SkuTotal> {
    ("[ab]", any::<u64>(), any::<u64>()).prop_map(|(sku, deducted, unsure)| SkuTotal {
        sku,
        deducted,
        unsure,
    })
}

fn refusals() -> impl Strategy<Value = Vec<RefusedPurchase>> {
    let refused = (purchase(), participant(), reason(), ".{0,20}").prop_map(
        |(purchase, participant, reason, detail)| RefusedPurchase {
            purchase_id: purchase.purchase_id.clone(),
            fingerprint: fingerprint(&purchase),
            participant,
            refusal: Refusal { reason, detail },
        },
    );
    vec(refused, 0..3)
}

fn settlement() -> impl Strategy<Value = Settlement> {
    (transaction(), participant(), ending(), ".{0,20}").prop_map(
        |(transaction, participant, ending, reason)| Settlement {
            transaction,
            participant,
            ending,
            reason,
            operator: "ann".into(),
        },
    )
}

fn repair() -> impl Strategy<Value = Repair> {
    (transaction(), participant(), ".{0,20}").prop_map(|(transaction, participant, reason)| {
        Repair {
            transaction,
            participant,
            reason,
            operator: "ann".into(),
        }
    })
}

fn purchase() -> impl Strategy<Value = Arc<Purchase>> {
    let item = ("[a-z]{1,3}", 1..4_u32, 0..500_i64);
    (0..6_u32, "[ab]", vec(item, 1..3)).prop_map(|(number, customer_id, items)| {
        Arc::new(Purchase {
            purchase_id: format!("p-{number}"),
            customer_id,
            currency: "EUR".into(),
            items: items
                .into_iter()
                .map(|(sku, quantity, unit_price_minor)| Item {
                    sku,
                    quantity,
                    unit_price_minor,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        })
    })
}

fn transaction() -> impl Strategy<Value = TransactionId> {
    select(&TRANSACTIONS[..]).prop_map(notation::id)
}

fn participant() -> impl Strategy<Value = ParticipantName> {
    prop_oneof![
        9 => select(&PARTICIPANTS[..2]),
        1 => Just(PARTICIPANTS[2]),
    ]
    .prop_map(name)
}

fn ending() -> impl Strategy<Value = Ending> {
    select(vec![Ending::Commit, Ending::RollBack])
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![Just(Call::Prepare), ending().prop_map(Call::End)]
}

fn failure() -> impl Strategy<Value = CallFailureKind> {
    prop_oneof![
        4 => Just(CallFailureKind::Unavailable),
        2 => Just(CallFailureKind::Busy),
        1 => Just(CallFailureKind::Stuck),
        1 => heuristic().prop_map(CallFailureKind::Heuristic),
    ]
}

fn heuristic() -> impl Strategy<Value = HeuristicKind> {
    select(HeuristicKind::VARIANTS)
}

fn reason() -> impl Strategy<Value = Reason> {
    select(Reason::VARIANTS)
}
