//! Nothing in the coordinator grows while for hours nothing is made: all that it holds, as its text has
//! it, is as large in the last hour as in the first.

#![allow(clippy::unwrap_used)]

mod notation;

use std::sync::Arc;
use std::time::Duration;

use notation::{name, settings};
use tandem_protocol::{
    Action, Coordinator, CoordinatorId, Ending, Epoch, Event, Item, Purchase, Reason, Recovered,
    Refusal, RefusedEntry, Reply, Settings, Timestamp, Vote, WaitFor,
};

/// How often a purchase is tried.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// How long that lasts.
const HOURS: u64 = 4;

/// How much larger its text may be in the last hour than in the first, in per cent: numbers in it get
/// longer.
const GROWTH_PER_CENT_MAX: usize = 5;

/// The largest text of a coordinator that remembers two hundred purchases and suspects what was locked in
/// the last ten seconds, in bytes.
const SIZE_MAX: usize = 150_000;

/// What mysql does with every purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Every {
    /// Refuses it for good.
    Refused,
    /// Votes no.
    Aborted,
    /// Finds a row locked, which all purchases need and nothing shows.
    Locked,
}

struct Play {
    core: Coordinator,
    every: Every,
    now: Timestamp,
    position: u64,
    /// Purchases that were not made, as their clients were told.
    not_made: u64,
}

impl Play {
    fn new(every: Every) -> Play {
        let shop: CoordinatorId = "shop".parse().unwrap();
        let settings = Settings {
            retention_age: Duration::from_secs(3_600),
            retention_purchases_max: 200,
            closing_age: Duration::from_secs(60),
            ..settings()
        };
        let recovered = Recovered::replay(&shop, []).unwrap();
        let names = [name("mysql"), name("redis")];
        let now = Timestamp(0);
        let core = Coordinator::new(settings, shop, Epoch(1), names, recovered, now);
        let mut play = Play {
            core,
            every,
            now,
            position: 0,
            not_made: 0,
        };
        for participant in ["mysql", "redis"] {
            play.tell(Event::FoundPrepared {
                participant: name(participant),
                branches: Vec::new(),
            });
            play.tell(Event::ParticipantUp {
                participant: name(participant),
                incarnation: "life-1".into(),
                newest_committed: Vec::new(),
                refuses_singly: participant == "redis",
            });
        }
        play
    }

    fn submit(&mut self, number: u64) {
        let purchase = Purchase {
            purchase_id: format!("p-{number}"),
            customer_id: format!("c-{number}"),
            currency: "EUR".into(),
            items: vec![Item {
                sku: format!("sku-{}", number % 1_000),
                quantity: 1,
                unit_price_minor: 100,
                ..Default::default()
            }],
            ..Default::default()
        };
        self.tell(Event::Submitted {
            request: number,
            purchase: Arc::new(purchase),
            wait_for: WaitFor::Applied,
            deadline: self.now + Duration::from_secs(5),
        });
    }

    /// Tells it something, and does what it asks for until that is nothing.
    fn tell(&mut self, event: Event) {
        let mut actions = self.core.handle(self.now, event);
        while let Some(action) = actions.pop() {
            if let Some(event) = self.carry_out(action) {
                actions.extend(self.core.handle(self.now, event));
            }
        }
    }

    fn carry_out(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::Prepare {
                participant,
                transaction,
                entries,
                ..
            } => {
                let refusal = |number| RefusedEntry {
                    number,
                    refusal: Refusal {
                        reason: match self.every {
                            Every::Locked => Reason::Locked,
                            Every::Refused | Every::Aborted => Reason::ConstraintViolated,
                        },
                        detail: "no".into(),
                    },
                };
                let is_mysql = participant == name("mysql");
                let vote = match self.every {
                    Every::Aborted if is_mysql => Vote::No {
                        detail: "no".into(),
                    },
                    Every::Refused | Every::Aborted | Every::Locked => Vote::Yes {
                        refused: match is_mysql {
                            true => entries.iter().map(|entry| refusal(entry.number)).collect(),
                            false => Vec::new(),
                        },
                        incarnation: "life-1".into(),
                    },
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
            } => Some(Event::Acknowledged {
                transaction,
                participant,
                ending: Ending::RollBack,
                evidence: None,
                debts: Vec::new(),
            }),
            Action::Store { ticket, .. } => {
                self.position += 1;
                let position = self.position;
                Some(Event::Stored { ticket, position })
            }
            Action::Reply { reply, .. } => {
                assert!(
                    matches!(reply, Reply::Refused { .. } | Reply::Unavailable { .. }),
                    "{reply:?}"
                );
                self.not_made += 1;
                None
            }
            _ => None,
        }
    }

    /// All that the coordinator holds, in bytes of its text.
    fn size(&self) -> usize {
        format!("{:?}", self.core).len()
    }
}

/// The largest sizes in each hour.
fn sizes(every: Every) -> Vec<usize> {
    let mut play = Play::new(every);
    let mut sizes = Vec::new();
    let tries_per_hour = u64::try_from(3_600_000 / TRY_EVERY.as_millis()).unwrap();
    for hour in 0..HOURS {
        let mut largest = 0;
        for number in 0..tries_per_hour {
            play.submit(hour * tries_per_hour + number);
            play.now = play.now + TRY_EVERY;
            // Not always at the same moment of what it does once a second or a minute.
            if number % 97 == 0 {
                largest = largest.max(play.size());
            }
        }
        sizes.push(largest);
    }
    assert_eq!(play.not_made, HOURS * tries_per_hour);
    sizes
}

#[test]
fn coordinator_that_makes_nothing_for_hours_does_not_grow() {
    for every in [Every::Refused, Every::Aborted, Every::Locked] {
        let sizes = sizes(every);
        println!("{every:?}: {sizes:?} bytes at most in each hour");
        let (first, last) = (sizes[0], *sizes.last().unwrap());
        assert!(
            last * 100 <= first * (100 + GROWTH_PER_CENT_MAX),
            "{every:?}: {sizes:?}"
        );
        assert!(last <= SIZE_MAX, "{every:?}: {sizes:?}");
    }
}
