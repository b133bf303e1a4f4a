//! The tables on the terminal.

use std::fmt::{self, Write};

use crate::contestant::Contestant;
use crate::limits::force_rate::Rate;
use crate::measure::{Measured, naive_peak, peak};
use crate::score::Score;

/// Width of a column.
const CELL: usize = 13;
/// Width of the first column.
const NAME: usize = 26;

/// A part's tables.
pub(crate) fn part(measured: &Measured) -> Result<String, fmt::Error> {
    let mut text = String::new();
    writeln!(
        text,
        "\n{}: {}",
        measured.servers,
        measured.part.workload.title()
    )?;
    if !measured.closed.is_empty() {
        closed(measured, &mut text)?;
    }
    if !measured.open.is_empty() {
        open(measured, &mut text)?;
    }
    if !measured.series.is_empty() {
        writeln!(text, "\nforced writes in series of a lone purchase")?;
        for (contestant, forces) in &measured.series {
            writeln!(text, "{:NAME$}{forces:>CELL$.1}", contestant.title())?;
        }
    }
    if let Some(log) = measured.in_log {
        writeln!(
            text,
            "\ndecision log: {:.0} bytes of records for each purchase, {:.0} of its files",
            log.record_bytes, log.file_bytes
        )?;
    }
    let memory: Vec<String> = measured
        .memory_kib
        .iter()
        .map(|(name, kib)| format!("{name} {} MiB", kib / 1024))
        .collect();
    writeln!(
        text,
        "\nhighest memory of the coordinator so far: {}; rows, stock, holds and prepared branches \
         agreed with the answers after every turn",
        memory.join(", ")
    )?;
    Ok(text)
}

fn closed(measured: &Measured, text: &mut String) -> fmt::Result {
    let naive = |clients: usize| measured.closed.get(&(clients, Contestant::Naive));
    clients_table(
        measured,
        text,
        "purchases/s (times naive)",
        |clients, who, score| {
            let rate = score.per_second();
            match naive(clients) {
                Some(naive) if who != Contestant::Naive => {
                    format!("{rate:.0} ({:.2})", rate / naive.per_second())
                }
                Some(_) | None => format!("{rate:.0}"),
            }
        },
    )?;
    if let Some(naive) = naive_peak(&measured.closed) {
        let peaks = measured.part.contestants.iter().filter_map(|who| {
            let (clients, rate) = peak(&measured.closed, *who)?;
            Some(format!(
                "{} {rate:.0} ({:.2}) at {clients}",
                who.title(),
                rate / naive
            ))
        });
        let peaks: Vec<String> = peaks.collect();
        writeln!(text, "peak (times naive's peak): {}", peaks.join("; "))?;
    }
    clients_table(measured, text, "latency p50 / p99, ms", |_, _, score| {
        latencies(score)
    })?;
    clients_table(
        measured,
        text,
        "processor time per purchase of all processes, us",
        |_, _, score| format!("{:.0}", score.cpu_us(None)),
    )?;
    clients_table(
        measured,
        text,
        "processor time per purchase at the server in the middle, us",
        |_, who, score| {
            let server = match who {
                Contestant::Call => "server",
                _ => "coordinator",
            };
            if score.used.contains_key(server) {
                format!("{:.1}", score.cpu_us(Some(server)))
            } else {
                "-".to_owned()
            }
        },
    )?;
    clients_table(
        measured,
        text,
        "forced writes per purchase of all processes",
        |_, _, score| format!("{:.2}", score.forces(None)),
    )?;
    processes(measured, text)
}

fn clients_table(
    measured: &Measured,
    text: &mut String,
    title: &str,
    cell: impl Fn(usize, Contestant, &Score) -> String,
) -> fmt::Result {
    write!(text, "\n{title}\n{:NAME$}", "clients")?;
    for clients in &measured.part.clients {
        write!(text, "{clients:>CELL$}")?;
    }
    writeln!(text)?;
    for &who in &measured.part.contestants {
        write!(text, "{:NAME$}", who.title())?;
        for &clients in &measured.part.clients {
            let score = measured.closed.get(&(clients, who));
            let shown = score.map(|score| cell(clients, who, score));
            write!(text, "{:>CELL$}", shown.unwrap_or_default())?;
        }
        writeln!(text)?;
    }
    Ok(())
}

/// Which process spends what, at the number of clients nearest to 256.
fn processes(measured: &Measured, text: &mut String) -> fmt::Result {
    let Some(clients) = measured.nearest_clients(256) else {
        return Ok(());
    };
    writeln!(
        text,
        "\nprocessor time, us, and forced writes per purchase by process, {clients} clients"
    )?;
    for &who in &measured.part.contestants {
        let Some(score) = measured.closed.get(&(clients, who)) else {
            continue;
        };
        let each = score.used.keys().map(|name| {
            let (cpu, forces) = (score.cpu_us(Some(name)), score.forces(Some(name)));
            match score.used[name].forces {
                0 => format!("{name} {cpu:.1}"),
                _ => format!("{name} {cpu:.1} and {forces:.3}"),
            }
        });
        let each: Vec<String> = each.collect();
        writeln!(text, "{:NAME$}{}", who.title(), each.join(", "))?;
    }
    Ok(())
}

fn open(measured: &Measured, text: &mut String) -> fmt::Result {
    writeln!(
        text,
        "\nat a fixed rate: latency from the intended start, p50 / p99, ms (purchases/s made)"
    )?;
    let mut rates: Vec<u64> = measured.open.keys().map(|(rate, _)| *rate).collect();
    rates.dedup();
    let wide = CELL + 8;
    write!(text, "{:NAME$}", "offered per second")?;
    for (rate, part) in rates.iter().zip(&measured.part.offered) {
        write!(text, "{:>wide$}", format!("{rate} ({part})"))?;
    }
    writeln!(text)?;
    for &who in &measured.part.contestants {
        if who.is_limit() {
            continue;
        }
        write!(text, "{:NAME$}", who.title())?;
        for rate in &rates {
            let score = measured.open.get(&(*rate, who));
            let shown =
                score.map(|score| format!("{} ({:.0})", latencies(score), score.per_second()));
            write!(text, "{:>wide$}", shown.unwrap_or_default())?;
        }
        writeln!(text)?;
    }
    Ok(())
}

/// The decision log beside the plain file.
pub(crate) fn log(rates: &[Rate]) -> Result<String, fmt::Error> {
    let mut text = String::from("\ndurable records/s of 300 bytes\n");
    writeln!(
        text,
        "{:>10} {:>12} {:>12} {:>6}",
        "committers", "log", "plain file", "ratio"
    )?;
    for rate in rates {
        writeln!(
            text,
            "{:>10} {:>12.0} {:>12.0} {:>6.2}",
            rate.committers,
            rate.log,
            rate.plain,
            rate.log / rate.plain
        )?;
    }
    Ok(text)
}

fn latencies(score: &Score) -> String {
    let short = |ms: f64| match ms {
        ms if ms < 10.0 => format!("{ms:.1}"),
        ms => format!("{ms:.0}"),
    };
    format!(
        "{}/{}",
        short(score.latency_ms(0.5)),
        short(score.latency_ms(0.99))
    )
}
