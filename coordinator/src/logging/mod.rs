//! What the processes say on stderr: lines for a person on a terminal, JSON for a collector
//! everywhere else. Nothing that reads or stores it can stop, end or delay them.

mod format;
mod seldom;
mod stderr;
mod unreadable;

use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

pub use seldom::Seldom;

use format::Format;
use stderr::{Lines, Queue};
use unreadable::Unreadable;

/// How long an end waits for what was said before it to be written: a reader that is there takes it at
/// once.
const FLUSH_MAX: Duration = Duration::from_secs(1);

/// What is on its way to stderr, once there is a log.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Arguments of every verb that runs for long.
#[derive(Debug, Clone, clap::Args)]
pub struct LogArgs {
    /// What to log on stderr: LEVEL or TARGET=LEVEL, separated by commas
    #[arg(
        long = "log",
        env = "TANDEM_LOG",
        value_name = "FILTER",
        default_value = "info",
        value_parser = check
    )]
    pub filter: String,
}

/// A log that is being written. Dropped at the process's end, it waits for its last lines.
#[derive(Debug)]
pub struct Log(());

impl Log {
    /// Says something outside the log's form, as a verb says why it failed.
    pub fn say(&self, text: &str) {
        if let Some(queue) = QUEUE.get() {
            queue.push_last(format!("{}\n", text.trim_end()).as_bytes());
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        flush();
    }
}

/// Waits until what was said is written, a second at most. To be called before an end that no
/// destructor survives.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(FLUSH_MAX);
    }
}

/// Starts to write log events to stderr. `filter` is a list of `LEVEL` or `TARGET=LEVEL`, as in
/// `info,tandem=debug`; see tracing-subscriber's `EnvFilter`. Panics are said there too.
///
/// # Errors
/// A filter that can't be understood, no thread to write with, or a second call in the same process.
pub fn init(filter: &str) -> anyhow::Result<Log> {
    let filter = parse(filter)?;
    let format = match io::stderr().is_terminal() {
        true => Format::Text,
        false => Format::Json,
    };
    let queue = QUEUE.get_or_init(Queue::default);
    let events = fmt::layer().with_writer(move || Lines(queue));
    // What goes wrong in writing is not written either.
    let events = events.log_internal_errors(false);
    let events = match format {
        Format::Text => events.with_target(false).boxed(),
        Format::Json => {
            let events = events.json().flatten_event(true);
            events.with_current_span(false).boxed()
        }
    };
    let started = registry()
        .with(events.with_filter(filter))
        .with(Unreadable::default().with_filter(unreadable::only()))
        .try_init();
    started.map_err(|error| anyhow::anyhow!("can't start to log: {error}"))?;
    let writer = std::thread::Builder::new().name("log".into());
    writer
        .spawn(move || queue.write(io::stderr(), format))
        .context("can't start to log")?;
    std::panic::set_hook(Box::new(move |info| {
        queue.push(format.panic(info).as_bytes());
    }));
    Ok(Log(()))
}

/// Says what a configuration warns of.
pub fn warn_of(warnings: &[String]) {
    for warning in warnings {
        tracing::warn!("{warning}");
    }
}

/// A wrong filter is a usage error.
fn check(filter: &str) -> Result<String, String> {
    parse(filter)
        .map(|_| filter.to_owned())
        .map_err(|error| error.to_string())
}

fn parse(filter: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(filter).map_err(|error| {
        anyhow::anyhow!("the log filter {filter:?} is not LEVEL or TARGET=LEVEL: {error}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filter_that_is_not_understood_is_named() {
        assert_eq!(check("info,tandem=debug"), Ok("info,tandem=debug".into()));
        let error = check("tandem=loud").expect_err("no such level");
        assert!(error.contains("\"tandem=loud\""), "{error}");
    }
}
