//! What a round of an upgrade has; all follows from its seed.

use std::fmt;
use std::time::Duration;

use crate::parts::Part;
use crate::random::Random;

/// Steps of a start at which the new coordinator is told to die; see its `crash_point`.
const STEPS: [&str; 7] = [
    "log_opened",
    "epoch_begun",
    "enlisting",
    "enlisted",
    "listed",
    "recalling",
    "rolling_back",
];

/// A death while the new build takes over.
#[derive(Debug, Clone)]
pub(super) struct Death {
    /// After the coordinator's start, unless it dies at a step.
    pub(super) after: Duration,
    /// Who dies together.
    pub(super) victims: Vec<Part>,
    /// Whether they die while the keys in Redis are being moved.
    pub(super) at_move: bool,
    /// Where the coordinator dies, if not anywhere.
    pub(super) step: Option<&'static str>,
    /// Whether the older build is started on what it left.
    pub(super) older_again: bool,
}

/// A round.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) number: u32,
    /// Whether the participants are sidecars.
    pub(super) sidecars: bool,
    /// How long the older build works.
    pub(super) works: Duration,
    /// The stores that stop answering before the older build dies, and how long before it.
    pub(super) with_it: Vec<Part>,
    pub(super) before_it: Duration,
    /// Whether they are dead then, instead of doing late what they were asked.
    pub(super) they_die: bool,
    pub(super) deaths: Vec<Death>,
    /// Whether the older build is started once more when all has settled.
    pub(super) older_after: bool,
    pub(super) load_seed: u64,
    /// How long the load goes on over what has settled.
    pub(super) goes_on: Duration,
}

impl Hand {
    /// The round of this number; the same for the same seed.
    pub(super) fn deal(seed: u64, number: u32) -> Hand {
        let mut random = Random::new(seed ^ (u64::from(number) << 32));
        let sidecars = number % 3 == 2;
        let deaths = random.between(2, 5);
        Hand {
            number,
            sidecars,
            // What is remembered after the longest takes several calls to be moved.
            works: random.millis(
                700,
                if number.is_multiple_of(4) {
                    7_000
                } else {
                    2_500
                },
            ),
            with_it: stores(&mut random),
            before_it: random.millis(0, 250),
            they_die: random.between(0, 1) == 1,
            deaths: (0..deaths)
                .map(|count| {
                    death(
                        &mut random,
                        sidecars,
                        count == 0 && number.is_multiple_of(2),
                    )
                })
                .collect(),
            older_after: number % 2 == 1,
            load_seed: random.number(),
            goes_on: random.millis(200, 500),
        }
    }
}

fn stores(random: &mut Random) -> Vec<Part> {
    match random.between(0, 3) {
        0 => vec![Part::Mysql],
        1 => vec![Part::Redis],
        2 => vec![Part::Mysql, Part::Redis],
        _ => Vec::new(),
    }
}

fn death(random: &mut Random, sidecars: bool, at_move: bool) -> Death {
    let mut victims = stores(random);
    if victims.is_empty() || random.between(0, 1) == 1 {
        victims.push(Part::Coordinator);
    }
    if sidecars && random.between(0, 1) == 1 {
        victims.push(*random.one_of(&[Part::MysqlSidecar, Part::RedisSidecar]));
    }
    let at_step = victims.contains(&Part::Coordinator) && random.between(0, 1) == 1;
    // A start takes over what is there within its first tenths of a second.
    let longest = *random.one_of(&[100, 300, 1_200]);
    Death {
        after: random.millis(1, longest),
        at_move,
        step: (at_step && !at_move).then(|| *random.one_of(&STEPS)),
        victims,
        older_again: random.between(0, 2) == 0,
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let victims: Vec<String> = self.victims.iter().map(Part::to_string).collect();
        write!(f, "{}", victims.join("+"))?;
        match self.step {
            _ if self.at_move => f.write_str(" while keys are moved")?,
            Some(step) => write!(f, " at {step}")?,
            None => write!(f, " after {} ms", self.after.as_millis())?,
        }
        f.write_str(if self.older_again {
            ", older again"
        } else {
            ""
        })
    }
}

impl fmt::Display for Hand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with_it: Vec<String> = self.with_it.iter().map(Part::to_string).collect();
        let deaths: Vec<String> = self.deaths.iter().map(Death::to_string).collect();
        write!(
            f,
            "older{} for {} ms, dies {} ms after [{}]{}; {}{}",
            if self.sidecars { " with sidecars" } else { "" },
            self.works.as_millis(),
            self.before_it.as_millis(),
            with_it.join("+"),
            if self.they_die { "" } else { " are late" },
            deaths.join("; "),
            if self.older_after {
                "; older at the end"
            } else {
                ""
            }
        )
    }
}
