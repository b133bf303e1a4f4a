//! Calls that the HTTP/2 stack resets before anything of tandem sees them.
//!
//! The client hears `INTERNAL` and a stream reset. The stack (h2 0.4, `convert_poll_message`) says why
//! at the level of debugging only, so that a client that can't get through leaves no trace. A known
//! one: gRPC's targets of several addresses (`ipv4:A,B`) name `A,B` or `A%2CB` as authority, which is
//! no host to the stack (http 1, `validate_authority_bytes`), and no setting of it changes that.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};

/// Where the stack says it, and how its words begin.
const TARGET: &str = "h2::server";
const BEGINNING: &str = "malformed headers";

/// Between two warnings: a client that is turned away tries again, and again.
const PAUSE: Duration = Duration::from_secs(60);

/// Warns of such calls, once in a while.
#[derive(Debug, Default)]
pub(super) struct Unreadable(Mutex<Warned>);

#[derive(Debug, Default)]
struct Warned {
    last: Option<Instant>,
    /// Calls since then of which nothing was said.
    unsaid: u64,
}

impl Warned {
    /// How many calls are to be told of at `now`, this one included; `None` if it is too soon.
    fn tell(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self
            .last
            .is_some_and(|last| now.duration_since(last) < PAUSE)
        {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// Lets only the stack's own words through, so that nothing else is looked at.
pub(super) fn only<S>() -> impl Filter<S> {
    tracing_subscriber::filter::filter_fn(|metadata: &Metadata<'_>| {
        metadata.target() == TARGET && *metadata.level() == Level::DEBUG
    })
}

impl<S: Subscriber> Layer<S> for Unreadable {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        if !message.0.starts_with(BEGINNING) {
            return;
        }
        // Whatever happened to another thread, the numbers are whole.
        let told = match self.0.lock() {
            Ok(mut warned) => warned.tell(Instant::now()),
            Err(poisoned) => poisoned.into_inner().tell(Instant::now()),
        };
        if let Some(calls) = told {
            tracing::warn!(
                calls,
                "a call was reset before it could be read, and its client heard INTERNAL: {}. With a \
                 gRPC target of several addresses (ipv4:A,B) set the channel option \
                 grpc.default_authority to a plain name",
                message.0
            );
        }
    }
}

/// What an event says.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_calls_in_a_row_are_told_of_once_and_counted() {
        let mut warned = Warned::default();
        let begun = Instant::now();
        assert_eq!(warned.tell(begun), Some(1));
        for _ in 0..5 {
            assert_eq!(warned.tell(begun + PAUSE / 2), None);
        }
        assert_eq!(warned.tell(begun + PAUSE), Some(6));
    }
}
