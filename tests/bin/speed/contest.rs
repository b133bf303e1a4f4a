//! One turn of a contestant: its clients buy for a time, and what they were told is counted.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::future::try_join_all;
use tokio::time::sleep_until;

use crate::meter::Meter;
use crate::pace::Pace;
use crate::score::Score;
use crate::workload::{Answer, Cart, Workload};

/// How much is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Load {
    /// So many clients, each of which asks again as soon as it is answered.
    Closed {
        /// How many.
        clients: usize,
    },
    /// So many purchases a second, whether the earlier ones are answered or not, by as many clients
    /// as may be busy at once.
    Open {
        /// Purchases a second.
        rate: f64,
        /// How many clients.
        clients: usize,
    },
}

/// One contestant's turn.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    /// Unique within the run; a part of the purchases' ids.
    pub(crate) name: String,
    pub(crate) workload: Workload,
    pub(crate) load: Load,
    /// Before anything is measured.
    pub(crate) warm_up: Duration,
    /// What is measured.
    pub(crate) window: Duration,
}

/// What all clients were told, also before and after the measured window.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) bought: u64,
    pub(crate) refused: u64,
}

/// A client of a contestant.
pub(crate) trait Buyer: Send + 'static {
    /// Makes a purchase.
    fn buy(&mut self, cart: &Cart) -> impl Future<Output = Result<Answer>> + Send;

    /// Ends its connections in order, so that the stores are not busy with it in the next turn.
    fn leave(self) -> impl Future<Output = Result<()>> + Send;
}

impl Load {
    /// How many clients there are.
    pub(crate) fn clients(self) -> usize {
        match self {
            Load::Closed { clients } | Load::Open { clients, .. } => clients,
        }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Load::Closed { clients } => write!(f, "{clients} clients"),
            Load::Open { rate, .. } => write!(f, "{rate:.0}/s offered"),
        }
    }
}

/// From when to when something counts.
#[derive(Clone, Copy)]
struct Window {
    begin: Instant,
    end: Instant,
}

impl Window {
    fn holds(self, time: Instant) -> bool {
        (self.begin..self.end).contains(&time)
    }
}

/// Lets the clients buy until the time is over.
pub(crate) async fn play(
    turn: &Turn,
    meter: &Meter<'_>,
    buyers: Vec<impl Buyer>,
) -> Result<(Score, Tally)> {
    let begun = Instant::now();
    let begin = begun + turn.warm_up;
    let window = Window {
        begin,
        end: begin + turn.window,
    };
    let pace = match turn.load {
        Load::Closed { .. } => None,
        Load::Open { rate, clients } => {
            let total = rate * (turn.warm_up + turn.window).as_secs_f64();
            Some(Pace::start(begun, rate, total as u64, clients))
        }
    };
    let begun = Arc::new(AtomicU64::new(0));
    let clients = buyers.into_iter().enumerate().map(|(number, buyer)| {
        let client = Client {
            number,
            turn: turn.clone(),
            window,
            pace: pace.clone(),
            begun: Arc::clone(&begun),
        };
        tokio::spawn(client.run(buyer))
    });
    let clients = try_join_all(clients.collect::<Vec<_>>());
    let measured = async {
        sleep_until(window.begin.into()).await;
        let before = meter.read()?;
        sleep_until(window.end.into()).await;
        meter.since(&before)
    };
    let (clients, used) = tokio::join!(clients, measured);
    let (mut score, mut tally) = (Score::new(), Tally::default());
    for client in clients? {
        let (theirs, told) = client?;
        score.add(&theirs);
        tally.bought += told.bought;
        tally.refused += told.refused;
    }
    score.window = turn.window;
    score.used = used?;
    score.turns = vec![score.per_second()];
    Ok((score, tally))
}

struct Client {
    number: usize,
    turn: Turn,
    window: Window,
    pace: Option<Arc<Pace>>,
    /// Purchases of all clients.
    begun: Arc<AtomicU64>,
}

impl Client {
    async fn run(self, mut buyer: impl Buyer) -> Result<(Score, Tally)> {
        let (mut score, mut tally) = (Score::new(), Tally::default());
        for number in 0.. {
            let Some(asked) = self.next().await else {
                break;
            };
            let turn = &self.turn;
            let serial = self.begun.fetch_add(1, Ordering::Relaxed);
            let cart = turn.workload.cart(&turn.name, self.number, number, serial);
            let answer = buyer.buy(&cart).await?;
            let answered = Instant::now();
            ensure!(
                answer == cart.due(),
                "{} was answered {answer:?} instead of {:?}",
                cart.purchase_id,
                cart.due()
            );
            let counts = self.window.holds(answered);
            let (all, measured) = match answer {
                Answer::Bought => (&mut tally.bought, &mut score.bought),
                Answer::Refused => (&mut tally.refused, &mut score.refused),
            };
            *all += 1;
            *measured += u64::from(counts);
            let told = match self.pace {
                None => counts,
                // One that is answered after the end was late all the more.
                Some(_) => self.window.holds(asked),
            };
            if told {
                score.took(answered - asked);
            }
        }
        buyer.leave().await?;
        Ok((score, tally))
    }

    /// When the next purchase is to begin; none if the time is over.
    async fn next(&self) -> Option<Instant> {
        match &self.pace {
            Some(pace) => pace.next().await,
            None => Some(Instant::now()).filter(|now| *now < self.window.end),
        }
    }
}
