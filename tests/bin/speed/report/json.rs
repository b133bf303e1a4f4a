//! All figures, for programs.

use serde_json::{Value, json};

use crate::limits::force_rate::Rate;
use crate::measure::{Manner, Measured};
use crate::score::Score;

/// Percentiles of the latency that are written.
const PERCENTILES: [f64; 6] = [50.0, 90.0, 95.0, 99.0, 99.9, 100.0];

/// One object with everything.
pub(crate) fn all(manner: &Manner, parts: &[Measured], log: &[Rate]) -> Value {
    json!({
        "force_us": manner.force.map(|force| force.as_micros() as u64),
        "rounds": manner.rounds,
        "window_s": manner.window.as_secs_f64(),
        "parts": parts.iter().map(part).collect::<Vec<_>>(),
        "log": log.iter().map(rate).collect::<Vec<_>>(),
    })
}

fn part(measured: &Measured) -> Value {
    let closed = measured.closed.iter().map(|((clients, who), score)| {
        json!({"clients": clients, "contestant": who.title(), "score": figures(score)})
    });
    let open = measured.open.iter().map(|((rate, who), score)| {
        json!({"offered_per_s": rate, "contestant": who.title(), "score": figures(score)})
    });
    let series = measured.series.iter();
    let series = series.map(|(who, forces)| (who.title().to_owned(), json!(forces)));
    let memory = measured.memory_kib.iter();
    let memory = memory.map(|(name, kib)| ((*name).to_owned(), json!(kib)));
    json!({
        "servers": measured.servers,
        "workload": measured.part.workload.title(),
        "items_per_purchase": measured.part.workload.items(),
        "closed": closed.collect::<Vec<_>>(),
        "open": open.collect::<Vec<_>>(),
        "forces_in_series": series.collect::<serde_json::Map<_, _>>(),
        "log_bytes_per_purchase": measured.in_log.map(|log| json!({
            "records": log.record_bytes, "files": log.file_bytes,
        })),
        "coordinator_memory_kib": memory.collect::<serde_json::Map<_, _>>(),
    })
}

fn figures(score: &Score) -> Value {
    let latency = PERCENTILES.iter().map(|percent| {
        let ms = score.latency_ms(percent / 100.0);
        (format!("p{percent}"), json!(ms))
    });
    let processes = score.used.keys().map(|name| {
        let figures = json!({
            "cpu_us_per_purchase": score.cpu_us(Some(name)),
            "forces_per_purchase": score.forces(Some(name)),
        });
        ((*name).to_owned(), figures)
    });
    json!({
        "purchases_per_s": score.per_second(),
        "turns": score.turns,
        "bought": score.bought,
        "refused": score.refused,
        "latency_ms": latency.collect::<serde_json::Map<_, _>>(),
        "processes": processes.collect::<serde_json::Map<_, _>>(),
    })
}

fn rate(rate: &Rate) -> Value {
    json!({
        "committers": rate.committers,
        "log_per_s": rate.log,
        "plain_file_per_s": rate.plain,
    })
}
