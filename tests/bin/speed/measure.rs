//! Lets the contestants of each part take turns.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use tandem_tests::Machine;

use crate::contest::{Load, Turn};
use crate::contestant::Contestant;
use crate::contestant::dtmrs::Kept;
use crate::forces::Forces;
use crate::orders::InLog;
use crate::plan::Part;
use crate::scene::{Binlog, Setting};
use crate::score::Score;
use crate::stage::Stage;

/// Clients that may be busy at once in an open loop: as many as an app would have connections.
const OPEN_CLIENTS: usize = 256;

/// The two costs of a force between which a lone purchase's time is compared.
const SERIES_COSTS: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(6)];

/// How everything is measured.
pub(crate) struct Manner {
    pub(crate) window: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) rounds: u32,
    /// What a force costs; the disk's own if there is none.
    pub(crate) force: Option<Duration>,
    /// Lines of the coordinators' section `[limits]`.
    pub(crate) limits: String,
    /// The competitor's program, and where it is to keep its transactions.
    pub(crate) dtmrs: Option<(PathBuf, Kept)>,
}

/// What was measured in a part.
pub(crate) struct Measured {
    pub(crate) part: Part,
    /// The servers, for people.
    pub(crate) servers: String,
    /// By number of clients.
    pub(crate) closed: BTreeMap<(usize, Contestant), Score>,
    /// By purchases offered per second.
    pub(crate) open: BTreeMap<(u64, Contestant), Score>,
    /// Forces that a lone purchase waits for, one after the other.
    pub(crate) series: BTreeMap<Contestant, f64>,
    /// The highest resident memory of each coordinator.
    pub(crate) memory_kib: Vec<(&'static str, u64)>,
    /// What a purchase takes in the decision log, where that is looked at.
    pub(crate) in_log: Option<InLog>,
}

impl Measured {
    /// For files: `mariadb-binlog-on-skus`.
    pub(crate) fn name(&self) -> String {
        let Part {
            store,
            binlog,
            workload,
            ..
        } = self.part;
        format!("{store:?}-binlog-{binlog:?}-{workload:?}").to_lowercase()
    }

    /// The number of clients tried that is nearest to this one.
    pub(crate) fn nearest_clients(&self, wanted: usize) -> Option<usize> {
        let tried = self.part.clients.iter().copied();
        tried.min_by_key(|clients| clients.abs_diff(wanted))
    }
}

/// Measures parts that follow each other; those with the same stores share the servers.
pub(crate) async fn all(
    machine: &Machine,
    parts: Vec<Part>,
    manner: &Manner,
) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    let mut stage: Option<Stage> = None;
    let mut before: Option<Part> = None;
    for (number, part) in parts.into_iter().enumerate() {
        let is_same = |before: &Part| {
            // A shop's log is closed at the end of its part.
            let is_shop = before.sells_shops_orders() || part.sells_shops_orders();
            before.store == part.store && before.binlog == part.binlog && !is_shop
        };
        let same = before.as_ref().is_some_and(is_same);
        if !same {
            // The old servers end first.
            drop(stage.take());
            let setting = Setting {
                machine,
                store: part.store,
                binlog: part.binlog,
                limits: manner.limits.clone(),
                forces: Forces::new(manner.force)?,
                dtmrs: manner.dtmrs.clone(),
                shop: part.sells_shops_orders(),
            };
            stage = Some(Stage::start(setting).await?);
        }
        let stage = stage.as_ref().context("the servers were just started")?;
        measured.push(one(stage, number, part.clone(), manner).await?);
        before = Some(part);
    }
    Ok(measured)
}

