//! What a turn gave, and what several gave together.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Longest latency that is told apart, in microseconds; longer ones count as this.
const LATENCY_US_MAX: u64 = 120_000_000;

/// Decimal digits of a latency that are kept.
const DIGITS: u8 = 3;

/// What was done in the measured window of one or several turns.
#[derive(Debug, Clone)]
pub(crate) struct Score {
    /// Length of the window.
    pub(crate) window: Duration,
    /// Answers that came within it, of purchases that were made.
    pub(crate) bought: u64,
    /// Answers that came within it, of purchases that were refused.
    pub(crate) refused: u64,
    /// Time of each of both, in microseconds.
    pub(crate) latency: Histogram<u64>,
    /// What each process used meanwhile.
    pub(crate) used: BTreeMap<&'static str, Used>,
    /// Purchases per second of each turn.
    pub(crate) turns: Vec<f64>,
}

/// What a process used.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Processor time.
    pub(crate) cpu: Duration,
    /// Forced writes.
    pub(crate) forces: u64,
}

impl Score {
    /// Nothing yet.
    pub(crate) fn new() -> Score {
        let latency = Histogram::new_with_bounds(1, LATENCY_US_MAX, DIGITS);
        Score {
            window: Duration::ZERO,
            bought: 0,
            refused: 0,
            latency: latency.expect("the bounds are constant and good"),
            used: BTreeMap::new(),
            turns: Vec::new(),
        }
    }

    /// Notes how long a purchase took.
    pub(crate) fn took(&mut self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(us);
    }

    /// Adds another turn, or another client's part of this one.
    pub(crate) fn add(&mut self, other: &Score) {
        self.window += other.window;
        self.bought += other.bought;
        self.refused += other.refused;
        self.latency
            .add(&other.latency)
            .expect("all histograms have the same bounds");
        for (name, used) in &other.used {
            let sum = self.used.entry(name).or_default();
            sum.cpu += used.cpu;
            sum.forces += used.forces;
        }
        self.turns.extend(&other.turns);
    }

    /// Purchases that were answered.
    pub(crate) fn answered(&self) -> u64 {
        self.bought + self.refused
    }

    /// Purchases answered per second.
    pub(crate) fn per_second(&self) -> f64 {
        self.answered() as f64 / self.window.as_secs_f64()
    }

    /// The latency that this part of all purchases did not pass, in milliseconds.
    pub(crate) fn latency_ms(&self, part: f64) -> f64 {
        self.latency.value_at_quantile(part) as f64 / 1e3
    }

    /// Processor time per purchase of a process, or of all, in microseconds.
    pub(crate) fn cpu_us(&self, process: Option<&str>) -> f64 {
        let of = |used: &Used| used.cpu.as_secs_f64() * 1e6;
        self.per_purchase(process, of)
    }

    /// Forced writes per purchase of a process, or of all.
    pub(crate) fn forces(&self, process: Option<&str>) -> f64 {
        self.per_purchase(process, |used| used.forces as f64)
    }

    fn per_purchase(&self, process: Option<&str>, of: impl Fn(&Used) -> f64) -> f64 {
        let wanted = |name: &str| process.is_none_or(|process| process == name);
        let processes = self.used.iter().filter(|(name, _)| wanted(name));
        processes.map(|(_, used)| of(used)).sum::<f64>() / self.answered().max(1) as f64
    }
}
