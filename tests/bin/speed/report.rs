//! The table at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::contest::Score;

/// Both contestants' turns, by number of clients.
pub(crate) struct Report {
    title: String,
    turns: BTreeMap<usize, Vec<(Score, Score)>>,
    pub(crate) peak_memory_kib: u64,
}

impl Report {
    pub(crate) fn new(title: String) -> Report {
        Report {
            title,
            turns: BTreeMap::new(),
            peak_memory_kib: 0,
        }
    }

    pub(crate) fn add(&mut self, clients: usize, naive: Score, tandem: Score) {
        self.turns.entry(clients).or_default().push((naive, tandem));
    }

    /// An error unless tandem makes this many times naive's purchases per second.
    pub(crate) fn require(&self, clients: usize, least: f64) -> Result<()> {
        let turns = self
            .turns
            .get(&clients)
            .context("this number of clients was not tried")?;
        let ratio = ratio(turns);
        ensure!(
            ratio >= least,
            "at {clients} clients tandem makes {ratio:.2} times naive's purchases, less than {least}"
        );
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        writeln!(
            f,
            "{:>7}  {:>9} {:>7} {:>7}   {:>9} {:>7} {:>7}   {:>5}  turns",
            "clients", "naive/s", "p50 ms", "p99 ms", "tandem/s", "p50 ms", "p99 ms", "ratio"
        )?;
        for (clients, turns) in &self.turns {
            write!(f, "{clients:>7}  ")?;
            for side in [0, 1] {
                let scores: Vec<&Score> = turns
                    .iter()
                    .map(|turn| if side == 0 { &turn.0 } else { &turn.1 })
                    .collect();
                let (p50, p99) = (percentile(&scores, 0.5), percentile(&scores, 0.99));
                write!(
                    f,
                    "{:>9.0} {:>7.2} {:>7.2}   ",
                    rate(&scores),
                    p50.as_secs_f64() * 1e3,
                    p99.as_secs_f64() * 1e3
                )?;
            }
            let each: Vec<String> = turns
                .iter()
                .map(|(naive, tandem)| format!("{:.2}", tandem.per_second() / naive.per_second()))
                .collect();
            writeln!(f, "{:>5.2}  {}", ratio(turns), each.join(" "))?;
        }
        writeln!(f, "processor time per purchase, in microseconds:")?;
        for (clients, turns) in &self.turns {
            let naive = turns.iter().map(|turn| &turn.0).collect::<Vec<_>>();
            let tandem = turns.iter().map(|turn| &turn.1).collect::<Vec<_>>();
            writeln!(
                f,
                "{clients:>7}  naive: {}; tandem: {}",
                cpu(&naive),
                cpu(&tandem)
            )?;
        }
        write!(
            f,
            "the coordinator's peak memory: {} MiB; rows, stock, holds and prepared branches \
             agreed with the answers after every turn",
            self.peak_memory_kib / 1024
        )
    }
}

fn ratio(turns: &[(Score, Score)]) -> f64 {
    let naive: Vec<&Score> = turns.iter().map(|turn| &turn.0).collect();
    let tandem: Vec<&Score> = turns.iter().map(|turn| &turn.1).collect();
    rate(&tandem) / rate(&naive)
}

/// Each process's part and the sum.
fn cpu(scores: &[&Score]) -> String {
    let purchases: usize = scores.iter().map(|score| score.latencies.len()).sum();
    let mut parts: BTreeMap<&str, f64> = BTreeMap::new();
    for (name, time) in scores.iter().flat_map(|score| &score.cpu) {
        *parts.entry(name).or_default() += time.as_secs_f64() * 1e6 / purchases as f64;
    }
    let sum: f64 = parts.values().sum();
    let mut words: Vec<String> = parts
        .iter()
        .filter(|(_, micros)| **micros >= 0.5)
        .map(|(name, micros)| format!("{name} {micros:.0}"))
        .collect();
    words.push(format!("in all {sum:.0}"));
    words.join(", ")
}

fn rate(scores: &[&Score]) -> f64 {
    let purchases: usize = scores.iter().map(|score| score.latencies.len()).sum();
    let time: Duration = scores.iter().map(|score| score.took).sum();
    purchases as f64 / time.as_secs_f64()
}

fn percentile(scores: &[&Score], part: f64) -> Duration {
    let mut all: Vec<Duration> = scores
        .iter()
        .flat_map(|score| score.latencies.iter().copied())
        .collect();
    all.sort_unstable();
    let last = all.len().saturating_sub(1);
    all.get((last as f64 * part).round() as usize)
        .copied()
        .unwrap_or_default()
}
