//! Calls that the HTTP/2 stack resets before anything of tandem sees them.
//!
//! The client hears `INTERNAL` and a stream reset. The stack (h2 0.4, `convert_poll_message`) says why
//! at the level of debugging only, so that a client that can't get through leaves no trace. A known
//! one: gRPC's targets of several addresses (`ipv4:A,B`) name `A,B` or `A%2CB` as authority, which is
//! no host to the stack (http 1, `validate_authority_bytes`), and no setting of it changes that.

use std::fmt::Debug;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, Layer};

use super::seldom::Seldom;

/// Where the stack says it, and how its words begin.
const TARGET: &str = "h2::server";
const BEGINNING: &str = "malformed headers";

/// Warns of such calls, once in a while: a client that is turned away tries again, and again.
#[derive(Debug, Default)]
pub(super) struct Unreadable(Seldom);

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
        if let Some(calls) = self.0.happened() {
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
