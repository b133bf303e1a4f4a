//! The machine's clock, for times that people read. What must not go back asks elsewhere.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tandem_protocol::Timestamp;

/// The time of the machine's clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Timestamp::default() + since.unwrap_or(Duration::ZERO)
}