async fn one(stage: &Stage, number: usize, part: Part, manner: &Manner) -> Result<Measured> {
    let binlog = match part.binlog {
        Binlog::On => "on",
        Binlog::Off => "off",
    };
    let mut measured = Measured {
        servers: format!("{}, binlog {binlog}", stage.stores().names()),
        part,
        closed: BTreeMap::new(),
        open: BTreeMap::new(),
        series: BTreeMap::new(),
        memory_kib: Vec::new(),
        in_log: None,
    };
    eprintln!("{}, {}", measured.servers, measured.part.workload.title());
    let turn = |load, name| Turn {
        name: format!("{number}-{name}"),
        workload: measured.part.workload,
        load,
        warm_up: manner.warm_up,
        window: manner.window,
    };
    for &clients in &measured.part.clients {
        for round in 0..manner.rounds {
            let turn = turn(Load::Closed { clients }, format!("c{clients}-{round}"));
            for &contestant in &measured.part.contestants {
                let score = play(stage, contestant, &turn).await?;
                let sum = measured.closed.entry((clients, contestant));
                sum.or_insert_with(Score::new).add(&score);
            }
        }
    }
    for part in &measured.part.offered {
        let rate = part * naive_peak(&measured.closed).context(
            "what is offered is a part of naive's highest rate, which needs naive and --clients",
        )?;
        for round in 0..manner.rounds {
            let clients = OPEN_CLIENTS;
            let turn = turn(Load::Open { rate, clients }, format!("o{part}-{round}"));
            let contestants = measured.part.contestants.iter();
            for &contestant in contestants.filter(|contestant| !contestant.is_limit()) {
                let score = play(stage, contestant, &turn).await?;
                let sum = measured.open.entry((rate.round() as u64, contestant));
                sum.or_insert_with(Score::new).add(&score);
            }
        }
    }
    if measured.part.series && manner.force.is_some() {
        let contestants = measured.part.contestants.iter();
        for &contestant in contestants.filter(|one| **one != Contestant::Call) {
            let turn = turn(Load::Closed { clients: 1 }, "series".to_owned());
            let forces = series(stage, contestant, &turn, manner).await?;
            measured.series.insert(contestant, forces);
        }
    }
    measured.memory_kib = stage.memory_kib()?;
    measured.in_log = stage.close_log().await?;
    Ok(measured)
}

/// Naive's highest rate over all numbers of clients.
pub(crate) fn naive_peak(closed: &BTreeMap<(usize, Contestant), Score>) -> Option<f64> {
    peak(closed, Contestant::Naive).map(|(_, rate)| rate)
}

/// A contestant's highest rate over all numbers of clients, and at how many.
pub(crate) fn peak(
    closed: &BTreeMap<(usize, Contestant), Score>,
    contestant: Contestant,
) -> Option<(usize, f64)> {
    closed
        .iter()
        .filter(|((_, who), _)| *who == contestant)
        .map(|((clients, _), score)| (*clients, score.per_second()))
        .max_by(|left, right| left.1.total_cmp(&right.1))
}

/// Lets each force cost more, and sees by how many times as much a lone purchase takes longer.
async fn series(
    stage: &Stage,
    contestant: Contestant,
    turn: &Turn,
    manner: &Manner,
) -> Result<f64> {
    let mut times = Vec::new();
    for cost in SERIES_COSTS {
        stage.forces().cost(Some(cost))?;
        let turn = Turn {
            name: format!("{}-{}", turn.name, cost.as_micros()),
            ..turn.clone()
        };
        let score = play(stage, contestant, &turn).await?;
        times.push(score.latency_ms(0.5));
    }
    stage.forces().cost(manner.force)?;
    let longer = (SERIES_COSTS[1] - SERIES_COSTS[0]).as_secs_f64() * 1e3;
    Ok((times[1] - times[0]) / longer)
}

async fn play(stage: &Stage, contestant: Contestant, turn: &Turn) -> Result<Score> {
    let score = stage
        .play(contestant, turn)
        .await
        .with_context(|| format!("{} with {}", contestant.title(), turn.load))?;
    eprintln!(
        "  {:>16}  {:<26} {:>7.0}/s",
        turn.load.to_string(),
        contestant.title(),
        score.per_second()
    );
    Ok(score)
}
