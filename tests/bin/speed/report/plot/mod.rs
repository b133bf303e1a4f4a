//! Plots for slides, as SVG.

mod axis;
mod chart;
mod picture;

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::contestant::Contestant;
use crate::measure::Measured;
use crate::score::Score;
use axis::Axis;
use chart::{Chart, Line};

/// Percentiles that are drawn.
const PERCENTILES: [f64; 6] = [50.0, 75.0, 90.0, 95.0, 99.0, 99.9];

/// Draws each part into files of its own.
pub(crate) fn all(folder: &Path, parts: &[Measured], manner: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    for part in parts {
        let charts = [
            ("throughput", throughput(part)),
            ("percentiles", percentiles(part)),
            ("offered", offered(part)),
        ];
        for (name, chart) in charts {
            let Some(mut chart) = chart else { continue };
            chart.subtitle = format!(
                "{}, {}; {manner}; clients on the same machine",
                part.servers,
                part.part.workload.title()
            );
            let path = folder.join(format!("{}-{name}.svg", part.name()));
            fs::write(path, picture::draw(&chart))?;
        }
    }
    Ok(())
}

/// Purchases per second against clients.
fn throughput(part: &Measured) -> Option<Chart> {
    let drawn = |who: &Contestant| *who != Contestant::Call;
    let lines = lines(part, drawn, |who| {
        let points = part.closed.iter().filter(|((_, other), _)| *other == who);
        let point =
            |((clients, _), score): ((usize, _), &Score)| (clients as f64, score.per_second());
        points.map(|(key, score)| point((*key, score))).collect()
    });
    let ticks = part.part.clients.iter().map(|clients| *clients as f64);
    let top = highest(&lines);
    (part.part.clients.len() > 1).then(|| Chart {
        title: "Purchases per second".to_owned(),
        subtitle: String::new(),
        x: Axis::log(
            "clients, each of which asks again as soon as it is answered",
            ticks,
        ),
        y: Axis::linear("", top),
        lines,
    })
}

/// Latency against the part of the purchases that did not pass it, at the number of clients nearest
/// to 256.
fn percentiles(part: &Measured) -> Option<Chart> {
    let clients = part.nearest_clients(256)?;
    let purchases = |who: &Contestant| !who.is_limit();
    let lines = lines(part, purchases, |who| {
        let Some(score) = part.closed.get(&(clients, who)) else {
            return Vec::new();
        };
        let point =
            |(place, percent): (usize, &f64)| (place as f64, score.latency_ms(percent / 100.0));
        PERCENTILES.iter().enumerate().map(point).collect()
    });
    let names = PERCENTILES.iter().map(|percent| format!("p{percent}"));
    Some(Chart {
        title: format!("Latency with {clients} clients, in milliseconds"),
        subtitle: String::new(),
        x: Axis::names("part of the purchases that were answered as fast", names),
        y: Axis::decades("", values(&lines)),
        lines,
    })
}

/// Latency against what is offered: p99 drawn through, p50 dashed.
fn offered(part: &Measured) -> Option<Chart> {
    if part.open.is_empty() {
        return None;
    }
    let purchases = |who: &Contestant| !who.is_limit();
    let at = |quantile: f64| {
        lines(part, purchases, |who| {
            let points = part.open.iter().filter(|((_, other), _)| *other == who);
            let point = |((rate, _), score): (&(u64, _), &Score)| {
                (*rate as f64, score.latency_ms(quantile))
            };
            points.map(point).collect()
        })
    };
    let mut lines = at(0.99);
    lines.extend(at(0.5).into_iter().map(|line| Line {
        name: String::new(),
        dashed: true,
        ..line
    }));
    let top = lines
        .iter()
        .flat_map(|line| &line.points)
        .map(|point| point.0);
    Some(Chart {
        title: "Latency at a fixed rate, in milliseconds: p99, and p50 dashed".to_owned(),
        subtitle: String::new(),
        x: Axis::linear(
            "purchases offered per second; latency from the intended start",
            top.fold(0.0, f64::max),
        ),
        y: Axis::decades("", values(&lines)),
        lines,
    })
}

fn lines(
    part: &Measured,
    drawn: impl Fn(&Contestant) -> bool,
    points: impl Fn(Contestant) -> Vec<(f64, f64)>,
) -> Vec<Line> {
    let contestants = part.part.contestants.iter().filter(|who| drawn(who));
    let line = |who: &Contestant| Line {
        name: who.title().to_owned(),
        color: color(*who),
        dashed: who.is_limit(),
        points: points(*who),
    };
    contestants
        .map(line)
        .filter(|line| !line.points.is_empty())
        .collect()
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    let points = lines.iter().flat_map(|line| &line.points);
    points.map(|point| point.1)
}

fn highest(lines: &[Line]) -> f64 {
    values(lines).fold(0.0, f64::max)
}

/// Told apart also by those who do not see red and green apart (Okabe and Ito's palette).
fn color(who: Contestant) -> &'static str {
    match who {
        Contestant::Naive => "#555555",
        Contestant::Wrapped => "#cc79a7",
        Contestant::Tandem => "#0072b2",
        Contestant::Decided => "#56b4e9",
        Contestant::Sidecars => "#009e73",
        Contestant::SidecarsDecided => "#e69f00",
        Contestant::Dtmrs => "#d55e00",
        Contestant::Insert | Contestant::Call => "#aaaaaa",
    }
}
