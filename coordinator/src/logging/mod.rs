//! What the processes say on stderr: lines for a person on a terminal, JSON for a collector
//! everywhere else.

mod unreadable;

use std::io::{self, IsTerminal};

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, registry};

use unreadable::Unreadable;

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

/// Starts to write log events to stderr. `filter` is a list of `LEVEL` or `TARGET=LEVEL`, as in
/// `info,tandem=debug`; see tracing-subscriber's `EnvFilter`.
///
/// # Errors
/// A filter that can't be understood, or a second call in the same process.
pub fn init(filter: &str) -> anyhow::Result<()> {
    let filter = parse(filter)?;
    let events = fmt::layer().with_writer(io::stderr);
    let events = if io::stderr().is_terminal() {
        events.with_target(false).boxed()
    } else {
        let events = events.json().flatten_event(true);
        events.with_current_span(false).boxed()
    };
    let started = registry()
        .with(events.with_filter(filter))
        .with(Unreadable::default().with_filter(unreadable::only()))
        .try_init();
    started.map_err(|error| anyhow::anyhow!("can't start to log: {error}"))
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
