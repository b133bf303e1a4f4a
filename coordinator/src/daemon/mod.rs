//! The daemon: the driver that owns the core, the links to the participants, the decision log,
//! and the wiring of all of them.

mod clock;
mod connections;
mod crash_point;
mod driver;
mod edge;
mod link;
mod listening;
mod log;
mod log_reader;
mod notes;
mod open_files;
mod participants;
mod serve;
mod sidecar;
mod signals;
mod start_check;
mod stepped;
mod stream;
mod tls;
mod turnstile;

pub use clock::Clock;
pub use crash_point::{CrashPoint, StoreStep, VARIABLE as CRASH_POINT_VARIABLE};
pub use driver::{Handle, Stopped};
pub use link::{Link, LinkState};
pub use log_reader::{LogReader, READS_MAX};
pub use participants::participants;
pub use serve::{Identity, serve};
pub use sidecar::serve_participant;
