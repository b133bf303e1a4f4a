//! This build's coordinator beside another one's, turn by turn, with a verdict.
//!
//! Each turn has fresh stores and a fresh log: what one build keeps in them is not another's to
//! read, and neither finds what the other has left behind. A round is one turn of each, at once one
//! after the other and in changing order, so that the machine's mood is the same for both; what is
//! compared is the ratio within a round.

mod interval;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tandem_proto::v1::WaitFor;
use tandem_tests::Machine;

use crate::contest::{Load, Turn};
use crate::contestant::{Contestant, through_tandem};
use crate::forces::Forces;
use crate::measure::Manner;
use crate::orders;
use crate::plan::Part;
use crate::scene::{Alone, Setting};
use interval::Interval;

/// The part of the other build's rate that this build may lose: 3 %.
const LOSS_MAX: f64 = 0.03;

/// Rounds without which there is no interval.
pub(crate) const ROUNDS_MIN: u32 = 2;

/// The other build, and how both are measured.
pub(crate) struct Against {
    /// Its `tandem`.
    pub(crate) program: PathBuf,
    pub(crate) manner: Manner,
}

/// The two builds' rates in purchases per second, round by round.
#[derive(Debug, Default)]
struct Rates {
    this: Vec<f64>,
    other: Vec<f64>,
}

impl Against {
    /// Compares both in each part. An error if this build is slower by more than is allowed, beyond
    /// doubt.
    pub(crate) async fn run(&self, machine: &Machine, parts: &[Part]) -> Result<()> {
        ensure!(
            self.manner.rounds >= ROUNDS_MIN,
            "an interval takes {ROUNDS_MIN} rounds at least"
        );
        println!(
            "against {}; the interval is Student's t over the logarithms of the rounds' ratios, \
             95 %",
            self.program.display()
        );
        let mut slower = Vec::new();
        for part in parts {
            println!(
                "\n{:?}, binlog {:?}: {}",
                part.store,
                part.binlog,
                part.workload.title()
            );
            println!(
                "{:>8} {:>12} {:>12} {:>7}  interval",
                "clients", "this, 1/s", "other, 1/s", "ratio"
            );
            for &clients in &part.clients {
                let interval = self.compare(machine, part, clients).await?;
                if interval.is_wholly_below(1.0 - LOSS_MAX) {
                    slower.push(format!("{clients} clients ({:?})", part.store));
                }
            }
        }
        ensure!(
            slower.is_empty(),
            "the interval lies wholly beyond {:.0} % slower at {}",
            LOSS_MAX * 100.0,
            slower.join(", ")
        );
        println!(
            "\nno interval lies wholly beyond {:.0} % slower",
            LOSS_MAX * 100.0
        );
        Ok(())
    }

    async fn compare(&self, machine: &Machine, part: &Part, clients: usize) -> Result<Interval> {
        let mut rates = Rates::default();
        for round in 0..self.manner.rounds {
            let mut order = [None, Some(self.program.as_path())];
            if round % 2 == 1 {
                order.reverse();
            }
            for program in order {
                let turn = Turn {
                    name: format!("c{clients}-{round}"),
                    workload: part.workload,
                    load: Load::Closed { clients },
                    warm_up: self.manner.warm_up,
                    window: self.manner.window,
                };
                let rate = self.play(machine, part, &turn, program).await?;
                match program {
                    None => rates.this.push(rate),
                    Some(_) => rates.other.push(rate),
                }
            }
            eprintln!("  {clients} clients, round {round}: {}", rates.last());
        }
        let interval = rates.interval().context("there are too few rounds")?;
        println!(
            "{clients:>8} {:>12.0} {:>12.0} {:>7.3}  {interval}",
            mean(&rates.this),
            mean(&rates.other),
            interval.ratio
        );
        Ok(interval)
    }

    /// Purchases per second of one turn on stores of its own.
    async fn play(
        &self,
        machine: &Machine,
        part: &Part,
        turn: &Turn,
        program: Option<&Path>,
    ) -> Result<f64> {
        let setting = Setting {
            machine,
            store: part.store,
            binlog: part.binlog,
            limits: self.manner.limits.clone(),
            forces: Forces::new(self.manner.force)?,
            dtmrs: None,
            shop: part.workload.order().is_some(),
        };
        let who = program.map_or("this build".to_owned(), |path| path.display().to_string());
        let alone = Alone::start(setting, program).await;
        let alone = alone.with_context(|| who.clone())?;
        let score = match part.workload.order() {
            Some(_) => orders::play(alone.party(), Contestant::Tandem, turn).await,
            None => through_tandem::play(alone.party(), turn, WaitFor::Applied).await,
        };
        Ok(score
            .with_context(|| format!("{who} with {}", turn.load))?
            .per_second())
    }
}

impl Rates {
    fn interval(&self) -> Option<Interval> {
        let pairs = self.this.iter().zip(&self.other);
        let logarithms: Vec<f64> = pairs.map(|(this, other)| (this / other).ln()).collect();
        Interval::of(&logarithms)
    }

    /// The last round, for people.
    fn last(&self) -> String {
        let last = |rates: &[f64]| rates.last().copied().unwrap_or_default();
        let (this, other) = (last(&self.this), last(&self.other));
        format!("{this:.0}/s, other {other:.0}/s")
    }
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / rates.len().max(1) as f64
}
